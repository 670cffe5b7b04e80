"""Answers `calico_route status` on a Unix socket: one JSON object a line, each with the `id` of its request.

    -> {"id": 1, "request": "status", "routes": false}
    <- {"id": 1, "status": {...}}                       or {"id": 1, "error": "..."}

Nobody who connects can hurt the agent: lines, clients and waiting are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

log = logging.getLogger(__name__)

LONGEST_REQUEST = 4096
MOST_CLIENTS = 16
PATIENCE = 5.0
"""Seconds that a client may take to send a line or to read an answer."""

Answer: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""From a request to the members of the answer. ValueError: its text is the error."""


class ControlSocket:
    """The listening side. Only the owner of the agent may connect (mode 0600)."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen. OSError, also when another agent answers there."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _answers(self.path):
            raise OSError(f"another agent answers on {self.path}")
        _clear(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The socket is born with its mode: there is no moment in which others could connect.
            before = os.umask(0o177)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_REQUEST)
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
            self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if self._closed:  # connected at the last moment
                return
            if len(self._clients) > MOST_CLIENTS:
                await _write(writer, {"id": None, "error": "too many clients, try again"})
                return
            while await self._exchange(reader, writer):
                pass
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # the client went, or took too long; or we are leaving
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False at the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                line = await reader.readline()
        except ValueError:  # longer than the limit
            await _write(writer, {"id": None, "error": f"a request has at most {LONGEST_REQUEST} octets"})
            return False
        if not line:
            return False
        await _write(writer, self._reply(line))
        return True

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"id": None, "error": "not a JSON object on one line"}
        if not isinstance(request, dict):
            return {"id": None, "error": "not a JSON object on one line"}
        number = request.get("id")
        if not isinstance(number, int | str | None):
            return {"id": None, "error": "id must be a number or a text"}
        try:
            return {"id": number, **self._answer(request)}
        except ValueError as error:
            return {"id": number, "error": str(error)}
        except Exception:
            log.exception("a request for the status failed")
            return {"id": number, "error": "the agent failed to answer; its log says more"}


async def _write(writer: asyncio.StreamWriter, reply: dict[str, Any]) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
    async with asyncio.timeout(PATIENCE):
        await writer.drain()


def _clear(path: Path) -> None:
    """Remove a socket left over from a crash. OSError for anything else, which is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("there is a file of this name which is no socket")
        path.unlink()


def _answers(path: Path) -> bool:
    """Whether somebody listens on a socket: one left over from a crash may be removed, a living one may not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except TimeoutError:
            return True
        except OSError:
            return False
    return True
