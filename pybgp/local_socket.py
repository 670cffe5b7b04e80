"""A Unix socket to listen on, for those on the same host who may open its file.

Nobody who connects can hurt the process: lines, clients and waiting are bounded, and one that does not read is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from abc import ABC, abstractmethod
from pathlib import Path

LONGEST_REQUEST = 4096
MOST_CLIENTS = 16
PATIENCE = 5.0
"""Seconds that a client may take to read an answer."""


class LocalSocket(ABC):
    """The listening side, at `path`, its file with `mode`. `what` is the name of the process in errors: "agent"."""

    most_clients = MOST_CLIENTS
    longest_request = LONGEST_REQUEST  # octets, where `talk` reads lines

    def __init__(self, path: Path, *, what: str = "process", mode: int = 0o600) -> None:
        self.path = path
        self.what = what
        self._mode = mode
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen. OSError, also when another process answers there."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _answers(self.path):
            raise OSError(f"another {self.what} answers on {self.path}")
        _clear(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The socket is born with its mode: there is no moment in which others could connect.
            before = os.umask(0o777 & ~self._mode)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(before)
            self._inode = self.path.lstat().st_ino
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=self.longest_request)
        except BaseException:
            listener.close()
            raise

    async def close(self) -> None:
        """Stop listening, drop the clients and remove the socket."""
        if self._server is None:
            return
        self._closed = True
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:  # else it is that of another process by now
                self.path.unlink()

    @abstractmethod
    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it goes. What it raises of OSError and TimeoutError ends this client alone."""

    @abstractmethod
    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        """Say that there are too many clients already."""

    def make_room(self) -> bool:
        """Whether one of the clients goes in favour of a new one, when there are too many."""
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if self._closed:  # connected at the last moment
                return
            if len(self._clients) > self.most_clients and not self.make_room():
                await self.refuse(writer)
                return
            await self.talk(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client went, or took too long; or we are leaving
        finally:
            self._clients.discard(task)
            writer.transport.abort()


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Write to a client, and wait until it has read enough. TimeoutError where it does not read."""
    writer.write(data)
    async with asyncio.timeout(PATIENCE):
        await writer.drain()


def _clear(path: Path) -> None:
    """Remove a socket left over from a crash. OSError for anything else, which is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(f"{path} is there and is no socket")
        path.unlink()


def _answers(path: Path) -> bool:
    """Whether somebody listens on a socket: one left over from a crash may be removed, a living one may not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except TimeoutError:
            return True
        except OSError as error:
            return isinstance(error, BlockingIOError | PermissionError)  # its queue is full, or it is another user's
    return True
