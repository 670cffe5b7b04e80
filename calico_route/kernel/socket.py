"""The netlink sockets: one that writes routes in batches, one that listens, and short-lived ones for dumps.

The kernel works through everything that one send holds before the send returns, so nothing is asked to
be acknowledged: what it refused, and only that, is there to be read right after, each refusal with the
message it refuses (netlink(7)). A batch is small enough for all its refusals to fit into the socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

from .netlink import (
    HEADER,
    RTM_DELROUTE,
    RTM_NEWROUTE,
    Event,
    Parser,
    Refusal,
    pack_dump,
)

T = TypeVar("T")

BATCH_ROUTES = 2000  # messages in one send at most; fewer where their refusals would not fit
BATCH_BYTES = 131072
_NETLINK_ROUTE = 0
_SOL_NETLINK = 270
_NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 11, 12
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_CLONE_NEWNET = 0x40000000
_GROUPS = (1, 5, 7, 9, 11)  # links, IPv4 addresses, IPv4 routes, IPv6 addresses, IPv6 routes


class KernelError(Exception):
    """The kernel's routing table can't be read or written: what, why and what to do."""


class Overrun(Exception):
    """Messages were lost because the socket was full; only a full comparison tells what they said."""


def in_namespace(path: str | None, make: Callable[[], T]) -> T:
    """Call `make` inside a network namespace: sockets stay in the one they were made in.

    `path` is a name as of `ip netns` or a file (`/proc/PID/ns/net`); None is the process's own.
    The namespace of a thread is its own, so a short-lived thread enters and the process stays outside.
    """
    if path is None:
        return make()
    file = path if "/" in path else f"/run/netns/{path}"
    result: list[T] = []
    failure: list[BaseException] = []

    def enter() -> None:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
            finally:
                os.close(descriptor)
            result.append(make())
        except BaseException as error:  # noqa: BLE001 - handed over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if failure:
        if isinstance(failure[0], OSError):
            raise KernelError(f"can't enter the network namespace {path}: {failure[0]}") from failure[0]
        raise failure[0]
    return result[0]


def _open(receive_buffer: int, groups: int = 0) -> socket.socket:
    try:
        handle = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, _NETLINK_ROUTE
        )
    except OSError as error:
        raise KernelError(f"can't open a netlink socket: {error}") from error
    try:
        handle.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
    except OSError:  # needs CAP_NET_ADMIN in the first user namespace; the limit of everybody is less
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    for option in (_NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
        with contextlib.suppress(OSError):  # before Linux 4.12 and 4.20: fewer words, more to sift
            handle.setsockopt(_SOL_NETLINK, option, 1)
    handle.bind((0, groups))
    return handle


class RouteSocket:
    """Writes routes. Not for use from two threads at once."""

    def __init__(self, receive_buffer: int = 1 << 21) -> None:
        self._socket = _open(receive_buffer)
        self._socket.setblocking(True)
        self._parser = Parser()
        self.port: int = self._socket.getsockname()[0]
        self._room: int = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def fit(self, size: int) -> int:
        """How many messages of a size one send may hold: the refusals of all of them have to fit."""
        return max(1, min(BATCH_ROUTES, BATCH_BYTES // size, self._room // (1024 + 2 * size)))

    def send(self, batches: list[bytes]) -> list[Refusal]:
        """Send batches of messages, one send each, and give the refusals of all of them.

        Raises Overrun if the refusals did not fit (all batches have been sent then), KernelError if the
        kernel does not take messages at all.
        """
        refusals: list[Refusal] = []
        overrun = False
        for batch in batches:
            try:
                self._socket.send(batch)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError(f"can't write routes: {error}") from error
                overrun = True
            while True:
                try:
                    data = self._socket.recv(65536, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno != errno.ENOBUFS:
                        raise KernelError(f"can't read the answer to written routes: {error}") from error
                    overrun = True
                    continue
                refusals += self._parser.parse(data).refusals
        if overrun:
            raise Overrun
        return refusals

    def close(self) -> None:
        self._socket.close()


class Dump:
    """One dump, read bit by bit so that the caller can do other things in between."""

    def __init__(self, kind: int, parser: Parser, *, afi: int = 0, table: int = 0) -> None:
        self._socket = _open(1 << 18)
        self._parser = parser
        self.done = False
        self.interrupted = False
        self._socket.send(pack_dump(kind, 1, afi, table))

    def read(self) -> list[Event]:
        """The next part. The kernel makes it during the call, so this never waits. Raises KernelError."""
        try:
            data = self._socket.recv(1 << 18)
        except OSError as error:
            raise KernelError(f"can't read the kernel's tables: {error}") from error
        parsed = self._parser.parse(data)
        for refusal in parsed.refusals:
            words = refusal.reason or os.strerror(refusal.errno)
            raise KernelError(f"can't read the kernel's tables: {words}")
        self.done = self.done or parsed.done
        self.interrupted = self.interrupted or parsed.interrupted
        return parsed.events

    def close(self) -> None:
        self._socket.close()


class MonitorSocket:
    """Listens to links, addresses and the routes of one table, leaving out what the writer itself did."""

    def __init__(self, table: int, writer_port: int, receive_buffer: int = 1 << 23) -> None:
        self._socket = _open(receive_buffer, sum(1 << (group - 1) for group in _GROUPS))
        self._attach_filter(table, writer_port)
        self._parser = Parser()

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self, limit: int = 256) -> list[Event]:
        """What has happened, `limit` messages at most; an empty list: nothing more. Raises Overrun."""
        events: list[Event] = []
        for _ in range(limit):
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise KernelError(f"can't listen to the kernel: {error}") from error
                raise Overrun from error
            events += self._parser.parse(data).events
        return events

    def close(self) -> None:
        self._socket.close()

    def _attach_filter(self, table: int, writer_port: int) -> None:
        """Have the kernel drop, before they cost anything, echoes of our own writing and other tables."""

        def native(form: str, value: int) -> int:  # a filter reads big-endian, netlink is written native
            return int.from_bytes(struct.pack(form, value), "big")

        load_half, load_word, load_byte, equal, give = 0x28, 0x20, 0x30, 0x15, 0x06
        program = [
            (load_half, 0, 0, 4),  # 0: nlmsg_type
            (equal, 1, 0, native("=H", RTM_NEWROUTE)),  # 1: -> 3
            (equal, 0, 5, native("=H", RTM_DELROUTE)),  # 2: -> 3, else accept
            (load_word, 0, 0, 12),  # 3: nlmsg_pid
            (equal, 4, 0, native("=I", writer_port)),  # 4: ours -> drop
            (load_byte, 0, 0, HEADER.size + 4),  # 5: rtm_table
            (equal, 1, 0, table if table <= 255 else 252),  # 6: RT_TABLE_COMPAT: its number is an attribute
            (equal, 0, 1, table if table <= 255 else 0),  # 7: else drop
            (give, 0, 0, 0xFFFFFFFF),  # 8: accept
            (give, 0, 0, 0),  # 9: drop
        ]
        code = b"".join(struct.pack("=HBBI", *step) for step in program)
        buffer = ctypes.create_string_buffer(code, len(code))
        descriptor = struct.pack("HP", len(program), ctypes.addressof(buffer))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
        except OSError as error:
            raise KernelError(f"can't leave our own routes out of what we listen to: {error}") from error
