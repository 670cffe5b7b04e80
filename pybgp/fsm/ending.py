"""Why a connection ended, in words and in what follows from it."""

from __future__ import annotations

from typing import Final

from pybgp.errors import Cease, HardReset, ProtocolError
from pybgp.fsm.actions import DownReason
from pybgp.fsm.attributes import SessionAttributes
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.states import State
from pybgp.messages import Notification

# A Cease with one of these subcodes (RFC 4486) is a decision of people or of the collision rule, and no error.
_DECISIONS: Final = frozenset((2, 3, 4, 5, 6, 7))

# Ends that are no error of either side: they are never damped.
_PLAIN: Final = frozenset(
    (
        EventKind.MANUAL_STOP,
        EventKind.TCP_CONNECTION_FAILS,
        EventKind.OPEN_COLLISION_DUMP,
    )
)


def counts_as_error(event: Event) -> bool:
    """True where DampPeerOscillations applies: errors, never a plain close or an administrative stop."""
    if event.kind in _PLAIN:
        return False
    code, subcode = 0, 0
    if event.notification is not None:
        code, subcode = event.notification.code, event.notification.subcode
        if code == Cease.code and subcode == HardReset.subcode and len(event.notification.data) >= 2:
            code, subcode = event.notification.data[0], event.notification.data[1]
    elif event.error is not None:
        code, subcode = event.error.code, event.error.subcode
    return not (code == Cease.code and subcode in _DECISIONS)


def ending(machine: SessionAttributes, event: Event, *, error: bool) -> DownReason:
    """The `DownReason` of a connection that this event ends."""
    return DownReason(
        text=_words(machine, event),
        notification=machine.sent or event.notification,
        sent=machine.sent is not None,
        administrative=event.kind is EventKind.MANUAL_STOP,
        graceful=_graceful(machine, event),
        error=error,
    )


def _graceful(machine: SessionAttributes, event: Event) -> bool:
    """RFC 4724 section 4.2: TCP went away and nobody said why. RFC 8538: a NOTIFICATION is no reason either."""
    agreed = machine.negotiated
    if machine.state is not State.ESTABLISHED or agreed is None or agreed.graceful_restart is None:
        return False
    if event.kind is EventKind.TCP_CONNECTION_FAILS:
        return True
    if event.kind in (EventKind.MANUAL_STOP, EventKind.OPEN_COLLISION_DUMP) or not agreed.graceful_notification:
        return False
    said = machine.sent or event.notification
    return said is not None and not (said.code == Cease.code and said.subcode == HardReset.subcode)


def _words(machine: SessionAttributes, event: Event) -> str:
    kind = event.kind
    if event.notification is not None:
        return f"the peer ended the session: {describe(event.notification)}"
    if kind is EventKind.HOLD_TIMER_EXPIRES:
        agreed = machine.negotiated
        if agreed is None:
            return f"the peer sent no OPEN within {machine.config.open_hold_time:g} s"
        return f"hold timer expired: nothing heard from the peer for {agreed.hold_time} s"
    if kind is EventKind.SEND_HOLD_TIMER_EXPIRES:
        return "send hold timer expired: the peer took no data from its TCP connection"
    if kind is EventKind.CONNECT_RETRY_TIMER_EXPIRES and machine.state is State.CONNECT:
        return f"no answer to the connection attempt within {machine.config.connect_timeout:g} s"
    if event.text:
        return event.text
    if kind is EventKind.TCP_CONNECTION_FAILS:
        return "the TCP connection was lost"
    if kind is EventKind.MANUAL_STOP and event.error is None:
        return "stopped"
    if kind is EventKind.OPEN_COLLISION_DUMP:
        return "gave way to the other connection with this peer (collision)"
    if event.error is not None:
        return f"ended the session: {event.error}"
    return f"ended the session: {describe(machine.sent)}" if machine.sent is not None else "ended the session"


def describe(notification: Notification) -> str:
    """A NOTIFICATION in one line of words: "Administrative Shutdown (6/2): see you tomorrow"."""
    code, subcode, data = notification.code, notification.subcode, notification.data
    if (code, 0) not in ProtocolError.by_code:
        return f"NOTIFICATION {code}/{subcode}"
    words = str(notification.error)
    if code == Cease.code and subcode == HardReset.subcode and len(data) >= 2:
        words += f": {describe(Notification(data[0], data[1], data[2:]))}"
    return words
