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

from pybgp.app.reader import Problems
from pybgp.app.speaker_file import EVERYWHERE, Difference, PeerSpec, SpeakerFile, difference, read
from pybgp.errors import ConfigurationError
from pybgp.policy import Policy
from pybgp.speaker import Speaker

LOG = logging.getLogger("pybgp.run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.add_argument("file", type=Path, help="the speaker's settings, TOML; docs/run.md has them all")
    parser.add_argument("--check", action="store_true", help="only say what is wrong with the file, all of it")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 0, or 1 with words on standard error."""
    try:
        settings = read(arguments.file)
    except Problems as error:
        for problem in error.problems:
            print(f"{arguments.file}: {problem}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{arguments.file} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    if arguments.check:
        counts = _count(len(settings.peers), "peer"), _count(len(settings.routes), "route")
        print(f"{arguments.file}: {', '.join(counts)}, no errors")
        return 0
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        asyncio.run(_serve(arguments.file, settings))
    except (ConfigurationError, OSError) as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


async def _serve(path: Path, settings: SpeakerFile) -> None:
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
        while not end.is_set():
            await _first(end, again)
            if again.is_set():
                again.clear()
                settings = reload(speaker, path, settings)


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


def reload(speaker: Speaker, path: Path, old: SpeakerFile) -> SpeakerFile:
    """The new settings, carried out; the old ones where the file is no good, and then nothing is touched."""
    try:
        new = read(path, running=old)
    except (Problems, OSError) as error:
        for line in str(error).splitlines():
            LOG.error("%s: %s", path, line)
        LOG.error("%s: nothing was changed", path)
        return old
    steps = difference(old, new)
    if not steps:
        LOG.info("%s: nothing changed", path)
        return new
    policies = [peer.config.address for peer, names in steps.changed if names & {"import_policy", "export_policy"}]
    if policies:  # what else changes is told by the speaker
        LOG.info("%s: other policies for %s", path, ", ".join(policies))
    if steps.restart:
        LOG.warning("%s: %s of [speaker] changed; that needs a new start", path, ", ".join(steps.restart))
    peers = dict(new.peers)
    for address, refusal in apply(speaker, steps, new).items():
        LOG.error("%s: peer %s: %s", path, address, refusal)
        peers.pop(address)
        if address in old.peers:  # so that the next reload tries again
            peers[address] = old.peers[address]
    return SpeakerFile(old.fixed, peers, new.routes, new.policies, new.policy_values)


def apply(speaker: Speaker, steps: Difference, settings: SpeakerFile) -> dict[str, ConfigurationError]:
    """Carry out a difference; what is not in it is not touched. Routes come before the peers that learn them.

    Returns the peers which the speaker refused to add or change, and why.
    """
    refused: dict[str, ConfigurationError] = {}
    if steps.withdrawn:
        speaker.withdraw_many(steps.withdrawn)
        LOG.info("%s withdrawn", _count(len(steps.withdrawn), "route"))
    for spec, prefixes in steps.announced:
        speaker.announce_many(prefixes, spec.attributes, next_hop=spec.next_hop)
    if steps.announced:
        LOG.info("%s announced", _count(sum(len(prefixes) for _spec, prefixes in steps.announced), "route"))
    for address in steps.gone:
        speaker.remove_peer(address)
    for peer, names in steps.changed:
        try:
            speaker.change_peer(peer.config.address, **_changed(peer, names, settings.policies))
        except ConfigurationError as error:
            refused[peer.config.address] = error
    for peer in steps.new:
        every: dict[str, Any] = {**peer.settings(), **_policies(peer, settings.policies)}
        try:
            speaker.add_peer(**every)
        except ConfigurationError as error:
            refused[peer.config.address] = error
    return refused


def _policies(peer: PeerSpec, policies: dict[str, Policy]) -> dict[str, Policy | None]:
    names = {"import_policy": peer.import_policy, "export_policy": peer.export_policy}
    return {direction: None if name is None else policies[name] for direction, name in names.items()}


def _changed(peer: PeerSpec, names: frozenset[str], policies: dict[str, Policy]) -> dict[str, Any]:
    every = {**peer.settings(), **_policies(peer, policies)}
    return {name: every[name] for name in names}
