"""The proxy's network in Docker, made when the first container asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

from .client import DockerClient, DockerError
from .ipam_driver import ANY
from .ports import DRIVER

NAME = "calico"
NAME_V6 = "calico46"
"""With IPv6, which Docker gives to all containers of a network or to none."""


class Networks:
    """Networks of our driver by their names. DockerError."""

    def __init__(self, docker: DockerClient) -> None:
        self._docker = docker
        self._making = asyncio.Lock()

    async def driver(self, name: str) -> str | None:
        """The driver of a network; None where there is none of this name."""
        try:
            found = await self._docker.get(f"/networks/{name.replace('/', '%2F')}")
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        return str(found.get("Driver", "")) if isinstance(found, dict) else ""

    async def ensure(self, *, with_v6: bool) -> str:
        """The name of the network, which is there then."""
        name = NAME_V6 if with_v6 else NAME
        async with self._making:
            driver = await self.driver(name)
            if driver is None:
                await self._docker.post("/networks/create", _network(name, with_v6=with_v6))
            elif driver != DRIVER:
                raise DockerError(
                    f"Docker's network {name} has the driver {driver}, and CALICO_IP needs that name for one of "
                    f"{DRIVER}: remove it (docker network rm {name})",
                    409,
                )
        return name


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
