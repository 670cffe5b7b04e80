"""The contract of a store, against a real etcd: the same for both drivers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from calico_route.etcd.store import (
    PAGE_SIZE,
    ClosedError,
    CompactedError,
    KeyEvent,
    Store,
    UnavailableError,
    Write,
)
from tests.calico_route.etcd.conftest import StoreMaker
from tests.calico_route.etcd.follower import eventually
from tests.calico_route.etcd.server import EtcdServer, Writer, free_ports

pytestmark = pytest.mark.daemon


async def collect(store: Store, revisions: dict[bytes, int], count: int) -> list[KeyEvent]:
    """The first events of a watch."""
    events: list[KeyEvent] = []
    watch = store.watch(revisions)
    try:
        async with asyncio.timeout(20):
            async for batch in watch:
                events += batch
                if len(events) >= count:
                    return events
    finally:
        await watch.aclose()
    raise AssertionError("the watch ended")


async def test_reading_and_writing(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    store = make_store(shared.url)
    assert store.endpoint == shared.url
    before = await store.head()
    key, odd = below + b"a", below + b"\x00\xff \xc3\xa4"
    assert await store.get(key) is None
    await store.put(key, b"one")
    await store.put(odd, b"\x00\xff")
    await store.put(below + b"empty", b"")
    stored = await store.get(key)
    assert stored is not None
    assert stored.value == b"one"
    assert before.revision < stored.revision
    snapshot = await store.snapshot([below])
    assert snapshot.values == {key: b"one", odd: b"\x00\xff", below + b"empty": b""}
    assert snapshot.head.cluster_id == before.cluster_id
    assert snapshot.head.revision >= before.revision + 3


async def test_only_one_of_many_creates_a_key(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    store = make_store(shared.url)
    made = await asyncio.gather(*(store.create(below + b"k", b"%d" % number) for number in range(10)))
    assert made.count(True) == 1
    stored = await store.get(below + b"k")
    assert stored is not None
    assert stored.value == b"%d" % made.index(True)


async def test_a_transaction_is_done_whole_or_not_at_all(
    shared: EtcdServer, make_store: StoreMaker, below: bytes
) -> None:
    store = make_store(shared.url)
    one, two, three = (below + name for name in (b"one", b"two", b"three"))
    assert await store.transact([Write(one, b"1", 0), Write(two, b"2", 0)])
    first = await store.get(one)
    assert first is not None
    assert not await store.transact([Write(one, b"x", first.revision), Write(two, None, 0)])
    assert await store.get(one) == first
    assert await store.transact([Write(one, None, first.revision), Write(two, b"3"), Write(three, b"", 0)])
    assert await store.get(one) is None
    snapshot = await store.snapshot([below])
    assert snapshot.values == {two: b"3", three: b""}
    second, third = await store.get(two), await store.get(three)
    assert second is not None
    assert third is not None
    assert second.revision == third.revision > first.revision
    assert await store.transact([])


async def test_a_name_without_a_slash_is_one_key(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    store = make_store(shared.url)
    shared.put_all({below + b"ready": b"1", below + b"ready2": b"2", below + b"x/1": b"3", below + b"xx": b"4"})
    snapshot = await store.snapshot([below + b"ready", below + b"x/", below + b"none"])
    assert snapshot.values == {below + b"ready": b"1", below + b"x/1": b"3"}


async def test_a_snapshot_is_of_one_revision(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    """Two keys that are only ever written together are never seen apart, whatever is written meanwhile."""
    store = make_store(shared.url)
    pair = (below + b"a/1", below + b"b/1")
    shared.put_all(dict.fromkeys(pair, b"0"))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            shared.put_all(dict.fromkeys(pair, b"%d" % number))

    writing = asyncio.get_running_loop().run_in_executor(None, write)
    try:
        seen = set()
        for _ in range(30):
            values = (await store.snapshot([below + b"a/", below + b"b/"])).values
            assert values[pair[0]] == values[pair[1]]
            seen.add(values[pair[0]])
    finally:
        stop.set()
        await writing
    assert len(seen) > 1


@pytest.fixture(scope="module")
def many(shared: EtcdServer) -> dict[bytes, bytes]:
    pairs = {b"/many/%05d" % number: b"value %d of some length" % number for number in range(20_000)}
    items = list(pairs.items())
    for start in range(0, len(items), 100):
        shared.put_all(dict(items[start : start + 100]))
    return pairs


async def test_twenty_thousand_keys_come_in_pages(
    shared: EtcdServer, make_store: StoreMaker, many: dict[bytes, bytes]
) -> None:
    assert len(many) > 10 * PAGE_SIZE
    store = make_store(shared.url)
    assert (await store.snapshot([b"/many/"])).values == many
    few = await store.snapshot([b"/many/"], lambda key, value: key.endswith(b"07") and b"value" in value)
    assert few.values == {key: value for key, value in many.items() if key.endswith(b"07")}
    assert few.seen == len(many)


async def test_answers_of_more_than_four_mebibytes(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    store = make_store(shared.url)
    start = (await store.head()).revision
    values = {below + b"%d" % number: os.urandom(1_200_000) for number in range(5)}
    for key, value in values.items():
        await store.put(key, value)
    assert (await store.snapshot([below])).values == values
    events = await collect(store, {below: start + 1}, 5)
    assert {event.key: event.value for event in events} == values


async def test_one_watch_of_several_names(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    """Each from its own revision; deletions too; nothing of the neighbours."""
    store = make_store(shared.url)
    a, b, one = below + b"a/", below + b"b/", below + b"one"
    first = shared.put(a + b"1", b"old")
    second = shared.put(b + b"1", b"old")
    shared.put_all({a + b"1": b"new", b + b"1": b"new", one: b"new", below + b"ab": b"no", one + b"2": b"no"})
    last = shared.delete(a + b"1")
    events = await collect(store, {a: first, b: second + 1, one: first}, 5)
    assert [event for event in events if event.key.startswith(a)] == [
        KeyEvent(a + b"1", b"old", first),
        KeyEvent(a + b"1", b"new", second + 1),
        KeyEvent(a + b"1", None, last),
    ]
    assert [event for event in events if event.key == b + b"1"] == [KeyEvent(b + b"1", b"new", second + 1)]
    assert [event for event in events if event.key == one] == [KeyEvent(one, b"new", second + 1)]
    assert len(events) == 5


async def test_nothing_is_lost_while_a_watch_of_many_names_opens(
    shared: EtcdServer, make_store: StoreMaker, below: bytes
) -> None:
    """Writes race with the opening of the watch; each name gets one, so a name that is not watched shows."""
    store = make_store(shared.url)
    names = [below + b"%d/" % number for number in range(9)]

    def write(round_: int) -> None:
        with Writer(shared) as writer:
            for name in names:
                writer.put(name + b"key", b"%d" % round_)

    for round_ in range(40):
        head = await store.head()
        writing = asyncio.get_running_loop().run_in_executor(None, write, round_)
        events = await collect(store, dict.fromkeys(names, head.revision + 1), len(names))
        await writing
        assert sorted(events) == sorted(set(events))
        assert {event.key: event.value for event in events} == {name + b"key": b"%d" % round_ for name in names}


async def test_a_watch_of_what_was_compacted(server: EtcdServer, make_store: StoreMaker) -> None:
    store = make_store(server.url)
    old = server.put(b"/a/1", b"1")
    now = server.put(b"/a/1", b"2")
    server.compact(now)
    with pytest.raises(CompactedError):
        await collect(store, {b"/a/": old}, 1)
    with pytest.raises(CompactedError):
        await collect(store, {b"/b/": now, b"/a/": old}, 1)
    assert await collect(store, {b"/a/": now}, 1) == [KeyEvent(b"/a/1", b"2", now)]


async def test_hundreds_of_watches_leave_nothing_behind(server: EtcdServer, make_store: StoreMaker) -> None:
    store = make_store(server.url)
    revision = server.put(b"/a/1", b"1")

    async def open_and_cancel(count: int) -> None:
        for number in range(count):
            watch = store.watch({b"/a/": revision, b"/b/": revision, b"/c/": revision})
            reading = asyncio.ensure_future(anext(watch))
            if number % 10 == 0:
                await reading  # cancelled while it waits for more, else while it is being opened
                reading = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await watch.aclose()

    def held() -> tuple[int, int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), len(asyncio.all_tasks())

    await open_and_cancel(20)
    await eventually(lambda: not server.watchers())
    before = held()
    await open_and_cancel(200)
    await eventually(lambda: not server.watchers())
    await eventually(lambda: all(now <= then for now, then in zip(held(), before, strict=True)))


async def test_an_endpoint_that_refuses_and_the_next_one(shared: EtcdServer, make_store: StoreMaker) -> None:
    dead = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = make_store(dead, shared.url)
    assert store.endpoints == 2
    with pytest.raises(UnavailableError, match=r"^connection refused$"):
        await store.head()
    with pytest.raises(UnavailableError, match=r"^connection refused$"):
        await collect(store, {b"/a/": 1}, 1)
    await store.reset(shared.url)  # somebody else's news about another endpoint changes nothing
    assert store.endpoint == dead
    await store.reset(dead)
    assert store.endpoint == shared.url
    assert (await store.head()).revision > 0
    await store.reset(store.endpoint)
    assert store.endpoint == dead


async def test_a_server_that_never_answers(make_store: StoreMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = make_store(f"http://127.0.0.1:{silent.getsockname()[1]}", request_timeout=0.3)
        with pytest.raises(UnavailableError, match=r"no answer in time|connect"):
            await store.head()
        with pytest.raises(UnavailableError, match=r"no answer in time|connect"):
            await store.put(b"/a", b"1")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found",
        b"HTTP/1.1\r\n\r\n",
        b"\x00" * 200_000,
    ],
    ids=["ssh", "text", "empty object", "bad chunk", "not found", "no status", "zeros"],
)
async def test_a_server_that_is_no_etcd(make_store: StoreMaker, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as impostor:
        store = make_store(f"http://127.0.0.1:{impostor.sockets[0].getsockname()[1]}", request_timeout=1.0)
        with pytest.raises(UnavailableError):
            await store.head()
        with pytest.raises(UnavailableError):
            await store.snapshot([b"/a/"])
        with pytest.raises(UnavailableError):
            await collect(store, {b"/a/": 1}, 1)


async def test_a_restarted_server_is_spoken_to_again(server: EtcdServer, make_store: StoreMaker) -> None:
    """The connection that was kept is dead then, and a read must not suffer from it."""
    store = make_store(server.url)
    await store.put(b"/a", b"1")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    async with asyncio.timeout(20):
        while True:
            try:
                stored = await store.get(b"/a")
                break
            except UnavailableError:
                await store.reset(store.endpoint)
    assert stored is not None
    assert stored.value == b"1"


async def test_a_closed_store_says_so(shared: EtcdServer, make_store: StoreMaker) -> None:
    store = make_store(shared.url)
    await store.head()
    await store.close()
    with pytest.raises(ClosedError):
        await store.head()
    with pytest.raises(ClosedError):
        await collect(store, {b"/a/": 1}, 1)
    await store.close()


async def test_an_ipv6_endpoint(
    etcd_binary: str, make_store: StoreMaker, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = EtcdServer(tmp_path_factory.mktemp("etcd6"), host="::1")
    try:
        server.start()
        store = make_store(server.url)
        assert store.endpoint == f"http://[::1]:{server.port}"
        await store.put(b"/a", b"1")
        assert (await store.snapshot([b"/a"])).values == {b"/a": b"1"}
    finally:
        server.stop()
