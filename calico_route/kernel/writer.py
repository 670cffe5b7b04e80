"""Carries planned work out: messages, batches, and whose refusal is whose."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import NamedTuple

from .netlink import ADD, DELETE, REPLACE, RTM_DELROUTE, RTM_NEWROUTE
from .packer import RoutePacker, probe
from .socket import KernelError, RouteSocket, in_namespace
from .work import Op, Work

Answers = dict[tuple[bytes, bool], tuple[int, str]]  # (destination, deletion) -> (errno, words)

_MESSAGES = {
    Op.ADD: (RTM_NEWROUTE, ADD, True),
    Op.REPLACE: (RTM_NEWROUTE, REPLACE, True),
    Op.DELETE: (RTM_DELROUTE, DELETE, False),
    Op.DELETE_EXACT: (RTM_DELROUTE, DELETE, True),
}


class Written(NamedTuple):
    """What the kernel is working on, or will be; `nlri` are all of its destinations."""

    works: list[Work]
    nlri: frozenset[bytes]
    answer: Future[Answers]


class Writer:
    def __init__(self, table: int, protocol: int, netns: str | None) -> None:
        self._packer = RoutePacker(table, protocol)
        self._netns = netns
        self._socket: RouteSocket | None = None
        self._executor: ThreadPoolExecutor | None = None

    def open(self, metrics: Mapping[int, int]) -> int:
        """Open the socket, for routes mostly of this metric, by AFI; gives its netlink port.

        Raises KernelError, also where routes can't be changed.
        """
        if find_spec("pyroute2") is None:
            raise KernelError("pyroute2 is missing, which writes the kernel's routes: pip install 'pybgp[calico]'")
        self._socket = in_namespace(self._netns, RouteSocket)
        for refusal in self._socket.send([probe(self._packer.table, self._packer.protocol)]):
            if refusal.errno in (errno.EPERM, errno.EACCES):
                self._socket.close()
                self._socket = None
                raise KernelError(
                    "routes can't be changed here: that needs CAP_NET_ADMIN (be root, or root of a user "
                    "namespace: unshare --user --map-root-user --net)"
                )
        self._thread().submit(self._packer.warm, metrics)
        return self._socket.port

    def _thread(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="netlink")
        return self._executor

    def pack(self, afi: int, works: Sequence[Work]) -> list[bytes]:
        """The messages of all works, in order, in as few sends as is good."""
        assert self._socket is not None
        batches: list[bytes] = []
        parts: list[bytes] = []
        free = 1.0  # the part of the batch that is not taken yet
        for work in works:
            kind, flags, exact = _MESSAGES[work.op]
            size = len(self._packer.pack(kind, flags, afi, work.spec, work.nlri[:1], exact=exact))
            fit = self._socket.fit(size)
            position = 0
            while position < len(work.nlri):
                room = int(free * fit)
                if not room and parts:
                    batches.append(b"".join(parts))
                    parts, free = [], 1.0
                    continue
                chunk = work.nlri[position : position + max(1, room)]
                parts.append(self._packer.pack(kind, flags, afi, work.spec, chunk, exact=exact))
                free -= len(chunk) / fit
                position += len(chunk)
        if parts:
            batches.append(b"".join(parts))
        return batches

    def write(self, batches: list[bytes]) -> Answers:
        """Write now. Raises Overrun where answers were lost, KernelError where nothing can be written."""
        if self._socket is None:
            raise KernelError("the kernel's routes are not open")
        answers: Answers = {}
        for refusal in self._socket.send(batches):
            if refusal.request is not None:
                words = refusal.reason or os.strerror(refusal.errno)
                answers[refusal.request.nlri, not refusal.request.present] = (refusal.errno, words)
        return answers

    def write_aside(self, works: list[Work], batches: list[bytes], answered: Callable[[], None]) -> Written:
        """Write in a thread of its own: the kernel's part is most of the time, and it may wait for a lock.

        Writes end in the order in which they came; `answered` is called in the event loop after each.
        """
        loop = asyncio.get_running_loop()
        answer = self._thread().submit(self.write, batches)
        answer.add_done_callback(lambda _: loop.call_soon_threadsafe(answered))
        return Written(works, frozenset().union(*(work.nlri for work in works)), answer)

    def close(self) -> None:
        if self._executor is not None:
            executor, self._executor = self._executor, None
            executor.shutdown()  # waits for a write that is under way: milliseconds
        if self._socket is not None:
            self._socket.close()
            self._socket = None
