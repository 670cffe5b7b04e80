"""BIRD's control socket."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pybgp import LocalSocket

from .replies import answer, greeting
from .wire import SYNTAX, Facts, encode

log = logging.getLogger(__name__)

IDLE = 1.0
"""Seconds after which a client that asks nothing makes room for a new one, when there are too many."""


class BirdSocket(LocalSocket):
    """Answers in BIRD's words, at `path`. Its group may ask, too, as with BIRD."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path, what="bird", mode=0o660)
        self._facts = facts
        self._idle: dict[asyncio.Task[object], float] = {}  # since when, the longest first

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.send(writer, b"".join(encode([[greeting(self._facts)]])))
        restricted = False
        while True:
            try:
                line = await self._line(reader)
            except ValueError:  # longer than any question
                await self.send(writer, b"%04d Line too long\n" % SYNTAX)
                return
            question = line.decode("utf-8", "replace").strip()
            if not line.endswith(b"\n") or question in ("quit", "exit"):
                return
            restricted = restricted or question == "restrict"
            if question:
                await self._answer(question, writer, restricted=restricted)

    def make_room(self) -> bool:
        """People leave birdc open for hours, which is no harm, unless others find no place: a readiness check above
        all."""
        task, since = next(iter(self._idle.items()), (None, 0.0))
        if task is None or asyncio.get_running_loop().time() - since < IDLE:
            return False
        del self._idle[task]
        return task.cancel()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        self._idle[task] = asyncio.get_running_loop().time()
        try:
            return await reader.readline()
        finally:
            self._idle.pop(task, None)

    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        await self.send(writer, b"9000 Too many clients, try again\n")

    async def _answer(self, question: str, writer: asyncio.StreamWriter, *, restricted: bool) -> None:
        try:
            for octets in encode(answer(question, self._facts, restricted=restricted)):
                await self.send(writer, octets)
                await asyncio.sleep(0)  # a long answer does not keep the agent from its other work
        except (OSError, TimeoutError):
            raise
        except Exception:
            log.exception("the question %r failed", question)
            await self.send(writer, b"9000 Failed to answer; the agent's log says more\n")
