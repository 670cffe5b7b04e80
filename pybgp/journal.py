"""One log line an event, for the logger "pybgp"."""

from __future__ import annotations

import logging

from pybgp.events import PeerEvent

log = logging.getLogger("pybgp")

_LEVELS = {
    "failed": logging.INFO,
    "down": logging.WARNING,
    "refused": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "end-of-rib": logging.DEBUG,
}
REFUSED_EVERY = 60.0
"""Seconds between two lines about connections from the same stranger."""
REFUSED_KEPT = 1024


class Journal:
    """Writes events to the log; says the same of one stranger or one dead neighbour only now and then."""

    def __init__(self) -> None:
        self._refused: dict[str, float] = {}
        self._failed: dict[str, str] = {}

    def write(self, event: PeerEvent) -> None:
        level = _LEVELS.get(event.kind, logging.INFO)
        if event.kind == "refused":
            last = self._refused.get(event.peer)
            if last is not None and event.now - last < REFUSED_EVERY:
                return
            if len(self._refused) >= REFUSED_KEPT:
                self._refused.clear()
            self._refused[event.peer] = event.now
        elif event.kind == "failed":
            if self._failed.get(event.peer) == event.reason:
                level = logging.DEBUG  # the same reason as the time before
            self._failed[event.peer] = event.reason
        elif event.kind in ("up", "removed"):
            self._failed.pop(event.peer, None)
        if event.detail:
            log.log(level, "%s\n%s", event, event.detail)
        else:
            log.log(level, "%s", event)
