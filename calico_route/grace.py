"""When routes from before a restart, which nobody has confirmed yet, may be deleted. Pure: `now` is given.

They may as soon as every node we speak to has sent its whole table. A node that cannot be reached is waited
for only until a timer runs out, so that one dead node never keeps everybody waiting; but those that are
established by then still get the time to finish, since their routes would be deleted and added again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeerProgress:
    """How far a session is. `uptime` in seconds since it was established; `complete`: End-of-RIB of every
    family has come."""

    established: bool
    complete: bool
    uptime: float = 0.0


class Grace:
    """The time between a start and the deletion of stale routes. `patience` in seconds.

    It begins with `begin()`, when the peers are known for the first time, and ends once.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self.patience = patience
        self._began: float | None = None
        self._again = False
        self.over = False

    @property
    def begun(self) -> bool:
        return self._began is not None

    def begin(self, now: float) -> None:
        """The peers are known: the timer starts, if it has not already."""
        if self._began is None:
            self._began = now

    def left(self, now: float) -> float | None:
        """Seconds that nodes are waited for at least; None when it has not begun, or is over."""
        return None if self.over or self._began is None else max(0.0, self._began + self.patience - now)

    def again(self) -> None:
        """All that is in the kernel is stale once more: wait for the next `begin()`. If there are no peers then, what
        they have told is not waited for: who has just ended all sessions knows that there are none."""
        self._began, self.over, self._again = None, False, True

    def next_deadline(self, peers: Iterable[PeerProgress], now: float) -> float | None:
        """When to ask `ready` again though nothing has happened; None: only when something happens."""
        if self.over or self._began is None:
            return None
        until = self._began + self.patience
        if now < until:
            return until
        waiting = [peer.uptime for peer in peers if peer.established and not peer.complete]
        return now + max(0.0, self.patience - min(waiting)) if waiting else now

    def ready(self, peers: Iterable[PeerProgress], now: float) -> str:
        """The reason why stale routes may go now, in words; "" while they must stay. `finish()` ends it."""
        if self.over or self._began is None:
            return ""
        peers = list(peers)
        if peers and all(peer.established and peer.complete for peer in peers):
            return "every node has sent all its routes"
        if not peers and self._again:
            return "there are no sessions any more"
        if now < self._began + self.patience:
            return ""
        # A node without graceful restart never says that it is complete: it has this long.
        if any(peer.established and not peer.complete and peer.uptime < self.patience for peer in peers):
            return ""
        missing = sum(not peer.established for peer in peers)
        return f"{self.patience:g} s are over" + (f", {missing} of {len(peers)} nodes are away" if missing else "")

    def finish(self) -> None:
        """The stale routes are gone."""
        self.over = True
