"""What happens to containers, from Docker's events; and a comparison with what is held here, as events are missed.

Docker tells its drivers of an end by itself, but only once, and forgets the answer: whoever was away, or failed, leaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from calico_route.workload.ports import WorkloadError

from .client import DockerClient, DockerError
from .leases import GRACE, Lease, Leases, State
from .network_driver import NetworkDriver
from .passing import running
from .ports import DRIVER

log = logging.getLogger(__name__)

SETTLE = 5.0
"""Seconds between two looks that must agree that something has no owner: a start in between looks as if it had none."""
EVERY = 60.0
"""Seconds between two looks without any event."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds to the next try when Docker does not answer."""

_ENDED = ("exited", "dead", "removing")


@dataclass
class Seen:
    """What Docker has: endpoints of our networks; their addresses with container and name; the state of containers by
    ID; containers and their names by the addresses that their settings ask for."""

    endpoints: set[str] = field(default_factory=set)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)


class Watcher:
    """Follows one Docker daemon for as long as it runs, through its restarts."""

    def __init__(
        self,
        docker: DockerClient,
        leases: Leases,
        driver: NetworkDriver,
        *,
        settle: float = SETTLE,
        grace: float = GRACE,
    ) -> None:
        self._docker, self._leases, self._driver = docker, leases, driver
        self._settle, self._grace = settle, grace
        self._look = asyncio.Event()
        self._suspects: dict[Lease | str, float] = {}  # without an owner since then, by the loop's clock
        self._strangers: dict[tuple[str, str], float] = {}  # addresses and containers of which nothing is known here
        self._told = False  # that Docker does not answer
        self._pause = FIRST_PAUSE

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._suspects.clear()
            self._strangers.clear()
            self._look.clear()
            try:
                async with running(self._follow()) as following, running(self._compare_again_and_again()) as comparing:
                    await asyncio.wait({following, comparing}, return_when=asyncio.FIRST_COMPLETED)
                    for task in (following, comparing):
                        if task.done():
                            task.result()
            except DockerError as error:
                if not self._told:
                    log.warning("containers are not watched: %s; it is tried again", error)
                self._told = True
            except Exception:  # an odd answer: the rest of the agent must not suffer, and the next one may be better
                log.exception("the watch over containers failed, and is begun again")
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _follow(self) -> None:
        events = self._docker.stream("/events", filters={"type": ["container", "network"]})
        async with contextlib.aclosing(events):
            async for event in events:
                await self._event(event)
        raise DockerError("Docker ended its stream of events")

    async def _event(self, event: Any) -> None:
        """One of Docker's events; None once it has begun to tell them."""
        if event is None:
            log.info("containers are watched by the events of %s", self._docker.socket)
            self._told = False
            self._pause = FIRST_PAUSE
        elif isinstance(event, dict):
            actor = event.get("Actor")
            container = actor.get("ID") if isinstance(actor, dict) else None
            if (event.get("Type"), event.get("Action")) == ("container", "destroy") and isinstance(container, str):
                await self._removed(container)
        self._look.set()

    async def _removed(self, container: str) -> None:
        """Its container is gone for good. What Docker has not given back so far, the next looks find."""
        for lease in self._leases.of_container(container):
            if lease.state in (State.RESERVED, State.KEPT):
                await self._drop(lease, "its container was removed")

    async def _compare_again_and_again(self) -> None:
        await self._look.wait()
        while True:
            self._look.clear()
            due = await self.compare()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(EVERY, due)):
                    await self._look.wait()
            await asyncio.sleep(min(0.2, self._settle))  # events come in swarms; one look is enough for all

    async def compare(self) -> float:
        """One look. Returns the seconds after which the next one may find more. DockerError."""
        leases, endpoints = self._leases.all(), list(self._driver.endpoints)
        seen = await self._see()
        await self._learn(seen)
        now, due = asyncio.get_running_loop().time(), EVERY
        suspects: dict[Lease | str, float] = {}
        for endpoint in endpoints:
            if endpoint not in seen.endpoints:
                suspects[endpoint] = self._suspects.get(endpoint, now)
        for lease in leases:
            left = self._left(lease, seen)
            if left is None:
                suspects[lease] = self._suspects.get(lease, now)
            elif left <= 0:
                await self._drop(lease, "its container has ended")
            else:
                due = min(due, left)
        for suspect, since in suspects.items():
            left = since + self._settle - now
            if left > 0:
                due = min(due, left)
            elif isinstance(suspect, str):
                await self._remove(suspect)
            else:
                await self._drop(suspect, "Docker does not know it")
        self._suspects = suspects
        return min(due, self._settle if self._strangers else EVERY) + 0.05

    def _left(self, lease: Lease, seen: Seen) -> float | None:
        """Seconds for which a lease stays, as things are now; None: it should have an owner, and has none."""
        if self._leases.is_creating(lease):
            return EVERY
        if lease.state is State.HELD:
            return EVERY if lease.address in seen.addresses else None
        if lease.state is State.ASKED:
            return None
        container, _ = seen.asked.get(lease.address, (lease.container, ""))
        state = seen.states.get(container)
        if state is not None and state not in _ENDED:
            return EVERY  # created, restarting, or about to say what it has
        if lease.state is State.RESERVED and state is None:
            return None
        return min(max(0.0, lease.since + self._grace - time.time()), self._grace)

    async def _learn(self, seen: Seen) -> None:
        """Whose the addresses are, which Docker does not tell its drivers."""
        now = asyncio.get_running_loop().time()
        strangers: dict[tuple[str, str], float] = {}
        for address, (container, name) in {**seen.asked, **seen.addresses}.items():
            lease = self._leases.find(address)
            if lease is not None:
                if container and (lease.state is State.HELD or not lease.container):
                    await self._leases.bind([lease], container, name)
            elif container and address in seen.addresses:
                strangers[address, container] = since = self._strangers.get((address, container), now)
                if now - since >= self._settle:
                    await self._adopt(address, container, name)
        self._strangers = strangers

    async def _adopt(self, address: str, container: str, name: str) -> None:
        try:
            await self._leases.adopt(address, container, name)
            log.warning("%s of container %s was not known here: it is now", address, name)
        except (WorkloadError, OSError) as error:
            log.error("container %s has %s, of which nothing is known here: %s; restart it", name, address, error)

    async def _drop(self, lease: Lease, why: str) -> None:
        try:
            if await self._leases.drop(lease):
                log.info("%s is given back: %s", lease.address or lease.handle, why)
        except (WorkloadError, OSError) as error:
            log.warning("%s is not given back yet: %s", lease.address or lease.handle, error)

    async def _remove(self, endpoint: str) -> None:
        try:
            await self._driver.remove(endpoint)
            log.info("endpoint %s is taken away: Docker does not know it", endpoint[:12])
        except (WorkloadError, OSError) as error:
            log.warning("endpoint %s is not taken away yet: %s", endpoint[:12], error)

    async def _see(self) -> Seen:
        seen = Seen()
        networks = await self._docker.get("/networks", filters={"driver": [DRIVER]})
        ours = set()
        for network in _dicts(networks):
            ours.add(network.get("Name"))
            for config in _dicts((network.get("IPAM") or {}).get("Config")):
                for address in (config.get("AuxiliaryAddresses") or {}).values():
                    seen.addresses[address] = ("", "an auxiliary address")
            await self._see_network(seen, network)
        for container in _dicts(await self._docker.get("/containers/json", all=1)):
            identity = container.get("Id", "")
            name = next(iter(container.get("Names") or ()), "").lstrip("/")
            seen.states[identity] = container.get("State", "")
            for network_name, endpoint in ((container.get("NetworkSettings") or {}).get("Networks") or {}).items():
                if network_name not in ours or not isinstance(endpoint, dict):
                    continue
                if endpoint.get("EndpointID"):
                    seen.endpoints.add(endpoint["EndpointID"])
                    for key in ("IPAddress", "GlobalIPv6Address"):
                        if endpoint.get(key):
                            seen.addresses[endpoint[key]] = identity, name
                for key in ("IPv4Address", "IPv6Address"):
                    if (endpoint.get("IPAMConfig") or {}).get(key):
                        seen.asked[endpoint["IPAMConfig"][key]] = identity, name
        return seen

    async def _see_network(self, seen: Seen, network: dict[str, Any]) -> None:
        try:
            found = await self._docker.get(f"/networks/{network.get('Id')}")
        except DockerError as error:
            if error.status == 404:  # it has just been removed
                return
            raise
        for container, endpoint in (found.get("Containers") or {}).items():
            seen.endpoints.add(endpoint.get("EndpointID", ""))
            for key in ("IPv4Address", "IPv6Address"):
                if address := (endpoint.get(key) or "").partition("/")[0]:
                    # An endpoint that no container has joined yet is there under a name of its own.
                    joined = not container.startswith("ep-")
                    seen.addresses[address] = (container, endpoint.get("Name", "")) if joined else ("", "")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
