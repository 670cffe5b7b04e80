"""Who has which address, as Docker sees it: it asks for addresses before it says for whom.

A lease is one address with a handle of its own in Calico's IPAM. All of them are on the disk, as Docker does not say
anything twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from calico_route.workload.ports import Addresses, WorkloadError

from .ports import NETWORK
from .records import Records

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds for which an address that was asked for stays with a container that has ended, as it does in a restart."""


class State(StrEnum):
    """Of a lease."""

    ASKED = "asked"  # the datastore has been asked, or is about to be; the answer is not known
    RESERVED = "reserved"  # by the proxy, for a container that is created and was not started yet
    HELD = "held"  # by Docker: RequestAddress without ReleaseAddress so far
    KEPT = "kept"  # its container, which asked for just this address, has ended; a restart within GRACE finds it again


@dataclass(frozen=True)
class Lease:
    """One address. `pinned`: its container asks for just this one again whenever it starts. `since`: the last change,
    in seconds of the wall clock, as it outlives a reboot. `container` (Docker's ID) and `name` may be unknown, "".
    """

    id: str
    address: str
    state: State
    pinned: bool
    since: float
    container: str = ""
    name: str = ""

    @property
    def handle(self) -> str:
        return f"{NETWORK}.{self.id}"

    @property
    def whose(self) -> str:
        return f"container {self.name or self.container[:12]}" if self.container or self.name else "another container"


class Leases:
    """The leases of this node. Every change is on the disk before it is answered (OSError where it cannot be)."""

    def __init__(self, addresses: Addresses, records: Records, node: str) -> None:
        self._addresses = addresses
        self._records = records
        self._node = node
        self._leases: dict[str, Lease] = {}  # by id
        self._by_address: dict[str, Lease] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: Counter[str] = Counter()  # how many want each lock, or have it
        self._creating: set[str] = set()

    def load(self) -> None:
        """Read what is on the disk."""
        for name, document in self._records.load().items():
            try:
                self._set(Lease(**{**document, "state": State(document.get("state", ""))}))
            except (TypeError, ValueError):
                log.error("the lease %s is left out: it is not one of this version", name)

    def all(self) -> list[Lease]:
        return list(self._leases.values())

    def find(self, address: str) -> Lease | None:
        """The lease of an address, with or without a prefix length."""
        return self._by_address.get(_bare(address))

    def of_container(self, container: str) -> list[Lease]:
        return [lease for lease in self._leases.values() if container and lease.container == container]

    def is_creating(self, lease: Lease) -> bool:
        """Whether a request that will settle its fate is under way in this process."""
        return lease.id in self._creating

    @contextlib.contextmanager
    def in_use(self, leases: Sequence[Lease]) -> Iterator[None]:
        """While a request for them is under way that takes its time."""
        self._creating.update(lease.id for lease in leases)
        try:
            yield
        finally:
            self._creating.difference_update(lease.id for lease in leases)

    async def reserve(self, versions: Sequence[int], wanted: Sequence[str], name: str) -> tuple[Lease, ...]:
        """Addresses for a container that is about to be created: those that are wanted, and one of each IP version
        that has none then. To be followed by bind() or cancel(). WorkloadError, with nothing reserved."""
        made: list[Lease] = []
        try:
            for address in wanted:
                made.append(await self._take(address, State.RESERVED, name))
            for version in versions:
                if all(ip_address(one).version != version for one in wanted):
                    made.append(await self._assign(version, (), State.RESERVED, name))
        except BaseException:
            await self.cancel(made)
            raise
        return tuple(made)

    async def bind(self, leases: Sequence[Lease], container: str, name: str = "") -> None:
        """Their container has been created, or found."""
        for lease in leases:
            self._creating.discard(lease.id)
            now = self._leases.get(lease.id)
            if now is not None and (now.container, now.name) != (container, name or now.name):
                await self._put(replace(now, container=container, name=name or now.name))

    async def cancel(self, leases: Sequence[Lease]) -> None:
        """Their container was not created. What the datastore does not take back now expires."""
        for lease in leases:
            self._creating.discard(lease.id)
            try:
                await self.drop(lease)
            except WorkloadError as error:
                log.warning("%s is given back later: %s", lease.address, error)

    async def request(self, address: str | None, version: int, pools: Sequence[str]) -> Lease:
        """Docker asks for this address, or for any. WorkloadError."""
        if address is None:
            lease = await self._assign(version, pools, State.HELD)
        else:
            lease = await self._take(address, State.HELD)
        self._creating.discard(lease.id)
        return lease

    async def release(self, address: str) -> None:
        """Docker gives an address back. One that it was not given, as the gateway's, is no error. WorkloadError."""
        async with self._lock(_bare(address)):
            lease = self.find(address)
            if lease is None or lease.state is not State.HELD:
                return
            if lease.pinned:
                kept = await self._put(replace(lease, state=State.KEPT, since=time.time()))
                # Whoever cleaned up after the container may have given it back.
                await self._addresses.claim(kept.handle, [kept.address], attributes=self._attributes(kept))
            else:
                await self._forget(lease)

    async def drop(self, lease: Lease) -> bool:
        """Give it back now, if it is still as it was seen. WorkloadError."""
        async with self._lock(lease.address):
            if self._leases.get(lease.id) != lease:
                return False
            await self._forget(lease)
            return True

    async def adopt(self, address: str, container: str, name: str) -> None:
        """A container has an address, as Docker says, of which nothing is known here. WorkloadError where somebody
        else has it."""
        await self.bind([await self._take(address, State.HELD)], container, name)

    async def _take(self, address: str, state: State, name: str = "") -> Lease:
        address = parse_address(address)
        async with self._lock(address):
            lease = self.find(address)
            if lease is None:
                lease = Lease(uuid.uuid4().hex, address, State.ASKED, True, time.time(), name=name)
                return await self._ask(lease, state)
            if lease.state is State.ASKED:  # cut short earlier: the same question again, under the same handle
                return await self._ask(replace(lease, pinned=True, since=time.time(), name=name), state)
            if lease.state is State.HELD or (lease.state is State.RESERVED and state is State.RESERVED):
                text = f"{address} is taken by {lease.whose} on this node; choose another, or auto"
                raise WorkloadError(text, code="taken")
            taken = replace(lease, state=state, pinned=True, since=time.time())
            if state is State.RESERVED:  # its container had ended, and another one asks for it
                taken = replace(taken, container="", name=name)
                self._creating.add(taken.id)
            return await self._put(taken)

    async def _assign(self, version: int, pools: Sequence[str], state: State, name: str = "") -> Lease:
        pinned = state is State.RESERVED  # the proxy writes it into the container's settings
        lease = Lease(uuid.uuid4().hex, "", State.ASKED, pinned, time.time(), name=name)
        return await self._ask(lease, state, version, pools)

    async def _ask(self, lease: Lease, state: State, version: int = 4, pools: Sequence[str] = ()) -> Lease:
        """The intent on the disk, the datastore's answer, and the result on the disk."""
        self._creating.add(lease.id)
        try:
            await self._put(lease)
            attributes = self._attributes(lease)
            address = lease.address
            if address:
                await self._addresses.claim(lease.handle, [address], attributes=attributes)
            else:
                (address,) = await self._addresses.assign(
                    lease.handle, versions=(version,), pools=pools, attributes=attributes
                )
            return await self._put(replace(lease, address=_bare(address), state=state))
        except BaseException:
            self._creating.discard(lease.id)
            # Shielded: what a request that is cut off has begun is undone all the same.
            await asyncio.shield(self._undo(lease))
            raise

    def _attributes(self, lease: Lease) -> dict[str, str]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(lease.since))
        container = lease.name or lease.container
        return {"node": self._node, "timestamp": stamp, **({"container": container} if container else {})}

    async def _undo(self, lease: Lease) -> None:
        try:
            await self._forget(lease)
        except (WorkloadError, OSError) as error:
            log.warning("what may have been assigned to %s is given back later: %s", lease.handle, error)

    async def _forget(self, lease: Lease) -> None:
        await self._addresses.release(lease.handle)
        await self._records.drop(lease.id)
        self._leases.pop(lease.id, None)
        if self._by_address.get(lease.address, lease).id == lease.id:
            self._by_address.pop(lease.address, None)

    async def _put(self, lease: Lease) -> Lease:
        self._set(lease)
        await self._records.put(lease.id, asdict(lease))
        return lease

    def _set(self, lease: Lease) -> None:
        self._leases[lease.id] = lease
        if lease.address:
            self._by_address[lease.address] = lease

    @contextlib.asynccontextmanager
    async def _lock(self, address: str) -> AsyncIterator[None]:
        """One change of an address at a time."""
        lock = self._locks.setdefault(address, asyncio.Lock())
        self._waiting[address] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address], self._locks[address]


def parse_address(text: str) -> str:
    """An address in its canonical spelling. WorkloadError (`invalid`)."""
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise WorkloadError(f"{text[:60]!r} is no IP address", code="invalid") from error


def _bare(address: str) -> str:
    return address.partition("/")[0]
