"""Which picture of the datastore is acted upon: what it says now, what it said before, or none.

Pure but for the log: `now` is given.

* It has answered: what it says, but for deletions that the guard holds back.
* It says that it is not ready (an upgrade, a migration): what was in force stays in force.
* It has not answered since the start, for some seconds: the snapshot that an earlier run kept on disk.
* Neither: nothing. Then there are no sessions at all, since a speaker without routes would make its peers
  forget the ones they have.
"""

from __future__ import annotations

import logging
import time

from .cache import Kept
from .guard import Guard, Here, Hold
from .model import ClusterInformation, Kind
from .view import View

log = logging.getLogger(__name__)

FIRST_ANSWER = 3.0
"""Seconds that the datastore gets at the start before it counts as away. Nobody suffers meanwhile: the kernel's
routes are there, and the other nodes keep theirs to us for longer. The first endpoint of three may be dead."""
REMIND = 60.0
"""Seconds between two warnings about a deletion that is still held back."""


class Believed:
    """Decides, and says in the log what it decided."""

    def __init__(self, kept: Kept | None, hold_time: float, now: float, here: Here = lambda _: False) -> None:
        self._kept = kept
        self._here = here
        self._hold_time = hold_time
        self._guard = Guard(hold_time, kept.view if kept is not None else None)
        self._started = now
        self._said = ""
        self._reminded = now
        self._checked = False
        self._answered = False
        self.from_disk = False
        self.not_ready = ""
        """Why the datastore asks that nobody acts upon it, "" while it does not."""
        self.view: View | None = None
        """What is in force."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        return self._guard.holds

    @property
    def settled(self) -> bool:
        """True when what is in force is what the datastore says: nothing held back, nothing from disk."""
        return self._checked and not self.from_disk and not self.holds

    def next_deadline(self, seen: View | None) -> float | None:
        """When `decide` should be asked again though nothing has happened."""
        if seen is None:
            return self._started + FIRST_ANSWER if self.view is None and not self._said else None
        deadline = self._guard.next_deadline()
        return None if deadline is None else min(deadline, self._reminded + REMIND)

    def decide(self, seen: View | None, away: str, now: float) -> View | None:
        """What to act upon. `seen`: what the datastore has said, None: nothing yet; `away`: why it does not
        answer, "" if it may yet."""
        self.not_ready = "" if seen is None else seen.not_ready
        if seen is None:
            if self.view is None and now >= self._started + FIRST_ANSWER:
                self._fall_back(f"the datastore is away ({away or 'no answer yet'})")
        elif self.not_ready:
            self._say(logging.WARNING, f"the datastore is not ready: {self.not_ready}. Nothing changes until it is")
            if self.view is None:
                self._fall_back("the datastore is not ready")
            self._checked = False
        else:
            self._judge(seen, now)
        return self.view

    def _fall_back(self, why: str) -> None:
        if self._kept is None:
            self._say(
                logging.ERROR,
                f"{why} and no earlier snapshot is on disk: no sessions until it answers; kernel routes stay",
            )
            return
        self.from_disk = True
        self.view = self._guard.view
        saved = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._kept.saved))
        self._say(
            logging.WARNING,
            f"{why}: working from the snapshot of {saved} (revision {self.view.revision}), which may be out of date",
        )

    def _judge(self, seen: View, now: float) -> None:
        if self._kept is not None and not self._answered and _strangers(seen, self._kept.view):
            log.warning("the snapshot on disk is of another cluster: it is not used")
            self._guard = Guard(self._hold_time)
        self._answered = True
        if self.from_disk:
            self._say(logging.INFO, "the datastore answers: no longer working from the snapshot on disk")
        self._said = ""
        self.from_disk = False
        self._checked = True
        verdict = self._guard.check(seen, now, self._here)
        for hold in verdict.begun:
            self._reminded = now
            log.error(
                "%s gone from the datastore at once (%s): held back for %g s, then it is believed. "
                "Put the keys back if this was an accident",
                hold.what,
                _names(hold),
                hold.until - now,
            )
        for hold in verdict.undone:
            log.info("what was gone (%s) is back: nothing was changed", hold.what)
        for hold in verdict.expired:
            log.error("%s still gone (%s): believed now", hold.what, _names(hold))
        if self.holds and now >= self._reminded + REMIND:
            self._reminded = now
            for hold in self.holds:
                log.error("%s gone (%s): held back for %g s more", hold.what, _names(hold), hold.until - now)
        self.view = verdict.view

    def _say(self, level: int, text: str) -> None:
        if text != self._said:
            self._said = text
            log.log(level, "%s", text)


def _strangers(seen: View, kept: View) -> bool:
    """Whether two pictures name themselves as of different clusters."""
    names = []
    for view in (seen, kept):
        cluster = view.get(Kind.CLUSTER_INFORMATION, "default")
        names.append(cluster.guid if isinstance(cluster, ClusterInformation) else None)
    return None not in names and names[0] != names[1]


def _names(hold: Hold) -> str:
    keys = sorted(hold.missing)
    shown = ", ".join(str(key) for key in keys[:5])
    return shown + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
