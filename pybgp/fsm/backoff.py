"""Pauses that grow: between connection attempts, and the idle hold of DampPeerOscillations."""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """Doubles from `first` to `longest` seconds; starts anew when `quiet` seconds have passed since a pause ended.

    With `jitter` (a callable that gives numbers from 0 to 1) each pause is 75 to 100 percent of its
    length, as RFC 4271 section 10 asks of the ConnectRetryTimer: a mesh that lost a node must not come back in step.
    """

    __slots__ = ("_first", "_jitter", "_longest", "_next", "_quiet", "_until")

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        quiet: float,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._first = first
        self._longest = longest
        self._quiet = quiet
        self._jitter = jitter
        self._next = first
        self._until: float | None = None  # when the last pause ended

    def next(self, now: float) -> float:
        """The length in seconds of the pause that starts `now`; the one after it is twice as long."""
        if self._until is not None and now - self._until >= self._quiet:
            self._next = self._first
        pause = self._next
        self._next = min(pause * 2, self._longest)
        if self._jitter is not None:
            pause *= jittered(self._jitter)
        self._until = now + pause
        return pause

    def forget(self) -> None:
        """Start with `first` again."""
        self._next = self._first
        self._until = None


def jittered(jitter: Callable[[], float]) -> float:
    """A factor from 0.75 to 1.0 (RFC 4271 section 10)."""
    return 0.75 + 0.25 * min(max(jitter(), 0.0), 1.0)
