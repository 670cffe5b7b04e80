"""Routes of ours that somebody else deletes or changes: put back, but never in a fight without a pause."""

from __future__ import annotations

from .problem import ProblemKind, Reason
from .words import process_name

INSIST = 1.0  # seconds at least between two times that routes are put back
SHOWN = 60.0  # seconds for which a contest shows among the problems


class Contest:
    """No I/O: `now` is an argument. A place is (AFI, destination)."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, bytes], Reason] = {}
        self._shown: dict[tuple[int, bytes], tuple[Reason, float]] = {}
        self._names: dict[int, str] = {}
        self._last = float("-inf")
        self.count = 0  # how often a route had to be put back, for status

    def note(self, afi: int, nlri: bytes, changed: bool, port: int, now: float) -> float:
        """A route was taken from us; gives in how many seconds `take` may put it back."""
        if not self.waiting:
            self._names.clear()
        who = self._names.get(port)
        if who is None:
            who = self._names[port] = process_name(port)
        verb = "changed" if changed else "deleted"
        reason = Reason(ProblemKind.CONTESTED, f"was {verb} by {who}; it is put back, once a second at most")
        self.waiting[afi, nlri] = reason
        return max(0.0, self._last + INSIST - now)

    def take(self, now: float) -> dict[tuple[int, bytes], Reason]:
        """The places to put back now."""
        self._last = now
        places, self.waiting = self.waiting, {}
        self.count += len(places)
        self._shown = {place: shown for place, shown in self._shown.items() if shown[1] > now}
        self._shown.update({place: (reason, now + SHOWN) for place, reason in places.items()})
        return places

    def shown(self, now: float) -> dict[tuple[int, bytes], Reason]:
        """What is or lately was contested."""
        lately = {place: reason for place, (reason, until) in self._shown.items() if until > now}
        return {**lately, **self.waiting}
