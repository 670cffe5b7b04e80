"""`python -m pybgp run` as a process of its own, and neighbours that watch what it sends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pybgp import CodecContext, PeerConfig
from pybgp.fsm.negotiation import make_open
from pybgp.messages import Keepalive, Message, Open, Update
from pybgp.prefix import format_nlri
from tests.loopback import LIMIT, Neighbour

PORT = 1790
LOCAL_AS = 64512


class Program:
    """A running speaker: what it writes to its log, and what can be done to it from outside."""

    def __init__(self, process: asyncio.subprocess.Process, file: Path) -> None:
        self.process = process
        self.file = file
        self.log: list[str] = []
        self.output: list[str] = []
        self.watchers: list[Watcher] = []

    async def says(self, words: str) -> str:
        """The next line of the log with these words; lines before it are passed over."""
        assert self.process.stderr is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LIMIT):
                while line := (await self.process.stderr.readline()).decode().rstrip("\n"):
                    self.log.append(line)
                    if words in line:
                        return line
        raise AssertionError(f"no {words!r} in the log:\n" + "\n".join(self.log))

    async def watch(self, address: str, source: str, **settings: Any) -> Watcher:
        """A neighbour at `source`, established with this program, which listens at `address`."""
        self.watchers.append(await Watcher.at(address, source, **settings))
        return self.watchers[-1]

    def reload(self, text: str | None = None) -> None:
        """SIGHUP, after the file became this text."""
        if text is not None:
            self.file.write_text(text)
        self.process.send_signal(signal.SIGHUP)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit status. What is left of the log is in `log` then."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(LIMIT):
            output, rest = await self.process.communicate()
        self.output += output.decode().splitlines()
        self.log += rest.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode


async def start(file: Path, *options: str) -> Program:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pybgp", "run", str(file), *options),
        env={**os.environ, "PYBGP_SOCKET": "none"},  # but where the file names one
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    return Program(process, file)


@asynccontextmanager
async def running(file: Path, text: str) -> AsyncIterator[Program]:
    """A program that listens; gone afterwards, whatever happened."""
    file.write_text(text)  # noqa: ASYNC240  nothing else runs yet
    program = await start(file)
    try:
        await program.says("listening on")
        yield program
        traces = [line for line in program.log if "Traceback" in line]
        assert not traces, "\n".join(program.log)
    finally:
        if program.process.returncode is None:
            program.process.kill()
        for watcher in program.watchers:
            watcher.close()
        await program.process.communicate()


class Watcher:
    """A neighbour whose session never carries a KEEPALIVE (hold time 0): all that comes is of interest."""

    def __init__(self, neighbour: Neighbour) -> None:
        self._neighbour = neighbour

    @classmethod
    async def at(
        cls,
        address: str,
        source: str,
        *,
        local_as: int = LOCAL_AS,
        internal: bool = True,
        port: int = PORT,
        **settings: Any,
    ) -> Watcher:
        """Established with the program at `address`, from `source`."""
        neighbour = await Neighbour.to(address, source, port)
        neighbour.context = CodecContext(four_octet_as=True, internal=internal)
        config = PeerConfig(
            address=address,
            peer_as=LOCAL_AS,
            local_as=local_as,
            bgp_identifier=int.from_bytes(map(int, source.split("."))),
            hold_time=0,
            graceful_restart=False,
            **settings,
        )
        neighbour.send(make_open(config))
        assert isinstance(await neighbour.receive(), Open)
        neighbour.send(Keepalive())
        assert isinstance(await neighbour.receive(), Keepalive)
        return cls(neighbour)

    async def message(self) -> Message | None:
        """What comes next; None at the end of the connection."""
        return await self._neighbour.receive()

    async def update(self) -> Update:
        message = await self.message()
        assert isinstance(message, Update), message
        return message

    async def until(self, prefix: str) -> Update:
        """The UPDATE that announces this prefix; it and the End-of-RIB, in whichever order, are read then."""
        found, complete = None, False
        while found is None or not complete:
            update = await self.update()
            complete = complete or update.end_of_rib is not None
            found = update if prefix in announced(update) else found
        return found

    async def table(self) -> dict[str, Update]:
        """The announcements up to the End-of-RIB, by prefix."""
        found: dict[str, Update] = {}
        while (update := await self.update()).end_of_rib is None:
            for prefix in announced(update):
                found[prefix] = update
        return found

    def send(self, message: Message) -> None:
        self._neighbour.send(message)

    def close(self) -> None:
        self._neighbour.reset()


def announced(update: Update) -> list[str]:
    return [format_nlri(reach.family, nlri) for reach in update.reach for nlri in reach.nlri]


def withdrawn(update: Update) -> list[str]:
    return [format_nlri(unreach.family, nlri) for unreach in update.unreach for nlri in unreach.nlri]
