"""What may happen to a session: the events of RFC 4271 section 8.1, by their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pybgp.errors import ProtocolError
from pybgp.fsm.negotiation import Negotiated
from pybgp.messages import Notification, RouteRefresh, Update


class EventKind(IntEnum):
    """Numbers are those of RFC 4271 8.1, and of RFC 9687 for 29; no RFC numbers the last two (RFC 2918, 7313)."""

    MANUAL_START = 1
    MANUAL_STOP = 2
    AUTOMATIC_START = 3
    MANUAL_START_PASSIVE = 4
    AUTOMATIC_START_PASSIVE = 5
    AUTOMATIC_START_DAMPED = 6
    AUTOMATIC_START_DAMPED_PASSIVE = 7
    AUTOMATIC_STOP = 8
    CONNECT_RETRY_TIMER_EXPIRES = 9
    HOLD_TIMER_EXPIRES = 10
    KEEPALIVE_TIMER_EXPIRES = 11
    DELAY_OPEN_TIMER_EXPIRES = 12
    IDLE_HOLD_TIMER_EXPIRES = 13
    TCP_CONNECTION_VALID = 14
    TCP_CR_INVALID = 15
    TCP_CR_ACKED = 16
    TCP_CONNECTION_CONFIRMED = 17
    TCP_CONNECTION_FAILS = 18
    BGP_OPEN = 19
    BGP_OPEN_DELAY_OPEN = 20  # BGPOpen with DelayOpenTimer running
    BGP_HEADER_ERR = 21
    BGP_OPEN_MSG_ERR = 22
    OPEN_COLLISION_DUMP = 23
    NOTIF_MSG_VER_ERR = 24
    NOTIF_MSG = 25
    KEEPALIVE_MSG = 26
    UPDATE_MSG = 27
    UPDATE_MSG_ERR = 28
    SEND_HOLD_TIMER_EXPIRES = 29
    ROUTE_REFRESH_MSG = 30
    ROUTE_REFRESH_MSG_ERR = 31


@dataclass(frozen=True, slots=True)
class Event:
    """One event with what came along: at most one of the values is set.

    `error` is what was wrong, or for a stop the Cease to send; `text` is words for people that come first in the
    report of a connection that ends.
    """

    kind: EventKind
    error: ProtocolError | None = None
    negotiated: Negotiated | None = None
    notification: Notification | None = None
    update: Update | None = None
    refresh: RouteRefresh | None = None
    text: str = ""
    silent: bool = False  # a stop that sends no NOTIFICATION
