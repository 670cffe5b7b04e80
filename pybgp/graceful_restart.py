"""Graceful restart (RFC 4724): the clocks of both roles.

The helper's half is one a peer: `Helper` says how long a vanished peer's routes may stay. The restarting
half is one a speaker: `Deferral` says until when learned routes are not told onward.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pybgp.family import Family
from pybgp.fsm.negotiation import Negotiated

STALE_PATH_TIME = 360.0
"""Seconds that a peer which came back may take to send End-of-RIB."""
STALE_REFRESH_TIME = 360.0
"""Seconds that a peer may take from the beginning of an enhanced route refresh to its end (RFC 7313 section 4)."""
SETTLE_TIME = 5.0
"""Seconds after a restart for first connections; peers that take longer are not waited for."""


class Helper:
    """Whether a peer's stale routes still may stay. `deadline` is when they go, None when there are none."""

    __slots__ = ("_first_lost", "_latest", "deadline", "waiting_for")

    def __init__(self) -> None:
        self.deadline: float | None = None
        self.waiting_for = ""
        self._first_lost = 0.0
        self._latest = 0.0

    def lost(self, restart_time: float, now: float, *, again: bool = False) -> None:
        """The peer vanished: it has its own restart time to come back.

        `again`: stale routes of an earlier restart stay, too. However often it restarts, they have no more time than
        one restart could take, so that a peer which ends again and again does not keep them for ever.
        """
        if not again or self.deadline is None:
            self._first_lost = now
        self._latest = self._first_lost + restart_time + STALE_PATH_TIME
        self._until(now + restart_time, f"did not come back within its restart time of {restart_time:g} s")

    def back(self, now: float) -> None:
        """The session is up again: the peer has time to tell everything."""
        if self.deadline is not None:
            self._until(now + STALE_PATH_TIME, f"sent no End-of-RIB within {STALE_PATH_TIME:g} s")

    def done(self) -> None:
        self.deadline = None

    def _until(self, deadline: float, waiting_for: str) -> None:
        self.deadline, self.waiting_for = deadline, waiting_for
        if deadline > self._latest:
            self.deadline = self._latest
            self.waiting_for = f"sent no End-of-RIB within {self._latest - self._first_lost:g} s of its first restart"


class FamilyClock:
    """Until when the stale routes of which families may stay (RFC 9494 section 4.2, RFC 7313 section 4)."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Family, float] = {}

    def begin(self, family: Family, stale_time: float, now: float) -> None:
        """They may stay `stale_time` seconds from now, unless `done` comes first."""
        self._deadlines[family] = now + stale_time

    def done(self, family: Family) -> None:
        self._deadlines.pop(family, None)

    def over(self, now: float) -> list[Family]:
        """The families whose time has come."""
        return [family for family, deadline in self._deadlines.items() if now >= deadline]

    def __contains__(self, family: object) -> bool:
        return family in self._deadlines

    @property
    def deadline(self) -> float | None:
        """The next one."""
        return min(self._deadlines.values(), default=None)


class Waited(Protocol):
    """A peer, as the deferral sees it."""

    @property
    def negotiated(self) -> Negotiated | None: ...

    @property
    def attempted(self) -> bool: ...

    @property
    def initial_table_received(self) -> bool: ...


class Deferral:
    """After our own restart, learned routes are told onward only when the peers have told us theirs
    (RFC 4724 section 4.1), or at `deadline`. Peers that restart themselves or have no graceful restart are
    not waited for, nor, once `SETTLE_TIME` has passed, are those that do not answer: one dead node must not
    hold up all the others.
    """

    __slots__ = ("_settled", "active", "deadline", "longest")

    def __init__(self, longest: float, *, active: bool) -> None:
        self.active = active
        self.longest = longest
        self.deadline: float | None = None
        self._settled = 0.0

    def start(self, now: float) -> None:
        if self.active and self.deadline is None:
            self.deadline = now + self.longest
            self._settled = now + min(SETTLE_TIME, self.longest)

    def next_deadline(self, now: float) -> float | None:
        if not self.active or self.deadline is None:
            return None
        return self._settled if now < self._settled else self.deadline

    def over(self, peers: Iterable[Waited], now: float) -> bool:
        """Whether it ends now."""
        if not self.active or self.deadline is None:
            return False
        if now >= self.deadline:
            return True
        settled = now >= self._settled
        anybody = False
        for peer in peers:
            anybody = True
            agreed = peer.negotiated
            if agreed is None:
                if not settled and not peer.attempted:
                    return False
            elif (
                agreed.graceful_restart is not None
                and not agreed.graceful_restart.restarting
                and not peer.initial_table_received
            ):
                return False
        return anybody or settled
