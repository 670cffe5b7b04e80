"""Speakers on loopback addresses, and a hand-driven neighbour for what no proper speaker does."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pybgp import CodecContext, PeerConfig, Speaker, accept_all
from pybgp.fsm.negotiation import make_open
from pybgp.messages import Keepalive, Message, decode_message, encode_message
from pybgp.messages.framing import Framer

_numbers = itertools.count(1)
LIMIT = 20.0
"""Seconds after which a test gives up; nothing waits this long when all is well."""


def address() -> str:
    """A loopback address that no other test of this process uses."""
    number = next(_numbers)
    return f"127.{64 + os.getpid() % 128}.{number // 250}.{number % 250 + 1}"


def speaker(at: str, number: int = 1, *, local_as: int = 64512, port: int = 1790, **settings: Any) -> Speaker:
    settings.setdefault("import_policy", accept_all)
    settings.setdefault("export_policy", accept_all)
    return Speaker(
        local_as=local_as, bgp_identifier=0xC0000200 + number, listen=settings.pop("listen", at), port=port, **settings
    )


@asynccontextmanager
async def pair(
    one: dict[str, Any] | None = None, other: dict[str, Any] | None = None, **both: Any
) -> AsyncIterator[tuple[Speaker, str, Speaker, str]]:
    """Two speakers that know each other: a, a's address, b, b's address. `both` are settings of the peers."""
    a_at, b_at = address(), address()
    async with speaker(a_at, 1) as a, speaker(b_at, 2) as b:
        connect(a, a_at, b_at, **{**both, **(one or {})})
        connect(b, b_at, a_at, **{**both, **(other or {})})
        yield a, a_at, b, b_at


def connect(a: Speaker, a_at: str, b_at: str, **settings: Any) -> None:
    settings = {"peer_as": 64512, "local_address": a_at, "port": 1790, "connect_retry_time": 0.05, **settings}
    a.add_peer(b_at, **settings)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no event tells; fails after `LIMIT`."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  polled: it is a state of several parts
            await asyncio.sleep(0.005)


@contextmanager
def nothing_left() -> Iterator[None]:
    """No task and no file descriptor more after than before."""
    tasks, files = asyncio.all_tasks(), set(os.listdir("/proc/self/fd"))
    yield
    assert asyncio.all_tasks() == tasks
    assert set(os.listdir("/proc/self/fd")) <= files


class Neighbour:
    """A BGP neighbour of which the test says every word."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = Framer(65535)
        self._messages: list[tuple[int, bytes]] = []
        self.context = CodecContext(four_octet_as=True, internal=True)

    @classmethod
    async def to(cls, at: str, source: str, port: int = 1790) -> Neighbour:
        return cls(*await asyncio.open_connection(at, port, local_addr=(source, 0), limit=2048))

    def send(self, message: Message) -> None:
        self.writer.write(encode_message(message, self.context))

    async def receive(self) -> Message | None:
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(LIMIT):
            while not self._messages:
                data = await self.reader.read(65536)
                if not data:
                    return None
                self._messages += self._framer.feed(data)
            kind, body = self._messages.pop(0)
            return decode_message(kind, body, self.context)

    async def establish(self, **settings: Any) -> None:
        """Up to the KEEPALIVE that makes the session established on the other side."""
        settings.setdefault("graceful_restart", False)
        config = PeerConfig(address="192.0.2.1", peer_as=64512, local_as=64512, bgp_identifier=0xC00002FE, **settings)
        self.send(make_open(config))
        await self.receive()
        self.send(Keepalive())
        await self.receive()

    def reset(self) -> None:
        """End it with a TCP reset."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()


def small_buffers(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
