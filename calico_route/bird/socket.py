"""BIRD's control socket."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pybgp import LocalSocket

from .replies import SYNTAX, Facts, answer, encode, greeting

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a client may take to read a part of an answer."""


class BirdSocket(LocalSocket):
    """Answers in BIRD's words, at `path`. Its group may ask, too, as with BIRD."""

    def __init__(self, path: Path, facts: Facts) -> None:
        super().__init__(path, what="bird", mode=0o660)
        self._facts = facts

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._write(writer, b"".join(encode([[greeting(self._facts)]])))
        while True:
            try:
                line = await reader.readline()
            except ValueError:  # longer than any question
                await self._write(writer, b"%04d Line too long\n" % SYNTAX)
                return
            question = line.decode("utf-8", "replace").strip()
            if not line or question in ("quit", "exit"):
                return
            if question:
                await self._answer(question, writer)

    async def refuse(self, writer: asyncio.StreamWriter) -> None:
        await self._write(writer, b"9000 Too many clients, try again\n")

    async def _answer(self, question: str, writer: asyncio.StreamWriter) -> None:
        try:
            for octets in encode(answer(question, self._facts)):
                await self._write(writer, octets)
                await asyncio.sleep(0)  # a long answer does not keep the agent from its other work
        except (OSError, TimeoutError):
            raise
        except Exception:
            log.exception("the question %r failed", question)
            await self._write(writer, b"9000 Failed to answer; the agent's log says more\n")

    async def _write(self, writer: asyncio.StreamWriter, octets: bytes) -> None:
        writer.write(octets)
        async with asyncio.timeout(PATIENCE):
            await writer.drain()
