"""From what is to what should be: the shortest list of steps, in an order that hurts nobody. Pure.

`apply(reconcile(wanted, actual), actual) == wanted`, and between equal states there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pybgp import Prefix

from .sessions import MeshPeer


@dataclass(frozen=True, slots=True)
class BgpState:
    """What a speaker does: whom it speaks to (by address), and what it announces, with which LOCAL_PREF (by AFI;
    none: as BGP has it)."""

    peers: Mapping[str, MeshPeer] = field(default_factory=dict)
    announcements: frozenset[Prefix] = frozenset()
    local_prefs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class WithdrawRoutes:
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class AnnounceRoutes:
    prefixes: tuple[Prefix, ...]
    local_prefs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RemovePeer:
    address: str


@dataclass(frozen=True, slots=True)
class ChangePeer:
    peer: MeshPeer
    was: MeshPeer


@dataclass(frozen=True, slots=True)
class AddPeer:
    peer: MeshPeer


Operation: TypeAlias = WithdrawRoutes | AnnounceRoutes | RemovePeer | ChangePeer | AddPeer


def reconcile(wanted: BgpState, actual: BgpState) -> list[Operation]:
    """The steps from `actual` to `wanted`.

    Routes are announced before a peer is added: what comes before the first End-of-RIB is what a peer
    compares its stale routes with.
    """
    operations: list[Operation] = []
    gone = actual.announcements - wanted.announcements
    again = wanted.local_prefs != actual.local_prefs
    new = wanted.announcements if again else wanted.announcements - actual.announcements
    if gone:
        operations.append(WithdrawRoutes(tuple(sorted(gone))))
    if new or again:
        operations.append(AnnounceRoutes(tuple(sorted(new)), wanted.local_prefs))
    if wanted.peers is actual.peers:  # nothing is compared where thousands are the same
        return operations
    operations += [RemovePeer(address) for address in sorted(actual.peers.keys() - wanted.peers.keys())]
    for address, peer in sorted(wanted.peers.items()):
        was = actual.peers.get(address)
        if was is None:
            operations.append(AddPeer(peer))
        elif was is not peer and was != peer:
            operations.append(ChangePeer(peer, was))
    return operations


def apply(operations: Iterable[Operation], actual: BgpState) -> BgpState:
    """The state after these steps, if each of them succeeds."""
    peers, announcements = dict(actual.peers), set(actual.announcements)
    local_prefs = actual.local_prefs
    for operation in operations:
        match operation:
            case WithdrawRoutes(prefixes):
                announcements.difference_update(prefixes)
            case AnnounceRoutes(prefixes, local_prefs):
                announcements.update(prefixes)
            case RemovePeer(address):
                del peers[address]
            case ChangePeer(peer) | AddPeer(peer):
                peers[peer.address] = peer
    return BgpState(peers, frozenset(announcements), local_prefs)
