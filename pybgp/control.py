"""A control socket: requests and answers as JSON lines over a Unix socket, for the owner of the process alone.

    -> {"id": 1, "request": "peers"}
    <- {"id": 1, "peers": [...]}            or {"id": 1, "error": "..."}

A long answer comes in several lines with the same `id`; all but the last have `"more": true`. Requests on one
connection are answered in their order, and clients do not wait for each other.

Nobody who connects can hurt the process: lines, clients and waiting are bounded, an answer is made piece by piece as
the client reads it, and one that does not read is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger("pybgp.control")

LONGEST_REQUEST = 4096
MOST_CLIENTS = 16
PATIENCE = 5.0
"""Seconds that a client may take to send a line or to read an answer."""

Members = dict[str, Any]
Answer = Callable[[Members], Members | Iterator[Members]]
"""From a request to the members of the answer, or to those of each of its lines. ValueError: its text is the error."""


class ControlSocket:
    """The listening side, at `path`, with mode 0600. `what` is the name of the process in errors: "agent"."""

    def __init__(self, path: Path, answer: Answer, *, what: str = "process") -> None:
        self.path = path
        self._answer = answer
        self._what = what
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen. OSError, also when another process answers there."""
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _answers(self.path):
            raise OSError(f"another {self._what} answers on {self.path}")
        _clear(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The socket is born with its mode: there is no moment in which others could connect.
            before = os.umask(0o177)
            try:
                listener.bind(str(self.path))
            finally:
                os.umask(before)
            self._inode = self.path.lstat().st_ino
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
            if self.path.lstat().st_ino == self._inode:  # else it is that of another process by now
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
        for reply in self._replies(line):
            await _write(writer, reply)
            await asyncio.sleep(0)  # a client that reads fast does not keep the process from its other work
        return True

    def _replies(self, line: bytes) -> Iterator[Members]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            yield {"id": None, "error": "not a JSON object on one line"}
            return
        number = request.get("id")
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            yield {"id": None, "error": "id must be a number or a text"}
            return
        try:
            answer = self._answer(request)
            if isinstance(answer, dict):
                yield {"id": number, **answer}
                return
            last: Members | None = None
            for part in answer:
                if last is not None:
                    yield {"id": number, **last, "more": True}
                last = part
            yield {"id": number, **(last or {})}
        except ValueError as error:
            yield {"id": number, "error": str(error)}
        except Exception:
            log.exception("a request on the control socket failed")
            yield {"id": number, "error": f"the {self._what} failed to answer; its log says more"}


async def _write(writer: asyncio.StreamWriter, reply: Members) -> None:
    writer.write(json.dumps(reply).encode() + b"\n")
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
