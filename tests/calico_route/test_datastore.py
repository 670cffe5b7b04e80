"""The datastore in memory keeps the promises of the others; the status board tells what is news."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from calico_route.datastore import (
    Batch,
    Datastore,
    DatastoreStatus,
    DatastoreUnavailableError,
    Event,
    MemoryDatastore,
    Snapshot,
    StatusBoard,
)
from calico_route.model import Node


async def test_a_snapshot_and_then_changes() -> None:
    one, two = Node(name="n1"), Node(name="n2")
    memory = MemoryDatastore([one])
    datastore: Datastore = memory
    stream = datastore.follow()
    assert await anext(stream) == Snapshot(1, {one.key: one})
    assert await datastore.create(two)
    assert not await datastore.create(two)
    assert await anext(stream) == Batch(2, (Event(two.key, two, 2),))
    await memory.delete(one.key)
    await memory.delete(one.key)
    assert await anext(stream) == Batch(3, (Event(one.key, None, 3),))
    assert await datastore.get(one.key) is None
    changed = Node(name="n2", asn=7)
    assert await datastore.change(two.key, lambda found: changed) == changed
    assert await datastore.change(one.key, lambda found: changed) is None
    assert await anext(stream) == Batch(4, (Event(two.key, changed, 4),))
    memory.replace([one])
    assert await anext(stream) == Snapshot(5, {one.key: one})
    await datastore.close()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_outage() -> None:
    one, two = Node(name="n1"), Node(name="n2")
    datastore = MemoryDatastore([one])
    datastore.go_away("connection refused")
    stream = datastore.follow()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    assert datastore.status.reason == "connection refused"
    for call in (datastore.put(two), datastore.create(two), datastore.get(one.key)):
        with pytest.raises(DatastoreUnavailableError, match="connection refused"):
            await call
    assert not waiting.done()
    datastore.come_back()
    assert await waiting == Snapshot(1, {one.key: one})
    assert datastore.status.connected
    with contextlib.suppress(StopAsyncIteration):
        await datastore.close()
        await anext(stream)


def test_only_news_are_told() -> None:
    board = StatusBoard(source="a", driver="x")
    told: list[DatastoreStatus] = []
    board.listener = told.append
    for reason in ("refused", "late", "refused", "late"):
        board.down(source="a", reason=reason)
    board.up(source="a", revision=5)
    board.up(source="a", revision=6)
    board.up(source="b", revision=6)
    board.down(source="b", reason="refused")
    assert [str(status) for status in told] == [
        "no connection to a: refused",
        "no connection to a: late",
        "connected to a, revision 5",
        "connected to b, revision 6",
        "no connection to b: refused",
    ]
    assert board.status.revision == 6
    assert told[2].since == told[3].since
