"""What a `pybgp.session.Session` tells its owner, and what it keeps for those who ask how it fares."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.fsm.actions import CloseTransport, Down, OpenTransport, Received, Refresh, Up
from pybgp.messages import Open


@dataclass(frozen=True, slots=True)
class OpenReceived:
    """A valid OPEN arrived; the moment to look for a collision (`pybgp.fsm.collision`)."""

    open: Open


@dataclass(frozen=True, slots=True)
class InternalError:
    """A bug on our side, met while `data` was handled; only this session is dropped."""

    error: Exception
    data: bytes


Happening = OpenTransport | CloseTransport | Up | Down | Received | Refresh | OpenReceived | InternalError


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
    """A message (or header) of the peer that was wrong, as it came."""

    now: float
    reason: str
    data: bytes
