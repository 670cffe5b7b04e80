"""Hears of changes to our table that somebody else has made: NFNLGRP_NFTABLES of nfnetlink.

The kernel tells each transaction's changes and then, in NFT_MSG_NEWGEN, the name of the thread that made it. Messages
that were lost (a full socket) are reported as a change: only a comparison tells what they said.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Iterator

from calico_route.kernel.socket import KernelError, in_namespace

from .table import NAME

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1
_NFNLGRP_NFTABLES = 7
_SUBSYSTEM = 10
_NEWGEN = 15
_TABLE = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, …: the same for all that we listen to
_GEN_PROC_NAME = 3
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER = 1 << 22
_HEADER = struct.Struct("=IHHII")
_NFGENMSG = 4


class ChangeListener:
    """Calls `changed` with the name of who did it, "" where that is not known. `ours` tells our own names."""

    def __init__(self, netns: str | None, ours: Callable[[str], bool], changed: Callable[[str], None]) -> None:
        self._netns, self._ours, self._changed = netns, ours, changed
        self._socket: socket.socket | None = None
        self._touched = False

    def open(self) -> None:
        """Inside the event loop. KernelError where the kernel has no such events for us."""
        try:
            self._socket = in_namespace(self._netns, _open)
        except OSError as error:
            raise KernelError(f"can't listen to changes of nftables: {error}") from error
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._changed("")
            return
        for kind, body in _messages(data):
            attributes = dict(_attributes(body[_NFGENMSG:]))
            if kind == _NEWGEN:
                who = attributes.get(_GEN_PROC_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
                if self._touched and not self._ours(who):
                    self._changed(who)
                self._touched = False
            elif attributes.get(_TABLE, b"").rstrip(b"\0") == NAME.encode():
                self._touched = True


def _open() -> socket.socket:
    handle = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
    )
    try:
        handle.bind((0, 0))
        handle.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
        try:
            handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    except BaseException:
        handle.close()
        raise
    return handle


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each message of nftables."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        if kind >> 8 == _SUBSYSTEM and length >= _HEADER.size + _NFGENMSG:
            yield kind & 0xFF, data[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4 or at + length > len(data):
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3
