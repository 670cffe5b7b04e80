"""Peers that come by themselves, over real sockets on loopback."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from pybgp import ConfigurationError, Speaker, accept_all, reject_all
from pybgp.dynamic import peer_as_of
from pybgp.errors import ProtocolError
from pybgp.messages import CodecContext, Keepalive, Notification, encode_message
from pybgp.messages.framing import frame
from tests.fsm.making import settings
from tests.loopback import Neighbour, address, connect, speaker, until
from tests.wire import their_open

EVERYBODY = "127.0.0.0/8"
OPEN = {"import_policy": accept_all, "export_policy": accept_all}


async def test_who_comes_from_the_range_becomes_a_peer_and_goes() -> None:
    at = address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY, peer_as={64512, 64999}, graceful_restart=False, description="a guest")
        assert hub.peers() == {}
        comes = address()
        async with speaker(comes, 2) as guest:
            connect(guest, comes, at)
            guest.announce("10.1.0.0/16", next_hop="192.0.2.1")
            await guest.established(at, timeout=10)
            await until(lambda: bool(hub.peers()) and hub.peers()[comes].routes_received == 1)
            seen = hub.peers()[comes]
            assert (seen.peer_as, seen.internal, seen.description) == (64512, True, "a guest")
        await until(lambda: hub.peers() == {})
        assert not hub.explain("10.1.0.0/16").paths


async def test_the_routes_of_one_that_restarts_are_kept_and_then_it_goes() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY, peer_as=64512)
        async with speaker(comes, 2) as guest:
            connect(guest, comes, at, restart_time=1)
            guest.announce("10.1.0.0/16", next_hop="192.0.2.1")
            await guest.established(at, timeout=10)
            await until(lambda: bool(hub.explain("10.1.0.0/16").paths))
            await guest.aclose(restart=True)
        assert hub.peers()[comes].restarting
        assert bool(hub.explain("10.1.0.0/16").paths)
        await until(lambda: hub.peers() == {})
        assert not hub.explain("10.1.0.0/16").paths


async def test_another_as_is_refused_with_the_word_for_it() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY, peer_as=64999)
        neighbour = await Neighbour.to(at, comes)
        neighbour.writer.write(their_open(settings()))
        answer = await neighbour.receive()
        assert isinstance(answer, Notification)
        assert (answer.code, answer.subcode) == (2, 2)
        assert await neighbour.receive() is None
        await neighbour.close()
        assert hub.peers() == {}


async def test_no_more_than_the_maximum() -> None:
    at = address()
    async with speaker(at, 1) as hub, AsyncExitStack() as stack:
        hub.listen_for(EVERYBODY, maximum=3)
        for number in range(3):
            comes = address()
            guest = await stack.enter_async_context(speaker(comes, 10 + number))
            connect(guest, comes, at)
            await guest.established(at, timeout=10)
        neighbour = await Neighbour.to(at, address())
        neighbour.writer.write(their_open(settings()))
        answer = await neighbour.receive()
        assert isinstance(answer, Notification)
        assert (answer.code, answer.subcode) == (6, 5)
        await neighbour.close()
        assert len(hub.peers()) == 3


async def test_a_longer_range_and_a_configured_peer_come_first() -> None:
    at, comes, known = address(), address(), address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY, description="anybody")
        hub.listen_for(f"{comes}/32", description="this one")
        hub.add_peer(known, peer_as=64512, passive=True, description="an old friend")
        async with speaker(comes, 2) as one, speaker(known, 3) as other:
            connect(one, comes, at)
            connect(other, known, at)
            await one.established(at, timeout=10)
            await other.established(at, timeout=10)
            assert hub.peers()[comes].description == "this one"
            assert hub.peers()[known].description == "an old friend"
        await until(lambda: hub.peers()[known].state.name != "ESTABLISHED")
        assert known in hub.peers()


async def test_those_who_say_nothing_keep_nobody_out() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY)
        silent = [await Neighbour.to(at, source) for source in [comes] * 20 + [address() for _ in range(40)]]
        async with speaker(comes, 2) as guest:
            connect(guest, comes, at)
            await guest.established(at, timeout=10)
        for one in silent:
            one.reset()


async def test_garbage_is_answered_and_makes_no_peer() -> None:
    at = address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY)
        for octets, code in ((b"\0" * 19, (1, 1)), (encode_message(Keepalive(), CodecContext()), (5, 1))):
            neighbour = await Neighbour.to(at, address())
            neighbour.writer.write(octets)
            answer = await neighbour.receive()
            assert isinstance(answer, Notification)
            assert (answer.code, answer.subcode) == code
            await neighbour.close()
        assert hub.peers() == {}


async def test_the_end_of_a_range_ends_its_sessions() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as hub, speaker(comes, 2) as guest:
        hub.listen_for(EVERYBODY)
        connect(guest, comes, at)
        await guest.established(at, timeout=10)
        hub.stop_listening_for(EVERYBODY)
        await until(lambda: hub.peers() == {})
        await until(lambda: guest.peers()[at].state.name != "ESTABLISHED")
        with pytest.raises(ConfigurationError, match="no range"):
            hub.stop_listening_for(EVERYBODY)


async def test_fifty_of_them() -> None:
    at = address()
    async with speaker(at, 1) as hub, AsyncExitStack() as stack:
        hub.listen_for(EVERYBODY, peer_as=64512, maximum=500)
        guests: list[Speaker] = []
        for number in range(50):
            comes = address()
            guest = await stack.enter_async_context(speaker(comes, 10 + number))
            connect(guest, comes, at)
            guests.append(guest)
        await asyncio.gather(*(guest.established(at, timeout=20) for guest in guests))
        assert len(hub.peers()) == 50


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prefix": "10.0.0.0/33"}, "listen_for"),
        ({"prefix": "10.0.0.0/8", "peer_as": ()}, "names no AS"),
        ({"prefix": "10.0.0.0/8", "maximum": 0}, "maximum"),
        ({"prefix": "10.0.0.0/8", "hold_tme": 3}, "no such setting"),
        ({"prefix": "10.0.0.0/8", "hold_time": 1}, "hold_time"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict, words: str) -> None:  # type: ignore[type-arg]
    hub = Speaker(local_as=64512, bgp_identifier="192.0.2.1", import_policy=accept_all)
    with pytest.raises(ConfigurationError, match=words):
        hub.listen_for(**arguments)
    hub.listen_for("10.0.0.0/8")
    with pytest.raises(ConfigurationError, match="already"):
        hub.listen_for("10.0.0.0/8")


def test_the_as_of_an_open_however_it_is_cut() -> None:
    octets = their_open(settings())
    assert all(peer_as_of(octets[:length]) is None for length in range(len(octets)))
    assert peer_as_of(octets) == settings().peer_as
    with pytest.raises(ProtocolError):
        peer_as_of(frame(2, b"\0\0\0\0"))


async def test_a_key_for_the_whole_range() -> None:
    """RFC 2385, with one key for a prefix of addresses: who does not sign with it does not get in."""
    at, with_key, without, wrong = address(), address(), address(), address()
    async with speaker(at, 1) as hub:
        hub.listen_for(EVERYBODY, password="hunter2")
        async with speaker(with_key, 2) as one, speaker(without, 3) as two, speaker(wrong, 4) as three:
            connect(one, with_key, at, password="hunter2")
            connect(two, without, at)
            connect(three, wrong, at, password="hunter3")
            await one.established(at, timeout=10)
            await asyncio.sleep(0.5)  # long enough for either to have come, had it been let in
            assert set(hub.peers()) == {with_key}
            assert "hunter2" not in repr(hub.peers())


async def test_the_key_goes_with_the_range() -> None:
    at, comes = address(), address()
    async with speaker(at, 1) as hub, speaker(comes, 2) as guest:
        hub.listen_for(EVERYBODY, password="hunter2")
        hub.stop_listening_for(EVERYBODY)
        hub.listen_for(EVERYBODY)
        connect(guest, comes, at)
        await guest.established(at, timeout=10)


async def test_a_group_changes_with_its_ranges() -> None:
    at, guest_at = address(), address()
    async with speaker(at, 1) as hub, speaker(guest_at, 2) as guest:
        hub.add_group("guests", peer_as=64999, description="a guest", import_policy=accept_all)
        hub.listen_for(EVERYBODY, peer_as=64512, group="guests", hold_time=30)
        connect(guest, guest_at, at)
        guest.announce("10.1.0.0/16", next_hop="192.0.2.1")
        await until(lambda: hub.explain("10.1.0.0/16").best is not None)
        with pytest.raises(ConfigurationError, match="restart_time"):
            hub.change_group("guests", restart_time=-1, description="another")
        assert hub.peers()[guest_at].description == "a guest"
        hub.change_group("guests", description="a friend", peer_as=1, hold_time=60, import_policy=reject_all)
        await until(lambda: hub.explain("10.1.0.0/16").best is None)
        peer = hub.peers()[guest_at]
        assert (peer.description, peer.established_count, hub.peer(guest_at).config.hold_time) == ("a friend", 1, 30)
        with pytest.raises(ConfigurationError, match="guests"):
            hub.remove_group("guests")
        hub.stop_listening_for(EVERYBODY)
        hub.remove_group("guests")


async def test_a_range_changes_with_its_peers() -> None:
    """Policies and another key leave the sessions of the range up; another AS ends those that may not come any more."""
    at, one_at, two_at = address(), address(), address()
    async with speaker(at, 1) as hub, speaker(one_at, 2) as one, speaker(two_at, 3, local_as=64999) as two:
        hub.listen_for(EVERYBODY, peer_as={64512, 64999}, graceful_restart=False, password="old", **OPEN)
        connect(one, one_at, at, password="old")
        connect(two, two_at, at, peer_as=64512, password="old", **OPEN)
        for guest in (one, two):
            guest.announce("10.1.0.0/16", next_hop="192.0.2.1")
            await guest.established(at, timeout=10)
        await until(lambda: sum(peer.routes_received for peer in hub.peers().values()) == 2)
        with pytest.raises(ConfigurationError, match="no such setting"):
            hub.change_range(EVERYBODY, pasword="new")
        with pytest.raises(ConfigurationError, match="no range"):
            hub.change_range("127.0.0.0/9", password="new")
        hub.change_range(EVERYBODY, password="new", import_policy=reject_all)
        for guest in (one, two):
            guest.change_peer(at, password="new")
        await until(lambda: hub.explain("10.1.0.0/16").best is None)
        one.announce("10.2.0.0/16", next_hop="192.0.2.1")
        await until(lambda: hub.peers()[one_at].routes_received == 2)
        assert {peer.established_count for peer in hub.peers().values()} == {1}
        hub.change_range(EVERYBODY, peer_as=64512, import_policy=accept_all)
        await until(lambda: hub.peers().keys() == {one_at})
        await until(lambda: hub.explain("10.1.0.0/16").best is not None)
        assert hub.peers()[one_at].established_count == 1
