"""What the agent sees of a datastore, whatever is behind it: etcd, a file, or memory.

`follow()` yields first a Snapshot, then Batches of changes in order, and a further Snapshot whenever the
thread was lost (a compaction, a rebuilt cluster, a file written anew) or a full comparison is due. A
Snapshot replaces everything known: the reader compares, and what is absent from it is gone.

While the datastore is away `follow()` yields nothing and keeps trying for ever; `status` tells.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from .documents import Reading
from .model import Invalid, Problem, Resource, ResourceKey

log = logging.getLogger(__name__)

_PROBLEMS_LOGGED = 20  # of one Snapshot or Batch


class DatastoreError(Exception):
    """A single read or write that failed, in words for a person."""


class DatastoreUnavailableError(DatastoreError):
    """The datastore cannot be reached now: try again later."""


class DatastoreDeniedError(DatastoreError):
    """The datastore refuses: wrong credentials, or no permission for this key."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one revision. `problems` are all that the values have now.

    A value that cannot be read is represented by the last one that could, else by an Invalid.
    """

    revision: int
    resources: dict[ResourceKey, Resource | Invalid]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A resource is now this (put) or gone (None). Invalid: it exists, but was never readable."""

    key: ResourceKey
    resource: Resource | Invalid | None
    revision: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes since the last Snapshot or Batch; `problems` are those of the values in it.

    The changes of one kind come in their order; between kinds a later one may come first.
    """

    revision: int
    events: tuple[Event, ...]
    problems: tuple[Problem, ...] = ()


Update: TypeAlias = Snapshot | Batch


@dataclass(frozen=True, slots=True)
class DatastoreStatus:
    """How it stands with the datastore. Times are wall clock time, seconds since 1970: `since` when it has been so, and
    `heard`, when it last gave news or answered that there are none."""

    connected: bool = False
    since: float = 0.0
    reason: str = "not asked yet"  # why it is not connected; empty while it is
    source: str = ""  # endpoint or file
    driver: str = ""
    revision: int = 0
    heard: float | None = None

    def __str__(self) -> str:
        if self.connected:
            return f"connected to {self.source}, revision {self.revision}"
        return f"no connection to {self.source}: {self.reason}"


StatusListener: TypeAlias = Callable[[DatastoreStatus], None]
Edit: TypeAlias = Callable[[Resource], Resource | None]


class Datastore(Protocol):
    """A source of resources. One follower at a time; the other calls may be made beside it.

    `on_status` is called when the connection comes, goes, or is lost for another reason: once a change.
    The calls that read or write raise DatastoreError.
    """

    on_status: StatusListener | None

    @property
    def status(self) -> DatastoreStatus: ...

    def follow(self) -> AsyncIterator[Update]:
        """Yield a Snapshot, then what changes. Never ends and never raises for an outage."""
        ...

    async def create(self, resource: Resource) -> bool:
        """Write a resource that must not exist yet: False, and nothing written, if it does."""
        ...

    async def put(self, resource: Resource) -> None:
        """Write a resource, whether it exists or not."""
        ...

    async def get(self, key: ResourceKey) -> Resource | Invalid | None:
        """Read one resource; None if there is none."""
        ...

    async def change(self, key: ResourceKey, edit: Edit) -> Resource | None:
        """Read a resource, edit it and write it, over again if somebody else wrote it meanwhile.

        What was written; None, and nothing written, if there is no such resource that can be read, or if
        `edit` returns None.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and tasks; a follower ends."""
        ...


class StatusBoard:
    """Keeps the status of a datastore and tells the listener when it changes."""

    def __init__(self, *, source: str, driver: str) -> None:
        self.status = DatastoreStatus(since=time.time(), source=source, driver=driver)
        self.listener: StatusListener | None = None
        self._told: set[str] = set()  # reasons of this outage: endpoints in turn give each their own

    def up(self, *, source: str, revision: int) -> None:
        """The datastore answers, with news or without."""
        was, now = self.status, time.time()
        since = was.since if was.connected else now
        self.status = DatastoreStatus(True, since, "", source, was.driver, revision, now)
        self._told.clear()
        if not was.connected or was.source != source:
            self._tell()

    def down(self, *, source: str, reason: str) -> None:
        """The datastore does not answer, or refuses."""
        was = self.status
        since = time.time() if was.connected else was.since
        self.status = DatastoreStatus(False, since, reason, source, was.driver, was.revision, was.heard)
        if reason not in self._told:
            self._told.add(reason)
            self._tell()

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener(self.status)


class Interpreter:
    """Folds readings into Snapshots and Batches, and keeps the last good form of every resource.

    `wanted` tells which resources to keep; any other is as good as absent. Problems are logged once
    a change.
    """

    def __init__(self, wanted: Callable[[Resource], bool] | None = None) -> None:
        self._wanted = wanted or (lambda resource: True)
        self.resources: dict[ResourceKey, Resource | Invalid] = {}
        self.problems: dict[ResourceKey, tuple[Problem, ...]] = {}
        self._unreported: list[tuple[Problem, Resource | Invalid]] = []

    def replace(self, revision: int, readings: Iterable[tuple[ResourceKey, Reading]]) -> Snapshot:
        """All that there is now."""
        before, reported = self.resources, self.problems
        self.resources, self.problems = {}, {}
        for key, reading in readings:
            self._set(key, reading, before, reported)
        self._warn()
        problems = tuple(problem for found in self.problems.values() for problem in found)
        return Snapshot(revision, dict(self.resources), problems)

    def apply(self, changes: Sequence[tuple[ResourceKey, Reading | None, int]]) -> Batch | None:
        """Some changes, each with its revision; a reading of None is a deletion. None: nothing of ours.

        What means the same as before is no event, unless it was said to have problems and now has none. Problems are
        told as they stand after all of the changes: one that is cured in the same batch is none.
        """
        events: list[Event] = []
        for key, reading, revision in changes:
            was, had_problems = self.resources.get(key), key in self.problems
            if reading is None:
                self.resources.pop(key, None)
                self.problems.pop(key, None)
            else:
                self._set(key, reading, self.resources, self.problems)
            now = self.resources.get(key)
            if now != was or (had_problems and key not in self.problems):
                events.append(Event(key, now, revision))
        self._warn()
        problems = [one for key in dict.fromkeys(key for key, _, _ in changes) for one in self.problems.get(key, ())]
        if not events and not problems:
            return None
        return Batch(max(revision for _, _, revision in changes), tuple(events), tuple(problems))

    def _set(
        self,
        key: ResourceKey,
        reading: Reading,
        before: dict[ResourceKey, Resource | Invalid],
        reported: dict[ResourceKey, tuple[Problem, ...]],
    ) -> None:
        resource: Resource | Invalid
        if reading.resource is not None:
            resource = reading.resource
            if not self._wanted(resource):
                self.resources.pop(key, None)
                self.problems.pop(key, None)
                return
        else:
            last = before.get(key)
            resource = Invalid(key, reading.problems) if last is None or isinstance(last, Invalid) else last
        if reading.problems:
            if reported.get(key) != reading.problems:
                self._unreported += [(problem, resource) for problem in reading.problems]
            self.problems[key] = reading.problems
        else:
            self.problems.pop(key, None)
        self.resources[key] = resource

    def _warn(self) -> None:
        """Log what is new, but not a line for each of thousands."""
        news, self._unreported = self._unreported, []
        for problem, resource in news[:_PROBLEMS_LOGGED]:
            kept = problem.fatal and not isinstance(resource, Invalid)
            log.warning("%s%s", problem, "; the last good value stays in force" if kept else "")
        if len(news) > _PROBLEMS_LOGGED:
            log.warning("and %d more problems like these", len(news) - _PROBLEMS_LOGGED)


class MemoryDatastore:
    """A datastore in memory, with the same promises: for tests and for trying things out."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources: dict[ResourceKey, Resource | Invalid] = {one.key: one for one in resources}
        self._revision = 1
        self._board = StatusBoard(source="memory", driver="memory")
        self._followers: list[asyncio.Queue[Update | None]] = []
        self._away = ""

    @property
    def status(self) -> DatastoreStatus:
        return self._board.status

    @property
    def on_status(self) -> StatusListener | None:
        return self._board.listener

    @on_status.setter
    def on_status(self, listener: StatusListener | None) -> None:
        self._board.listener = listener

    async def follow(self) -> AsyncIterator[Update]:
        queue: asyncio.Queue[Update | None] = asyncio.Queue()
        if not self._away:
            queue.put_nowait(self._snapshot())
            self._board.up(source="memory", revision=self._revision)
        self._followers.append(queue)
        try:
            while (update := await queue.get()) is not None:
                yield update
        finally:
            self._followers.remove(queue)

    async def create(self, resource: Resource) -> bool:
        self._check()
        if resource.key in self._resources:
            return False
        self._change(resource.key, resource)
        return True

    async def put(self, resource: Resource) -> None:
        self._check()
        self._change(resource.key, resource)

    async def delete(self, key: ResourceKey) -> None:
        """Remove a resource, if there is one."""
        self._check()
        if key in self._resources:
            self._change(key, None)

    async def get(self, key: ResourceKey) -> Resource | Invalid | None:
        self._check()
        return self._resources.get(key)

    async def change(self, key: ResourceKey, edit: Edit) -> Resource | None:
        self._check()
        now = self._resources.get(key)
        edited = None if now is None or isinstance(now, Invalid) else edit(now)
        if edited is not None:
            self._change(key, edited)
        return edited

    async def close(self) -> None:
        for queue in self._followers:
            queue.put_nowait(None)

    def replace(self, resources: Iterable[Resource]) -> None:
        """Exchange the whole content, as after a restore: followers get a Snapshot."""
        self._revision += 1
        self._resources = {one.key: one for one in resources}
        if not self._away:
            self._tell(self._snapshot())

    def go_away(self, reason: str = "connection refused") -> None:
        """Play an outage: nothing is told any more and every call fails."""
        self._away = reason
        self._board.down(source="memory", reason=reason)

    def come_back(self) -> None:
        """End the outage: followers get a Snapshot of what has become of the content."""
        self._away = ""
        self._board.up(source="memory", revision=self._revision)
        self._tell(self._snapshot())

    def _check(self) -> None:
        if self._away:
            raise DatastoreUnavailableError(self._away)

    def _change(self, key: ResourceKey, resource: Resource | None) -> None:
        self._revision += 1
        if resource is None:
            del self._resources[key]
        else:
            self._resources[key] = resource
        self._tell(Batch(self._revision, (Event(key, resource, self._revision),)))

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._revision, dict(self._resources))

    def _tell(self, update: Update) -> None:
        for queue in self._followers:
            queue.put_nowait(update)
