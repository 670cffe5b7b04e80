"""Other writers at our places: what they take is put back with pauses, or left to them. Never a fight at full speed.

A place is (AFI, destination). By the policy `yield` what another writer has made stays, and what it only deletes is
put back, each time after twice the pause; by `insist` ours go in each time, once a second at most.
"""

from __future__ import annotations

from .problem import ProblemKind, Reason
from .words import process_name

INSIST = 1.0  # seconds at least between two times that routes are put back
LONGEST = 60.0  # seconds that a place waits which is taken from us again and again, by `yield`
SHOWN = 60.0  # seconds for which a contest shows among the problems, and for which it counts as the same

Place = tuple[int, bytes]


class Contest:
    """No I/O: `now` is an argument."""

    def __init__(self, *, insist: bool = False) -> None:
        self.insist = insist
        self.waiting: dict[Place, tuple[Reason, float]] = {}
        self.count = 0  # how often a route had to be put back
        self._shown: dict[Place, tuple[Reason, float]] = {}
        self._strikes: dict[Place, int] = {}
        self._names: dict[int, str] = {}
        self._last = float("-inf")

    def who(self, port: int) -> str:
        """The process behind a netlink port; looked up once while events come in a row."""
        if not self.waiting:
            self._names.clear()
        name = self._names.get(port)
        if name is None:
            name = self._names[port] = process_name(port)
        return name

    def note(self, afi: int, nlri: bytes, deed: str, now: float) -> float:
        """A route was taken from us; gives in how many seconds `take` may put it back.

        `deed`: by whom and how, and what is done about it, in words.
        """
        place = afi, nlri
        pause = 0.0
        lately = place in self._shown and (self._shown[place][1] > now or place in self.waiting)
        if not lately:
            self._strikes.pop(place, None)
        elif not self.insist:
            strikes = self._strikes[place] = self._strikes.get(place, 0) + 1
            pause = min(LONGEST, 2.0 ** (strikes - 1))
        due = max(now + pause, self._last + INSIST)
        often = "once a second at most" if self.insist else "each time after a longer pause"
        self.waiting[place] = Reason(ProblemKind.CONTESTED, f"{deed}, {often}"), due
        return max(0.0, due - now)

    def wait(self, afi: int, nlri: bytes, reason: Reason, now: float) -> None:
        """Somebody else has this place: `take` gives it when the time has come."""
        reason = reason._replace(kind=ProblemKind.CONTESTED)
        self.waiting.setdefault((afi, nlri), (reason, max(now, self._last + INSIST)))

    def take(self, now: float) -> dict[Place, Reason]:
        """The places to put back now."""
        due = {place: reason for place, (reason, when) in self.waiting.items() if when <= now + 0.001}
        if due:
            self._last = now
            self.count += len(due)
        self.waiting = {place: one for place, one in self.waiting.items() if place not in due}
        self._shown = {place: shown for place, shown in self._shown.items() if shown[1] > now}
        self._shown.update({place: (reason, now + SHOWN) for place, reason in due.items()})
        self._strikes = {place: n for place, n in self._strikes.items() if place in self._shown}
        return due

    def next_in(self, now: float) -> float | None:
        """Seconds until the first of those that wait is due."""
        first = min((due for _, due in self.waiting.values()), default=None)
        return None if first is None else max(0.0, first - now)

    def shown(self, now: float) -> dict[Place, Reason]:
        """What is or lately was contested."""
        lately = {place: reason for place, (reason, until) in self._shown.items() if until > now}
        return {**lately, **{place: reason for place, (reason, _) in self.waiting.items()}}
