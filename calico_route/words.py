"""The words of the command line, and what each is for: shown by `--help`, and all that the agent's start knows of
them (nothing is imported here)."""

from __future__ import annotations

from collections.abc import Sequence

WORDS: dict[str, str] = {
    "node": "run the agent with addresses, containers and profiles; stop it; BGPPeers of this node alone",
    "status": "what the agent on this host is doing",
    "drain": "tell all neighbours that this node is about to go, and wait until it is safe to stop",
    "pool": "pools of addresses for workloads: add, remove, show",
    "profile": "profiles, their tags and their rules: who may reach whom",
    "container": "give a container or a network namespace an address, or take it out again",
    "endpoint": "the workloads of all nodes, and the profiles of each",
    "bgppeer": "BGP neighbours of all nodes beside the mesh: add, remove, show",
    "bgp-node-mesh": "whether every node has a session to every other: on or off",
    "default-node-as": "the AS number of nodes that have none of their own",
    "ipam": "addresses in use: show, release, check and repair",
    "checksystem": "whether this host has all that is needed, and what to do where not",
    "diags": "gather what is needed to find a fault into one file, which stays on this host",
}
COMPLETION = ("--install-completion", "--show-completion")
COMPLETION_VARIABLE = "_CALICO_ROUTE_COMPLETE"
"""Set by the shell when it asks what could come next."""


def overview() -> str:
    """For the agent's `--help`."""
    width = max(map(len, WORDS))
    return "\n".join(f"  {word.ljust(width)}  {what}" for word, what in WORDS.items())


def is_command(arguments: Sequence[str]) -> bool:
    """Whether they are for calico_route.commands, and not flags of the agent."""
    return bool(arguments) and (not arguments[0].startswith("-") or arguments[0].split("=")[0] in COMPLETION)


def starts_node(arguments: Sequence[str]) -> bool:
    """Whether they run the agent with containers and profiles: `node` and its flags."""
    return arguments[:1] == ["node"] and (len(arguments) == 1 or arguments[1].startswith("-"))
