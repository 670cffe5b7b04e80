"""A node that is about to go: first its routes say so (RFC 8326), then they are withdrawn. Pure: `now` is given.

Neighbours that have another way take it while this one still works, so that nothing is lost when it ends. A drain lasts
until it is ended, or until the agent is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .desired import Desired


@dataclass(frozen=True, slots=True)
class Drain:
    """`began` and `withdraw_at` on the clock of the event loop, seconds."""

    began: float
    withdraw_at: float

    def applied(self, wanted: Desired, now: float) -> Desired:
        """What is left to be wanted."""
        peers = {address: replace(peer, graceful_shutdown=True) for address, peer in wanted.peers.items()}
        if now < self.withdraw_at:
            return replace(wanted, peers=peers)
        return replace(wanted, peers=peers, announcements=frozenset())

    def next_deadline(self, now: float) -> float | None:
        """When it will ask for something else."""
        return self.withdraw_at if now < self.withdraw_at else None
