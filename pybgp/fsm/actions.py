"""What the machine asks for: values, carried out by `pybgp.session` and, for sockets and routes, by its owner."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.fsm.negotiation import Negotiated
from pybgp.fsm.states import Timer
from pybgp.messages import Keepalive, Notification, Open, RouteRefresh, Update


@dataclass(frozen=True, slots=True)
class DownReason:
    """Why a connection ended.

    `text` is words that a person understands; `notification` the one that was sent (`sent`) or received.
    `administrative`: our own side was told to stop. `graceful`: the neighbour keeps forwarding, so its routes
    may be kept as stale (RFC 4724 section 4.2, RFC 8538). `error`: counts for DampPeerOscillations.
    """

    text: str
    notification: Notification | None = None
    sent: bool = False
    administrative: bool = False
    graceful: bool = False
    error: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Send:
    """Put a message on the wire."""

    message: Open | Keepalive | Notification


@dataclass(frozen=True, slots=True)
class Start:
    """(Re)start a timer: `seconds` from now."""

    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a timer, whether it runs or not."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class OpenTransport:
    """Start a TCP connection to the neighbour; answer with `connected` or `connect_failed`."""


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Give up the TCP connection, or the attempt at one, after writing what is still to be sent."""

    reason: str
    ended: DownReason


@dataclass(frozen=True, slots=True)
class Up:
    """The session is ESTABLISHED."""

    negotiated: Negotiated


@dataclass(frozen=True, slots=True)
class Down:
    """The session was ESTABLISHED and is not any more: exactly one follows each `Up`."""

    reason: DownReason


@dataclass(slots=True)  # one a message: freezing it would cost half of what decoding does
class Received:
    """An UPDATE arrived (its RFC 7606 faults, if any, are in it)."""

    update: Update


@dataclass(frozen=True, slots=True)
class Refresh:
    """A ROUTE-REFRESH arrived (RFC 2918, RFC 7313)."""

    message: RouteRefresh


Action = Send | Start | Stop | OpenTransport | CloseTransport | Up | Down | Received | Refresh
