"""The six states of a session and its timers (RFC 4271 sections 8 and 10)."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """States of the finite state machine, in the order in which a session climbs them (RFC 4271 8.2.2)."""

    IDLE = 0
    CONNECT = 1
    ACTIVE = 2
    OPEN_SENT = 3
    OPEN_CONFIRM = 4
    ESTABLISHED = 5

    def __str__(self) -> str:
        return _WORDS[self]


_WORDS = {
    State.IDLE: "Idle",
    State.CONNECT: "Connect",
    State.ACTIVE: "Active",
    State.OPEN_SENT: "OpenSent",
    State.OPEN_CONFIRM: "OpenConfirm",
    State.ESTABLISHED: "Established",
}


class Timer(IntEnum):
    """What a session waits for; each is a deadline, never a running thing (RFC 4271 section 10, RFC 9687)."""

    CONNECT_RETRY = 0  # in CONNECT: how long the attempt may take; in ACTIVE: the pause before the next one
    HOLD = 1
    KEEPALIVE = 2
    DELAY_OPEN = 3
    IDLE_HOLD = 4
    SEND_HOLD = 5


# Which timers may run in which state. SEND_HOLD runs only while TCP takes nothing.
TIMERS_OF: dict[State, frozenset[Timer]] = {
    State.IDLE: frozenset({Timer.IDLE_HOLD}),
    State.CONNECT: frozenset({Timer.CONNECT_RETRY, Timer.DELAY_OPEN}),
    State.ACTIVE: frozenset({Timer.CONNECT_RETRY, Timer.DELAY_OPEN}),
    State.OPEN_SENT: frozenset({Timer.HOLD}),
    State.OPEN_CONFIRM: frozenset({Timer.HOLD, Timer.KEEPALIVE}),
    State.ESTABLISHED: frozenset({Timer.HOLD, Timer.KEEPALIVE, Timer.SEND_HOLD}),
}
