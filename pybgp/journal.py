"""One log line an event, for the logger "pybgp"."""

from __future__ import annotations

import logging

from pybgp.events import PeerEvent

log = logging.getLogger("pybgp")

_LEVELS = {
    "failed": logging.INFO,
    "down": logging.WARNING,
    "refused": logging.WARNING,
    "offence": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "end-of-rib": logging.DEBUG,
}
REFUSED_EVERY = 60.0
"""Seconds between two lines about connections from the same stranger."""
REFUSED_KEPT = 1024
OFFENCES_AT_ONCE = 20
"""Lines about wrong messages of one peer within a minute; what is over is counted."""


class Journal:
    """Writes events to the log; says the same of one stranger or one dead neighbour only now and then."""

    def __init__(self) -> None:
        self._refused: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._offences: dict[str, tuple[float, int]] = {}

    def write(self, event: PeerEvent) -> None:
        level = logging.INFO if event.wanted else _LEVELS.get(event.kind, logging.INFO)
        if event.kind == "offence" and not self._may_tell(event):
            return
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
        if event.kind == "removed":
            self._offences.pop(event.peer, None)
        if event.detail:
            log.log(level, "%s\n%s", event, event.detail)
        else:
            log.log(level, "%s", event)

    def _may_tell(self, event: PeerEvent) -> bool:
        """Whether another wrong message of a peer is worth a line: who sends nothing else shall not fill the disk."""
        since, count = self._offences.get(event.peer, (event.now, 0))
        if event.now - since >= REFUSED_EVERY:
            if count > OFFENCES_AT_ONCE:
                log.warning("%s offence: %d more within a minute", event.peer, count - OFFENCES_AT_ONCE)
            since, count = event.now, 0
        self._offences[event.peer] = since, count + 1
        return count < OFFENCES_AT_ONCE
