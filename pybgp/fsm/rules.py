"""What the cells of the table are made of: guards, and one small function for each bullet of RFC 4271 8.2.2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from pybgp.errors import Cease, FSMError, HoldTimerExpired, ProtocolError, SendHoldTimerExpired
from pybgp.fsm.actions import (
    Action,
    CloseTransport,
    Down,
    OpenTransport,
    Received,
    Refresh,
    Send,
    Start,
    Stop,
    Up,
)
from pybgp.fsm.attributes import SessionAttributes
from pybgp.fsm.backoff import jittered
from pybgp.fsm.ending import counts_as_error, ending
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.states import TIMERS_OF, State, Timer
from pybgp.messages import Keepalive, MessageType, Notification

Do = Callable[[SessionAttributes, Event], tuple[Action, ...]]
Guard = Callable[[SessionAttributes, Event], bool]


class Rule(NamedTuple):
    """Where a cell leads, what is done on the way, and when (None: always). The first rule that holds is taken."""

    to: State
    do: tuple[Do, ...] = ()
    when: Guard | None = None


# guards ------------------------------------------------------------------------------------------------------


def delay_open(machine: SessionAttributes, event: Event) -> bool:
    """The DelayOpen attribute is set."""
    return machine.config.delay_open_time > 0


def delay_open_running(machine: SessionAttributes, event: Event) -> bool:
    """The DelayOpenTimer runs."""
    return machine.delay_open_running


def passive(machine: SessionAttributes, event: Event) -> bool:
    """This machine never dials."""
    return machine.passive


# starting ----------------------------------------------------------------------------------------------------


def begin(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Initialise all BGP resources for the peer connection."""
    machine.negotiated = None
    return (Stop(Timer.IDLE_HOLD),)


def forget(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Set the ConnectRetryCounter to zero."""
    machine.connect_retry_counter = 0
    return ()


def afresh(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Somebody wants the session now: pauses start small again."""
    machine.pauses.forget()
    machine.holds.forget()
    return ()


def open_transport(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Initiate a TCP connection; the ConnectRetryTimer limits how long it may take."""
    machine.transport = True
    return (Start(Timer.CONNECT_RETRY, machine.config.connect_timeout), OpenTransport())


def pause(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """(Re)start the ConnectRetryTimer: growing, with jitter, and never for who does not dial."""
    if machine.passive:
        return ()
    return (Start(Timer.CONNECT_RETRY, machine.pauses.next(machine.now)),)


def connected(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """There is a TCP connection: the ConnectRetryTimer is stopped."""
    machine.transport = True
    return (Stop(Timer.CONNECT_RETRY),)


def start_delay_open(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    machine.delay_open_running = True
    return (Start(Timer.DELAY_OPEN, machine.config.delay_open_time),)


def stop_delay_open(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    machine.delay_open_running = False
    return (Stop(Timer.DELAY_OPEN),)


def send_open(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    return (Send(machine.my_open),)


def start_open_hold(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Set the HoldTimer to a large value (4 minutes are suggested)."""
    return (Start(Timer.HOLD, machine.config.open_hold_time),)


def stop_hold(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    return (Stop(Timer.HOLD),)


# running -----------------------------------------------------------------------------------------------------


def negotiate(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Take over what both OPENs agree on, and set the HoldTimer to the negotiated value.

    With a hold time of zero the large value stays until the KEEPALIVE has come: RFC 4271 would wait for it for ever.
    """
    assert event.negotiated is not None
    machine.negotiated = event.negotiated
    return (Start(Timer.HOLD, event.negotiated.hold_time or machine.config.open_hold_time),)


def keepalive(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Send a KEEPALIVE and restart the KeepaliveTimer, unless the negotiated hold time is zero."""
    return (Send(Keepalive()), *keepalive_timer(machine))


def keepalive_timer(machine: SessionAttributes) -> tuple[Start, ...]:
    """The KeepaliveTimer anew: with jitter (RFC 4271 section 10), at most one KEEPALIVE a second (4.4)."""
    agreed = machine.negotiated
    if agreed is None or not agreed.hold_time:
        return ()
    return (Start(Timer.KEEPALIVE, max(1.0, agreed.keepalive_time * jittered(machine.jitter))),)


def restart_hold(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Restart the HoldTimer, if the negotiated hold time is not zero."""
    return hold_timer(machine) or (Stop(Timer.HOLD),)


def hold_timer(machine: SessionAttributes) -> tuple[Start, ...]:
    agreed = machine.negotiated
    return (Start(Timer.HOLD, agreed.hold_time),) if agreed is not None and agreed.hold_time else ()


def up(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    assert machine.negotiated is not None
    return (Up(machine.negotiated),)


def deliver(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Hand an UPDATE to whoever keeps the routes."""
    assert event.update is not None
    return (Received(event.update),)


def deliver_refresh(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    assert event.refresh is not None
    return (Refresh(event.refresh),)


# ending ------------------------------------------------------------------------------------------------------

_MESSAGE_OF: Final = {
    EventKind.BGP_OPEN: MessageType.OPEN,
    EventKind.BGP_OPEN_DELAY_OPEN: MessageType.OPEN,
    EventKind.UPDATE_MSG: MessageType.UPDATE,
    EventKind.KEEPALIVE_MSG: MessageType.KEEPALIVE,
    EventKind.ROUTE_REFRESH_MSG: MessageType.ROUTE_REFRESH,
}
_UNEXPECTED_IN: Final = {State.OPEN_SENT: 1, State.OPEN_CONFIRM: 2, State.ESTABLISHED: 3}  # RFC 6608


def _notify(machine: SessionAttributes, error: ProtocolError) -> tuple[Action, ...]:
    agreed = machine.negotiated
    machine.sent = Notification.of(error) if agreed is None else Notification.of(error, agreed.context.maximum_length)
    return (Send(machine.sent),)


def notify_cease(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Send a NOTIFICATION with a Cease, the one that came with the event if it brought one."""
    if event.silent:
        return ()
    return _notify(machine, event.error or Cease())


def notify_error(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Send a NOTIFICATION with the error that was found."""
    assert event.error is not None
    return _notify(machine, event.error)


def notify_hold_timer(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    return _notify(machine, HoldTimerExpired())


def notify_send_hold_timer(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """RFC 9687 section 3: try; a peer that reads nothing will not read this either."""
    return _notify(machine, SendHoldTimerExpired())


def notify_unexpected(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Send an FSM error; for a message that has no place here with its type (RFC 6608 section 4)."""
    message = _MESSAGE_OF.get(event.kind)
    if message is None:
        return _notify(machine, FSMError())
    subcode = _UNEXPECTED_IN.get(machine.state, 0)
    return _notify(machine, ProtocolError.make(FSMError.code, subcode, bytes((message,))))


def drop(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Drop the TCP connection (or the attempt), without leaving the road to a new one."""
    if not machine.transport:
        return ()
    machine.transport = False
    ended = ending(machine, event, error=False)
    return (CloseTransport(ended.text, ended),)


def release(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Stop every timer, release all resources, delete the routes, drop the TCP connection."""
    actions: list[Action] = [Stop(timer) for timer in sorted(TIMERS_OF[machine.state])]
    machine.delay_open_running = False
    ended = ending(machine, event, error=counts_as_error(event))
    if machine.transport:
        machine.transport = False
        actions.append(CloseTransport(ended.text, ended))
    if machine.state is State.ESTABLISHED:
        actions.append(Down(ended))
    return tuple(actions)


def count(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """Increment the ConnectRetryCounter by one."""
    machine.connect_retry_counter += 1
    return ()


def damp(machine: SessionAttributes, event: Event) -> tuple[Action, ...]:
    """DampPeerOscillations: stay in Idle for a while that grows, after errors only."""
    if machine.incoming or not machine.config.idle_hold_time or not counts_as_error(event):
        return ()
    return (Start(Timer.IDLE_HOLD, machine.holds.next(machine.now)),)


CLOSE: Final[tuple[Do, ...]] = (release,)
FAIL: Final[tuple[Do, ...]] = (release, count)
ERROR: Final[tuple[Do, ...]] = (release, count, damp)


def to_idle(*do: Do, when: Guard | None = None) -> tuple[Rule, ...]:
    """A cell with the one road that most of them have."""
    return (Rule(State.IDLE, do, when),)
