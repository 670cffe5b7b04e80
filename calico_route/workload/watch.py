"""Which interfaces vanish from the host: a namespace that goes takes the container's end along, and so the host's."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

from calico_route.kernel.netlink import LinkEvent, Parser

log = logging.getLogger(__name__)

_NETLINK_ROUTE = 0
_LINKS = 1  # RTMGRP_LINK
_READS = 64  # messages in one turn of the loop
_BUFFER = 1 << 20


class LinkWatch:
    """`vanished(name)` is called for each; None: some may have been missed, look at all."""

    def __init__(self, vanished: Callable[[str | None], None]) -> None:
        self._vanished = vanished
        self._parser = Parser()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Inside the event loop. OSError."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((0, _LINKS))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        assert self._socket is not None
        for _ in range(_READS):
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    log.error("cannot listen to the kernel: %s; vanished containers go unnoticed", error.strerror)
                    self.close()
                    return
                self._vanished(None)
                continue
            for event in self._parser.parse(data).events:
                if isinstance(event, LinkEvent) and not event.present:
                    self._vanished(event.link.name)
