"""All that this host has for Docker, put together."""

from __future__ import annotations

import asyncio
import contextlib
import platform
from pathlib import Path

from calico_route.workload.ports import Addresses

from .client import DockerClient
from .ipam_driver import IpamDriver
from .leases import Leases
from .network import Networks
from .network_driver import NetworkDriver
from .plugin import Plugin
from .ports import Workloads
from .proxy import Proxy
from .records import Records
from .watcher import Watcher

SOCKET = Path("/run/docker.sock")
STATE = Path("/var/lib/calico_route/docker")


class DockerSide:
    """Drivers in `plugin_directory` (None: none), Docker's API on `proxy` (address and port; None: none), and a watch
    over the containers of the daemon at `docker_socket`, which need not run yet. ValueError for a proxy that is not on
    the loopback.

    `workloads` must neither claim nor give back the addresses that they are handed: Docker keeps them while a container
    restarts. `node` is kept beside addresses in the datastore. `state_dir` holds what Docker does not say twice.
    """

    def __init__(
        self,
        workloads: Workloads,
        addresses: Addresses,
        *,
        plugin_directory: Path | None,
        proxy: tuple[str, int] | None,
        docker_socket: Path = SOCKET,
        state_dir: Path = STATE,
        node: str | None = None,
    ) -> None:
        docker = DockerClient(docker_socket)
        self.leases = Leases(addresses, Records(state_dir / "leases"), node or platform.node())
        networks, endpoints = Records(state_dir / "networks"), Records(state_dir / "endpoints")
        self._driver = NetworkDriver(workloads, self.leases, networks, endpoints)
        self._plugin = plugin_directory and Plugin(plugin_directory, self._driver, IpamDriver(self.leases))
        self.proxy = Proxy(*proxy, docker, self.leases, Networks(docker)) if proxy else None
        self._watcher = Watcher(docker, self.leases, self._driver)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen and watch. OSError where a socket or the state's directory cannot be had, with nothing left behind."""
        self.leases.load()
        self._driver.load()
        try:
            if self._plugin:
                await self._plugin.open()
            if self.proxy:
                await self.proxy.open()
        except BaseException:
            await self.close()
            raise
        self._watching = asyncio.create_task(self._watcher.run())

    async def close(self) -> None:
        """Listen no more. Containers, their interfaces and addresses stay."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        for part in (self.proxy, self._plugin):
            if part:
                await part.close()
