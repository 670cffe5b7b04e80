"""`pybgp run FILE.toml`: a speaker from a file. SIGHUP reads it again and carries out the difference."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from pybgp.app.desk import Desk, Reloaded
from pybgp.app.reader import Problems
from pybgp.app.reloading import LOG, apply, count, reload, to_log
from pybgp.app.speaker_file import EVERYWHERE, SpeakerFile, difference, read
from pybgp.app.where import socket_path
from pybgp.control import ControlSocket
from pybgp.errors import ConfigurationError
from pybgp.pacing import gc_for_full_tables
from pybgp.speaker import Speaker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.add_argument("file", type=Path, help="the speaker's settings, TOML; docs/run.md has them all")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with the file, all of it")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    parser.add_argument("--socket", metavar="PATH", help="where `pybgp show` and others reach it; none: nowhere")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 0, or 1 with words on standard error."""
    settings = read_or_say(arguments.file)
    if settings is None:
        return 1
    if arguments.check:
        counts = count(len(settings.peers), "peer"), count(len(settings.routes), "route")
        print(f"{arguments.file}: {', '.join(counts)}, no errors")
        return 0
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        with gc_for_full_tables():
            asyncio.run(_serve(arguments.file, settings, arguments.socket or settings.socket))
    except (ConfigurationError, OSError) as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    return 0


def read_or_say(file: Path) -> SpeakerFile | None:
    """The settings of a file; None, and every error on standard error, where it has any."""
    try:
        return read(file)
    except Problems as error:
        for problem in error.problems:
            print(f"{file}: {problem}", file=sys.stderr)
    except OSError as error:
        print(f"{file} cannot be read: {error.strerror}", file=sys.stderr)
    return None


class _Running:
    """The speaker, and the file as it was last carried out."""

    def __init__(self, speaker: Speaker, path: Path, settings: SpeakerFile) -> None:
        self.speaker = speaker
        self.path = path
        self.settings = settings

    def reload(self) -> Reloaded:
        lines: list[str] = []
        failed = False

        def say(level: int, line: str) -> None:
            nonlocal failed
            failed |= level >= logging.ERROR
            lines.append(line)
            to_log(level, line)

        self.settings = reload(self.speaker, self.path, self.settings, say)
        return Reloaded(not failed, tuple(lines))


async def _serve(path: Path, settings: SpeakerFile, socket_text: str | None) -> None:
    end, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    fixed = settings.fixed
    async with Speaker(**{**fixed, "listen": _listen(fixed["listen"]) or None}) as speaker:
        LOG.info("AS %s, BGP Identifier %s, listening on %s", *_words(speaker, fixed))
        nothing = SpeakerFile(fixed, {}, {}, {})
        for refusal in apply(speaker, difference(nothing, settings), settings).values():
            raise refusal
        running = _Running(speaker, path, settings)
        control = await _open_socket(Desk(speaker, str(path), running.reload, loop.time), socket_text)
        try:
            while not end.is_set():
                await _first(end, again)
                if again.is_set():
                    again.clear()
                    running.reload()
        finally:
            if control is not None:
                await control.close()


async def _open_socket(desk: Desk, text: str | None) -> ControlSocket | None:
    """At the place that was asked for, or else at the usual one, if that is free."""
    path = socket_path(text)
    if path is None:
        return None
    control = ControlSocket(path, desk.answer, what="speaker")
    try:
        await control.open()
    except OSError as error:
        if text:
            raise OSError(f"the control socket: {error}") from None
        LOG.warning("no control socket: %s; --socket gives this speaker one of its own", error)
        return None
    LOG.info("control socket %s", path)
    return control


def _listen(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Where to listen: of the default only what the kernel has, since nobody has asked for IPv6."""
    if addresses == EVERYWHERE and not _ipv6():
        LOG.info("this kernel has no IPv6, listening on IPv4 only")
        return addresses[:1]
    return addresses


def _ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _words(speaker: Speaker, fixed: dict[str, Any]) -> tuple[object, object, str]:
    places = ", ".join(f"{address} port {port}" for address, port in speaker.listening)
    return fixed["local_as"], fixed["bgp_identifier"], places or "nothing"


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
