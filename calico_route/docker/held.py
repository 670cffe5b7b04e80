"""Addresses of Docker's containers are Docker's: its IPAM driver has them before their workload is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calico_route.workload.ports import Addresses

from .ports import NETWORK


class HeldByDocker:
    """The same addresses, for the workloads: what belongs to Docker's network is neither claimed nor given back by
    them, as the drivers here do both, and keep an address while a container restarts."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def assign(
        self,
        handle: str,
        *,
        versions: Sequence[int] = (4,),
        pools: Sequence[str] = (),
        attributes: Mapping[str, str],
    ) -> tuple[str, ...]:
        return await self._addresses.assign(handle, versions=versions, pools=pools, attributes=attributes)

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        if not handle.startswith(f"{NETWORK}."):
            await self._addresses.claim(handle, addresses, attributes=attributes)

    async def release(self, handle: str) -> tuple[str, ...]:
        return () if handle.startswith(f"{NETWORK}.") else await self._addresses.release(handle)
