"""Following a real etcd through what happens to it: nothing lost, nothing twice, with both drivers."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from calico_route.etcd.follow import Timing
from calico_route.etcd.store import KeyEvent
from tests.calico_route.etcd.conftest import StoreMaker
from tests.calico_route.etcd.follower import following
from tests.calico_route.etcd.proxy import proxied
from tests.calico_route.etcd.server import EtcdServer, Writer, make_cluster

pytestmark = pytest.mark.daemon


async def test_a_snapshot_and_then_every_change_in_order(
    shared: EtcdServer, make_store: StoreMaker, below: bytes
) -> None:
    """Changes are written all the time while following begins: each is in the snapshot or an event, never both."""
    shared.put(below + b"counter", b"0")

    def write() -> None:
        with Writer(shared) as writer:
            for number in range(1, 601):
                writer.put(below + b"counter", b"%d" % number)

    writing = asyncio.get_running_loop().run_in_executor(None, write)
    async with following(make_store(shared.url), below) as follower:
        await writing
        await follower.until(lambda: follower.state[below + b"counter"] == b"600")
        first = int(follower.snapshots[0].values[below + b"counter"])
        assert [event.value for event in follower.events] == [b"%d" % n for n in range(first + 1, 601)]
        assert len(follower.snapshots) == 1
        assert follower.reasons == []


async def test_a_connection_that_is_cut_while_catching_up(
    shared: EtcdServer, make_store: StoreMaker, below: bytes
) -> None:
    """Revisions during an outage, then cuts in the middle of their delivery: exactly once, in order."""
    count = 3000
    async with proxied(shared.port) as proxy:
        store = make_store(proxy.url)
        async with following(store, below, below + b"none") as follower:
            proxy.refusing = True
            proxy.cut_all()

            def write() -> None:
                with Writer(shared) as writer:
                    for number in range(count):
                        writer.put(below + b"%d" % (number % 7), b"%060d" % number)

            await asyncio.to_thread(write)
            await follower.until(lambda: not follower.connected)
            assert follower.events == []
            proxy.limits = [4_000, 100_000, 200_000, 450_000, 450_000]
            proxy.refusing = False
            seen_at_cut = []
            for cuts in range(1, 6):
                await follower.until(lambda cuts=cuts: proxy.cuts >= cuts or len(follower.events) >= count)  # type: ignore[misc]
                seen_at_cut.append(len(follower.events))
            await follower.until(lambda: len(follower.events) >= count)
            assert any(0 < seen < count for seen in seen_at_cut), "no cut hit the middle"
            assert [event.value for event in follower.events] == [b"%060d" % n for n in range(count)]
            assert len(follower.snapshots) == 1


async def test_a_deletion_at_the_compacted_revision_is_not_lost(server: EtcdServer, make_store: StoreMaker) -> None:
    """etcd 3.4.23 sends nothing, for ever, to who asks from the revision after the last one seen."""
    async with proxied(server.port) as proxy:
        server.put(b"/a/gone", b"1")
        server.put(b"/a/stays", b"1")
        async with following(make_store(proxy.url), b"/a/") as follower:
            proxy.refusing = True
            proxy.cut_all()
            await follower.until(lambda: not follower.connected)
            server.compact(server.delete(b"/a/gone"))
            proxy.refusing = False
            await follower.until(lambda: follower.state == {b"/a/stays": b"1"})
            assert len(follower.snapshots) == 2


async def test_a_frozen_server_is_noticed(server: EtcdServer, make_store: StoreMaker) -> None:
    """Its sockets stay open and its kernel acknowledges everything: only asking finds it out."""
    store = make_store(server.url, request_timeout=0.5)
    async with following(store, b"/a/") as follower:
        server.send(signal.SIGSTOP)
        await follower.until(lambda: not follower.connected)
        server.send(signal.SIGCONT)
        server.put(b"/a/1", b"1")
        await follower.until(lambda: follower.state == {b"/a/1": b"1"})
        assert follower.events == [KeyEvent(b"/a/1", b"1", follower.events[0].revision)]


async def test_killed_and_started_again_during_changes(server: EtcdServer, make_store: StoreMaker) -> None:
    store = make_store(server.url, request_timeout=1.0)
    async with following(store, b"/a/", b"/b/") as follower:
        acknowledged = []
        for number in range(60):
            acknowledged.append(server.put(b"/%c/%d" % (b"ab"[number % 2], number % 5), b"%d" % number))
            if number in (20, 40):
                await asyncio.to_thread(server.kill)
                await follower.until(lambda: not follower.connected)
                await asyncio.to_thread(server.start)
        expected = {b"/%c/%d" % (b"ab"[n % 2], n % 5): b"%d" % n for n in range(60)}
        await follower.until(lambda: follower.state == expected)
        for prefix in (b"/a/", b"/b/"):  # in order for each name; all exactly once
            revisions = [event.revision for event in follower.events if event.key.startswith(prefix)]
            assert revisions == acknowledged[prefix == b"/b/" :: 2]
        assert len(follower.events) == len(acknowledged)
        assert len(follower.snapshots) == 1


async def test_a_wiped_data_directory_is_a_new_history(server: EtcdServer, make_store: StoreMaker) -> None:
    for number in range(5):
        server.put(b"/a/%d" % number, b"old")
    async with following(make_store(server.url), b"/a/") as follower:
        await asyncio.to_thread(server.kill)
        shutil.rmtree(server.directory / server.name)
        await asyncio.to_thread(server.start)
        server.put(b"/a/new", b"new")
        await follower.until(lambda: follower.state == {b"/a/new": b"new"})
        assert follower.snapshots[-1].head.revision < follower.snapshots[0].head.revision
        server.put(b"/a/new", b"newer")
        await follower.until(lambda: follower.state == {b"/a/new": b"newer"})


async def test_a_new_history_that_is_ahead_of_the_old_one(server: EtcdServer, make_store: StoreMaker) -> None:
    """The same identity and term again, and more revisions than were seen before anybody could look."""
    for number in range(5):
        server.put(b"/a/%d" % number, b"old")
    async with proxied(server.port) as proxy, following(make_store(proxy.url), b"/a/", b"/b") as follower:
        server.put(b"/a/last", b"old")
        await follower.until(lambda: b"/a/last" in follower.state)
        seen = follower.events[-1].revision
        proxy.refusing = True
        proxy.cut_all()
        await asyncio.to_thread(server.kill)
        shutil.rmtree(server.directory / server.name)
        await asyncio.to_thread(server.start)
        server.put(b"/a/new", b"1")
        while server.put(b"/elsewhere", b"x") <= seen:
            pass
        proxy.refusing = False
        await follower.until(lambda: follower.state == {b"/a/new": b"1"})


@pytest.fixture(scope="module")
def cluster(etcd_binary: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[EtcdServer]]:
    servers: list[EtcdServer] = []
    try:
        servers += make_cluster(tmp_path_factory.mktemp("cluster"), 3)
        yield servers
    finally:
        for server in servers:
            server.stop()


async def test_a_frozen_member_of_three(cluster: list[EtcdServer], make_store: StoreMaker, below: bytes) -> None:
    store = make_store(*(member.url for member in cluster), request_timeout=0.5)
    async with following(store, below) as follower:
        frozen = next(member for member in cluster if member.url == store.endpoint)
        other = next(member for member in cluster if member is not frozen)
        frozen.send(signal.SIGSTOP)
        try:
            await asyncio.to_thread(other.wait_healthy)  # an election may be needed first
            await asyncio.to_thread(other.put, below + b"1", b"1")
            await follower.until(lambda: follower.state == {below + b"1": b"1"})
            assert follower.sources[-1] != frozen.url
            assert len(follower.snapshots) == 1
        finally:
            frozen.send(signal.SIGCONT)
        await asyncio.to_thread(frozen.wait_healthy)


async def test_a_member_without_its_quorum_is_left(
    cluster: list[EtcdServer], make_store: StoreMaker, below: bytes
) -> None:
    store = make_store(cluster[0].url, request_timeout=0.5)
    async with following(store, below) as follower:
        for member in cluster[1:]:
            member.send(signal.SIGSTOP)
        try:
            await follower.until(lambda: not follower.connected)
        finally:
            for member in cluster[1:]:
                member.send(signal.SIGCONT)
        await asyncio.to_thread(cluster[1].wait_healthy)
        await asyncio.to_thread(cluster[1].put, below + b"1", b"1")
        await follower.until(lambda: follower.state == {below + b"1": b"1"})


async def test_everything_is_read_anew_from_time_to_time(
    shared: EtcdServer, make_store: StoreMaker, below: bytes
) -> None:
    shared.put(below + b"1", b"1")
    timing = Timing(probe=0.05, resync=0.2)
    async with following(make_store(shared.url), below, timing=timing) as follower:
        await follower.until(lambda: len(follower.snapshots) >= 3)
        shared.put(below + b"1", b"2")
        await follower.until(lambda: follower.state == {below + b"1": b"2"})
        assert follower.reasons == []


async def test_started_while_etcd_is_away(server: EtcdServer, make_store: StoreMaker) -> None:
    server.put(b"/a/1", b"1")
    await asyncio.to_thread(server.kill)
    async with following(make_store(server.url), b"/a/") as follower:
        assert follower.reasons[0] == "connection refused"
        assert follower.snapshots == []
        await asyncio.to_thread(server.start)
        await follower.until(lambda: follower.state == {b"/a/1": b"1"})


async def test_large_values_are_followed(shared: EtcdServer, make_store: StoreMaker, below: bytes) -> None:
    async with following(make_store(shared.url), below) as follower:
        expected = {}
        for number in range(5):
            key, value = below + b"%d" % number, os.urandom(1_000_000)
            expected[key] = value
            await asyncio.to_thread(shared.put, key, value)
        await follower.until(lambda: follower.state == expected)
        assert len(follower.events) == 5


def test_the_directory_of_a_server_is_not_left_behind(etcd_binary: str, tmp_path: Path) -> None:
    server = EtcdServer(tmp_path)
    server.start()
    server.stop()
    assert not (tmp_path / server.name).exists()
