"""A TCP proxy that can refuse, and can cut a connection after so many octets of the server's answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """`limits` are used up one a connection; without any left connections are not cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.limits: list[int] = []
        self.cuts = 0
        self.refusing = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if not self.refusing:
                await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # cut, from whatever side
        finally:
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        limit = self.limits.pop(0) if self.limits else None
        upward = asyncio.ensure_future(_copy(reader, server_writer, None))
        try:
            if not await _copy(server_reader, writer, limit):
                self.cuts += 1
        finally:
            upward.cancel()
            server_writer.transport.abort()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await upward


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> bool:
    """Copy until the end (True) or until the limit is passed (False)."""
    copied = 0
    while part := await reader.read(1 << 16):
        copied += len(part)
        if limit is not None and copied > limit:
            return False
        writer.write(part)
        await writer.drain()
    return True


@contextlib.asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
