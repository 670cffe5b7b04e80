"""What a `pybgp.session.Session` tells its owner, and what it keeps for those who ask how it fares."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.fsm.actions import CloseTransport, Down, OpenTransport, Received, Refresh, Up
from pybgp.messages import Open

IN_A_LINE = 256
"""Octets of a wrong message in a line of the log."""


@dataclass(frozen=True, slots=True)
class OpenReceived:
    """A valid OPEN arrived; the moment to look for a collision (`pybgp.fsm.collision`)."""

    open: Open


@dataclass(frozen=True, slots=True)
class InternalError:
    """A bug on our side, met while `data` was handled; only this session is dropped."""

    error: Exception
    data: bytes


@dataclass(slots=True)
class Counters:
    """Since the session object was made; octets are those of whole messages."""

    messages_in: int = 0
    messages_out: int = 0
    updates_in: int = 0
    updates_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(frozen=True, slots=True)
class Offence:
    """A message of the peer that was wrong, as it came: `data` is all of it, or as much as had come.

    offset: of the first fault, in octets from the start of the message. section: of the RFC that it offends.
    outcome: what became of it, "session reset" or as RFC 7606 section 2 has it. One with several faults tells
    of the strongest; `reason` has them all.
    """

    now: float
    reason: str
    data: bytes
    offset: int | None = None
    section: str = ""
    outcome: str = "session reset"

    def __str__(self) -> str:
        """One line: the octets last, and cut where a line of them is of no use to anybody."""
        octets = self.data[:IN_A_LINE].hex() + (f"… ({len(self.data)} octets)" if len(self.data) > IN_A_LINE else "")
        place = "" if self.offset is None else f" offset={self.offset}"
        section = f' section="{self.section}"' if self.section else ""
        return f'{self.reason} outcome="{self.outcome}"{place}{section} message={octets}'


Happening = OpenTransport | CloseTransport | Up | Down | Received | Refresh | OpenReceived | InternalError | Offence
