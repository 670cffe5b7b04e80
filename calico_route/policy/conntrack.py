"""The kernel's table of connections (ctnetlink): which there are between some addresses, and their end.

A connection is known by the packet that began it; behind address translation its destination is whoever answers, which
is what the rules in `forward` have seen.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from calico_route.kernel.socket import KernelError, in_namespace

from .model import Flow

_NETLINK_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP = 1, 4, 0x300
_HEADER = struct.Struct("=IHHII")
_NFGENMSG = struct.Struct("=BBH")
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE = 1, 2, 12, 18
_NESTED = 0x8000
_BATCH = 100  # deletions in one send: their answers have to fit into the socket
_FEW = 32  # addresses that are looked for octet by octet before a message is taken apart
_PATIENCE = 10.0


class Connection(NamedTuple):
    """`identity` is what the kernel needs to find it again."""

    flow: Flow
    family: int
    identity: bytes


class Conntrack:
    """Blocking: for a thread. KernelError where the kernel refuses."""

    def __init__(self, netns: str | None = None) -> None:
        self._netns = netns
        self._socket: socket.socket | None = None
        self._sequence = 0

    def of(self, addresses: Collection[str]) -> list[Connection]:
        """The connections that begin or end at one of these addresses."""
        raw = [ip_address(address).packed for address in addresses]
        wanted = set(addresses)
        found = []
        for message in self._ask(_GET, _REQUEST | _DUMP, _NFGENMSG.pack(0, 0, 0)):
            if len(raw) <= _FEW and not any(one in message for one in raw):
                continue
            connection = read_connection(message)
            if connection is None:
                continue
            if connection.flow.source in wanted or connection.flow.destination in wanted:
                found.append(connection)
        return found

    def delete(self, connections: Iterable[Connection]) -> int:
        """End these; how many were still there."""
        deleted = 0
        batch: list[Connection] = []
        for connection in connections:
            batch.append(connection)
            if len(batch) == _BATCH:
                deleted += self._delete(batch)
                batch = []
        return deleted + (self._delete(batch) if batch else 0)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        if self._socket is None:
            try:
                self._socket = in_namespace(self._netns, _open)
            except OSError as error:
                raise KernelError(f"can't read the table of connections: {error}") from error
        return self._socket

    def _delete(self, batch: list[Connection]) -> int:
        handle = self._open()
        packed = b""
        for connection in batch:
            self._sequence += 1
            body = _NFGENMSG.pack(connection.family, 0, 0) + connection.identity
            packed += _HEADER.pack(_HEADER.size + len(body), _DELETE, _REQUEST | _ACK, self._sequence, 0) + body
        deleted, answers = 0, 0
        try:
            handle.send(packed)
            while answers < len(batch):
                for kind, sequence, body in _messages(handle.recv(1 << 16)):
                    if kind != _ERROR or sequence <= self._sequence - len(batch):
                        continue
                    answers += 1
                    code = -struct.unpack_from("=i", body)[0]
                    if code not in (0, errno.ENOENT):
                        raise KernelError(f"a connection could not be ended: {os.strerror(code)}")
                    deleted += code == 0
        except OSError as error:
            self.close()
            raise KernelError(f"connections could not be ended: {error}") from error
        return deleted

    def _ask(self, kind: int, flags: int, body: bytes) -> Iterator[bytes]:
        handle = self._open()
        self._sequence += 1
        try:
            handle.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
            while True:
                for answer, sequence, content in _messages(handle.recv(1 << 18)):
                    if sequence != self._sequence:
                        continue
                    if answer == _DONE:
                        return
                    if answer == _ERROR:
                        code = -struct.unpack_from("=i", content)[0]
                        raise KernelError(f"the table of connections can't be read: {os.strerror(code)}")
                    yield content
        except OSError as error:
            self.close()
            raise KernelError(f"the table of connections can't be read: {error}") from error


def _open() -> socket.socket:
    handle = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    handle.settimeout(_PATIENCE)
    handle.bind((0, 0))
    return handle


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, sequence number and content."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        yield kind, sequence, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def read_connection(message: bytes) -> Connection | None:
    """The connection in a message of ctnetlink, None for one without addresses."""
    attributes = _attributes(message[_NFGENMSG.size :])
    original, reply = attributes.get(_TUPLE_ORIG), attributes.get(_TUPLE_REPLY)
    if original is None or reply is None:
        return None
    source, _, protocol = _tuple(original)
    answerer, _, answering = _tuple(reply)
    number = protocol.get(1, b"\0")[0]
    if source is None or answerer is None:
        return None
    kind, code = protocol.get(5) or protocol.get(8), protocol.get(6) or protocol.get(9)
    flow = Flow(
        source,
        answerer,
        number,
        _port(protocol.get(2)),
        _port(answering.get(2)),
        kind[0] if kind else None,
        code[0] if code else None,
    )
    identity = _attribute(_TUPLE_ORIG | _NESTED, original)
    for name in (_ID, _ZONE):
        if name in attributes:
            identity += _attribute(name, attributes[name])
    return Connection(flow, message[0], identity)


def _tuple(data: bytes) -> tuple[str | None, str | None, dict[int, bytes]]:
    parts = _attributes(data)
    addresses = _attributes(parts.get(1, b""))
    source, destination = addresses.get(1) or addresses.get(3), addresses.get(2) or addresses.get(4)
    return _address(source), _address(destination), _attributes(parts.get(2, b""))


def _address(raw: bytes | None) -> str | None:
    return None if raw is None else str(ip_address(raw))


def _port(raw: bytes | None) -> int | None:
    return None if raw is None else int.from_bytes(raw, "big")


def _attribute(kind: int, content: bytes) -> bytes:
    padding = b"\0" * (-len(content) % 4)
    return struct.pack("=HH", 4 + len(content), kind) + content + padding
