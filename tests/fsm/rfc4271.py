"""RFC 4271 section 8.2.2, typed again by hand from the text of the RFC, state by state, in its order.

Nothing here comes from `pybgp.fsm`: states and events are the RFC's names and numbers. `ROWS` maps (state,
event number) to the cells that the text distinguishes by its conditions. Where the text says nothing about
damping, `damping` is False; "(optionally) performs peer oscillation damping" is True.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

IDLE, CONNECT, ACTIVE = "Idle", "Connect", "Active"
OPEN_SENT, OPEN_CONFIRM, ESTABLISHED = "OpenSent", "OpenConfirm", "Established"
STATES = (IDLE, CONNECT, ACTIVE, OPEN_SENT, OPEN_CONFIRM, ESTABLISHED)

# conditions
DELAY_OPEN = "the DelayOpen attribute is TRUE"
NO_DELAY_OPEN = "the DelayOpen attribute is FALSE"
RUNNING = "the DelayOpenTimer is running"
NOT_RUNNING = "the DelayOpenTimer is not running"

CEASE, HOLD_EXPIRED, FSM_ERROR, THE_ERROR = "Cease", "Hold Timer Expired", "FSM Error", "the error's code"


@dataclass(frozen=True)
class Cell:
    to: str
    sends: tuple[str, ...] = ()  # messages, and for a NOTIFICATION its error code
    drops: bool = False  # the TCP connection
    dials: bool = False  # initiates a TCP connection
    counter: str = "same"  # "same", "zero", "plus one"
    timers: frozenset[str] | None = None  # that run afterwards; None: those of before
    damping: bool = False
    delivers: bool = False  # processes an UPDATE
    when: str | None = None


def timers(*names: str) -> frozenset[str]:
    return frozenset(names)


NONE = timers()


def gives_up(*sends: str, damping: bool = True, counter: str = "plus one", when: str | None = None) -> Cell:
    """The close that ends most paragraphs: ConnectRetryTimer zero, release, drop, (counter), Idle."""
    return Cell(IDLE, sends, drops=True, counter=counter, timers=NONE, damping=damping, when=when)


ROWS: dict[tuple[str, int], tuple[Cell, ...]] = {}


def put(state: str, events: tuple[int, ...], *cells: Cell) -> None:
    for event in events:
        assert (state, event) not in ROWS, f"typed twice: {state} {event}"
        ROWS[state, event] = cells


# Idle state ---------------------------------------------------------------------------------------------
# "ManualStop event (Event 2) and AutomaticStop (Event 8) are ignored in the Idle state."
put(IDLE, (2, 8), Cell(IDLE))
# "In response to a ManualStart event (Event 1) or an AutomaticStart event (Event 3)": initializes, sets
# ConnectRetryCounter to zero, starts the ConnectRetryTimer, initiates a TCP connection, listens, Connect.
put(IDLE, (1, 3), Cell(CONNECT, dials=True, counter="zero", timers=timers("ConnectRetry")))
# "ManualStart_with_PassiveTcpEstablishment (Event 4) or AutomaticStart_with_PassiveTcpEstablishment (Event 5)":
# the same without initiating a connection; Active.
put(IDLE, (4, 5), Cell(ACTIVE, counter="zero", timers=timers("ConnectRetry")))
# Events 6, 7, 13 "use these values to prevent peer oscillations. The method ... is outside the scope"; they are
# starts all the same, 7 a passive one.
put(IDLE, (6, 13), Cell(CONNECT, dials=True, timers=timers("ConnectRetry")))
put(IDLE, (7,), Cell(ACTIVE, timers=timers("ConnectRetry")))
# "Any other event (Events 9-12, 15-28) received in the Idle state does not cause change in the state".
put(IDLE, (9, 10, 11, 12, *range(15, 29)), Cell(IDLE))
# Event 14 is not named; there is no connection whose validity could matter.
put(IDLE, (14,), Cell(IDLE))

# Connect state ------------------------------------------------------------------------------------------
put(CONNECT, (1, 3, 4, 5, 6, 7), Cell(CONNECT))  # "The start events (Events 1, 3-7) are ignored"
# ManualStop: drops, releases, ConnectRetryCounter zero, stops the ConnectRetryTimer, Idle.
put(CONNECT, (2,), gives_up(counter="zero", damping=False))
# ConnectRetryTimer_Expires: drops, restarts the ConnectRetryTimer, stops the DelayOpenTimer, initiates, stays.
put(CONNECT, (9,), Cell(CONNECT, drops=True, dials=True, timers=timers("ConnectRetry")))
# DelayOpenTimer_Expires: sends an OPEN, sets the HoldTimer to a large value, OpenSent.
put(CONNECT, (12,), Cell(OPEN_SENT, ("OPEN",), timers=timers("Hold")))
put(CONNECT, (14,), Cell(CONNECT))
put(CONNECT, (15,), Cell(CONNECT))
put(
    CONNECT,
    (16, 17),
    # stops the ConnectRetryTimer, sets the DelayOpenTimer to the initial value, stays
    Cell(CONNECT, timers=timers("DelayOpen"), when=DELAY_OPEN),
    # stops the ConnectRetryTimer, sends an OPEN, HoldTimer to a large value, OpenSent
    Cell(OPEN_SENT, ("OPEN",), timers=timers("Hold"), when=NO_DELAY_OPEN),
)
put(
    CONNECT,
    (18,),
    # restarts the ConnectRetryTimer, stops the DelayOpenTimer, listens, Active
    Cell(ACTIVE, drops=True, timers=timers("ConnectRetry"), when=RUNNING),
    # stops the ConnectRetryTimer, drops the TCP connection, releases, Idle: no word of the counter
    gives_up(counter="same", damping=False, when=NOT_RUNNING),
)
# Event 20: stops both timers, sends an OPEN, sends a KEEPALIVE, HoldTimer and KeepaliveTimer, OpenConfirm.
put(CONNECT, (20,), Cell(OPEN_CONFIRM, ("OPEN", "KEEPALIVE"), timers=timers("Hold", "Keepalive")))
# 21, 22: "(optionally) If the SendNOTIFICATIONwithoutOPEN attribute is set to TRUE" first a NOTIFICATION; then
# the close, counter plus one, damping. The attribute is TRUE here.
put(CONNECT, (21, 22), gives_up(THE_ERROR))
put(
    CONNECT,
    (24,),
    gives_up(counter="same", damping=False, when=RUNNING),
    gives_up(when=NOT_RUNNING),
)
# "In response to any other events (Events 8, 10-11, 13, 19, 23, 25-28)"
put(CONNECT, (8, 10, 11, 13, 19, 23, 25, 26, 27, 28), gives_up())

# Active state -------------------------------------------------------------------------------------------
put(ACTIVE, (1, 3, 4, 5, 6, 7), Cell(ACTIVE))
put(
    ACTIVE,
    (2,),
    # "If the DelayOpenTimer is running and the SendNOTIFICATIONwithoutOPEN session attribute is set"
    gives_up(CEASE, counter="zero", damping=False, when=RUNNING),
    gives_up(counter="zero", damping=False, when=NOT_RUNNING),
)
put(ACTIVE, (9,), Cell(CONNECT, dials=True, timers=timers("ConnectRetry")))
put(ACTIVE, (12,), Cell(OPEN_SENT, ("OPEN",), timers=timers("Hold")))
put(ACTIVE, (14,), Cell(ACTIVE))
put(ACTIVE, (15,), Cell(ACTIVE))
put(
    ACTIVE,
    (16, 17),
    Cell(ACTIVE, timers=timers("DelayOpen"), when=DELAY_OPEN),
    Cell(OPEN_SENT, ("OPEN",), timers=timers("Hold"), when=NO_DELAY_OPEN),
)
# 18: restarts the ConnectRetryTimer, stops the DelayOpenTimer, releases, counter plus one, damping, Idle. (The
# ConnectRetryTimer that is restarted on the way to Idle is ignored there: Event 9 does nothing in Idle.)
put(ACTIVE, (18,), gives_up())
put(ACTIVE, (20,), Cell(OPEN_CONFIRM, ("OPEN", "KEEPALIVE"), timers=timers("Hold", "Keepalive")))
put(ACTIVE, (21, 22), gives_up(THE_ERROR))
put(
    ACTIVE,
    (24,),
    gives_up(counter="same", damping=False, when=RUNNING),
    gives_up(when=NOT_RUNNING),
)
# "any other event (Events 8, 10-11, 13, 19, 23, 25-28)"
put(ACTIVE, (8, 10, 11, 13, 19, 23, 25, 26, 27, 28), gives_up())

# OpenSent state -----------------------------------------------------------------------------------------
put(OPEN_SENT, (1, 3, 4, 5, 6, 7), Cell(OPEN_SENT))
put(OPEN_SENT, (2,), gives_up(CEASE, counter="zero", damping=False))
put(OPEN_SENT, (8,), gives_up(CEASE))
put(OPEN_SENT, (10,), gives_up(HOLD_EXPIRED))
# "If a TcpConnection_Valid (Event 14), Tcp_CR_Acked (Event 16), or a TcpConnectionConfirmed event (Event 17) is
# received, a second TCP connection may be in progress"; "A TCP Connection Request for an Invalid port ... ignored".
put(OPEN_SENT, (14, 15, 16, 17), Cell(OPEN_SENT))
# 18: closes the BGP connection, restarts the ConnectRetryTimer, listens, Active
put(OPEN_SENT, (18,), Cell(ACTIVE, drops=True, timers=timers("ConnectRetry")))
# 19: DelayOpenTimer zero, ConnectRetryTimer zero, sends a KEEPALIVE, KeepaliveTimer, HoldTimer, OpenConfirm
put(OPEN_SENT, (19,), Cell(OPEN_CONFIRM, ("KEEPALIVE",), timers=timers("Hold", "Keepalive")))
put(OPEN_SENT, (21, 22), gives_up(THE_ERROR))
put(OPEN_SENT, (23,), gives_up(CEASE))
put(OPEN_SENT, (24,), gives_up(counter="same", damping=False))
# "any other event (Events 9, 11-13, 20, 25-28)": a NOTIFICATION with Finite State Machine Error
put(OPEN_SENT, (9, 11, 12, 13, 20, 25, 26, 27, 28), gives_up(FSM_ERROR))

# OpenConfirm state --------------------------------------------------------------------------------------
put(OPEN_CONFIRM, (1, 3, 4, 5, 6, 7), Cell(OPEN_CONFIRM))
put(OPEN_CONFIRM, (2,), gives_up(CEASE, counter="zero", damping=False))
put(OPEN_CONFIRM, (8,), gives_up(CEASE))
put(OPEN_CONFIRM, (10,), gives_up(HOLD_EXPIRED))
put(OPEN_CONFIRM, (11,), Cell(OPEN_CONFIRM, ("KEEPALIVE",), timers=timers("Hold", "Keepalive")))
put(OPEN_CONFIRM, (14, 15, 16, 17), Cell(OPEN_CONFIRM))
put(OPEN_CONFIRM, (18, 25), gives_up())
put(OPEN_CONFIRM, (24,), gives_up(counter="same", damping=False))
# 19: the collision detect function; "If this connection is to be dropped" Cease and the close, else nothing
put(OPEN_CONFIRM, (19,), Cell(OPEN_CONFIRM))
put(OPEN_CONFIRM, (21, 22), gives_up(THE_ERROR))
put(OPEN_CONFIRM, (23,), gives_up(CEASE))
put(OPEN_CONFIRM, (26,), Cell(ESTABLISHED, timers=timers("Hold", "Keepalive")))
# "any other event (Events 9, 12-13, 20, 27-28)"
put(OPEN_CONFIRM, (9, 12, 13, 20, 27, 28), gives_up(FSM_ERROR))

# Established state --------------------------------------------------------------------------------------
put(ESTABLISHED, (1, 3, 4, 5, 6, 7), Cell(ESTABLISHED))
put(ESTABLISHED, (2,), gives_up(CEASE, counter="zero", damping=False))
put(ESTABLISHED, (8,), gives_up(CEASE))
put(ESTABLISHED, (10,), gives_up(HOLD_EXPIRED))
put(ESTABLISHED, (11,), Cell(ESTABLISHED, ("KEEPALIVE",), timers=timers("Hold", "Keepalive")))
put(ESTABLISHED, (14, 15, 16, 17), Cell(ESTABLISHED))
# 19: "if the CollisionDetectEstablishedState optional attribute is TRUE" it is checked for a collision; it is FALSE
put(ESTABLISHED, (19,), Cell(ESTABLISHED))
put(ESTABLISHED, (23,), gives_up(CEASE))
# "NOTIFICATION message (Event 24 or Event 25) or a TcpConnectionFails (Event 18)": no word of damping
put(ESTABLISHED, (18, 24, 25), gives_up(damping=False))
put(ESTABLISHED, (26,), Cell(ESTABLISHED, timers=timers("Hold", "Keepalive")))
put(ESTABLISHED, (27,), Cell(ESTABLISHED, timers=timers("Hold", "Keepalive"), delivers=True))
put(ESTABLISHED, (28,), gives_up(THE_ERROR))
# "any other event (Events 9, 12-13, 20-22)"
put(ESTABLISHED, (9, 12, 13, 20, 21, 22), gives_up(FSM_ERROR))

# Where pybgp means to differ: the cell that it has instead, and why --------------------------------------
DIFFERENT: dict[tuple[str, int], tuple[tuple[Cell, ...], str]] = {
    (OPEN_CONFIRM, 19): ((gives_up(FSM_ERROR),), "RFC 6608 names an OPEN in OpenConfirm as unexpected"),
    (ESTABLISHED, 19): ((gives_up(FSM_ERROR),), "RFC 6608 names an OPEN in Established as unexpected"),
    (ESTABLISHED, 21): ((gives_up(THE_ERROR),), "section 6.1: header errors MUST have the header's code"),
    (ESTABLISHED, 22): ((gives_up(THE_ERROR),), "section 6.2: OPEN errors MUST have the OPEN's code"),
    (OPEN_SENT, 25): ((gives_up(),), "section 6.4: no NOTIFICATION about a NOTIFICATION"),
    (ESTABLISHED, 25): (
        (replace(ROWS[ESTABLISHED, 25][0], damping=True),),
        "a peer that ends session after session with an error oscillates, too",
    ),
}

# RFC 9687 section 3.2 adds Event 29 to Established; elsewhere the timer does not run.
put(ESTABLISHED, (29,), gives_up("Send Hold Timer Expired"))
