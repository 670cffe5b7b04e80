"""A Store in memory that keeps etcd's promises, and whose answers can be lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

from calico_route.etcd.store import (
    Head,
    KeyEvent,
    KeySnapshot,
    StoredValue,
    StoreError,
    UnavailableError,
    Wanted,
    Write,
)


class Cluster:
    """What several stores share, as several nodes share an etcd."""

    def __init__(self) -> None:
        self.values: dict[bytes, StoredValue] = {}
        self.events: list[KeyEvent] = []
        self.revision = 1
        self.changed = asyncio.Condition()

    def apply(self, writes: Sequence[Write]) -> bool:
        assert len(writes) <= 128, "etcd refuses more than 128 changes"
        assert len({write.key for write in writes}) == len(writes), "each key once"
        for key, _, revision in writes:
            now = self.values.get(key)
            if revision is not None and revision != (now.revision if now else 0):
                return False
        self.revision += 1
        for key, value, _ in writes:
            if value is None:
                if self.values.pop(key, None) is None:
                    continue
            else:
                self.values[key] = StoredValue(value, self.revision)
            self.events.append(KeyEvent(key, value, self.revision))
        return True

    def put(self, key: bytes, value: bytes) -> None:
        self.apply([Write(key, value)])


class MemoryStore:
    """`lose_answer` decides for each transaction: None, "before" (it does not happen) or "after" (it does)."""

    driver = "memory"
    endpoint = "memory://"
    endpoints = 1

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.error: StoreError | None = None
        self.lose_answer: Callable[[Sequence[Write]], str | None] = lambda writes: None
        self.late: list[Sequence[Write]] = []  # transactions that may still come in
        self.transactions = 0
        self.before_transaction: Callable[[], None] = lambda: None

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    async def head(self) -> Head:
        await self._answer()
        return Head(1, 1, self.cluster.revision)

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        await self._answer()
        names = tuple(keys)
        found = {
            key: stored.value
            for key, stored in sorted(self.cluster.values.items())
            if any(key == name or (name.endswith(b"/") and key.startswith(name)) for name in names)
            and (wanted is None or wanted(key, stored.value))
        }
        return KeySnapshot(Head(1, 1, self.cluster.revision), found, len(found))

    async def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        seen = 0
        while True:
            await self._answer()
            news = [
                event
                for event in self.cluster.events[seen:]
                for name, revision in revisions.items()
                if event.revision >= revision
                and (event.key == name or (name[-1:] == b"/" and event.key.startswith(name)))
            ]
            seen = len(self.cluster.events)
            if news:
                yield news
            async with self.cluster.changed:
                while len(self.cluster.events) == seen and self.error is None:
                    await self.cluster.changed.wait()

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        await self._answer()
        return self.cluster.values.get(key)

    async def put(self, key: bytes, value: bytes) -> None:
        await self.transact([Write(key, value)])

    async def create(self, key: bytes, value: bytes) -> bool:
        return await self.transact([Write(key, value, 0)])

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        return await self.transact([Write(key, value, revision)])

    async def transact(self, writes: Sequence[Write]) -> bool:
        await self._answer()
        self.before_transaction()
        self.transactions += 1
        lost = self.lose_answer(writes)
        if lost == "before":
            raise UnavailableError("no answer in time")
        if lost == "late":
            self.late.append(writes)
            raise UnavailableError("no answer in time")
        done = self.cluster.apply(writes)
        async with self.cluster.changed:
            self.cluster.changed.notify_all()
        if lost == "after":
            raise UnavailableError("no answer in time")
        return done

    async def reset(self, endpoint: str) -> None:
        pass

    async def close(self) -> None:
        pass
