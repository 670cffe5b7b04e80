"""One HTTP/1.1 connection to etcd's JSON gateway: just what the gateway speaks, without a library."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from .settings import Endpoint
from .store import UnavailableError

_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
_LINE_LIMIT = 1 << 16


class Reply(NamedTuple):
    """The head of an answer: its status and its headers, with names in lower case."""

    status: int
    headers: dict[str, str]


class Connection:
    """Requests one after the other. Any failure is an UnavailableError, and the connection is lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, endpoint: Endpoint) -> None:
        self._reader = reader
        self._writer = writer
        self._endpoint = endpoint
        self.used = False

    @classmethod
    async def open(cls, endpoint: Endpoint, context: ssl.SSLContext | None, seconds: float) -> Connection:
        """Connect within `seconds`."""
        with _outages():
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(
                    endpoint.host, endpoint.port, ssl=context, limit=_LINE_LIMIT
                )
        transport_socket = writer.get_extra_info("socket")
        for option in _KEEPALIVE:
            transport_socket.setsockopt(*option)
        return cls(reader, writer, endpoint)

    @property
    def usable(self) -> bool:
        """Whether the other side has not hung up yet."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        """Hang up; a reader of this connection sees its end."""
        self._writer.close()

    async def wait_closed(self) -> None:
        self.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()

    async def send(self, path: str, body: bytes, token: str | None) -> Reply:
        """POST a JSON body and read the head of the answer."""
        self.used = True
        authorization = f"Authorization: {token}\r\n" if token else ""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._endpoint.authority}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            # With it a member that has lost its leader answers so, instead of staying silent.
            f"Grpc-Metadata-hasleader: true\r\n{authorization}\r\n"
        )
        with _outages():
            self._writer.write(head.encode("latin-1") + body)
            await self._writer.drain()
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            return Reply(int(lines[0].split()[1]), headers)

    async def body(self, reply: Reply) -> bytes:
        """The whole body of an answer."""
        if "content-length" in reply.headers:
            with _outages():
                return await self._reader.readexactly(int(reply.headers["content-length"]))
        parts = [part async for part in self.chunks()]
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The parts of a chunked body."""
        while True:
            with _outages():
                size = int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)
                if size == 0:
                    # The gateway sends trailers after an error; unread they would spoil the next answer.
                    while await self._reader.readuntil(b"\r\n") != b"\r\n":
                        pass
                    return
                part = await self._reader.readexactly(size + 2)
            yield part[:-2]

    async def documents(self) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects of a stream, one a line."""
        rest = bytearray()
        async for part in self.chunks():
            rest += part
            if b"\n" not in part:
                continue
            *lines, tail = rest.split(b"\n")
            rest = bytearray(tail)
            for line in lines:
                if line.strip():
                    yield parse_object(bytes(line))


def parse_object(raw: bytes) -> dict[str, Any]:
    """A JSON object of the gateway. UnavailableError for anything else."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        shown = raw[:60].decode("utf-8", "replace").strip()
        raise UnavailableError(f"the answer is not etcd's JSON but {shown!r}")
    return document


@contextlib.contextmanager
def _outages() -> Any:
    """Turn what a socket, TLS or a broken answer raises into an UnavailableError with a reason in words."""
    try:
        yield
    except TimeoutError as error:
        raise UnavailableError("no answer in time") from error
    except asyncio.IncompleteReadError as error:
        raise UnavailableError("etcd closed the connection") from error
    except asyncio.LimitOverrunError as error:
        raise UnavailableError("the answer is not HTTP as etcd speaks it") from error
    except ssl.SSLCertVerificationError as error:
        raise UnavailableError(f"its certificate is not valid: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise UnavailableError(f"TLS failed: {(error.reason or str(error)).lower().replace('_', ' ')}") from error
    except ConnectionRefusedError as error:
        raise UnavailableError("connection refused") from error
    except ConnectionError as error:
        raise UnavailableError("connection reset") from error
    except OSError as error:
        text = error.strerror or str(error)
        if error.errno and text.startswith("Connect call failed"):  # asyncio puts its own words over the kernel's
            text = os.strerror(error.errno)
        raise UnavailableError(text.lower()) from error
    except (ValueError, IndexError) as error:
        raise UnavailableError("the answer is not HTTP as etcd speaks it") from error
