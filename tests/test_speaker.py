"""Speakers in a real event loop, on loopback."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from pybgp import (
    IPV4_UNICAST,
    IPV6_UNICAST,
    CodecContext,
    ConfigurationError,
    Notification,
    PathAttributes,
    PeerConfig,
    PeerEvent,
    Prefix,
    SessionClosed,
    Speaker,
    State,
    Step,
)
from pybgp.fsm.negotiation import make_open
from pybgp.messages import Keepalive, Update
from pybgp.messages.update_writer import encode_reach, encode_unreach
from tests.loopback import LIMIT, Neighbour, address, connect, nothing_left, pair, speaker, until

NEXT_HOP = "192.0.2.1"


async def first(source: object, count: int) -> list[object]:
    found = []
    async with asyncio.timeout(LIMIT):
        async for item in source:  # type: ignore[attr-defined]
            found.append(item)
            if len(found) == count:
                return found
    raise AssertionError(f"ended after {len(found)}")


async def take(events: AsyncIterator[PeerEvent], last: str) -> AsyncIterator[PeerEvent]:
    """The events up to one of this kind."""
    async with asyncio.timeout(LIMIT):
        async for event in events:
            yield event
            if event.kind == last:
                return


async def test_the_twelve_lines_of_the_readme() -> None:
    async with pair() as (a, _, b, _):
        a.announce("10.65.0.2/32", next_hop=NEXT_HOP)
        async with asyncio.timeout(LIMIT):
            async for change in b.routes():
                assert str(change.prefix) == "10.65.0.2/32"
                assert change.new is not None
                assert change.new.attributes.next_hop_text == NEXT_HOP
                break


async def test_nothing_is_left_behind() -> None:
    with nothing_left():
        async with pair() as (a, _, b, _):
            a.announce("10.65.0.2/32", next_hop=NEXT_HOP)
            await a.established(timeout=LIMIT)
            await b.established(timeout=LIMIT)


async def test_nothing_is_left_behind_while_still_connecting() -> None:
    with nothing_left():
        async with speaker(address()) as a:
            a.add_peer("127.0.0.1", peer_as=64512, port=1)  # refused
            a.add_peer("192.0.2.77", peer_as=64512, local_address=a.listening[0][0])  # no way there
            await asyncio.sleep(0.01)


async def test_closing_twice_and_never_opening() -> None:
    a = speaker(address())
    await a.aclose()
    await a.aclose()
    async with speaker(address()) as b:
        await b.aclose()
    with pytest.raises(SessionClosed):
        await b.established()


async def test_peers_and_routes_given_before_the_start() -> None:
    a_at, b_at = address(), address()
    a = speaker(a_at)
    a.announce("10.65.0.2/32", next_hop=NEXT_HOP)
    connect(a, a_at, b_at)
    async with a, speaker(b_at, 2) as b:
        connect(b, b_at, a_at)
        await b.established(timeout=LIMIT)
        changes = await first(b.routes(), 1)
        assert str(changes[0].prefix) == "10.65.0.2/32"  # type: ignore[attr-defined]


async def test_announced_and_withdrawn_after_the_session_is_up() -> None:
    async with pair() as (a, _, b, _):
        await a.established(timeout=LIMIT)
        routes = b.routes()
        a.announce_many((f"10.65.0.{n}/32" for n in range(100)), PathAttributes.build(next_hop=NEXT_HOP, med=4))
        changes = await first(routes, 100)
        assert {str(c.prefix) for c in changes} == {f"10.65.0.{n}/32" for n in range(100)}  # type: ignore[attr-defined]
        assert {c.new.attributes.med for c in changes} == {4}  # type: ignore[attr-defined]
        a.withdraw("10.65.0.7/32")
        (gone,) = await first(routes, 1)
        assert str(gone.prefix) == "10.65.0.7/32"  # type: ignore[attr-defined]
        assert gone.new is None  # type: ignore[attr-defined]
        assert gone.old.attributes.med == 4  # type: ignore[attr-defined]
        assert len(a.announced()) == 99
        assert a.announced()[Prefix("10.65.0.8/32")].med == 4


async def test_a_reader_gets_what_is_there_already_or_only_what_is_new() -> None:
    async with speaker(address()) as a:
        old = {f"10.65.{n >> 8}.{n & 255}/32" for n in range(5000)} | {"2001:db8::/32"}
        a.announce_many(old)
        everything, news = a.routes(), a.routes(snapshot=False)
        a.withdraw("10.65.0.0/32")
        a.announce("10.66.0.1/32")
        expected = old - {"10.65.0.0/32"} | {"10.66.0.1/32"}
        changes = await first(everything, len(expected))
        assert {str(change.prefix) for change in changes} == expected  # type: ignore[attr-defined]
        assert all(change.old is None for change in changes)  # type: ignore[attr-defined]
        told = {str(change.prefix): change.new for change in await first(news, 2)}  # type: ignore[attr-defined]
        assert told["10.65.0.0/32"] is None
        assert told["10.66.0.1/32"] is not None


async def test_one_flush_a_turn_packs_many_routes_into_few_messages() -> None:
    async with pair() as (a, _, b, b_at):
        await a.established(timeout=LIMIT)
        await until(lambda: a.peers()[b_at].families[IPV4_UNICAST].end_of_rib_sent)
        before = a.peers()[b_at].updates_sent
        for number in range(500):
            a.announce(f"10.65.{number // 256}.{number % 256}/32", next_hop=NEXT_HOP)
        await until(lambda: sum(peer.routes_received for peer in b.peers().values()) == 500)
        assert a.peers()[b_at].updates_sent - before <= 2


async def test_caller_mistakes_raise_at_the_call_and_change_nothing() -> None:
    async with speaker(address()) as a:
        with pytest.raises(ValueError, match="33"):
            a.announce("10.0.0.1/33")
        with pytest.raises(ValueError, match=r"10\.0\.0\.1/24"):
            a.announce_many(["10.0.0.0/24", "10.0.0.1/24"])
        with pytest.raises(ValueError, match="nonsense"):
            a.announce("10.0.0.0/24", next_hop="nonsense")
        with pytest.raises(ValueError, match="colour"):
            a.announce("10.0.0.0/24", colour="blue")
        with pytest.raises(TypeError):
            a.announce_many("10.0.0.0/24")
        assert not a.announced()
        with pytest.raises(ConfigurationError, match="peer_as"):
            a.add_peer("192.0.2.9", peer_as=0)
        with pytest.raises(ConfigurationError, match="holdtime"):
            a.add_peer("192.0.2.9", peer_as=1, holdtime=3)
        with pytest.raises(ConfigurationError, match=r"192\.0\.2\.9"):
            a.remove_peer("192.0.2.9")
        with pytest.raises(ConfigurationError):
            await a.established("192.0.2.9")
        assert not a.peers()


@pytest.mark.parametrize("identifier", ["192.0.2", "0.0.0.0", 0, 1 << 32, "::1", True])
def test_a_bad_identifier_is_refused(identifier: str | int) -> None:
    with pytest.raises(ConfigurationError, match="bgp_identifier"):
        Speaker(local_as=64512, bgp_identifier=identifier)


async def test_listening_where_one_cannot() -> None:
    at = address()
    async with speaker(at):
        second = speaker(at)
        with nothing_left():
            with pytest.raises(OSError, match=f"cannot listen on {at} port 1790"):
                await second.__aenter__()
            await second.aclose()


async def test_several_listening_addresses_and_a_free_port() -> None:
    one, other = address(), address()
    async with speaker("", listen=[one, other, "::1"], port=0) as a:
        assert [at for at, _ in a.listening] == [one, other, "::1"]
        assert all(port > 0 for _, port in a.listening)
    async with speaker("", listen=None) as b:
        assert b.listening == ()


async def test_waiting_for_a_session() -> None:
    async with speaker(address()) as a:
        a.add_peer("192.0.2.9", peer_as=64512, passive=True)
        with pytest.raises(TimeoutError):
            await a.established("192.0.2.9", timeout=0.01)
        waiting = asyncio.ensure_future(a.established("192.0.2.9", timeout=LIMIT))
        await asyncio.sleep(0)
        a.remove_peer("192.0.2.9")
        with pytest.raises(SessionClosed, match="removed"):
            await waiting
        a.add_peer("192.0.2.9", peer_as=64512, passive=True)
        waiting = asyncio.ensure_future(a.established())
        await asyncio.sleep(0)
        await a.aclose()
        with pytest.raises(SessionClosed, match="closed"):
            await waiting


async def test_a_shutdown_text_is_read_on_the_other_side() -> None:
    async with pair() as (a, a_at, b, b_at):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
        events = b.events()
        a.peer(b_at).shutdown("new kernel, back at six")
        async with asyncio.timeout(LIMIT):
            async for event in events:
                if event.kind == "down":
                    break
        assert "new kernel, back at six" in event.reason
        assert "new kernel, back at six" in b.peers()[a_at].last_error
        assert a.peers()[b_at].administratively_down
        a.peer(b_at).start()
        await a.established(b_at, timeout=LIMIT)


async def test_a_peer_in_any_spelling() -> None:
    async with speaker("::1") as a:
        a.add_peer("2001:db8::1", peer_as=64512, passive=True)
        assert a.peer("2001:0DB8:0::1").address == "2001:db8::1"
        with pytest.raises(ConfigurationError):
            a.add_peer("2001:db8:0:0::1", peer_as=64512)


async def test_changing_a_peer() -> None:
    async with pair() as (a, _, b, b_at):
        await a.established(timeout=LIMIT)
        events = a.events()
        a.change_peer(b_at, description="rack 7", connect_retry_time=2)
        assert a.peers()[b_at].description == "rack 7"
        assert a.peers()[b_at].established
        a.change_peer(b_at, families=(IPV4_UNICAST, IPV6_UNICAST))
        seen = []
        async with asyncio.timeout(LIMIT):
            async for event in events:
                seen.append(event.kind)
                if event.kind == "up":
                    break
        assert seen.count("down") == 1
        with pytest.raises(ConfigurationError, match="hold_time"):
            a.change_peer(b_at, hold_time=1)
        await b.established(timeout=LIMIT)


async def test_a_stranger_is_refused_and_named(caplog: pytest.LogCaptureFixture) -> None:
    at, stranger = address(), address()
    async with speaker(at) as a:
        events = a.events()
        with caplog.at_level(logging.WARNING, "pybgp"):
            for _ in range(5):
                neighbour = await Neighbour.to(at, stranger)
                said = await neighbour.receive()
                assert isinstance(said, Notification)
                assert (said.code, said.subcode) == (6, 5)
                assert await neighbour.receive() is None
                await neighbour.close()
        event = await anext(events)
        assert (event.kind, event.peer) == ("refused", stranger)
        assert [stranger in record.message for record in caplog.records] == [True]  # not five lines


async def test_who_dials_before_it_is_a_peer_is_waited_for() -> None:
    """Both sides of a mesh hear of each other at about the same time: the earlier one is not sent away."""
    with nothing_left():
        a_at, b_at = address(), address()
        async with speaker(a_at, 1) as a, speaker(b_at, 2) as b:
            events = b.events()
            connect(a, a_at, b_at, connect_retry_time=30.0)  # one attempt, or this test is over
            await until(lambda: a.peers()[b_at].state is State.OPEN_SENT)
            connect(b, b_at, a_at, passive=True)
            await b.established(timeout=LIMIT)
            b.remove_peer(a_at)
            kinds = [event.kind async for event in take(events, "removed")]
            assert "refused" not in kinds


async def test_an_early_connection_without_its_password_is_not_taken() -> None:
    a_at, b_at = address(), address()
    async with speaker(b_at, 2) as b:
        neighbour = await Neighbour.to(b_at, a_at)
        connect(b, b_at, a_at, passive=True, password="secret")
        assert await neighbour.receive() == Notification(6, 5)
        await neighbour.close()


async def test_an_early_connection_that_talks_much_is_refused() -> None:
    a_at, b_at = address(), address()
    async with speaker(b_at, 2):
        neighbour = await Neighbour.to(b_at, a_at)
        neighbour.writer.write(bytes(10_000))
        assert await neighbour.receive() == Notification(6, 5)
        await neighbour.close()


async def test_a_peer_that_is_shut_down_is_refused() -> None:
    at, other = address(), address()
    async with speaker(at) as a:
        connect(a, at, other, passive=True)
        a.peer(other).shutdown()
        neighbour = await Neighbour.to(at, other)
        said = await neighbour.receive()
        assert isinstance(said, Notification)
        assert (said.code, said.subcode) == (6, 5)
        await neighbour.close()


async def test_leaving_for_a_restart_says_nothing() -> None:
    at, other = address(), address()
    async with speaker(at) as a:
        connect(a, at, other, passive=True)
        neighbour = await Neighbour.to(at, other)
        await neighbour.establish(graceful_restart=True)
        await a.established(timeout=LIMIT)
        closing = asyncio.ensure_future(a.aclose(restart=True))
        said = []
        while (message := await neighbour.receive()) is not None:
            said.append(message)
        assert not any(isinstance(message, Notification) for message in said)
        await neighbour.close()
        await closing


async def test_leaving_for_good_says_so() -> None:
    at, other = address(), address()
    async with speaker(at) as a:
        connect(a, at, other, passive=True)
        neighbour = await Neighbour.to(at, other)
        await neighbour.establish()
        await a.established(timeout=LIMIT)
        closing = asyncio.ensure_future(a.aclose())
        last = None
        while (message := await neighbour.receive()) is not None:
            last = message
        assert isinstance(last, Notification)
        assert (last.code, last.subcode) == (6, 2)
        await neighbour.close()
        await closing


async def test_a_restart_keeps_the_routes() -> None:
    a_at, b_at = address(), address()
    async with speaker(b_at, 2) as b:
        connect(b, b_at, a_at)
        a = speaker(a_at)
        async with a:
            connect(a, a_at, b_at)
            a.announce("10.65.0.1/32", next_hop=NEXT_HOP)
            changes = b.routes()
            await first(changes, 1)
            await a.aclose(restart=True)
        await until(lambda: b.peers()[a_at].restarting)
        async with speaker(a_at, restarting=True) as again:
            again.announce("10.65.0.1/32", next_hop=NEXT_HOP)
            again.announce("10.65.0.2/32", next_hop=NEXT_HOP)
            connect(again, a_at, b_at)
            (change,) = await first(changes, 1)
            assert str(change.prefix) == "10.65.0.2/32"  # type: ignore[attr-defined]
            await until(lambda: IPV4_UNICAST in b.peers()[a_at].end_of_rib)
            assert b.peers()[a_at].routes_received == 2
            assert not b.peers()[a_at].restarting


@pytest.mark.rfc("2545", "4", "pybgp.tcp_options:socket_address", "sessions over IPv6")
async def test_ipv6_transport_and_routes() -> None:
    a = speaker("::1", 1, listen="::1", port=0)
    b = speaker("::1", 2, listen=None)
    async with a, b:
        port = a.listening[0][1]
        families = (IPV6_UNICAST,)
        a.add_peer("::1", peer_as=64512, passive=True, families=families)
        b.add_peer("::1", peer_as=64512, port=port, families=families)
        b.announce("2001:db8:1::/48", next_hop="2001:db8::b")
        (change,) = await first(a.routes(), 1)
        assert str(change.prefix) == "2001:db8:1::/48"  # type: ignore[attr-defined]
        assert change.new.attributes.next_hop_text == "2001:db8::b"  # type: ignore[attr-defined]
        assert b.peers()["::1"].local_address == "::1"


async def test_a_hundred_speakers_in_one_loop() -> None:
    """A hub and 99 clients; the hub reflects what each of them has."""
    hub_at = address()
    hub = speaker(hub_at, 1)
    with nothing_left():
        async with hub, asyncio.TaskGroup() as group:
            done = asyncio.Event()
            started: list[Speaker] = []

            async def client(number: int) -> None:
                at = address()
                async with speaker(at, number + 2, listen=None) as one:
                    started.append(one)
                    hub.add_peer(at, peer_as=64512, passive=True, route_reflector_client=True)
                    connect(one, at, hub_at)
                    one.announce(f"10.66.0.{number}/32", next_hop=f"192.0.2.{number + 2}")
                    await done.wait()

            for number in range(99):
                group.create_task(client(number))
            await until(lambda: len(started) == 99 and all(one.peers() for one in started))
            await hub.established(timeout=60)
            await until(lambda: all(one.peers()[hub_at].routes_received == 98 for one in started))
            done.set()


async def test_explain_says_which_path_lost_where() -> None:
    async with pair() as (a, a_at, b, _):
        a.announce("10.65.0.1/32", next_hop=NEXT_HOP)
        b.announce("10.65.0.1/32", next_hop=NEXT_HOP, local_pref=50)
        await until(lambda: len(b.explain("10.65.0.1/32")) == 2)
        best, other = b.explain("10.65.0.1/32")
        assert best.selected
        assert best.path.source.name == a_at
        assert other.step is Step.LOCAL_PREF
        assert not b.explain("10.65.0.9/32")


async def test_snapshots_show_what_was_negotiated() -> None:
    async with pair(hold_time=30) as (a, a_at, b, b_at):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
        seen = a.peers()[b_at]
        assert seen.state is State.ESTABLISHED
        assert seen.hold_time == 30
        assert seen.keepalive_time == 10
        assert seen.local_address == a_at
        assert seen.bgp_identifier == b.bgp_identifier
        assert seen.messages_sent >= 2
        assert seen.uptime >= 0
        assert "RouteRefresh" in str(seen.capabilities)


async def test_refresh_and_reset() -> None:
    async with pair() as (a, a_at, b, b_at):
        with pytest.raises(SessionClosed):
            a.peer(b_at).refresh()
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
        await until(lambda: IPV4_UNICAST in b.peers()[a_at].end_of_rib)
        updates = b.peers()[a_at].messages_received
        b.peer(a_at).refresh()
        await until(lambda: b.peers()[a_at].messages_received >= updates + 2)  # the two markers
        events = b.events()
        a.peer(b_at).reset("again, please")
        event = await anext(events)
        assert event.kind == "down"
        assert "again, please" in event.reason
        await b.established(timeout=LIMIT)


async def test_a_peer_that_reads_nothing_holds_up_nobody_and_gets_the_last_state() -> None:
    at, slow_at, quick_at = address(), address(), address()
    async with speaker(at) as a:
        for other in (slow_at, quick_at):
            connect(a, at, other, passive=True, graceful_restart=False)
        slow, quick = await Neighbour.to(at, slow_at), await Neighbour.to(at, quick_at)
        await slow.establish()
        await quick.establish()
        await a.established(timeout=LIMIT)
        reader = asyncio.ensure_future(_read_all(quick))
        prefixes = [Prefix(f"10.{n >> 8}.{n & 255}.0/24") for n in range(20_000)]
        rounds = 0

        def waiting(other: str) -> int:
            return a.peers()[other].families[IPV4_UNICAST].pending

        async with asyncio.timeout(60):
            while not waiting(slow_at):  # until TCP takes no more
                rounds += 1
                a.announce_many(prefixes, PathAttributes.build(next_hop=NEXT_HOP, med=rounds))
                await until(lambda: not waiting(quick_at))
        for _ in range(5):
            rounds += 1
            a.announce_many(prefixes, PathAttributes.build(next_hop=NEXT_HOP, med=rounds))
            await until(lambda: not waiting(quick_at))
        assert waiting(slow_at) <= len(prefixes)
        known: dict[bytes, object] = {}
        meds = set()
        while len(known) < len(prefixes) or set(known.values()) != {rounds}:
            message = await slow.receive()
            assert message is not None
            if isinstance(message, Update):
                for reach in message.reach:
                    meds.add(reach.attributes.med)
                    known.update(dict.fromkeys(reach.nlri, reach.attributes.med))
        assert len(meds) < rounds  # middle states were skipped
        reader.cancel()
        slow.reset()
        quick.reset()


async def _read_all(neighbour: Neighbour) -> None:
    while await neighbour.receive() is not None:
        pass


async def test_a_flood_does_not_make_keepalives_late() -> None:
    """While one peer floods, another with a hold time of 3 s stays established for more than that."""
    at, loud_at, calm_at = address(), address(), address()
    async with speaker(at) as a, speaker(calm_at, 2) as calm:
        connect(a, at, loud_at, passive=True, graceful_restart=False)
        connect(a, at, calm_at, hold_time=3)
        connect(calm, calm_at, at, hold_time=3)
        await calm.established(timeout=LIMIT)
        loud = await Neighbour.to(at, loud_at)
        await loud.establish()
        await a.established(timeout=LIMIT)
        flood = b"".join(_updates(64))
        until_ = asyncio.get_running_loop().time() + 4
        rounds = 0
        drain = asyncio.ensure_future(_read_all(loud))
        while asyncio.get_running_loop().time() < until_:
            loud.writer.write(flood)
            await loud.writer.drain()
            rounds += 1
        assert rounds > 5
        assert calm.peers()[at].established
        assert calm.peers()[at].established_count == 1
        assert a.peers()[calm_at].established_count == 1
        drain.cancel()
        loud.reset()


def _updates(count: int) -> list[bytes]:
    context = CodecContext(four_octet_as=True, internal=True)
    found = []
    for number in range(count):
        nlri = [Prefix(f"10.{number}.{host >> 8}.{host & 255}/32").nlri for host in range(700)]
        attributes = PathAttributes.build(next_hop=NEXT_HOP, local_pref=100, med=number)
        found += encode_reach(IPV4_UNICAST, nlri, attributes, context)
        if number % 2:
            found += encode_unreach(IPV4_UNICAST, nlri, context)
    return found


async def test_a_peer_that_takes_nothing_for_too_long_is_given_up() -> None:
    """RFC 9687: without it such a session would live for ever when there is no hold time."""
    at, slow_at = address(), address()
    async with speaker(at) as a:
        connect(a, at, slow_at, passive=True, graceful_restart=False, hold_time=0, send_hold_time=0.2)
        slow = await Neighbour.to(at, slow_at)
        await slow.establish(hold_time=0)
        await a.established(timeout=LIMIT)
        prefixes = [Prefix(f"10.{n >> 8}.{n & 255}.0/24") for n in range(20_000)]
        med = 0
        async with asyncio.timeout(60):
            while a.peers()[slow_at].established:
                med += 1
                a.announce_many(prefixes, PathAttributes.build(next_hop=NEXT_HOP, med=med))
                await asyncio.sleep(0.001)
        assert "send hold timer expired" in a.peers()[slow_at].last_error
        slow.reset()


async def test_a_quiet_session_without_hold_time_lives_on() -> None:
    """The send hold timer runs only while TCP takes nothing."""
    at, other = address(), address()
    async with speaker(at) as a:
        connect(a, at, other, passive=True, graceful_restart=False, hold_time=0, send_hold_time=0.05)
        neighbour = await Neighbour.to(at, other)
        await neighbour.establish(hold_time=0)
        await a.established(timeout=LIMIT)
        a.announce("10.65.0.1/32", next_hop=NEXT_HOP)
        await asyncio.sleep(0.2)
        assert a.peers()[other].established
        neighbour.reset()


async def test_what_needs_a_running_speaker_says_so() -> None:
    a = speaker(address())
    handle = a.add_peer("192.0.2.9", peer_as=64512)
    with pytest.raises(RuntimeError, match="async with"):
        handle.shutdown()
    assert handle.snapshot.administratively_down
    async with a:
        assert not handle.snapshot.administratively_down
    with pytest.raises(RuntimeError, match="once"):
        await a.__aenter__()


async def test_a_malformed_update_is_told_and_survived() -> None:
    at, other = address(), address()
    async with speaker(at) as a:
        connect(a, at, other, passive=True, graceful_restart=False)
        neighbour = await Neighbour.to(at, other)
        await neighbour.establish()
        await a.established(timeout=LIMIT)
        events = a.events()
        nlri = bytes((32, 10, 65, 0, 1))
        block = bytes((0x40, 1, 1, 9))  # ORIGIN 9: treat as withdraw
        body = b"\0\0" + len(block).to_bytes(2, "big") + block + nlri
        neighbour.writer.write(b"\xff" * 16 + (19 + len(body)).to_bytes(2, "big") + b"\x02" + body)
        event = await anext(events)
        assert event.kind == "offence"
        assert "treat as withdraw" in event.reason
        assert a.peers()[other].established
        neighbour.writer.write(bytes(19))  # not even a marker
        while not isinstance(message := await neighbour.receive(), Notification):
            assert isinstance(message, Update) or message is not None
        assert (message.code, message.subcode) == (1, 1)
        await neighbour.close()


async def test_a_session_by_one_interface() -> None:
    async with pair(interface="lo") as (a, _, b, _):
        await a.established(timeout=10)
        await b.established(timeout=10)


async def test_an_interface_that_is_not_there_is_named() -> None:
    async with pair({"interface": "nowhere9"}, {"passive": True}) as (a, _, _, b_at):
        await until(lambda: "nowhere9" in a.peers()[b_at].last_error)
        assert not a.peers()[b_at].established


async def test_who_comes_by_another_interface_than_its_own_is_refused() -> None:
    async with pair({"interface": "nowhere9", "passive": True}) as (a, _, b, _):
        events = a.events()
        async with asyncio.timeout(10):
            async for event in events:
                if event.kind == "refused":
                    break
        assert "nowhere9" in event.reason
        assert not b.peers()[next(iter(b.peers()))].established


async def test_a_connection_that_hangs_before_its_keepalive_gives_way_to_a_newer_one() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as one:
        one.add_peer(comes, peer_as=64512, passive=True, connect_timeout=0.3)
        hanging = await Neighbour.to(at, comes)
        hanging.send(make_open(PeerConfig(address=at, peer_as=64512, local_as=64512, bgp_identifier=9)))
        assert await hanging.receive() is not None
        assert isinstance(await hanging.receive(), Keepalive)  # it is in OpenConfirm now, and hears no answer
        await asyncio.sleep(0.4)
        async with speaker(comes, 2) as other:
            connect(other, comes, at)
            await other.established(at, timeout=10)
        await hanging.close()
