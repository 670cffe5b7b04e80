"""What stands in for etcd, IPAM, rules and the kernel where a test is about the order of things."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from calico_route.etcd.store import Head, KeySnapshot, StoredValue, UnavailableError, Wanted, Write
from calico_route.model import WorkloadEndpoint
from calico_route.workload import WorkloadError
from calico_route.workload.interface import Wiring


class MemoryStore:
    """As much of a Store as workloads need. `away`: every call fails; `lost`: so many writes are done and not
    answered."""

    driver = "memory"
    endpoint = "http://memory"
    endpoints = 1

    def __init__(self) -> None:
        self.values: dict[bytes, StoredValue] = {}
        self.revision = 1
        self.away = False
        self.lost = 0
        self.resets = 0

    async def create(self, key: bytes, value: bytes) -> bool:
        return await self.transact([Write(key, value, 0)])

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        return await self.transact([Write(key, value, revision)])

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        await self._turn()
        return self.values.get(key)

    async def transact(self, writes: Sequence[Write]) -> bool:
        await self._turn()
        for key, _, revision in writes:
            found = self.values.get(key)
            if revision is not None and revision != (0 if found is None else found.revision):
                return False
        self.revision += 1
        for key, value, _ in writes:
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = StoredValue(value, self.revision)
        if self.lost:
            self.lost -= 1
            raise UnavailableError("connection lost")
        return True

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        await self._turn()
        found = {
            key: one.value
            for key, one in self.values.items()
            if key.startswith(tuple(keys)) and (wanted is None or wanted(key, one.value))
        }
        return KeySnapshot(Head(1, 1, self.revision), found)

    async def reset(self, endpoint: str) -> None:
        self.resets += 1

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("connection refused")


class MemoryAddresses:
    """192.168.0.1 and up, fd80::1 and up. `trouble` is raised instead."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.held: dict[str, tuple[str, ...]] = {}
        self.attributes: dict[str, Mapping[str, str]] = {}
        self.pools: tuple[str, ...] = ()
        self.trouble: WorkloadError | None = None
        self._trace = [] if trace is None else trace

    async def assign(
        self, handle: str, *, versions: Sequence[int] = (4,), pools: Sequence[str] = (), attributes: Mapping[str, str]
    ) -> tuple[str, ...]:
        await self._turn("assign")
        self.pools, self.attributes[handle] = tuple(pools), attributes
        taken = {address for addresses in self.held.values() for address in addresses}
        found = [next(one for one in _all(version) if one not in taken) for version in versions]
        return self.held.setdefault(handle, tuple(found))

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        await self._turn("claim")
        for other, held in self.held.items():
            if other != handle and set(held) & set(addresses):
                raise WorkloadError(f"{', '.join(addresses)} is of {other}", code="taken")
        self.held[handle] = tuple(addresses)
        self.attributes[handle] = attributes

    async def release(self, handle: str) -> tuple[str, ...]:
        await self._turn("release")
        return self.held.pop(handle, ())

    async def _turn(self, what: str) -> None:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self._trace.append(what)


def _all(version: int) -> Iterable[str]:
    return (f"192.168.0.{last}" if version == 4 else f"fd80::{last:x}" for last in range(1, 255))


class MemoryRules:
    """The interfaces that have rules, with the endpoints that they were made of. `trouble` is raised instead."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.admitted: dict[str, WorkloadEndpoint] = {}
        self.trouble: Exception | None = None
        self._trace = [] if trace is None else trace

    async def admit(self, endpoint: WorkloadEndpoint) -> None:
        await asyncio.sleep(0)
        if self.trouble is not None:
            raise self.trouble
        self.admitted[endpoint.interface] = endpoint
        self._trace.append("admit")

    async def dismiss(self, interface: str) -> None:
        await asyncio.sleep(0)
        self.admitted.pop(interface, None)
        self._trace.append("dismiss")


class MemoryProfiles:
    """The profiles that there are."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)

    async def ensure(self, names: Sequence[str], *, create: bool) -> tuple[str, ...]:
        for name in names:
            if name not in self.names and not create:
                raise WorkloadError(f"no profile {name}", code="unknown-profile")
            self.names.add(name)
        return tuple(f"stored-{name}" for name in names)


class MemoryDataplane:
    """The functions of calico_route.workload.interface over a dict. `trouble` by function is raised instead."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.links: dict[str, Wiring] = {}
        self.routes: dict[str, str] = {}
        self.trouble: dict[str, Exception] = {}
        self._trace = [] if trace is None else trace

    def _note(self, what: str) -> None:
        if what in self.trouble:
            raise self.trouble[what]
        self._trace.append(what)

    def connect(self, wiring: Wiring) -> None:
        self._note("connect")
        self.links[wiring.host_interface] = wiring

    def set_up_outside(self, wiring: Wiring) -> None:
        self._note("set_up_outside")

    def add_routes(self, wiring: Wiring) -> None:
        self._note("add_routes")
        self.routes.update(dict.fromkeys(wiring.addresses, wiring.host_interface))

    def remove_routes(self, wiring: Wiring) -> None:
        self._note("remove_routes")
        for address in wiring.addresses:
            self.routes.pop(address, None)

    def disconnect(self, wiring: Wiring) -> None:
        self._note("disconnect")
        self.vanish(wiring.host_interface)

    def vanish(self, name: str) -> None:
        """As the kernel has it: the routes go with their interface."""
        self.links.pop(name, None)
        self.routes = {address: link for address, link in self.routes.items() if link != name}

    def exists(self, name: str) -> bool:
        return name in self.links

    def fault(self, wiring: Wiring) -> str | None:
        if wiring.host_interface not in self.links:
            return f"the interface {wiring.host_interface} is gone"
        missing = [one for one in wiring.addresses if one not in self.routes]
        return f"no route leads to {missing[0]}" if missing else None
