"""Addresses and workloads in memory, as this package knows them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from calico_route.docker import HandedOver
from calico_route.workload.ports import WorkloadError


class MemoryAddresses:
    """Pools of addresses: the lowest free one first. `broken`: the datastore does not answer."""

    def __init__(self, *pools: str) -> None:
        self.pools = [ip_network(pool) for pool in pools or ("192.168.0.0/16", "fd80::/112")]
        self.taken: dict[str, str] = {}  # handles by address
        self.attributes: dict[str, Mapping[str, str]] = {}
        self.broken = False

    async def assign(
        self,
        handle: str,
        *,
        versions: Sequence[int] = (4,),
        pools: Sequence[str] = (),
        attributes: Mapping[str, str],
    ) -> tuple[str, ...]:
        await self._answer()
        found = []
        for version in versions:
            mine = [
                one for one, holder in self.taken.items() if holder == handle and ip_address(one).version == version
            ]
            found.append(mine[0] if mine else self._free(version, pools))
        for address in found:
            self.taken[address], self.attributes[address] = handle, attributes
        return tuple(found)

    def _free(self, version: int, pools: Sequence[str]) -> str:
        for pool in self.pools:
            if pool.version == version and (not pools or str(pool) in pools):
                for address in pool.hosts():
                    if str(address) not in self.taken:
                        return str(address)
        raise WorkloadError("the pools are full: add one", code="full")

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        await self._answer()
        for address in addresses:
            if not any(ip_address(address) in pool for pool in self.pools):
                raise WorkloadError(f"{address} is outside of all pools", code="outside")
            if self.taken.get(address, handle) != handle:
                raise WorkloadError(f"{address} is taken by {self.taken[address]}", code="taken")
        for address in addresses:
            self.taken[address], self.attributes[address] = handle, attributes

    async def release(self, handle: str) -> tuple[str, ...]:
        await self._answer()
        found = tuple(address for address, holder in self.taken.items() if holder == handle)
        for address in found:
            del self.taken[address]
        return found

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise WorkloadError("etcd does not answer", code="unavailable")


@dataclass(frozen=True)
class MadeWorkload:
    request: HandedOver
    host_interface: str
    peer_interface: str
    mac: str
    gateway6: str | None
    endpoint: str


class MemoryWorkloads:
    """Workloads by container; `refuse` is raised by the next add."""

    def __init__(self) -> None:
        self.made: dict[str, MadeWorkload] = {}
        self.refuse: WorkloadError | None = None

    async def add(self, request: HandedOver) -> MadeWorkload:
        await asyncio.sleep(0)
        if self.refuse is not None:
            raise self.refuse
        digest = hashlib.sha1(f"{request.container}/{request.interface}".encode(), usedforsecurity=False).hexdigest()
        mac = request.mac or f"02:{digest[:2]}:{digest[2:4]}:{digest[4:6]}:{digest[6:8]}:{digest[8:10]}"
        v6 = any(":" in address for address in request.addresses)
        made = MadeWorkload(
            request=request,
            host_interface=f"cali{digest[:11]}",
            peer_interface=f"tmp{digest[:11]}",
            mac=mac,
            gateway6="fe80::ecee:eeff:feee:eeee" if v6 else None,
            endpoint=f"node-libnetwork-libnetwork-{request.container[:12]}",
        )
        self.made[request.container] = made
        return made

    async def remove(self, container: str, interface: str | None = None) -> None:
        await asyncio.sleep(0)
        self.made.pop(container, None)
