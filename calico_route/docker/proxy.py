"""Docker's API on a port of the loopback, as Powerstrip had it: `docker run -e CALICO_IP=auto …` through it.

Creating, starting and inspecting a container is looked into; everything else passes as it comes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from calico_route.workload.ports import WorkloadError

from .client import DockerClient, DockerError
from .creation import Wish, endpoint_settings, fill_settings, network_mode, on_network, read_wish
from .http import Framing, Gone, Head, Kind, Wire, request_framing
from .leases import Lease, Leases, State
from .listening import Listening
from .network import Networks
from .passing import Ended, Exchange, refusal, running

log = logging.getLogger(__name__)

DEFAULT = ("127.0.0.1", 2377)
MOST = 16 << 20
"""Octets of a request to create a container, and of an inspection: what is more passes unread, or is refused."""

_CONTAINERS = re.compile(r"(?:/v[0-9.]+)?/containers/(?:(create)|([^/]+)/(json|start))")
_CODES = {"taken": 409, "full": 409, "busy": 409, "unavailable": 503, "internal": 500}


class Proxy:
    """Listens on an address of the loopback and a port (0: any; `port` is the one taken)."""

    def __init__(self, address: str, port: int, docker: DockerClient, leases: Leases, networks: Networks) -> None:
        if not ipaddress.ip_address(address).is_loopback:
            raise ValueError(
                f"--docker-proxy {address}: whoever reaches the port has Docker's power, and that is root's; only "
                "addresses of the loopback are possible, such as 127.0.0.1"
            )
        self.address, self.port = address, port
        self._docker, self._leases, self._networks = docker, leases, networks
        self._listening = Listening(self._serve)

    async def open(self) -> None:
        """Listen. OSError."""
        self.port = await self._listening.tcp(self.address, self.port)
        log.info(
            "Docker's API is on port %d: export DOCKER_HOST=localhost:%d (it is as powerful as %s)",
            self.port,
            self.port,
            self._docker.socket,
        )

    async def close(self) -> None:
        await self._listening.close()

    async def _serve(self, client: Wire) -> None:
        """One client: a connection to Docker for it, with which it lives and ends."""
        docker: Wire | None = None
        try:
            while True:
                head = await _next_request(client, docker)
                if docker is not None and not docker.idle:  # it was restarted, say: the client need not know
                    docker.close()
                    docker = None
                    if head is None:
                        continue
                if head is None:
                    return
                if reason := _foreign(head):
                    await client.send(refusal(403, reason, close=True))
                    return
                framing = request_framing(head)
                if docker is None:
                    docker = await self._docker.connect()
                await self._pass(client, docker, head, framing)
        except DockerError as error:
            await client.send(refusal(error.status, str(error), close=True))
        except Ended:
            pass
        except Gone as error:
            log.debug("a connection ended: %s", error)
        finally:
            if docker is not None:
                docker.close()

    async def _pass(self, client: Wire, docker: Wire, head: Head, framing: Framing) -> None:
        found = _CONTAINERS.fullmatch(head.path)
        if found and found[1] and head.method == "POST":
            await self._create(client, docker, head, framing)
            return
        inspected = found is not None and found[3] == "json" and head.method == "GET"
        if found and found[3] == "start" and head.method == "POST":
            try:
                await self._before_start(found[2])
            except (WorkloadError, DockerError) as error:
                await _drain(client, head, framing)
                await client.send(refusal(_status(error), str(error)))
                return
        await docker.send(head.raw)
        async with Exchange(client, docker, head.method, framing) as exchange:
            answer, answered = await exchange.head()
            if inspected and answer.status == 200 and _is_json(answer) and answered.length <= MOST:
                body = await exchange.body(answered, MOST)
                changed = await self._inspected(body)
                await client.send(answer.with_body(len(changed)) + changed)
                await exchange.settle()
            else:
                await exchange.pass_on(answer, answered)

    async def _create(self, client: Wire, docker: Wire, head: Head, framing: Framing) -> None:
        """Docker gets to see the request once it is known whether the addresses can be had."""
        if head.has("expect", "100-continue"):
            await client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await client.whole(framing, MOST)
        name = parse_qs(head.target.partition("?")[2]).get("name", [""])[0]
        leases: Sequence[Lease] = ()
        try:
            body, leases = await self._rewritten(body, name)
        except (WorkloadError, DockerError) as error:
            log.warning("container %s is not created: %s", name or "without a name", error)
            await client.send(refusal(_status(error), str(error)))
            return
        bound = False
        try:
            await docker.send(head.with_body(len(body)) + body)
            async with Exchange(client, docker, head.method, Framing(Kind.NONE)) as exchange:
                answer, answered = await exchange.head()
                told = await exchange.body(answered, MOST)
                if leases and answer.status == 201 and (container := _text(_object(told), "Id")):
                    await self._leases.bind(leases, container, name)
                    bound = True
                await client.send(answer.with_body(len(told)) + told)
            if answered.kind is Kind.CLOSE:
                raise Ended
        finally:
            if leases and not bound:
                await asyncio.shield(self._leases.cancel(leases))

    async def _rewritten(self, body: bytes, name: str) -> tuple[bytes, Sequence[Lease]]:
        """The body for Docker, and the leases that are reserved for the container. A body that is none of Docker's JSON
        is Docker's to refuse."""
        document = _object(body)
        wish = read_wish(document.get("Env"))
        if wish is None:
            return body, ()
        network = await self._network(network_mode(document), wish)
        leases = await self._leases.reserve(wish.versions, wish.addresses, name)
        changed = on_network(document, network, [lease.address for lease in leases], wish, name)
        return json.dumps(changed, ensure_ascii=False).encode(), leases

    async def _network(self, wanted: str, wish: Wish) -> str:
        """The network of a container: one that it names itself and that fits, or else the proxy's."""
        if wanted and wanted not in ("default", "bridge", "host", "none") and not wanted.startswith("container:"):
            if await self._networks.fits(wanted, with_v6=wish.with_v6):
                return wanted
            log.warning("CALICO_IP decides about the network: %s is not used", wanted)
        return await self._networks.ensure(with_v6=wish.with_v6)

    async def _before_start(self, container: str) -> None:
        """A container with CALICO_IP finds its address reserved, or its start is refused. One that was created past the
        proxy is connected first. WorkloadError, DockerError."""
        try:
            document = await self._docker.get(f"/containers/{container}/json")
        except DockerError as error:
            if error.status == 503:
                raise
            return  # Docker will say the same to the client
        state, config = document.get("State") or {}, document.get("Config") or {}
        wish = read_wish(config.get("Env"))
        if wish is None or state.get("Running"):
            return
        identity, name = _text(document, "Id"), _text(document, "Name").lstrip("/")
        networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
        pinned = _pinned(networks)
        if pinned:
            for address in pinned:
                await self._again(address, identity, name)
            return
        for network in networks:
            if await self._networks.ours(network):
                return  # it is on a network of ours without an address of its own, by its owner's will
        await self._connect(identity, name, wish)

    async def _again(self, address: str, container: str, name: str) -> None:
        """The address of a container that starts again is its own still, or free; somebody else's is refused."""
        lease = self._leases.find(address)
        if lease is None:
            leases = await self._leases.reserve((), (address,), name)
            await self._leases.bind(leases, container, name)
        elif lease.container and lease.container != container and lease.state is not State.KEPT:
            raise WorkloadError(
                f"{address} went to {lease.whose} while {name} was stopped; remove {name} and create it again",
                code="taken",
            )

    async def _connect(self, container: str, name: str, wish: Wish) -> None:
        network = await self._networks.ensure(with_v6=wish.with_v6)
        leases = await self._leases.reserve(wish.versions, wish.addresses, name)
        bound = False
        try:
            settings = endpoint_settings([lease.address for lease in leases], wish, name)
            await self._docker.post(
                f"/networks/{network}/connect", {"Container": container, "EndpointConfig": settings}
            )
            await self._leases.bind(leases, container, name)
            bound = True
        except DockerError as error:
            raise DockerError(
                f"{name} has CALICO_IP, was not created through this port, and cannot be connected to {network}: "
                f"{error}; create it again through this port",
                409,
            ) from error
        finally:
            if not bound:
                await asyncio.shield(self._leases.cancel(leases))

    async def _inspected(self, body: bytes) -> bytes:
        """A container's inspection, with its addresses where they once were; as it is where there is nothing to add."""
        document = _object(body)
        networks = (document.get("NetworkSettings") or {}).get("Networks")
        for name, endpoint in networks.items() if isinstance(networks, dict) else ():
            address = endpoint.get("IPAddress") if isinstance(endpoint, dict) else None
            if isinstance(address, str) and address and self._leases.find(address) and fill_settings(document, name):
                return json.dumps(document, ensure_ascii=False).encode() + b"\n"
        return body


async def _next_request(client: Wire, docker: Wire | None) -> Head | None:
    """The client's next request; None where there is none, or where Docker has ended the connection."""
    if docker is None:
        return await client.head()
    async with running(client.head()) as head, running(docker.ended()) as ended:
        await asyncio.wait({head, ended}, return_when=asyncio.FIRST_COMPLETED)
        return head.result() if head.done() else None


async def _drain(client: Wire, head: Head, framing: Framing) -> None:
    """Read the body of a request that Docker does not get."""
    if not head.has("expect", "100-continue"):
        async for _ in client.body(framing):
            pass


def _foreign(head: Head) -> str | None:
    """Why a request may be that of a web page in a browser on this machine, which reaches the loopback, too."""
    origin, host = head.get("origin"), head.get("host") or ""
    if origin is not None:
        return f"requests of web pages (Origin: {origin[:80]}) are refused: this port is Docker itself"
    name = re.sub(r":\d*$", "", host).strip("[]").lower()
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # A name with dots may be anybody's, resolved to the loopback (DNS rebinding).
        if "." in name and not name.endswith((".localhost", ".localdomain")):
            return f"the host {name[:80]!r} is not known here: use localhost, or the address"
    return None


def _status(error: WorkloadError | DockerError) -> int:
    return error.status if isinstance(error, DockerError) else _CODES.get(error.code, 400)


def _is_json(head: Head) -> bool:
    coded = (head.get("content-encoding") or "identity").lower() != "identity"
    return not coded and (head.get("content-type") or "").partition(";")[0].strip().lower() == "application/json"


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _pinned(networks: Any) -> list[str]:
    """The addresses that a container's settings ask for."""
    found = []
    for endpoint in networks.values() if isinstance(networks, dict) else ():
        ipam = endpoint.get("IPAMConfig") if isinstance(endpoint, dict) else None
        for name in ("IPv4Address", "IPv6Address"):
            if isinstance(ipam, dict) and ipam.get(name):
                found.append(str(ipam[name]))
    return found
