"""Coalescing feeds against a model of what a reader knows, and the queues around them."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp import IPV4_UNICAST, Batches, Change, Events, PathAttributes, PeerEvent
from pybgp.jobs import Jobs
from pybgp.journal import Journal
from pybgp.pacing import gc_for_full_tables
from pybgp.prefix import NLRI
from pybgp.rib.route import Delta, Entry, Path, Source
from pybgp.subscription import EVENTS_KEPT, RouteFeed
from pybgp.tables import Tables

KEYS = [bytes((32, 10, 0, 0, n)) for n in range(6)]
SOURCE = Source("peer")
PATHS = [Path(SOURCE, PathAttributes.build(next_hop="192.0.2.1", med=n)) for n in range(4)]


class Table:
    """A table that tells its feeds what changes."""

    def __init__(self) -> None:
        self.now: dict[NLRI, Entry] = {}

    def selections(self, family: object, nlri: Sequence[NLRI]) -> list[Entry | None]:
        return [self.now.get(one) for one in nlri]

    def put(self, feed: RouteFeed, nlri: list[NLRI], path: Path | None) -> None:
        groups: dict[Entry | None, list[NLRI]] = {}
        for one in nlri:
            groups.setdefault(self.now.get(one), []).append(one)
        for old, group in groups.items():
            if old is path:
                continue
            for one in group:
                if path is None:
                    self.now.pop(one, None)
                else:
                    self.now[one] = path
            feed.apply(Delta(IPV4_UNICAST, group, old, path))


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.lists(st.sampled_from(KEYS), min_size=1, unique=True),
            st.sampled_from([*PATHS, None]),
        ),
        st.tuples(st.just("read"), st.integers(1, 4), st.none()),
    ),
    max_size=40,
)


@given(before=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(PATHS)), steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_a_reader_who_follows_knows_the_table(
    before: dict[NLRI, Path], steps: list[tuple[str, object, object]]
) -> None:
    """Whenever it reads: `old` is what it knew, `new` is true now, nothing is told twice, and in the end it knows
    everything."""
    table = Table()
    table.now.update(before)
    feed = RouteFeed(table.selections)
    feed.add_snapshot(IPV4_UNICAST, list(before))
    feed.primed = True
    known: dict[NLRI, Entry] = {}

    def read(limit: int) -> bool:
        deltas = feed.take(limit)
        for delta in deltas:
            assert delta.old is not delta.new
            for nlri in delta.nlri:
                assert known.get(nlri) is delta.old
                assert table.now.get(nlri) is delta.new
                if delta.new is None:
                    del known[nlri]
                else:
                    known[nlri] = delta.new
        assert sum(len(delta.nlri) for delta in deltas) <= limit
        return bool(deltas)

    for what, first, second in steps:
        if what == "put":
            assert isinstance(first, list)
            assert second is None or isinstance(second, Path)
            table.put(feed, first, second)
        else:
            assert isinstance(first, int)
            read(first)
    while read(3):
        pass
    assert known == table.now


def test_what_changes_while_the_snapshot_is_taken_is_told_once_and_new() -> None:
    table = Table()
    feed = RouteFeed(table.selections)
    table.put(feed, KEYS[:3], PATHS[0])
    table.put(feed, KEYS[1:2], PATHS[1])
    feed.add_snapshot(IPV4_UNICAST, KEYS[:3])
    table.put(feed, KEYS[2:3], None)
    assert feed.take() == []  # not primed
    feed.primed = True
    told = {nlri: (delta.old, delta.new) for delta in feed.take() for nlri in delta.nlri}
    assert told == {KEYS[0]: (None, PATHS[0]), KEYS[1]: (None, PATHS[1])}


def test_a_path_that_only_became_fresh_again_is_no_news() -> None:
    table = Table()
    feed = RouteFeed(table.selections)
    feed.primed = True
    table.put(feed, KEYS[:1], PATHS[0])
    feed.take()
    again = Path(SOURCE, PATHS[0].received)
    table.put(feed, KEYS[:1], PATHS[1])
    table.put(feed, KEYS[:1], again)
    assert feed.take() == []


async def test_cancelling_a_wait_loses_nothing() -> None:
    table = Table()
    batches = Batches(RouteFeed(table.selections))
    batches.prime()
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    table.put(batches.feed, KEYS, PATHS[0])
    (batch,) = await anext(batches)
    assert len(batch) == len(KEYS)
    assert [type(change) for change in batch] == [Change] * len(KEYS)
    assert batch.old is None
    assert batch.new is not None
    assert batch.new[0].next_hop == bytes((192, 0, 2, 1))
    assert batch.new[0].peer is SOURCE


async def test_a_reader_knows_when_it_has_read_everything() -> None:
    table = Table()
    batches = Batches(RouteFeed(table.selections))
    assert not batches.all_read, "the snapshot is not complete"
    table.put(batches.feed, KEYS, PATHS[0])
    batches.prime()
    assert not batches.all_read
    await anext(batches)
    assert batches.all_read
    table.put(batches.feed, KEYS[:1], None)
    assert not batches.all_read


async def test_two_tasks_may_not_read_one_subscription() -> None:
    batches = Batches(RouteFeed(Table().selections))
    batches.prime()
    waiting = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one for each reader"):
        await anext(batches)
    batches.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_reader_that_is_dropped_is_forgotten() -> None:
    tables = Tables(multipath=1, failed=lambda owner, error: None)
    batches = Batches(RouteFeed(tables.selections))
    tables.subscribe(batches, snapshot=True)
    assert len(tables._readers) == 1
    del batches
    gc.collect()
    assert len(tables._readers) == 0


async def test_events_have_a_limit_and_say_what_is_missing() -> None:
    events = Events()
    for number in range(EVENTS_KEPT + 10):
        events.put(PeerEvent("up", f"peer {number}"))
    first = await anext(events)
    assert first.kind == "lost"
    assert first.reason.startswith("10 ")
    assert (await anext(events)).peer == "peer 10"
    events.close()
    left = [event async for event in events]
    assert left[-1].peer == f"peer {EVENTS_KEPT + 9}"


def test_jobs_take_turns_and_a_broken_one_goes_alone() -> None:
    done: list[str] = []
    failed: list[tuple[object, str]] = []
    jobs = Jobs(lambda owner, error: failed.append((owner, str(error))))

    def work(name: str, steps: int, *, broken: bool = False) -> object:
        for step in range(steps):
            done.append(f"{name}{step}")
            if broken:
                raise RuntimeError(name)
            yield

    jobs.add("one", work("a", 2))  # type: ignore[arg-type]
    jobs.add("two", work("b", 2, broken=True))  # type: ignore[arg-type]
    jobs.add("three", work("c", 3))  # type: ignore[arg-type]
    assert len(jobs) == 3
    while jobs.step():
        pass
    assert done == ["a0", "b0", "c0", "a1", "c1", "c2"]
    assert failed == [("two", "b")]
    assert not jobs.step()


def test_the_journal_says_the_same_of_a_stranger_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    with caplog.at_level(logging.INFO, "pybgp"):
        for now in (0.0, 1.0, 59.0, 61.0):
            journal.write(PeerEvent("refused", "192.0.2.9", "a stranger", now=now))
        for reason in ("connection refused", "connection refused", "no route to host"):
            journal.write(PeerEvent("failed", "192.0.2.8", reason))
        journal.write(PeerEvent("error", "192.0.2.8", "RuntimeError: x", detail="Traceback …"))
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "192.0.2.9 refused: a stranger",
        "192.0.2.9 refused: a stranger",
        "192.0.2.8 failed: connection refused",
        "192.0.2.8 failed: no route to host",
        "192.0.2.8 error: RuntimeError: x\nTraceback …",
    ]


def test_the_collector_is_put_back() -> None:
    gc.unfreeze()  # CPython 3.12 freezes some objects of its own
    before = gc.get_threshold(), gc.get_freeze_count()
    with gc_for_full_tables():
        assert gc.get_threshold()[0] > before[0][0]
        assert gc.get_freeze_count() > 0
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
