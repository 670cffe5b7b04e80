"""The proxy's network in Docker, made when the first container asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

from .client import DockerClient, DockerError
from .ipam_driver import ANY
from .ports import DRIVER, GATEWAY, GATEWAY_V6

NAMES = ("calico", "calico-ip")
"""The second one where somebody has made the first without a subnet: Docker takes addresses only with one."""
NAMES_V6 = ("calico46", "calico46-ip")
"""With IPv6, which Docker gives to all containers of a network or to none."""


class Networks:
    """Networks of our driver by their names. DockerError."""

    def __init__(self, docker: DockerClient) -> None:
        self._docker = docker
        self._making = asyncio.Lock()

    async def _find(self, name: str) -> dict[str, Any] | None:
        try:
            found = await self._docker.get(f"/networks/{name.replace('/', '%2F')}")
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        return found if isinstance(found, dict) else {}

    async def ours(self, name: str) -> bool:
        """Whether there is a network of this name that is our driver's."""
        found = await self._find(name)
        return found is not None and found.get("Driver") == DRIVER

    async def fits(self, name: str, *, with_v6: bool) -> bool:
        """Whether it is ours, and takes addresses that are asked for."""
        found = await self._find(name)
        return found is not None and _fits(found, with_v6=with_v6)

    async def ensure(self, *, with_v6: bool) -> str:
        """The name of a network that fits, which is there then."""
        async with self._making:
            for name in NAMES_V6 if with_v6 else NAMES:
                found = await self._find(name)
                if found is None:
                    await self._docker.post("/networks/create", _network(name, with_v6=with_v6))
                    return name
                if _fits(found, with_v6=with_v6):
                    return name
        names = " and ".join(NAMES_V6 if with_v6 else NAMES)
        raise DockerError(
            f"Docker's networks {names} are of another driver, or were made without --subnet: CALICO_IP needs one of "
            f"these names (docker network rm {name}, and it is made as it has to be)",
            409,
        )


def _fits(network: dict[str, Any], *, with_v6: bool) -> bool:
    """Docker lists the gateway that our driver tells, unless the network was made with a subnet."""
    configs = (network.get("IPAM") or {}).get("Config") or []
    own = {config.get("Gateway", "").partition("/")[0] for config in configs if isinstance(config, dict)}
    return (
        network.get("Driver") == DRIVER
        and not own & {GATEWAY, GATEWAY_V6}
        and (not with_v6 or bool(network.get("EnableIPv6")))
    )


def _network(name: str, *, with_v6: bool) -> dict[str, Any]:
    # Docker takes an address only for a network with a subnet: this one stands for all of Calico's pools.
    subnets = [ANY[4], ANY[6]] if with_v6 else [ANY[4]]
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": DRIVER,
        "EnableIPv6": with_v6,
        "IPAM": {"Driver": DRIVER, "Config": [{"Subnet": subnet} for subnet in subnets]},
    }
