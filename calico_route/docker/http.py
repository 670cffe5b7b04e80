"""HTTP/1.1 octet by octet (RFC 9112): heads, the framing of bodies, and both passed on as they came.

Nothing is decoded that is not asked for: what a proxy does not understand it must not change.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

LONGEST_HEAD = 1 << 20
"""Octets of a head. Docker's own limit; registry credentials in a header of a build are long."""
LONGEST_LINE = 4096
"""Octets of a line that opens a chunk, with its extensions."""
PIECE = 1 << 16
"""Octets that are read at once, and that wait in a Wire at most while nobody asks for them."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/1\.[01]")


class HttpError(Exception):
    """What came is not HTTP/1.1, or more than anybody needs. `status` is the answer that fits."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Gone(ConnectionError):
    """The other side ended the connection in the middle of a message."""


class Kind(Enum):
    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class Framing(NamedTuple):
    """Where a body ends (RFC 9112 section 6.3); `length` is for Kind.LENGTH."""

    kind: Kind
    length: int = 0


NO_BODY = Framing(Kind.NONE)


class Head(NamedTuple):
    """A request's or an answer's head. `raw` is how it came, with its empty line; `fields` in their order."""

    raw: bytes
    start: tuple[str, str, str]
    fields: tuple[tuple[str, str], ...]

    @property
    def method(self) -> str:
        return self.start[0]

    @property
    def target(self) -> str:
        return self.start[1]

    @property
    def path(self) -> str:
        """Of a request's target, without the query."""
        path = self.target.partition("?")[0]
        if "://" in path:  # the absolute form, RFC 9112 section 3.2.2
            path = "/" + path.partition("://")[2].partition("/")[2]
        return path

    @property
    def status(self) -> int:
        return int(self.start[1])

    def get(self, name: str) -> str | None:
        """All values of a field, joined by commas; None where it is not there."""
        values = [value for key, value in self.fields if key.lower() == name]
        return ", ".join(values) if values else None

    def has(self, name: str, word: str) -> bool:
        """Whether the list in a field has this word."""
        return word in (one.strip().lower() for one in (self.get(name) or "").split(","))

    def with_body(self, length: int) -> bytes:
        """The head as octets, for a body of this length instead of the one that came with it."""
        dropped = ("content-length", "transfer-encoding", "expect", "trailer")
        kept = [(key, value) for key, value in self.fields if key.lower() not in dropped]
        lines = [" ".join(self.start), *(f"{key}: {value}" for key, value in kept), f"Content-Length: {length}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def parse_head(raw: bytes) -> Head:
    """HttpError for what is not the head of HTTP/1.0 or 1.1."""
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\n")
    words = first.rstrip("\r").split(" ", 2)
    if len(words) < 2 or not any(_VERSION.fullmatch(word) for word in (words[0], words[-1])):
        raise HttpError(f"not HTTP/1.1: {first[:60]!r}")
    if _VERSION.fullmatch(words[0]) and not (words[1].isascii() and words[1].isdigit() and len(words[1]) == 3):
        raise HttpError(f"an answer without a status: {first[:60]!r}")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        # A continued line or a space before the colon is read differently by different servers: refused, RFC 9112 5.1.
        if not colon or not _TOKEN.fullmatch(name):
            raise HttpError(f"not a header field: {line[:60]!r}")
        fields.append((name, value.strip(" \t\r")))
    method, target, version = (*words, "", "")[:3]
    return Head(raw, (method, target, version), tuple(fields))


def request_framing(head: Head) -> Framing:
    """HttpError where two readers could see two ends."""
    return _declared(head) or NO_BODY


def answer_framing(head: Head, method: str) -> Framing:
    """How the body of an answer to `method` ends."""
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return NO_BODY
    return _declared(head) or Framing(Kind.CLOSE)


def _declared(head: Head) -> Framing | None:
    coding, length = head.get("transfer-encoding"), head.get("content-length")
    if coding is not None:
        if length is not None:
            raise HttpError("both Transfer-Encoding and Content-Length")
        if coding.strip().lower() != "chunked":
            raise HttpError(f"Transfer-Encoding {coding[:60]!r}; only chunked is known", 501)
        return Framing(Kind.CHUNKED)
    if length is None:
        return None
    values = {one.strip() for one in length.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit() and len(value) < 19):
        raise HttpError(f"Content-Length {length[:60]!r} is no number")
    return Framing(Kind.LENGTH, int(value))


class Wire:
    """One side of a connection, on the socket itself: asyncio's transports would give up what has been received when
    sending fails, and read ahead. Each direction has one task at a time. What is cancelled loses nothing that has come.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._buffer = bytearray()
        self._ended = False

    @classmethod
    async def unix(cls, path: str) -> Wire:
        """Connect to a Unix socket. OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            while True:
                try:
                    await asyncio.get_running_loop().sock_connect(sock, path)
                    return cls(sock)
                except BlockingIOError:  # the listener's queue is full, and a Unix socket cannot be waited for
                    await asyncio.sleep(0.01)
        except BaseException:
            sock.close()
            raise

    @property
    def at_end(self) -> bool:
        """Whether all has been read, and the other side sends no more."""
        return self._ended and not self._buffer

    @property
    def idle(self) -> bool:
        """Whether nothing has come that nobody asked for, not even the end."""
        return not self._ended and not self._buffer

    async def _receive(self, most: int) -> bytes:
        """What is there, b"" at the end. OSError."""
        loop = asyncio.get_running_loop()
        while not self._ended:
            try:
                data = self.socket.recv(most)
            except (BlockingIOError, InterruptedError):
                await _ready(self.socket, loop.add_reader, loop.remove_reader)
                continue
            self._ended = not data
            return data
        return b""

    async def _more(self) -> bool:
        """Read what is there; False at the end. OSError."""
        data = await self._receive(PIECE)
        self._buffer += data
        return bool(data)

    async def ended(self) -> None:
        """Returns when the other side sends no more; what comes before waits here, PIECE octets of it at most."""
        while len(self._buffer) < PIECE:
            if not await self._more():
                return
        await asyncio.get_running_loop().create_future()  # as long as nobody takes what waits, nothing is read

    async def head(self) -> Head | None:
        """The next head; None where the other side ended the connection before it. HttpError, Gone."""
        searched = 0
        while True:
            while self._buffer[:2] == b"\r\n" and searched == 0:  # RFC 9112 section 2.2
                del self._buffer[:2]
            found = _HEAD_END.search(self._buffer, max(0, searched - 3))
            if found:
                return parse_head(self._take(found.end()))
            searched = len(self._buffer)
            if searched > LONGEST_HEAD:
                raise HttpError(f"a head of more than {LONGEST_HEAD} octets", 431)
            if not await self._more():
                if self._buffer:
                    raise Gone("the connection ended within a head")
                return None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def some(self, most: int = PIECE) -> bytes:
        """What comes next, b"" at the end."""
        if self._buffer:
            return self._take(most)
        await asyncio.sleep(0)  # a fast stream leaves the others their turn
        return await self._receive(most)

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise HttpError("a chunk's size is no line")
            if not await self._more():
                raise Gone("the connection ended within a chunked body")
        return self._take(end + 1)

    async def body(self, framing: Framing, *, decoded: bool = False) -> AsyncIterator[bytes]:
        """A body piece by piece, as it came; `decoded`: without the framing of chunks. HttpError, Gone."""
        if framing.kind is Kind.LENGTH:
            async for piece in self._exactly(framing.length):
                yield piece
        elif framing.kind is Kind.CHUNKED:
            async for piece, payload in self._chunks():
                if payload or not decoded:
                    yield piece
        elif framing.kind is Kind.CLOSE:
            while piece := await self.some():
                yield piece

    async def _exactly(self, count: int) -> AsyncIterator[bytes]:
        while count:
            piece = await self.some(min(count, PIECE))
            if not piece:
                raise Gone("the connection ended within a body")
            count -= len(piece)
            yield piece

    async def _chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        while True:
            line = await self._line()
            digits = line.partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
                raise HttpError(f"not the size of a chunk: {line[:20]!r}")
            size = int(digits, 16)
            if size == 0:
                yield line, False
                break
            yield line, False
            async for piece in self._exactly(size):
                yield piece, True
            end = await self._line()
            if end.strip(b"\r\n"):
                raise HttpError("a chunk is longer than its size")
            yield end, False
        while True:  # trailers
            line = await self._line()
            yield line, False
            if not line.strip(b"\r\n"):
                return

    async def whole(self, framing: Framing, most: int) -> bytes:
        """A whole body, decoded. HttpError (413) above `most` octets."""
        found = bytearray()
        if framing.length > most:
            raise HttpError(f"a body of {framing.length} octets; {most} at most", 413)
        async for piece in self.body(framing, decoded=True):
            found += piece
            if len(found) > most:
                raise HttpError(f"a body of more than {most} octets", 413)
        return bytes(found)

    async def send(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it: a slow reader is waited for. OSError."""
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except (BlockingIOError, InterruptedError):
                await _ready(self.socket, loop.add_writer, loop.remove_writer)

    def end(self) -> None:
        """Send no more; the other direction stays."""
        with contextlib.suppress(OSError):  # the connection is gone, and with it what there was to end
            self.socket.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """End both directions: whoever reads or sends here sees it at once."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    async def linger(self, seconds: float) -> None:
        """End our direction, and let the other side read what was sent: a socket that is closed with octets unread is
        reset, and an answer on its way is lost."""
        self.end()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                while await self.some():
                    pass

    def close(self) -> None:
        self.socket.close()


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _ready(sock: socket.socket, add: Callable[..., None], remove: Callable[[socket.socket], bool]) -> None:
    """Returns when the kernel says that a direction of a socket is ready."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    add(sock, _settle, ready)
    try:
        await ready
    finally:
        remove(sock)


_HEAD_END = re.compile(rb"\r?\n\r?\n")


_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


def answer(
    status: int, document: Mapping[str, Any], *, kind: str = "application/json", extra: Iterable[str] = ()
) -> bytes:
    """A whole answer of JSON."""
    body = json.dumps(document, ensure_ascii=False).encode() + b"\n"
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}", f"Content-Type: {kind}", *extra]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
