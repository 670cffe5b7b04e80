"""The rules of follow(), against a store that plays a script: which revisions it asks for, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

from calico_route.datastore import DatastoreStatus, StatusBoard
from calico_route.etcd.follow import Timing, follow
from calico_route.etcd.store import (
    ClosedError,
    CompactedError,
    DeniedError,
    Head,
    KeyEvent,
    KeySnapshot,
    StoredValue,
    StoreError,
    UnavailableError,
    Wanted,
    Write,
    classify,
    range_end,
)

A, B = b"/a/", b"/b/"
Step = list[KeyEvent] | StoreError


class ScriptedStore:
    """Answers with what it is given, in turn. A watch whose script is used up stays silent."""

    driver = "script"

    def __init__(self, *watches: Iterable[Step], heads: Iterable[Head | StoreError] = ()) -> None:
        self.watches = [list(steps) for steps in watches]
        self.heads = list(heads)
        self.at = Head(7, 1, 100)
        self.asked: list[dict[bytes, int]] = []
        self.resets: list[str] = []
        self.snapshots = 0
        self.open = 0
        self.idle = asyncio.Event()
        self.history: list[KeyEvent] = []
        self.compacted = 0
        self.newest: KeyEvent | None = None

    endpoints = 1

    @property
    def endpoint(self) -> str:
        return f"http://e{len(self.resets)}"

    async def head(self) -> Head:
        if self.heads:
            head = self.heads.pop(0)
            if isinstance(head, StoreError):
                raise head
            self.at = head
        return self.at

    async def snapshot(self, keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        head = await self.head()
        self.snapshots += 1
        return KeySnapshot(head, {}, newest=self.newest)

    async def watch(self, revisions: Mapping[bytes, int]) -> AsyncGenerator[list[KeyEvent], None]:
        self.asked.append(dict(revisions))
        self.open += 1
        try:
            for step in self.watches.pop(0) if self.watches else ():
                if isinstance(step, StoreError):
                    raise step
                self.history += step
                self.at = self.at._replace(revision=max(self.at.revision, step[-1].revision))
                yield step
            self.idle.set()
            await asyncio.Event().wait()
        finally:
            self.open -= 1

    async def reset(self, endpoint: str) -> None:
        self.resets.append(endpoint)

    async def close(self) -> None:
        self.heads = [ClosedError("closed")] * 9

    async def get(self, key: bytes, revision: int = 0) -> StoredValue | None:
        if revision and revision < self.compacted:
            raise CompactedError("gone")
        known = [one for one in self.history if one.key == key and (not revision or one.revision <= revision)]
        last = max(known, key=lambda one: one.revision, default=None)
        return None if last is None or last.value is None else StoredValue(last.value, last.revision)

    async def put(self, key: bytes, value: bytes) -> None:
        raise NotImplementedError

    async def create(self, key: bytes, value: bytes) -> bool:
        raise NotImplementedError

    async def replace(self, key: bytes, value: bytes, revision: int) -> bool:
        raise NotImplementedError

    async def transact(self, writes: Sequence[Write]) -> bool:
        raise NotImplementedError


def event(key: bytes, revision: int) -> KeyEvent:
    return KeyEvent(key, b"x", revision)


async def play(
    store: ScriptedStore, doubted: Callable[[list[KeyEvent]], Awaitable[bool]] | None = None, **times: float
) -> tuple[list[KeySnapshot | list[KeyEvent]], list[DatastoreStatus]]:
    """Follow until the script is used up. What was yielded, and what a listener was told."""
    board = StatusBoard(source="", driver="script")
    told: list[DatastoreStatus] = []
    board.listener = told.append
    timing = Timing(**{"probe": 5.0, "retry": 0.0, "retry_max": 0.0, "denied": 0.0, **times})
    got: list[KeySnapshot | list[KeyEvent]] = []

    async def run() -> None:
        async with contextlib.aclosing(follow(store, [A, B], board, doubted=doubted, timing=timing)) as stream:
            async for news in stream:
                got.append(news)

    task = asyncio.ensure_future(run())
    async with asyncio.timeout(20):
        await store.idle.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert store.open == 0
    return got, told


async def test_each_name_resumes_at_its_own_last_event_and_drops_what_it_knows() -> None:
    cut = UnavailableError("cut")
    store = ScriptedStore(
        [[event(b"/a/1", 101), event(b"/a/2", 101)], [event(b"/b/1", 104)], cut],
        # what the server says again, and what it has not said yet
        [[event(b"/a/1", 101), event(b"/a/2", 101), event(b"/a/1", 103)], [event(b"/b/1", 104)], cut],
    )
    got, _ = await play(store)
    assert store.asked == [{A: 100, B: 100}, {A: 101, B: 104}, {A: 103, B: 104}]
    assert got[1:] == [
        [event(b"/a/1", 101), event(b"/a/2", 101)],
        [event(b"/b/1", 104)],
        [event(b"/a/1", 103)],
    ]
    assert store.snapshots == 1


async def test_a_key_that_is_not_watched_is_no_event() -> None:
    got, _ = await play(ScriptedStore([[event(b"/c/1", 101), event(b"/a/1", 101)], [event(b"/ab", 102)]]))
    assert got[1:] == [[event(b"/a/1", 101)]]


async def test_compaction_asks_for_everything_anew_without_leaving_the_endpoint() -> None:
    store = ScriptedStore([[event(b"/a/1", 101)], CompactedError("gone")])
    got, told = await play(store)
    assert [isinstance(news, KeySnapshot) for news in got] == [True, False, True]
    assert store.asked[1] == {A: 101, B: 101}
    assert store.resets == []
    assert [status.connected for status in told] == [True]


async def test_another_history_asks_for_everything_anew() -> None:
    start = Head(7, 5, 100)
    for other in (Head(8, 5, 200), Head(7, 4, 200), Head(7, 5, 99)):
        store = ScriptedStore([UnavailableError("cut")], heads=[start, other, other])
        await play(store)
        assert store.snapshots == 2, other
        assert store.asked[1] == {A: other.revision, B: other.revision}
    same = ScriptedStore([UnavailableError("cut")], heads=[start, Head(7, 6, 100)])
    await play(same)
    assert same.snapshots == 1


async def snapshots_when(
    seen: KeyEvent | None,
    history: list[KeyEvent],
    *,
    compacted: int = 0,
    newest: KeyEvent | None = None,
) -> int:
    """How often all was read, where one event was seen, the way was lost, and this is what etcd's history then is."""
    store = ScriptedStore([*([[seen]] if seen is not None else []), UnavailableError("cut")])
    reset = store.reset

    async def lost(endpoint: str) -> None:
        store.history, store.compacted, store.newest = history, compacted, None
        store.at = store.at._replace(revision=200)
        await reset(endpoint)

    store.reset, store.newest = lost, newest  # type: ignore[method-assign]
    await play(store)
    return store.snapshots


async def test_a_history_without_the_last_event_is_another_one() -> None:
    """Of the same identity, not younger and not shorter: a backup that was restored and has been written to since."""
    put, gone, before = event(b"/a/1", 101), KeyEvent(b"/a/1", None, 101), event(b"/a/1", 90)
    later = event(b"/a/1", 110)
    for seen, history in (
        (put, [put]),
        (put, [put, later]),
        (put, [put, KeyEvent(b"/a/1", None, 120)]),
        (gone, [before, gone]),
        (gone, [before, gone, later]),
    ):
        assert await snapshots_when(seen, history) == 1, history
    for seen, history in (
        (put, []),
        (put, [before]),
        (put, [later]),
        (put, [KeyEvent(b"/a/1", b"another", 101)]),
        (gone, []),
        (gone, [before]),
        (gone, [before, later]),
        (gone, [later]),
    ):
        assert await snapshots_when(seen, history) == 2, history


async def test_a_last_event_that_was_compacted() -> None:
    """What is still as it was says enough; what has changed since cannot be told."""
    put, gone = event(b"/a/1", 101), KeyEvent(b"/a/1", None, 101)
    assert await snapshots_when(put, [put], compacted=150) == 1
    assert await snapshots_when(put, [put, event(b"/a/1", 120)], compacted=150) == 2
    assert await snapshots_when(gone, [event(b"/a/1", 90), gone], compacted=150) == 1
    assert await snapshots_when(gone, [event(b"/a/1", 90)], compacted=150) == 2


async def test_the_newest_value_of_a_snapshot_is_looked_for_too() -> None:
    newest = event(b"/a/1", 95)
    assert await snapshots_when(None, [newest], newest=newest) == 1
    assert await snapshots_when(None, [event(b"/a/1", 96)], newest=newest) == 2


async def test_a_silent_watch_is_probed_and_a_new_history_is_found_so() -> None:
    store = ScriptedStore([[event(b"/a/1", 101)]], heads=[Head(7, 5, 100)])
    store.watches.append([])
    probes = 0
    head = store.head

    async def counting() -> Head:
        nonlocal probes
        probes += 1
        if probes == 4:
            store.at = Head(7, 5, 50)
        return await head()

    store.head = counting  # type: ignore[method-assign]
    store.idle = asyncio.Event()
    board = StatusBoard(source="", driver="script")
    async with contextlib.aclosing(follow(store, [A, B], board, timing=Timing(probe=0.01, retry=0.0))) as stream:
        async with asyncio.timeout(20):
            got = [await anext(stream) for _ in range(3)]
    assert [isinstance(news, KeySnapshot) for news in got] == [True, False, True]
    assert store.asked == [{A: 100, B: 100}]
    assert store.open == 0


async def test_a_listener_is_told_once_a_change_whatever_many_endpoints_say() -> None:
    refused, late = UnavailableError("connection refused"), UnavailableError("no answer in time")
    start = Head(7, 5, 100)
    store = ScriptedStore(
        [[event(b"/a/1", 101)], UnavailableError("etcd closed the connection")],
        heads=[start, refused, late, refused, late, refused, start._replace(revision=101)],
    )
    _, told = await play(store)
    assert [(status.connected, status.reason) for status in told] == [
        (True, ""),
        (False, "etcd closed the connection"),
        (False, "connection refused"),
        (False, "no answer in time"),
        (True, ""),
    ]
    assert store.resets == [f"http://e{number}" for number in range(6)]
    assert told[-1].source == "http://e6"
    assert told[-1].since >= told[1].since == told[2].since


async def test_a_refusal_waits_for_a_person_and_goes_on() -> None:
    denied = DeniedError("permission denied to read /a/")
    store = ScriptedStore(heads=[denied, denied, Head(7, 5, 100)])
    got, told = await play(store)
    assert len(got) == 1
    assert [status.reason for status in told] == ["etcd refuses: permission denied to read /a/", ""]


async def test_compactions_in_a_row_are_no_busy_loop() -> None:
    pauses: list[tuple[float, float]] = []

    def spread(low: float, high: float) -> float:
        pauses.append((low, high))
        return 0.0

    store = ScriptedStore()
    snapshot = store.snapshot
    failures = 5

    async def compacted(keys: Iterable[bytes], wanted: Wanted | None = None) -> KeySnapshot:
        nonlocal failures
        if failures:
            failures -= 1
            raise CompactedError("compacted while it was read")
        return await snapshot(keys)

    store.snapshot = compacted  # type: ignore[method-assign]
    board = StatusBoard(source="", driver="script")
    async with contextlib.aclosing(follow(store, [A], board, timing=Timing(retry=0.0), spread=spread)) as stream:
        async with asyncio.timeout(20):
            await anext(stream)
    assert len(pauses) == 5 + 1  # one a failure, one for the next full reading


async def test_a_closed_store_ends_the_following() -> None:
    store = ScriptedStore(heads=[UnavailableError("away"), ClosedError("closed")])
    board = StatusBoard(source="", driver="script")
    async with asyncio.timeout(20):
        assert [news async for news in follow(store, [A], board, timing=Timing(retry=0.0))] == []


def test_full_readings_are_rarer_the_more_keys_there_are() -> None:
    timing = Timing()
    after: Callable[[int], float] = timing.resync_after
    assert after(0) == after(5000) == 300
    assert after(20_000) == 1200
    assert after(10**9) == 3600
    assert Timing(resync=7200).resync_after(10**9) == 7200


def test_the_words_of_etcd_and_what_they_mean() -> None:
    assert range_end(b"/a/") == b"/a0"
    assert range_end(b"/a") == b""
    cases: list[tuple[int | None, str, type[StoreError], str]] = [
        (11, "etcdserver: mvcc: required revision has been compacted", CompactedError, "compacted"),
        (7, "etcdserver: permission denied", DeniedError, "^permission denied$"),
        (None, "rpc error: code = PermissionDenied desc = etcdserver: permission denied", DeniedError, "^perm"),
        (3, "etcdserver: user name is empty", DeniedError, "ETCD_USERNAME"),
        (14, "etcdserver: no leader", UnavailableError, "etcd has no leader"),
        (None, "", UnavailableError, "no reason given"),
        (8, "etcdserver: mvcc: database space exceeded", UnavailableError, "space exceeded"),
    ]
    for code, text, kind, words in cases:
        error = classify(code, text)
        assert type(error) is kind, text
        assert re.search(words, str(error)), text


async def test_what_is_doubted_is_read_anew() -> None:
    store = ScriptedStore([[event(b"/a/1", 101)], [event(b"/a/2", 102)], [event(b"/b/1", 102)]], [])

    async def doubted(events: list[KeyEvent]) -> bool:
        return events[0].revision == 102

    got, told = await play(store, doubted)
    assert got == [KeySnapshot(Head(7, 1, 100), {}), [event(b"/a/1", 101)], KeySnapshot(Head(7, 1, 102), {})]
    assert store.asked == [{A: 100, B: 100}, {A: 102, B: 102}]
    assert not [status for status in told if not status.connected]


async def test_a_doubt_that_nobody_answers_is_one() -> None:
    """The events that it was about do not come again."""
    store = ScriptedStore([[event(b"/a/1", 101)]], [])

    async def doubted(events: list[KeyEvent]) -> bool:
        raise UnavailableError("cut")

    got, told = await play(store, doubted)
    assert got == [KeySnapshot(Head(7, 1, 100), {}), KeySnapshot(Head(7, 1, 101), {})]
    assert [status.reason for status in told] == ["", "cut", ""]
