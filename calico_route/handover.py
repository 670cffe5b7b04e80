"""Sessions that others are to take the place of stay until these carry the routes. Pure: `now` is given.

Where a mesh gives way to reflectors, one reflector to another, or reflectors to a mesh, each node comes to the new
answer by itself, some sooner and some later. Who let go at once would lose routes until all the others are as far.
So what is no longer wanted (a session to a node that is still there; the reflecting for one) stays until every wanted
session has sent all its routes and some time more, in which the others come to the same; but not for ever. Who is not
as far even then keeps what it has heard from the one who has let go, as after a restart of it (RFC 4724): such a
session ends without a Cease.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from .sessions import MeshPeer

LINGER = 10.0
"""Seconds from the change: others may have heard of it later, and have more to read than we."""
PATIENCE = 60.0
"""Seconds from the change, whoever is missing by then."""
LOOK = 1.0
"""Seconds between two looks at sessions that were not complete."""


class Handover:
    """What is kept, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._settled: Mapping[str, MeshPeer] | None = None  # what is had, and nothing beside it

    @property
    def under_way(self) -> bool:
        return bool(self._since)

    def keep(
        self,
        wanted: Mapping[str, MeshPeer],
        nodes: Mapping[str, str],
        actual: Mapping[str, MeshPeer],
        complete: Callable[[], Collection[str]],
        now: float,
    ) -> Mapping[str, MeshPeer]:
        """What to have for now: what is wanted, and of what there is (`actual`) what has to stay.

        `nodes` are those of the cluster, by address: a session to one that is gone goes at once. `complete` are the
        addresses of the sessions that are established and have sent all their routes.
        """
        if wanted is self._settled:
            return wanted
        kept = {}
        for address, was in actual.items():
            peer = wanted.get(address)
            if peer is None and wanted and was.node and nodes.get(address) == was.node:
                kept[address] = replace(was, leaving=True)
            elif peer is not None and was.client and not peer.client and was.internal and peer.internal:
                kept[address] = replace(peer, client=True, cluster_id=was.cluster_id, leaving=True)
        self._since = {address: self._since.get(address, now) for address in kept}
        taken_over = bool(kept) and wanted.keys() <= set(complete())
        for address, since in list(self._since.items()):
            if now >= since + (LINGER if taken_over else PATIENCE):
                del self._since[address], kept[address]
        self._settled = None if kept else wanted
        return {**wanted, **kept} if kept else wanted

    def next_deadline(self, now: float) -> float | None:
        """When to ask `keep` again though nothing was wanted otherwise; None: not at all."""
        if not self._since:
            return None
        return max(min(self._since.values()) + LINGER, now + LOOK)

    def again(self) -> None:
        """All sessions start again: nothing is kept."""
        self._since.clear()
        self._settled = None
