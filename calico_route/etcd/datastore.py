"""Calico's resources in etcd: keys and documents over a store."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

from calico_route.datastore import (
    DatastoreDeniedError,
    DatastoreError,
    DatastoreStatus,
    DatastoreUnavailableError,
    Edit,
    Interpreter,
    StatusBoard,
    StatusListener,
    Update,
)
from calico_route.documents import Reading, read_value, write_value
from calico_route.keys import WORKLOADS, format_path, parse_path, watched
from calico_route.model import Invalid, Kind, Resource, ResourceKey, WorkloadEndpoint

from .follow import Timing, follow
from .store import DeniedError, KeyEvent, KeySnapshot, Store, StoreError

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_VALUES_A_SLICE = 500  # documents read without giving way to other tasks


class EtcdDatastore:
    """A Datastore over a store.

    With `node` the workloads of other nodes are left out: there may be a hundred thousand of them, and
    nobody here asks for them. The address blocks of that node are then followed too.
    """

    def __init__(self, store: Store, *, node: str | None = None, timing: Timing | None = None) -> None:
        self._store = store
        self._node = node
        self._needle = node.encode() if node is not None else b""
        self._own: set[bytes] = set()  # the keys of the workloads that are known
        self._timing = timing
        self._board = StatusBoard(source=store.endpoint, driver=store.driver)
        self._interpreter = Interpreter(self._wanted)

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
        keep = None if self._node is None else self._may_concern_us
        doubted = None if self._node is None else self._doubted
        stream = follow(
            self._store, watched(self._node), self._board, wanted=keep, doubted=doubted, timing=self._timing
        )
        async with contextlib.aclosing(stream):
            async for news in stream:
                if isinstance(news, KeySnapshot):
                    readings = await self._read_all(news.values.items())
                    update: Update | None = self._interpreter.replace(news.head.revision, readings)
                    self._own = {format_path(key) for key in self._interpreter.resources if _is_workload(key)}
                else:
                    update = self._interpreter.apply(self._read_events(news))
                    self._note_own(news)
                if update is not None:
                    yield update

    async def create(self, resource: Resource) -> bool:
        path, value = format_path(resource.key), write_value(resource)
        return await self._call(lambda: self._store.create(path, value))

    async def put(self, resource: Resource) -> None:
        path, value = format_path(resource.key), write_value(resource)
        await self._call(lambda: self._store.put(path, value))

    async def get(self, key: ResourceKey) -> Resource | Invalid | None:
        path = format_path(key)
        stored = await self._call(lambda: self._store.get(path))
        if stored is None:
            return None
        reading = read_value(key, stored.value)
        return reading.resource or Invalid(key, reading.problems)

    async def change(self, key: ResourceKey, edit: Edit) -> Resource | None:
        path = format_path(key)
        while (stored := await self._call(lambda: self._store.get(path))) is not None:
            found = read_value(key, stored.value).resource
            edited = None if found is None else edit(found)
            if edited is None:
                return None
            value, revision = write_value(edited), stored.revision
            if await self._call(partial(self._store.replace, path, value, revision)):
                return edited
        return None

    async def close(self) -> None:
        await self._store.close()

    def _wanted(self, resource: Resource) -> bool:
        return self._node is None or not isinstance(resource, WorkloadEndpoint) or resource.node == self._node

    def _read(self, path: bytes, value: bytes) -> tuple[ResourceKey, Reading | None] | None:
        """What a value says: no reading for another node's workload, nothing for a key that is not ours."""
        key = parse_path(path)
        if key is None:
            return None
        return key, read_value(key, value) if self._may_concern_us(path, value) else None

    def _may_concern_us(self, path: bytes, value: bytes) -> bool:
        """Looking for the node's name in the octets spares the decoding of other nodes' workloads. One that is ours is
        decoded whatever it has become: what cannot be read must not pass for a deletion."""
        return self._needle in value or path in self._own or not path.startswith(WORKLOADS)

    def _note_own(self, events: list[KeyEvent]) -> None:
        for event in events:
            key = parse_path(event.key)
            if key is not None and _is_workload(key):
                (self._own.add if key in self._interpreter.resources else self._own.discard)(event.key)

    async def _doubted(self, events: list[KeyEvent]) -> bool:
        """Whether something is gone, and our own Node too, of which we have not heard: these are the first drops of a
        mass deletion, which has to be judged as a whole (guard.py)."""
        own = ResourceKey(Kind.NODE, "", self._node or "")
        known = self._interpreter.resources
        if own not in known or not any(one.value is None and parse_path(one.key) in known for one in events):
            return False
        return await self._store.get(format_path(own)) is None

    async def _read_all(self, values: Iterable[tuple[bytes, bytes]]) -> list[tuple[ResourceKey, Reading]]:
        readings = []
        for count, (path, value) in enumerate(values, 1):
            found = self._read(path, value)
            if found is not None and found[1] is not None:
                readings.append((found[0], found[1]))
            if count % _VALUES_A_SLICE == 0:
                await asyncio.sleep(0)
        return readings

    def _read_events(self, events: list[KeyEvent]) -> list[tuple[ResourceKey, Reading | None, int]]:
        changes: list[tuple[ResourceKey, Reading | None, int]] = []
        for event in events:
            if event.value is None:
                key = parse_path(event.key)
                if key is not None:
                    changes.append((key, None, event.revision))
            else:
                found = self._read(event.key, event.value)
                if found is not None:
                    changes.append((*found, event.revision))
        return changes

    async def _call(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Ask every endpoint before giving up."""
        for left in reversed(range(self._store.endpoints)):
            endpoint = self._store.endpoint
            try:
                return await attempt()
            except DeniedError as error:
                raise DatastoreDeniedError(f"etcd at {endpoint} refuses: {error}") from error
            except StoreError as error:
                if left == 0:
                    raise DatastoreUnavailableError(f"etcd at {endpoint}: {error}") from error
                await self._store.reset(endpoint)
        raise DatastoreError("no endpoint")


def _is_workload(key: ResourceKey) -> bool:
    return key.kind is Kind.WORKLOAD_ENDPOINT
