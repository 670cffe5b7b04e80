"""How many addresses are announced, a line now and then: a busy host starts and ends hundreds a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet

from pybgp import Prefix

from .desired import Desired

log = logging.getLogger(__name__)

PAUSE = 10.0
"""Seconds between two lines. The first change after a quiet time is told at once."""


class Tally:
    """Told of every wish, it logs how the number of announced addresses moves. Needs a running event loop."""

    def __init__(self) -> None:
        self._told: tuple[AbstractSet[Prefix], int] = (frozenset(), 0)
        self._now = self._told
        self._timer: asyncio.TimerHandle | None = None

    def note(self, wanted: Desired) -> None:
        """What is announced and withheld from now on."""
        self._now = (wanted.announcements, len(wanted.withheld))
        if self._timer is None:
            self._tell()

    def close(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        if self._now == self._told:
            return
        (before, _), (announced, withheld) = self._told, self._now
        log.info(
            "addresses of workloads: %d announced (%d new, %d gone)%s",
            len(announced),
            len(announced - before),
            len(before - announced),
            f"; {withheld} not announced, `status` tells why" if withheld else "",
        )
        self._told = self._now
        self._timer = asyncio.get_running_loop().call_later(PAUSE, self._tell)
