"""A speaker's file and the speaker that runs by it: carrying out the whole file, or what changed in it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pybgp.app.peer_file import ListenSpec, PeerSpec
from pybgp.app.reader import Problems
from pybgp.app.speaker_file import Difference, SpeakerFile, difference, read
from pybgp.errors import ConfigurationError
from pybgp.policy import Policy
from pybgp.speaker import Speaker

LOG = logging.getLogger("pybgp.run")

Say = Callable[[int, str], None]
"""A level of `logging`, and a line for people."""


def to_log(level: int, line: str) -> None:
    LOG.log(level, "%s", line)


def count(number: int, what: str) -> str:
    """`1 peer`, `2 peers`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def reload(speaker: Speaker, path: Path, old: SpeakerFile, say: Say = to_log) -> SpeakerFile:
    """The new settings, carried out; the old ones where the file is no good, and then nothing is touched."""
    try:
        new = read(path, running=old)
    except (Problems, OSError) as error:
        for line in str(error).splitlines():
            say(logging.ERROR, f"{path}: {line}")
        say(logging.ERROR, f"{path}: nothing was changed")
        return old
    steps = difference(old, new)
    if not steps:
        say(logging.INFO, f"{path}: nothing changed")
        return new
    policies = [peer.config.address for peer, names in steps.changed if names & {"import_policy", "export_policy"}]
    if policies:  # what else changes is told by the speaker
        say(logging.INFO, f"{path}: other policies for {', '.join(policies)}")
    if steps.restart:
        keys = ", ".join(steps.restart)
        say(logging.WARNING, f"{path}: {keys} of [speaker] changed; that needs a new start")
    peers, listens = dict(new.peers), {str(prefix): one for prefix, one in new.listens.items()}
    for address, refusal in apply(speaker, steps, new, say).items():
        say(logging.ERROR, f"{path}: {address}: {refusal}")
        peers.pop(address, None)
        listens.pop(address, None)
        if address in old.peers:  # so that the next reload tries again
            peers[address] = old.peers[address]
    kept = {one.prefix: one for one in listens.values()}
    return SpeakerFile(old.fixed, peers, new.routes, new.policies, new.policy_values, kept, old.socket)


def apply(
    speaker: Speaker, steps: Difference, settings: SpeakerFile, say: Say = to_log
) -> dict[str, ConfigurationError]:
    """Carry out a difference; what is not in it is not touched. Routes come before the peers that learn them.

    Returns the peers which the speaker refused to add or change, and why.
    """
    refused: dict[str, ConfigurationError] = {}
    if steps.withdrawn:
        speaker.withdraw_many(steps.withdrawn)
        say(logging.INFO, f"{count(len(steps.withdrawn), 'route')} withdrawn")
    for spec, prefixes in steps.announced:
        speaker.announce_many(prefixes, spec.attributes, next_hop=spec.next_hop)
    if steps.announced:
        number = sum(len(prefixes) for _spec, prefixes in steps.announced)
        say(logging.INFO, f"{count(number, 'route')} announced")
    for address in steps.gone:
        speaker.remove_peer(address)
    for peer, names in steps.changed:
        try:
            speaker.change_peer(peer.config.address, **_changed(peer, names, settings.policies))
        except ConfigurationError as error:
            refused[peer.config.address] = error
    for prefix in set(steps.closed) - {listen.prefix for listen in steps.opened}:
        speaker.stop_listening_for(prefix)
    for listen in steps.opened:
        try:
            every: dict[str, Any] = {**listen.settings(), **_policies(listen, settings.policies)}
            serve = speaker.change_range if listen.prefix in steps.closed else speaker.listen_for
            serve(listen.prefix, peer_as=listen.peer_as, maximum=listen.maximum, **every)
        except ConfigurationError as error:
            refused[str(listen.prefix)] = error
    for peer in steps.new:
        wanted: dict[str, Any] = {**peer.settings(), **_policies(peer, settings.policies)}
        try:
            speaker.add_peer(**wanted)
        except ConfigurationError as error:
            refused[peer.config.address] = error
    return refused


def _policies(peer: PeerSpec | ListenSpec, policies: dict[str, Policy]) -> dict[str, Policy | None]:
    names = {"import_policy": peer.import_policy, "export_policy": peer.export_policy}
    return {direction: None if name is None else policies[name] for direction, name in names.items()}


def _changed(peer: PeerSpec, names: frozenset[str], policies: dict[str, Policy]) -> dict[str, Any]:
    every = {**peer.settings(), **_policies(peer, policies)}
    return {name: every[name] for name in names}
