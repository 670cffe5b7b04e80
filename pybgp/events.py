"""What the router tells the outside: events for people and programs, and what it asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pybgp.family import Family

EventKind = Literal[
    "added",
    "changed",  # settings of a peer; `reason` names them
    "removed",
    "up",  # the session is established
    "down",  # ... and no longer; `reason` in words
    "failed",  # a connection ended before it was established
    "end-of-rib",  # the peer has sent its whole table of `family`
    "stale",  # graceful restart: the peer is gone, its routes of `family` stay for now
    "flushed",  # graceful restart: routes of `family` that the peer did not announce again were removed
    "refused",  # a connection from an address that is no peer, or that may not connect now
    "warning",  # something a person should look at
    "offence",  # a message was wrong; `reason` has what became of it, the offset, the RFC section and the octets
    "error",  # a bug of ours or of a policy; only this peer's session suffered
    "advertising",  # after our own restart: learned routes are now advertised onward
    "lost",  # the reader of events was too slow and missed some
]


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """Something happened. `peer` is the peer's address ("" for the speaker as a whole), `now` the clock of
    the event loop in seconds; `detail` is long (a traceback) and only for logs. `wanted`: somebody on our side
    asked for it."""

    kind: EventKind
    peer: str
    reason: str = ""
    family: Family | None = None
    now: float = 0.0
    detail: str = ""
    wanted: bool = False

    def __str__(self) -> str:
        """One line of printable characters, whatever the peer has put into a text of its own."""
        parts = [self.peer or "speaker", self.kind]
        if self.family is not None:
            parts.append(str(self.family))
        return printable(" ".join(parts) + (f": {self.reason}" if self.reason else ""))


def printable(text: object) -> str:
    """With escapes for what is no printable character: texts of others (hostnames, shutdown communications) can
    neither begin a line of a log nor move the cursor of a terminal."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in shown)
