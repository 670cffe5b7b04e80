"""What the last run left undone, and what could not be done at once: tried until it is.

At the start every record of the journal is owed a look, and every endpoint of this node that was made here and has no
record (the journal was lost). Later: what etcd was away for, and workloads whose interface vanished without anybody
saying that the container is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from calico_route.model import ResourceKey, WorkloadEndpoint

from . import interface as dataplane
from .endpoint import (
    CONTAINER,
    HANDLE,
    INTERFACE,
    NAME,
    NETWORK,
    Endpoints,
    endpoint_of,
    notes_of,
    resource_key,
)
from .journal import Journal, Key, Record, Stage, boot_id
from .locks import Locks
from .names import peer_interface
from .ports import Addresses, Rules, WorkloadError
from .request import WorkloadRequest, netns_identity

log = logging.getLogger(__name__)

FIRST_PASS = 5.0
"""Seconds that a start waits for its first look at everything; the rest goes on beside all else."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between two tries of what is owed."""
AT_ONCE = 16

_T = TypeVar("_T")


class Owner(Protocol):
    """What of `Workloads` is needed here."""

    node: str
    addresses: Addresses
    rules: Rules | None
    endpoints: Endpoints
    journal: Journal
    locks: Locks

    async def take_down(self, record: Record) -> None: ...
    async def hold(self, record: Record) -> None: ...
    async def steps(self, record: Record) -> Record: ...
    async def written(self, record: Record, stage: Stage, *, durable: bool = False) -> Record: ...
    async def blocking(self, work: Callable[..., _T], *arguments: Any) -> _T: ...


class Repair:
    """`begin()` once; `owe` at any time."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._owed: dict[Key, str] = {}
        self._told: Counter[Key] = Counter()  # how often something was owed to each that is there
        self._looking: set[Key] = set()
        self._trouble: str | None = "workloads of before the start are still being looked at"  # of the last pass
        self._orphans_seen = False
        self._woken = asyncio.Event()
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self._owner.blocking(self._owner.journal.load)
        self._owed = dict.fromkeys(self._owner.journal.records, "not looked at since the start")
        self._task = asyncio.create_task(self._work(), name="workloads owed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_PASS):
                await self._first.wait()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def owe(self, key: Key, why: str) -> None:
        """Look at it again, soon."""
        if self._owed.get(key) != why:
            self._owed[key] = why
            log.info("container %s, %s: to be looked at again: %s", *key, why)
        self._told[key] += 1
        if key not in self._looking:  # else it has just been tried, and the next try has its pause
            self._woken.set()

    def settled(self, key: Key) -> None:
        self._owed.pop(key, None)
        self._told.pop(key, None)

    def waiting(self) -> str | None:
        """None, or in words what keeps the node from being as it should be."""
        return self._trouble

    def problems(self) -> list[str]:
        return [f"container {key[0]}, {key[1]}: {why}" for key, why in sorted(self._owed.items())]

    async def _work(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._woken.clear()
            try:
                await self._pass()
            except Exception as error:
                log.exception("workloads cannot be repaired; trying again in %g s", pause)
                self._trouble = f"{type(error).__name__}: {error}"
            self._first.set()
            if self._owed or not self._orphans_seen:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await self._woken.wait()

    async def _pass(self) -> None:
        known: Mapping[ResourceKey, WorkloadEndpoint] | None = None
        trouble = None
        try:
            known = await self._owner.endpoints.made_here()
        except WorkloadError as error:
            trouble = str(error)
        room = asyncio.Semaphore(AT_ONCE)

        async def look(key: Key) -> None:
            async with room:
                self._looking.add(key)
                try:
                    await self._look(key, known)
                finally:
                    self._looking.discard(key)

        await asyncio.gather(*map(look, list(self._owed)))
        if known is not None and not self._orphans_seen:
            mine = {resource_key(record) for record in self._owner.journal.records.values()}
            for key, endpoint in known.items():
                if key not in mine:
                    await self._orphan(endpoint)
            self._orphans_seen = True
        if trouble != self._trouble and trouble is not None:
            log.warning("%s; what it is needed for is done when it is back", trouble)
        self._trouble = trouble

    async def _look(self, key: Key, known: Mapping[ResourceKey, WorkloadEndpoint] | None) -> None:
        told = self._told[key]
        try:
            async with self._owner.locks.of(key):
                record = self._owner.journal.records.get(key)
                if record is not None:
                    if record.stage is Stage.READY:
                        await self._set_up_again(record, known)
                    elif known is None:
                        await self._clear_here(record)
                    else:
                        log.info("container %s, %s: %s was cut short: undone", *key, record.stage)
                        await self._owner.take_down(record)
                if self._told[key] == told:  # else something happened to it while it was looked at
                    self.settled(key)
        except WorkloadError as error:
            self.owe(key, str(error))
        except Exception as error:
            log.exception("container %s, %s cannot be repaired", *key)
            self.owe(key, f"{type(error).__name__}: {error}")

    async def _set_up_again(self, record: Record, known: Mapping[ResourceKey, WorkloadEndpoint] | None) -> None:
        owner, key = self._owner, record.key
        here = await owner.blocking(dataplane.exists, record.host_interface)
        if not here and not await owner.blocking(_lives, record):
            if known is None:
                await self._clear_here(record)
            log.info("container %s, %s: its interface and its namespace are gone: removed", *key)
            await owner.take_down(record)
            return
        if not here:
            log.warning("container %s, %s: %s was gone: made again", *key, record.host_interface)
            await owner.steps(record)
            return
        endpoint = None if known is None else known.get(resource_key(record))
        if known is not None and endpoint is None:
            await self._hold_again(record)
        # What is inside is the container's: only the host's side is put right.
        outside = replace(record.wiring, netns=None)
        found = await owner.blocking(dataplane.fault, outside)
        if found is not None:
            log.warning("container %s, %s: %s: put right", *key, found)
            await owner.blocking(dataplane.set_up_outside, record.wiring)
        if owner.rules is not None and known is not None:  # without etcd those of before are in force
            await owner.rules.admit(endpoint or endpoint_of(record, owner.node))
        if found is not None:
            await owner.blocking(dataplane.add_routes, record.wiring)
        if known is None:
            raise WorkloadError("etcd has not answered yet whether its endpoint is there", code="unavailable")
        if endpoint is None:
            log.warning("container %s, %s: its endpoint was gone from the datastore: written again", *key)
            await owner.endpoints.put(record)
        elif endpoint.profiles != record.profiles:
            await owner.written(replace(record, profiles=endpoint.profiles), Stage.READY)

    async def _hold_again(self, record: Record) -> None:
        """Its endpoint is gone, and its addresses may be, too: this node was taken for dead (`ipam release`). One that
        somebody else has got since leads there, and not here."""
        try:
            await self._owner.hold(record)
        except WorkloadError as error:
            if error.code == "taken":
                await self._owner.blocking(dataplane.remove_routes, record.wiring)
                words = f"{error}; it was given back as one of a dead node: start the container again"
                raise WorkloadError(words, code="taken") from None
            raise

    async def _clear_here(self, record: Record) -> None:
        """Without etcd: what is on this host goes now, the rest when it is back."""
        await self._owner.blocking(dataplane.disconnect, record.wiring)
        raise WorkloadError("gone from this host, but not from etcd, which does not answer", code="unavailable")

    async def _orphan(self, endpoint: WorkloadEndpoint) -> None:
        """An endpoint that was made here, and of which the journal knows nothing: the journal was lost."""
        notes = notes_of(endpoint)
        key = (notes.get(CONTAINER, ""), notes.get(INTERFACE, ""))
        if not all(key):
            log.warning("endpoint %s has lost its annotations and is left alone", endpoint.name)
            return
        try:
            async with self._owner.locks.of(key):
                if key in self._owner.journal.records:
                    return
                if await self._owner.blocking(dataplane.exists, endpoint.interface):
                    log.warning("endpoint %s has its interface, and no record: one is made", endpoint.name)
                    await self._owner.written(_record_of(endpoint, notes), Stage.READY)
                    self.owe(key, "its record was lost")
                else:
                    log.warning("endpoint %s has neither interface nor record: removed", endpoint.name)
                    await self._owner.endpoints.delete(endpoint.key)
                    if self._owner.rules is not None and endpoint.interface:
                        await self._owner.rules.dismiss(endpoint.interface)
                    if notes[HANDLE]:
                        await self._owner.addresses.release(notes[HANDLE])
        except WorkloadError as error:
            log.warning("endpoint %s: %s", endpoint.name, error)


def _lives(record: Record) -> bool:
    """Whether the very namespace that the container had is still there."""
    netns = record.request.netns
    if netns is None or not record.namespace_identity or record.boot != boot_id():
        return False
    return netns_identity(netns) == record.namespace_identity


def _record_of(endpoint: WorkloadEndpoint, notes: Mapping[str, str]) -> Record:
    metadata = endpoint.raw["metadata"]
    addresses = tuple(str(prefix).partition("/")[0] for prefix in endpoint.networks)
    labels = {name: one for name, one in endpoint.labels.items() if not name.startswith("projectcalico.org/")}
    request = WorkloadRequest(
        container=notes[CONTAINER],
        netns=None,
        interface=notes[INTERFACE],
        addresses=addresses if not notes[HANDLE] else "auto",
        profiles=endpoint.profiles,
        labels=labels,
        network=notes.get(NETWORK, "calico"),
        orchestrator=endpoint.orchestrator,
        namespace=endpoint.namespace,
        name=notes.get(NAME, ""),
    )
    return Record(
        request=request,
        stage=Stage.READY,
        host_interface=endpoint.interface,
        peer=peer_interface(notes[CONTAINER], notes[INTERFACE]),
        mac=endpoint.mac,
        handle=notes[HANDLE],
        endpoint=endpoint.name,
        uid=str(metadata.get("uid", "")),
        created=str(metadata.get("creationTimestamp", "")),
        addresses=addresses,
        profiles=endpoint.profiles,
    )
