"""TCP: MD5 and TTL security on both sides, failing closed; the last words of a connection arrive."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pybgp import ConfigurationError, Notification, Speaker, State, tcp_options
from pybgp.transport import Connection, Listener, ReadBuffer, Security, connect, words
from tests.loopback import LIMIT, Neighbour, address, nothing_left, pair, speaker, until
from tests.loopback import connect as add

SECRET = "s3cret-of-the-mesh"


class Owner:
    """Records what connections say."""

    def __init__(self) -> None:
        self.data = b""
        self.made: list[Connection] = []
        self.lost: list[str] = []
        self.writable_again = 0

    def connection_made(self, connection: Connection) -> None:
        self.made.append(connection)

    def data_received(self, connection: Connection, data: bytes) -> None:
        self.data += data

    def connection_lost(self, connection: Connection, reason: str) -> None:
        self.lost.append(reason)

    def writable(self, connection: Connection) -> None:
        self.writable_again += 1


def transport_of(connection: Connection) -> asyncio.Transport:
    assert connection._transport is not None
    return connection._transport


def pause_reading(connection: Connection) -> None:
    """As if the loop were too busy to read."""
    transport_of(connection).pause_reading()


@asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[Owner, Connection, Owner, Connection]]:
    server, client, at = Owner(), Owner(), address()
    listener = Listener(at, 0)
    await listener.start(lambda: Connection(server, ReadBuffer(), incoming=True))
    one = await connect(client, ReadBuffer(), at, listener.port, local_address=address(), security=Security())
    await until(lambda: bool(server.made))
    yield client, one, server, server.made[0]
    for connection in (one, server.made[0]):
        connection.abort()
        await connection.lost
    listener.close()


async def test_octets_cross_in_bounded_reads() -> None:
    async with two_ends() as (client, one, server, other):
        assert one.local_address == other.remote_address
        assert socket.inet_ntoa(other.remote_octets) == other.remote_address
        data = os.urandom(300_000)
        one.write(data)
        await until(lambda: len(server.data) == len(data))
        assert server.data == data
        assert one.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert client.data == b""


def test_a_read_is_shared_when_several_flood() -> None:
    buffer = ReadBuffer()
    assert len(buffer.take()) == 65536
    for _ in range(4):
        buffer.used(len(buffer.take()))
    buffer.turn()
    assert len(buffer.take()) == 16384
    buffer.used(10)
    buffer.turn()
    assert len(buffer.take()) == 65536


async def test_last_words_arrive_although_octets_were_unread() -> None:
    """Closing a socket with unread octets makes the kernel reset the connection, and what was written is lost."""
    async with two_ends() as (client, one, _, other):
        pause_reading(other)
        one.write(bytes(100_000))
        await asyncio.sleep(0)
        other.write(b"the reason")
        other.close()
        transport_of(other).resume_reading()
        await until(lambda: client.data == b"the reason")
        await until(lambda: bool(client.lost))
        assert client.lost == ["the peer closed the connection"]
        await other.lost


async def test_a_peer_that_reads_nothing_cannot_keep_a_connection_open() -> None:
    with nothing_left():
        async with two_ends() as (_, one, _, other):
            pause_reading(one)
            other.write(bytes(20_000_000))
            assert not other.can_write
            other.close(grace=0.01)
            async with asyncio.timeout(LIMIT):
                await other.lost


async def test_writing_pauses_and_goes_on() -> None:
    async with two_ends() as (client, one, server, other):
        pause_reading(other)
        one.write(bytes(20_000_000))
        can_write = [one.can_write]
        assert one.unsent > 0
        transport_of(other).resume_reading()
        await until(lambda: client.writable_again == 1)
        can_write.append(one.can_write)
        assert can_write == [False, True]
        await until(lambda: len(server.data) == 20_000_000)
        assert one.unsent == 0


async def test_a_reset_is_told_in_words() -> None:
    async with two_ends() as (client, _, _, other):
        other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        other.abort()
        await until(lambda: bool(client.lost))
        assert client.lost == ["connection reset by the peer"]


def test_reasons_in_words() -> None:
    assert words(None, "nothing") == "nothing"
    assert words(ConnectionRefusedError(111, "Connection refused")) == "connection refused"
    assert words(TimeoutError()) == "timed out"
    assert words(OSError(113, "No route to host")) == "no route to host"
    assert words(OSError(113, "Connect call failed ('192.0.2.1', 179)")) == "no route to host"
    assert words(ValueError("odd")) == "odd"
    assert words(ValueError()) == "ValueError"


# TCP MD5 -----------------------------------------------------------------------------------------


async def test_md5_with_the_same_password_on_both_sides() -> None:
    async with pair(password=SECRET) as (a, _, b, _):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)


@pytest.mark.parametrize("passive", [True, False], ids=["accepting", "connecting"])
@pytest.mark.parametrize("theirs", ["another", None], ids=["wrong", "none"])
@pytest.mark.rfc("2385", "2", "pybgp.tcp_options:set_md5_key", "another key, no connection")
async def test_md5_with_another_or_no_password(passive: bool, theirs: str | None) -> None:
    """Segments with the wrong signature, or none, are dropped by the kernel: nothing is ever established."""
    settings: dict[str, Any] = {"connect_timeout": 0.2, "connect_retry_max": 0.1}
    one = {"password": SECRET, "passive": passive, **settings}
    other = {"password": theirs, "passive": not passive, **settings}
    async with pair(one, other) as (a, a_at, b, b_at):
        failing, waiting, at = (b, a, a_at) if passive else (a, b, b_at)
        await until(
            lambda: "timed out" in failing.peers()[at].last_error or "no answer" in failing.peers()[at].last_error
        )
        assert not any(peer.established for one in (a, b) for peer in one.peers().values())
        assert waiting.peers()[b_at if waiting is a else a_at].state is State.ACTIVE


async def test_another_password_leaves_the_session_up() -> None:
    """The kernel signs with the new key at once; what the other side throws away meanwhile is sent again."""
    async with pair(password=SECRET) as (a, a_at, b, b_at):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
        for number, password in enumerate(("another one", "and another")):
            a.change_peer(b_at, password=password)
            a.announce(f"10.{number}.0.0/16", next_hop="192.0.2.1")
            await asyncio.sleep(0.3)  # signed with a key that b does not know yet
            assert b.peers()[a_at].routes_received == number
            b.change_peer(a_at, password=password)
            b.announce(f"10.{number}.0.0/16", next_hop="192.0.2.1")
            await until(lambda n=number: b.peers()[a_at].routes_received == n + 1)  # type: ignore[misc]
            await until(lambda n=number: a.peers()[b_at].routes_received == n + 1)  # type: ignore[misc]
        for one, other in ((a, b_at), (b, a_at)):
            assert (one.peers()[other].established, one.peers()[other].established_count) == (True, 1)


async def test_a_password_that_only_one_side_changes_ends_with_the_hold_time() -> None:
    async with pair(password=SECRET, hold_time=3, connect_retry_max=0.2, connect_timeout=0.2) as (a, a_at, b, b_at):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
        a.change_peer(b_at, password="another one")
        await until(lambda: not a.peers()[b_at].established)
        await until(lambda: not b.peers()[a_at].established)
        assert "hold time" in b.peers()[a_at].last_error or "hold" in a.peers()[b_at].last_error
        b.change_peer(a_at, password="another one")
        await a.established(timeout=LIMIT)


async def test_a_first_password_and_none_any_more_need_another_connection() -> None:
    async with pair(password=SECRET) as (a, a_at, b, b_at):
        for password in (None, SECRET):
            await a.established(timeout=LIMIT)
            await b.established(timeout=LIMIT)
            for one, other in ((a, b_at), (b, a_at)):
                one.change_peer(other, password=password, connect_timeout=0.2, connect_retry_max=0.2)
                assert not one.peers()[other].established
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)


async def test_a_password_serves_a_peer_that_is_added_later_and_goes_with_it() -> None:
    at, other = address(), address()
    async with speaker(at) as a:
        for password in (SECRET, "next"):
            add(a, at, other, password=password, passive=True)
            async with speaker(other, 2, listen=None) as b:
                add(b, other, at, password=password)
                await b.established(timeout=LIMIT)
            a.remove_peer(other)
        await asyncio.sleep(0)
        neighbour = await Neighbour.to(at, other)  # unsigned: answered, as that of any stranger
        assert isinstance(await neighbour.receive(), Notification)
        await neighbour.close()


async def test_without_the_key_nothing_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail closed: where the kernel has no TCP MD5, a peer with a password stays down and says why."""

    def refuse(*_: object) -> None:
        raise OSError(92, "the kernel refused the TCP MD5 key: Protocol not available")

    monkeypatch.setattr(tcp_options, "set_md5_key", refuse)
    at, other = address(), address()
    async with speaker(at) as a, speaker(other, 2) as b:
        events = a.events()
        add(a, at, other, password=SECRET)
        add(b, other, at)
        await until(lambda: "TCP MD5" in a.peers()[other].last_error)
        async with asyncio.timeout(LIMIT):
            async for event in events:
                if event.kind == "refused":
                    assert "TCP MD5" in event.reason
                    break
        assert not a.peers()[other].established


def test_a_password_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert SECRET not in repr(Security(SECRET))
    with pytest.raises(ConfigurationError) as caught:
        Speaker(local_as=1, bgp_identifier=1).add_peer("192.0.2.1", peer_as=1, password=SECRET * 10)
    assert SECRET not in str(caught.value)


async def test_a_password_is_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with pair(password=SECRET) as (a, _, b, b_at):
            await a.established(timeout=LIMIT)
            await b.established(timeout=LIMIT)
            assert SECRET not in repr(a.peer(b_at).config)
            a.change_peer(b_at, password="other")
            assert "other" not in caplog.text
    assert SECRET not in caplog.text
    assert "password" in caplog.text  # that it changed is told


def test_a_key_for_a_whole_prefix() -> None:
    """TCP_MD5SIG_EXT."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        tcp_options.set_md5_key(server, "127.7.0.0", SECRET, 16)
        tcp_options.set_md5_key(client, "127.0.0.1", SECRET)
        client.bind(("127.7.3.4", 0))
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()


def test_keys_that_cannot_be() -> None:
    with socket.socket() as sock:
        for password in ("", "x" * 81):
            with pytest.raises(OSError, match="1 to 80"):
                tcp_options.set_md5_key(sock, "127.0.0.1", password)
        tcp_options.set_md5_key(sock, "127.0.0.1", None)  # there was none: fine
        with pytest.raises(OSError, match="TCP MD5"):
            tcp_options.set_md5_key(sock, "2001:db8::1", SECRET)  # an IPv6 key on an IPv4 socket


# TTL security ------------------------------------------------------------------------------------


async def test_ttl_security_on_both_sides() -> None:
    async with pair(ttl_security=1) as (a, _, b, _):
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)


@pytest.mark.rfc("5082", "3", "pybgp.tcp_options:set_minimum_ttl", "a packet from farther away is not taken")
async def test_ttl_security_lets_nobody_from_farther_in() -> None:
    """The other side sends with TTL 64, as if it were 191 hops away."""
    one = {"ttl_security": 1, "passive": True}
    other = {"ttl": 64, "connect_timeout": 0.2, "connect_retry_max": 0.1}
    async with pair(one, other) as (a, a_at, b, b_at):
        await until(lambda: bool(b.peers()[a_at].last_error))
        assert not a.peers()[b_at].established


async def test_ttl_security_when_not_all_peers_of_a_socket_have_it() -> None:
    at, near, far = address(), address(), address()
    async with speaker(at) as a, speaker(near, 2, listen=None) as b, speaker(far, 3, listen=None) as c:
        add(a, at, near, passive=True, ttl_security=1)
        add(a, at, far, passive=True)
        add(b, near, at, ttl_security=1)
        add(c, far, at, ttl=3)
        await a.established(timeout=LIMIT)
        await until(lambda: b.peers()[at].established and c.peers()[at].established)


async def test_an_own_ttl() -> None:
    with socket.socket() as sock:
        Security(ttl=7).apply(sock, "127.0.0.1")
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 7
        Security(ttl_security=2).apply(sock, "127.0.0.1")
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 255
        assert sock.getsockopt(socket.IPPROTO_IP, tcp_options.IP_MINTTL) == 254
    with socket.socket(socket.AF_INET6) as sock:
        Security(ttl_security=1).apply(sock, "::1")
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 255
        assert sock.getsockopt(socket.IPPROTO_IPV6, tcp_options.IPV6_MINHOPCOUNT) == 255


# addresses ---------------------------------------------------------------------------------------


def test_addresses_with_a_scope() -> None:
    index = socket.if_nametoindex("lo")
    assert tcp_options.socket_address("192.0.2.1", 179) == ("192.0.2.1", 179)
    assert tcp_options.socket_address("2001:db8::1", 179) == ("2001:db8::1", 179, 0, 0)
    assert tcp_options.socket_address("fe80::1%lo", 179) == ("fe80::1", 179, 0, index)
    assert tcp_options.socket_address(f"fe80::1%{index}", 179) == ("fe80::1", 179, 0, index)
    assert tcp_options.packed_key("fe80::1%lo") == (b"\xfe\x80" + bytes(13) + b"\1", index)
    with pytest.raises(OSError, match="interface"):
        tcp_options.socket_address("fe80::1%nosuch0", 179)


async def test_a_peer_behind_an_interface_that_is_not_there_says_so() -> None:
    async with speaker("::1") as a:
        a.add_peer("fe80::1%nosuch0", peer_as=64512, connect_retry_time=0.05)
        await until(lambda: "interface" in a.peers()["fe80::1%nosuch0"].last_error)


async def test_md5_and_ttl_security_over_ipv6() -> None:
    async with speaker("::1", 1, port=0) as a, speaker("::1", 2, listen=None) as b:
        settings: dict[str, Any] = {"peer_as": 64512, "password": SECRET, "ttl_security": 1}
        a.add_peer("::1", passive=True, **settings)
        b.add_peer("::1", port=a.listening[0][1], **settings)
        await a.established(timeout=LIMIT)
        await b.established(timeout=LIMIT)
