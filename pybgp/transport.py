"""TCP for BGP on asyncio: bounded reads, writes with back-pressure, connecting and listening.

Nothing here knows BGP messages: bytes, addresses and socket options only.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from pybgp import tcp_options
from pybgp.link_local import link_local_beside

READ_SIZE = 65536
"""Octets that one read may take. More is tens of milliseconds of work at once: too long for other peers."""
HIGH_WATER = 131072
"""Octets waiting in user space above which nothing more is pulled from the Adj-RIB-Out."""
CLOSE_GRACE = 2.0
"""Seconds that a closing connection may still take to deliver its last message."""
BACKLOG = 512
"""Connections that wait to be accepted. Where hundreds come at once (all dynamic peers after a restart of ours) a
shorter queue overflows, and the kernel resets who had thought to be connected."""


@dataclass(frozen=True, slots=True)
class Security:
    """What protects a connection: the TCP MD5 password (never shown), the TTL rules, the interface it must use."""

    password: str | None = field(default=None, repr=False)
    ttl_security: int | None = None
    ttl: int | None = None
    interface: str | None = None

    def apply(self, sock: socket.socket, address: str) -> None:
        """Before connecting, or to a connection that was accepted: the key that it has from the listening socket is
        that of the moment when it came, which may be an older one. Raises OSError: without its protection there is
        no connection."""
        if self.password is not None:
            tcp_options.set_md5_key(sock, address, self.password)
        if self.interface is not None:
            tcp_options.bind_to_device(sock, self.interface)
        if self.ttl_security is not None:
            tcp_options.set_ttl_security(sock, self.ttl_security)
        elif self.ttl is not None:
            tcp_options.set_ttl(sock, self.ttl)


class ConnectionOwner(Protocol):
    """Who is told what happens on a connection; all calls come from the event loop."""

    def connection_made(self, connection: Connection) -> None: ...
    def data_received(self, connection: Connection, data: bytes) -> None: ...
    def connection_lost(self, connection: Connection, reason: str) -> None: ...
    def writable(self, connection: Connection) -> None: ...


class ReadBuffer:
    """One read buffer for all connections of a speaker: the loop reads them one after the other.

    When several peers flood at once, each read takes less, so that a turn of the loop stays short.
    """

    __slots__ = ("_full", "_size", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_SIZE))
        self._size = READ_SIZE
        self._full = 0

    def take(self) -> memoryview:
        return self.view[: self._size]

    def used(self, count: int) -> bytes:
        if count == self._size:
            self._full += 1
        return bytes(self.view[:count])

    def turn(self) -> None:
        """A turn of the loop is over: share the next one among those who filled their part."""
        self._size = max(4096, READ_SIZE // max(1, self._full))
        self._full = 0


class Connection(asyncio.BufferedProtocol):
    """One TCP connection."""

    def __init__(self, owner: ConnectionOwner, buffer: ReadBuffer, *, incoming: bool) -> None:
        self.owner = owner
        self.incoming = incoming
        self.can_write = False
        self.local_address = self.remote_address = ""
        self.link_local = ""  # of the same interface, where the peer is on it (RFC 2545)
        self.remote_octets = b""
        self.remote_scope = 0
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._deaf = False
        self._close_timer: asyncio.TimerHandle | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def remote_name(self) -> str:
        """The remote address as settings name it, with the interface of a link-local one. OSError if that is gone."""
        scope = f"%{socket.if_indextoname(self.remote_scope)}" if self.remote_scope else ""
        return self.remote_address + scope

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        sock = self.socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        local, remote = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if not local or not remote:  # the peer was gone before we looked
            self._deaf = True
            self._transport.abort()
            return
        self.local_address = local[0].partition("%")[0]
        self.remote_address = remote[0].partition("%")[0]
        self.link_local = link_local_beside(self.local_address, self.remote_address)
        self.remote_octets = socket.inet_pton(sock.family, self.remote_address)
        self.remote_scope = remote[3] if len(remote) > 3 else 0
        self.can_write = True
        self.owner.connection_made(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer.take()

    def buffer_updated(self, nbytes: int) -> None:
        data = self._buffer.used(nbytes)
        if not self._deaf:
            self.owner.data_received(self, data)

    def eof_received(self) -> bool:
        self._tell_lost("the peer closed the connection")  # now: asyncio says so only when all is cleaned up
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.can_write = False
        if self._close_timer is not None:
            self._close_timer.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
        self._tell_lost(words(exc, "the peer closed the connection"))

    def _tell_lost(self, reason: str) -> None:
        if not self._deaf:
            self._deaf = True
            self.can_write = False
            self.owner.connection_lost(self, reason)

    def pause_writing(self) -> None:
        self.can_write = False

    def resume_writing(self) -> None:
        self.can_write = True
        if not self._deaf:
            self.owner.writable(self)

    # the owner's side

    @property
    def socket(self) -> socket.socket:
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    @property
    def unsent(self) -> int:
        """Octets that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self, grace: float = CLOSE_GRACE) -> None:
        """Deliver what was written, then close; the owner hears no more of this connection.

        Our side is shut first and what still comes is read and dropped: closing with unread octets
        would make the kernel send a reset, and the peer might never see our NOTIFICATION.
        """
        self._deaf = True
        transport = self._transport
        if transport is None or transport.is_closing() or self._close_timer is not None:
            return
        try:
            transport.write_eof()
        except OSError:  # the peer was faster
            transport.abort()
            return
        self._close_timer = asyncio.get_running_loop().call_later(grace, transport.abort)

    def abort(self) -> None:
        self._deaf = True
        if self._transport is not None:
            self._transport.abort()


def words(error: BaseException | None, otherwise: str = "") -> str:
    """The reason in words, for people."""
    if error is None:
        return otherwise
    if isinstance(error, TimeoutError) and not getattr(error, "errno", None):
        return "timed out"
    if isinstance(error, OSError) and error.errno is not None:
        known = {errno.ECONNREFUSED: "connection refused", errno.ECONNRESET: "connection reset by the peer"}
        text = error.strerror or ""
        if not text or text.startswith("Connect call failed"):  # asyncio puts its own words over the kernel's
            text = os.strerror(error.errno)
        return known.get(error.errno, text[:1].lower() + text[1:])
    return str(error) or type(error).__name__


async def connect(
    owner: ConnectionOwner,
    buffer: ReadBuffer,
    address: str,
    port: int,
    *,
    local_address: str | None,
    security: Security,
) -> Connection:
    """Connect to a literal address. Raises OSError with the reason; a caller sets the time limit."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(tcp_options.address_family(address), socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        security.apply(sock, address)
        if local_address is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(tcp_options.socket_address(local_address, 0))
        await loop.sock_connect(sock, tcp_options.socket_address(address, port))
        _, connection = await loop.create_connection(lambda: Connection(owner, buffer, incoming=False), sock=sock)
    except BaseException:
        sock.close()
        raise
    return connection


class Listener:
    """One listening socket, shared by all peers whose address has its family."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.refused_keys: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._range_keys: dict[str, str] = {}
        self._refused_ranges: dict[str, str] = {}
        self._server: asyncio.Server | None = None
        self._sock = self._bind()

    def _bind(self) -> socket.socket:
        family = tcp_options.address_family(self.address)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(tcp_options.socket_address(self.address, self.port))
            self.port = sock.getsockname()[1]
        except OSError as error:
            sock.close()
            text = f"cannot listen on {self.address} port {self.port}: {words(error)}"
            raise OSError(error.errno, text) from error
        return sock

    async def start(self, make: Callable[[], Connection]) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(make, sock=self._sock, backlog=BACKLOG)

    @property
    def keyed(self) -> set[str]:
        """Addresses for which a key is set, or should be."""
        return self._keys.keys() | self.refused_keys.keys()

    def serves(self, address: str) -> bool:
        return tcp_options.address_family(address) == self._sock.family

    def set_password(self, address: str, password: str | None) -> None:
        """The TCP MD5 key for an address. Fails closed: see `refuses`."""
        if not self.serves(address) or self._keys.get(address) == password:
            return
        self.refused_keys.pop(address, None)
        try:
            tcp_options.set_md5_key(self._sock, address, password)
        except OSError as error:
            self._keys.pop(address, None)
            if password is not None:
                self.refused_keys[address] = words(error)
            return
        if password is None:
            self._keys.pop(address, None)
        else:
            self._keys[address] = password

    def refuses(self, address: str, password: str | None) -> str | None:
        """Why a connection accepted from this address is not protected as it must be, or None."""
        if password is None or self._keys.get(address) == password:
            return None
        return self.refused_keys.get(address, "the TCP MD5 key is not set on the listening socket")

    def set_range_passwords(self, wanted: Mapping[str, str | None]) -> None:
        """The keys of whole prefixes ("10.0.0.0/8"); those of others go. Fails closed: see `refuses_range`."""
        keys = {prefix: password for prefix, password in wanted.items() if password is not None}
        for prefix in [one for one in self._range_keys if one not in keys]:
            self._set_range_password(prefix, None)
        for prefix, password in keys.items():
            if self._range_keys.get(prefix) != password:
                self._set_range_password(prefix, password)

    def _set_range_password(self, prefix: str, password: str | None) -> None:
        address, _, length = prefix.partition("/")
        self._range_keys.pop(prefix, None)
        self._refused_ranges.pop(prefix, None)
        try:
            tcp_options.set_md5_key(self._sock, address, password, int(length))
        except OSError as error:
            if password is not None:
                self._refused_ranges[prefix] = words(error)
        else:
            if password is not None:
                self._range_keys[prefix] = password

    def refuses_range(self, prefix: str, password: str | None) -> str | None:
        """Why a connection from this range is not protected as it must be, or None."""
        if password is None or self._range_keys.get(prefix) == password:
            return None
        return self._refused_ranges.get(prefix, "the TCP MD5 key of the range is not set on the listening socket")

    def set_ttl_rules(self, minimum_ttl: int) -> None:
        """Answers go out with TTL 255, which TTL security on the other side wants to see in the SYN-ACK."""
        tcp_options.set_ttl(self._sock, 255)
        tcp_options.set_minimum_ttl(self._sock, minimum_ttl)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._sock.close()
