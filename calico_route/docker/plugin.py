"""The Unix socket on which Docker calls its drivers: HTTP, POST, JSON. An error is {"Err": "…"}; for the IPAM driver it
is {"Error": "…"}, so that both are said."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from calico_route.workload.ports import WorkloadError

from .http import Wire, answer, request_framing
from .ipam_driver import IpamDriver
from .listening import Listening
from .network_driver import NetworkDriver
from .ports import DRIVER

log = logging.getLogger(__name__)

DIRECTORY = Path("/run/docker/plugins")
"""Where Docker looks for the sockets of plugins."""
LONGEST_REQUEST = 1 << 20
LEAVE_WITHIN = 2.0
"""Seconds that a call in progress gets at the end; workloads undo at the next start what was not done then."""
_KIND = "application/vnd.docker.plugins.v1.1+json"

Call = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Plugin:
    """Both drivers on `<directory>/calico-route.sock`."""

    def __init__(self, directory: Path, network: NetworkDriver, ipam: IpamDriver) -> None:
        self.path = directory / f"{DRIVER}.sock"
        self._calls: dict[str, Call] = {
            "/Plugin.Activate": _activate,
            "/NetworkDriver.GetCapabilities": network.get_capabilities,
            "/NetworkDriver.AllocateNetwork": network.allocate_network,
            "/NetworkDriver.FreeNetwork": network.nothing,
            "/NetworkDriver.CreateNetwork": network.create_network,
            "/NetworkDriver.DeleteNetwork": network.delete_network,
            "/NetworkDriver.CreateEndpoint": network.create_endpoint,
            "/NetworkDriver.EndpointOperInfo": network.endpoint_oper_info,
            "/NetworkDriver.DeleteEndpoint": network.delete_endpoint,
            "/NetworkDriver.Join": network.join,
            "/NetworkDriver.Leave": network.nothing,
            "/NetworkDriver.DiscoverNew": network.nothing,
            "/NetworkDriver.DiscoverDelete": network.nothing,
            "/NetworkDriver.ProgramExternalConnectivity": network.nothing,
            "/NetworkDriver.RevokeExternalConnectivity": network.nothing,
            "/IpamDriver.GetCapabilities": ipam.get_capabilities,
            "/IpamDriver.GetDefaultAddressSpaces": ipam.get_default_address_spaces,
            "/IpamDriver.RequestPool": ipam.request_pool,
            "/IpamDriver.ReleasePool": ipam.release_pool,
            "/IpamDriver.RequestAddress": ipam.request_address,
            "/IpamDriver.ReleaseAddress": ipam.release_address,
        }
        self._listening = Listening(self._serve)
        self._running: set[asyncio.Task[bytes]] = set()

    async def open(self) -> None:
        """Listen. OSError, also when another process answers there."""
        await self._listening.unix(self.path)
        log.info("Docker's drivers for network and addresses: %s", self.path)

    async def close(self) -> None:
        """Listen no more; calls that have begun get LEAVE_WITHIN."""
        await self._listening.close()
        if self._running:
            await asyncio.wait(self._running, timeout=LEAVE_WITHIN)

    async def _serve(self, wire: Wire) -> None:
        while (head := await wire.head()) is not None:
            if head.has("expect", "100-continue"):
                await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await wire.whole(request_framing(head), LONGEST_REQUEST)
            if head.method != "POST":
                await wire.send(_error(405, "calls of a plugin are POST"))
            else:
                # A call is ended even if Docker hangs up: half an endpoint is none.
                task = asyncio.create_task(self._answer(head.path, body))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                await wire.send(await asyncio.shield(task))
            if head.has("connection", "close"):
                return

    async def _answer(self, path: str, body: bytes) -> bytes:
        call = self._calls.get(path)
        if call is None:
            return _error(404, f"{DRIVER} has no call {path[:80]}")
        try:
            document = json.loads(body) if body.strip() else {}
            if not isinstance(document, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            return _error(400, f"{path}: the request is no JSON object ({error})")
        try:
            return answer(200, await call(document), kind=_KIND)
        except WorkloadError as error:
            log.warning("%s refused: %s", path.lstrip("/"), error)
            return _error(200, f"{DRIVER}: {error}")
        except OSError as error:
            log.error("%s failed: %s", path.lstrip("/"), error)
            return _error(200, f"{DRIVER}: {error}")
        except Exception:  # one call must not end the connection of the others without a word
            log.exception("%s failed", path.lstrip("/"))
            return _error(500, f"{DRIVER}: an internal error; the agent's log says more")


def _error(status: int, text: str) -> bytes:
    return answer(status, {"Err": text, "Error": text}, kind=_KIND)


async def _activate(_: dict[str, Any]) -> dict[str, Any]:
    return {"Implements": ["NetworkDriver", "IpamDriver"]}
