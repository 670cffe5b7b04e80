"""A control socket: requests and answers as JSON lines over a Unix socket, for the owner of the process alone.

    -> {"id": 1, "request": "peers"}
    <- {"id": 1, "peers": [...]}            or {"id": 1, "error": "..."}

A long answer comes in several lines with the same `id`; all but the last have `"more": true`. Requests on one
connection are answered in their order, and clients do not wait for each other.

An answer is made piece by piece as the client reads it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pybgp.local_socket import LONGEST_REQUEST, PATIENCE, LocalSocket

log = logging.getLogger("pybgp.control")

Members = dict[str, Any]
Answer = Callable[[Members], Members | Iterator[Members]]
"""From a request to the members of the answer, or to those of each of its lines. ValueError: its text is the error."""


class ControlSocket(LocalSocket):
    """The listening side, at `path`, with mode 0600. `what` is the name of the process in errors: "agent"."""

    def __init__(self, path: Path, answer: Answer, *, what: str = "process") -> None:
        super().__init__(path, what=what)
        self._answer = answer

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await self._exchange(reader, writer):
            pass

    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        await self._write(writer, {"id": None, "error": "too many clients, try again"})

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False at the end."""
        try:
            async with asyncio.timeout(PATIENCE):
                line = await reader.readline()
        except ValueError:  # longer than the limit
            await self._write(writer, {"id": None, "error": f"a request has at most {LONGEST_REQUEST} octets"})
            return False
        if not line:
            return False
        for reply in self._replies(line):
            await self._write(writer, reply)
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
            yield {"id": number, "error": f"the {self.what} failed to answer; its log says more"}

    async def _write(self, writer: asyncio.StreamWriter, reply: Members) -> None:
        await self.send(writer, json.dumps(reply).encode() + b"\n")
