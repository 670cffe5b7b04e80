"""Elements of sets and maps of our table, put in and taken out by messages of our own to nf_tables.

libnftables reads the names of all chains and sets anew for each transaction: some milliseconds, the more of them the
longer. What happens most often is that a member or a workload comes or goes, which is a few elements and nothing else:
for these the messages are written here (uapi/linux/netfilter/nf_tables.h), as one batch, which the kernel carries out
whole or not at all, as it does those of the library.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from calico_route.kernel.netlink import NLMSG_ERROR
from calico_route.kernel.socket import in_namespace

from .table import FAMILY, NAME, Command, Element

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWSETELEM, _DELSETELEM = _SUBSYSTEM | 12, _SUBSYSTEM | 14
_REQUEST, _ACK, _CREATE = 1, 4, 0x400
_NFPROTO_INET = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEM = 1
_KEY, _DATA = 1, 2
_VALUE, _VERDICT = 1, 2
_CODE, _CHAIN = 1, 2
_GOTO = -4 & 0xFFFFFFFF
_NESTED = 0x8000
_NAME_SIZE = 16  # IFNAMSIZ: a key of type ifname
_MOST = 500  # elements of one batch: a list of them has 16 bits for its length, and a socket some room
_PATIENCE = 10.0
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct(">BBH")


class Change(NamedTuple):
    """Elements of one set or map that come (`present`) or go. Those of a map are an interface and its chain."""

    name: str
    present: bool
    elements: tuple[tuple[bytes, str | None], ...]


def changes_of(commands: Iterable[Command]) -> list[Change] | None:
    """A transaction of the table as changes of elements; None where there is more to it, or too much."""
    found: list[Change] = []
    for command in commands:
        ((verb, what),) = command.items()
        one = what.get("element")
        if one is None or one["family"] != FAMILY or one["table"] != NAME:
            return None
        elements: list[tuple[bytes, str | None]] = []
        for element in one["elem"]:
            if isinstance(element, list):
                interface, verdict = element
                elements.append((_key(interface, named=True), verdict["goto"]["target"]))
            elif isinstance(element, dict):
                elements.append((_key(tuple(element["concat"])), None))
            else:
                elements.append((_key(element), None))
        found.append(Change(one["name"], verb == "add", tuple(elements)))
    return found if sum(len(change.elements) for change in found) <= _MOST else None


def _key(element: Element, *, named: bool = False) -> bytes:
    """As the kernel compares it: an address, a name with zeros up to its size, or one after the other."""
    if isinstance(element, tuple):
        interface, address = element
        return _key(interface, named=True) + _key(address)
    if named:
        return element.encode().ljust(_NAME_SIZE, b"\0")
    return socket.inet_pton(socket.AF_INET6 if ":" in element else socket.AF_INET, element)


class ElementSocket:
    """A socket to nf_tables in a network namespace. It blocks: for the thread of the transactions."""

    def __init__(self, netns: str | None) -> None:
        self._socket = in_namespace(netns, _open)

    def close(self) -> None:
        self._socket.close()

    def apply(self, changes: Iterable[Change]) -> None:
        """All or nothing. OSError with the kernel's reason."""
        messages = [_message(change) for change in changes]
        parts = [_framed(_BATCH_BEGIN, 0, 0, _GENERIC.pack(0, 0, 10))]
        parts += [_framed(kind, flags, number, body) for number, (kind, flags, body) in enumerate(messages, 1)]
        parts.append(_framed(_BATCH_END, 0, 0, _GENERIC.pack(0, 0, 10)))
        self._socket.sendto(b"".join(parts), (0, 0))
        waiting, refused = set(range(1, len(messages) + 1)), 0
        while waiting:
            data, at = self._socket.recv(1 << 16), 0
            while at + _HEADER.size <= len(data):
                length, kind, _, number, _ = _HEADER.unpack_from(data, at)
                if kind == NLMSG_ERROR:  # of one message, or (0) of the batch as a whole
                    code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
                    refused = refused or code
                    waiting.discard(number)
                    if number == 0 and code:
                        waiting.clear()
                at += (max(length, _HEADER.size) + 3) & ~3
        if refused:
            raise OSError(refused, os.strerror(refused))


def _open() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    made.settimeout(_PATIENCE)
    made.bind((0, 0))
    return made


def _message(change: Change) -> tuple[int, int, bytes]:
    listed = b"".join(
        _attribute(_LIST_ELEM | _NESTED, _element(key, chain if change.present else None))
        for key, chain in change.elements
    )
    body = _GENERIC.pack(_NFPROTO_INET, 0, 0)
    body += _attribute(_LIST_TABLE, NAME.encode() + b"\0") + _attribute(_LIST_SET, change.name.encode() + b"\0")
    body += _attribute(_LIST_ELEMENTS | _NESTED, listed)
    return (_NEWSETELEM, _CREATE, body) if change.present else (_DELSETELEM, 0, body)


def _element(key: bytes, chain: str | None) -> bytes:
    found = _attribute(_KEY | _NESTED, _attribute(_VALUE, key))
    if chain is not None:
        verdict = _attribute(_CODE, struct.pack(">I", _GOTO)) + _attribute(_CHAIN, chain.encode() + b"\0")
        found += _attribute(_DATA | _NESTED, _attribute(_VERDICT | _NESTED, verdict))
    return found


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def _framed(kind: int, flags: int, number: int, body: bytes) -> bytes:
    flags |= _REQUEST | (_ACK if number else 0)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body
