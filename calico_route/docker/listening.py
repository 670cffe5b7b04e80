"""A listening socket whose clients are tasks: one that errs ends alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from .http import HttpError, Wire, answer

log = logging.getLogger(__name__)

LINGER = 2.0
"""Seconds in which a client may still read what was sent last."""
PAUSE = 0.5
"""Seconds to the next try when no connection can be taken."""


class Listening:
    """`serve` talks to one client until it goes; its OSError and HttpError end this client alone."""

    def __init__(self, serve: Callable[[Wire], Awaitable[None]]) -> None:
        self._serve = serve
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._file: tuple[Path, int] | None = None

    async def unix(self, path: Path) -> None:
        """Listen on a Unix socket of mode 0600. OSError, also when another process answers there."""
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _clear(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._file = path, _bind(listener, path)
            self._listen(listener)
        except BaseException:
            listener.close()
            raise

    async def tcp(self, address: str, port: int) -> int:
        """Listen on TCP; returns the port. OSError."""
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            self._listen(listener)
        except BaseException:
            listener.close()
            raise
        return int(listener.getsockname()[1])

    def _listen(self, listener: socket.socket) -> None:
        listener.listen(512)
        listener.setblocking(False)
        self._socket = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def close(self) -> None:
        """Listen no more, and drop the clients."""
        if self._accepting is None or self._socket is None:
            return
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._socket.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        if self._file is not None:
            path, inode = self._file
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_ino == inode:  # else it is that of another process by now
                    path.unlink()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:  # too many files are open, or the client has gone already
                log.warning("a connection could not be taken: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            task = asyncio.create_task(self._client(accepted))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _client(self, accepted: socket.socket) -> None:
        wire = Wire(accepted)
        try:
            try:
                await self._serve(wire)
            except HttpError as error:
                await wire.send(answer(error.status, {"message": str(error)}, extra=["Connection: close"]))
            await wire.linger(LINGER)
        except OSError as error:
            log.debug("a client's connection ended: %s", error)
        except Exception:  # the other clients go on
            log.exception("a client's connection failed")
        finally:
            wire.close()


def _bind(listener: socket.socket, path: Path) -> int:
    """Returns the inode of the socket. It is born with its mode: there is no moment in which others could connect."""
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return path.lstat().st_ino


def _clear(path: Path) -> None:
    """Remove the socket of a process that has ended. OSError where one answers, or where it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there and no socket: remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise OSError(f"another process answers on {path}")
