"""Docker's API as this package itself uses it: JSON over the daemon's Unix socket."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from .http import Gone, HttpError, Wire, answer_framing

MOST = 64 << 20
"""Octets of an answer; the list of thousands of containers is a few of them."""


class DockerError(Exception):
    """Docker refused (`status` of its answer), or does not answer (`status` 503). The text is for a person."""

    def __init__(self, text: str, status: int = 503) -> None:
        super().__init__(text)
        self.status = status


class DockerClient:
    """One connection a request: a Unix socket costs nothing, and nothing is left in a strange state."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def connect(self) -> Wire:
        """DockerError where nobody answers."""
        try:
            return await Wire.unix(str(self.socket))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DockerError(f"no Docker daemon answers on {self.socket} ({reason}); is dockerd running?") from error

    async def get(self, path: str, **query: Any) -> Any:
        """The document at a path; a dict or list in the query goes as JSON. DockerError."""
        return await self._ask("GET", _with_query(path, query))

    async def post(self, path: str, document: Any) -> Any:
        """DockerError."""
        return await self._ask("POST", path, document)

    async def _ask(self, method: str, target: str, document: Any = None) -> Any:
        wire = await self.connect()
        try:
            return await _exchange(wire, method, target, document)
        except (OSError, HttpError) as error:
            raise DockerError(f"Docker's answer to {method} {target} broke off: {error}") from error
        finally:
            wire.close()

    async def stream(self, path: str, **query: Any) -> AsyncGenerator[Any, None]:
        """The documents of an endless answer, one a line. None comes first, once Docker has taken the request. Ends
        when Docker ends it. DockerError."""
        target = _with_query(path, query)
        wire = await self.connect()
        try:
            await wire.send(_request("GET", target, b""))
            head = await wire.head()
            if head is None:
                raise Gone("no answer")
            framing = answer_framing(head, "GET")
            if head.status != 200:
                raise DockerError(_message(await wire.whole(framing, MOST)), head.status)
            yield None
            rest = bytearray()
            async for piece in wire.body(framing, decoded=True):
                rest += piece
                *lines, tail = rest.split(b"\n")
                rest = bytearray(tail)
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except (OSError, HttpError, ValueError) as error:
            raise DockerError(f"Docker's answer to GET {target} broke off: {error}") from error
        finally:
            wire.close()


async def _exchange(wire: Wire, method: str, target: str, document: Any) -> Any:
    body = b"" if document is None else json.dumps(document).encode()
    await wire.send(_request(method, target, body))
    head = await wire.head()
    if head is None:
        raise Gone("no answer")
    text = await wire.whole(answer_framing(head, method), MOST)
    if head.status >= 400:
        raise DockerError(_message(text), head.status)
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise HttpError(f"not JSON: {text[:60]!r}") from error


def _request(method: str, target: str, body: bytes) -> bytes:
    head = f"{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _with_query(path: str, query: dict[str, Any]) -> str:
    texts = {key: json.dumps(value) if isinstance(value, dict | list) else str(value) for key, value in query.items()}
    return quote(path, safe="/%:") + (f"?{urlencode(texts)}" if texts else "")


def _message(text: bytes) -> str:
    """What Docker says of an error."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode("utf-8", "replace").strip() or "no reason given"
