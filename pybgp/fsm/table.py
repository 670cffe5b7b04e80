"""The whole machine of RFC 4271 section 8.2.2, as data: state x event -> rules.

What is not in `TABLE` falls to `OTHERWISE`, the RFC's "in response to any other event". Deliberate
differences from the letter of the RFC, each with its reason:

* A stop in Idle ends an idle hold; it changes nothing else there.
* A second OPEN in OpenConfirm or Established is an FSM error with the subcode of RFC 6608. (RFC 4271 runs the
  collision detection there, which belongs to two connections; `pybgp.fsm.collision` does it for them.)
* A header or OPEN error in Established is answered with its own code, as sections 6.1 and 6.2 order, not
  with an FSM error as the state's catch-all would have it.
* A NOTIFICATION is never answered with a NOTIFICATION (section 6.4), not even in OpenSent.
* With a hold time of zero the HoldTimer keeps its large value until OpenConfirm is left: the RFC would wait
  for ever for the KEEPALIVE of a peer that sends none.
* Who never dials (a passive peer, a connection that was accepted) has no ConnectRetryTimer.
* A NOTIFICATION in Established is damped like one in OpenConfirm, unless it is a Cease by a decision.
* RFC 9687 adds the SendHoldTimer, RFC 2918 and RFC 7313 the ROUTE-REFRESH.
"""

from __future__ import annotations

from typing import Final

from pybgp.fsm.events import EventKind as E
from pybgp.fsm.rules import (
    CLOSE,
    ERROR,
    FAIL,
    Rule,
    afresh,
    begin,
    connected,
    delay_open,
    delay_open_running,
    deliver,
    deliver_refresh,
    drop,
    forget,
    keepalive,
    negotiate,
    notify_cease,
    notify_error,
    notify_hold_timer,
    notify_send_hold_timer,
    notify_unexpected,
    open_transport,
    passive,
    pause,
    release,
    restart_hold,
    send_open,
    start_delay_open,
    start_open_hold,
    stop_delay_open,
    stop_hold,
    to_idle,
    up,
)
from pybgp.fsm.states import State as S  # noqa: N817

Cells = dict[E, tuple[Rule, ...]]

_DIAL = Rule(S.CONNECT, (begin, open_transport))
_WAIT = Rule(S.ACTIVE, (begin, pause))

_OPEN_SENT = Rule(S.OPEN_SENT, (connected, stop_delay_open, send_open, start_open_hold))
_OPEN_FIRST = Rule(S.OPEN_CONFIRM, (connected, stop_delay_open, send_open, negotiate, keepalive))


def _stay(state: S, *events: E) -> Cells:
    return {event: (Rule(state),) for event in events}


_STARTS: Final = (
    E.MANUAL_START,
    E.AUTOMATIC_START,
    E.MANUAL_START_PASSIVE,
    E.AUTOMATIC_START_PASSIVE,
    E.AUTOMATIC_START_DAMPED,
    E.AUTOMATIC_START_DAMPED_PASSIVE,
)
_SECOND_CONNECTION: Final = (  # the neighbour's other connection is another Session's business
    E.TCP_CONNECTION_VALID,
    E.TCP_CR_INVALID,
    E.TCP_CR_ACKED,
    E.TCP_CONNECTION_CONFIRMED,
)

TABLE: Final[dict[S, Cells]] = {
    S.IDLE: {
        E.MANUAL_START: (Rule(S.CONNECT, (begin, forget, afresh, open_transport)),),
        E.AUTOMATIC_START: (Rule(S.CONNECT, (begin, forget, afresh, open_transport)),),
        E.MANUAL_START_PASSIVE: (Rule(S.ACTIVE, (begin, forget, afresh, pause)),),
        E.AUTOMATIC_START_PASSIVE: (Rule(S.ACTIVE, (begin, forget, afresh, pause)),),
        E.AUTOMATIC_START_DAMPED: (_DIAL,),
        E.AUTOMATIC_START_DAMPED_PASSIVE: (_WAIT,),
        E.IDLE_HOLD_TIMER_EXPIRES: (_WAIT._replace(when=passive), _DIAL),
        E.MANUAL_STOP: (Rule(S.IDLE, (begin,)),),
    },
    S.CONNECT: {
        **_stay(S.CONNECT, *_STARTS, E.TCP_CONNECTION_VALID, E.TCP_CR_INVALID),
        E.MANUAL_STOP: to_idle(release, forget),
        E.CONNECT_RETRY_TIMER_EXPIRES: (Rule(S.CONNECT, (drop, stop_delay_open, open_transport)),),
        E.DELAY_OPEN_TIMER_EXPIRES: (_OPEN_SENT,),
        E.TCP_CR_ACKED: (Rule(S.CONNECT, (connected, start_delay_open), delay_open), _OPEN_SENT),
        E.TCP_CONNECTION_CONFIRMED: (Rule(S.CONNECT, (connected, start_delay_open), delay_open), _OPEN_SENT),
        E.TCP_CONNECTION_FAILS: (
            Rule(S.ACTIVE, (drop, stop_delay_open, pause), delay_open_running),
            Rule(S.IDLE, CLOSE),
        ),
        E.BGP_OPEN_DELAY_OPEN: (_OPEN_FIRST,),
        E.BGP_HEADER_ERR: to_idle(notify_error, *ERROR),
        E.BGP_OPEN_MSG_ERR: to_idle(notify_error, *ERROR),
        E.NOTIF_MSG_VER_ERR: (Rule(S.IDLE, CLOSE, delay_open_running), Rule(S.IDLE, ERROR)),
    },
    S.ACTIVE: {
        **_stay(S.ACTIVE, *_STARTS, E.TCP_CONNECTION_VALID, E.TCP_CR_INVALID),
        E.MANUAL_STOP: (
            Rule(S.IDLE, (notify_cease, release, forget), delay_open_running),
            Rule(S.IDLE, (release, forget)),
        ),
        E.CONNECT_RETRY_TIMER_EXPIRES: (Rule(S.ACTIVE, (), passive), Rule(S.CONNECT, (open_transport,))),
        E.DELAY_OPEN_TIMER_EXPIRES: (_OPEN_SENT,),
        E.TCP_CR_ACKED: (Rule(S.ACTIVE, (connected, start_delay_open), delay_open), _OPEN_SENT),
        E.TCP_CONNECTION_CONFIRMED: (Rule(S.ACTIVE, (connected, start_delay_open), delay_open), _OPEN_SENT),
        E.TCP_CONNECTION_FAILS: to_idle(*ERROR),
        E.BGP_OPEN_DELAY_OPEN: (_OPEN_FIRST,),
        E.BGP_HEADER_ERR: to_idle(notify_error, *ERROR),
        E.BGP_OPEN_MSG_ERR: to_idle(notify_error, *ERROR),
        E.NOTIF_MSG_VER_ERR: (Rule(S.IDLE, CLOSE, delay_open_running), Rule(S.IDLE, ERROR)),
    },
    S.OPEN_SENT: {
        **_stay(S.OPEN_SENT, *_STARTS, *_SECOND_CONNECTION),
        E.MANUAL_STOP: to_idle(notify_cease, release, forget),
        E.AUTOMATIC_STOP: to_idle(notify_cease, *ERROR),
        E.HOLD_TIMER_EXPIRES: to_idle(notify_hold_timer, *ERROR),
        E.TCP_CONNECTION_FAILS: (Rule(S.ACTIVE, (stop_hold, drop, pause)),),
        E.BGP_OPEN: (Rule(S.OPEN_CONFIRM, (negotiate, keepalive)),),
        E.BGP_HEADER_ERR: to_idle(notify_error, *ERROR),
        E.BGP_OPEN_MSG_ERR: to_idle(notify_error, *ERROR),
        E.OPEN_COLLISION_DUMP: to_idle(notify_cease, *ERROR),
        E.NOTIF_MSG_VER_ERR: to_idle(*CLOSE),
        E.NOTIF_MSG: to_idle(*ERROR),
    },
    S.OPEN_CONFIRM: {
        **_stay(S.OPEN_CONFIRM, *_STARTS, *_SECOND_CONNECTION),
        E.MANUAL_STOP: to_idle(notify_cease, release, forget),
        E.AUTOMATIC_STOP: to_idle(notify_cease, *ERROR),
        E.HOLD_TIMER_EXPIRES: to_idle(notify_hold_timer, *ERROR),
        E.KEEPALIVE_TIMER_EXPIRES: (Rule(S.OPEN_CONFIRM, (keepalive,)),),
        E.TCP_CONNECTION_FAILS: to_idle(*ERROR),
        E.NOTIF_MSG: to_idle(*ERROR),
        E.NOTIF_MSG_VER_ERR: to_idle(*CLOSE),
        E.BGP_HEADER_ERR: to_idle(notify_error, *ERROR),
        E.BGP_OPEN_MSG_ERR: to_idle(notify_error, *ERROR),
        E.OPEN_COLLISION_DUMP: to_idle(notify_cease, *ERROR),
        E.KEEPALIVE_MSG: (Rule(S.ESTABLISHED, (restart_hold, up)),),
    },
    S.ESTABLISHED: {
        **_stay(S.ESTABLISHED, *_STARTS, *_SECOND_CONNECTION),
        E.MANUAL_STOP: to_idle(notify_cease, release, forget),
        E.AUTOMATIC_STOP: to_idle(notify_cease, *ERROR),
        E.HOLD_TIMER_EXPIRES: to_idle(notify_hold_timer, *ERROR),
        E.KEEPALIVE_TIMER_EXPIRES: (Rule(S.ESTABLISHED, (keepalive,)),),
        E.TCP_CONNECTION_FAILS: to_idle(*FAIL),
        E.BGP_HEADER_ERR: to_idle(notify_error, *ERROR),
        E.BGP_OPEN_MSG_ERR: to_idle(notify_error, *ERROR),
        E.OPEN_COLLISION_DUMP: to_idle(notify_cease, *ERROR),
        E.NOTIF_MSG_VER_ERR: to_idle(*FAIL),
        E.NOTIF_MSG: to_idle(*ERROR),
        E.KEEPALIVE_MSG: (Rule(S.ESTABLISHED, (restart_hold,)),),
        E.UPDATE_MSG: (Rule(S.ESTABLISHED, (restart_hold, deliver)),),
        E.UPDATE_MSG_ERR: to_idle(notify_error, *ERROR),
        E.SEND_HOLD_TIMER_EXPIRES: to_idle(notify_send_hold_timer, *ERROR),
        E.ROUTE_REFRESH_MSG: (Rule(S.ESTABLISHED, (deliver_refresh,)),),
        E.ROUTE_REFRESH_MSG_ERR: to_idle(notify_error, *ERROR),
    },
}

OTHERWISE: Final[dict[S, tuple[Rule, ...]]] = {
    S.IDLE: (Rule(S.IDLE),),
    S.CONNECT: to_idle(*ERROR),
    S.ACTIVE: to_idle(*ERROR),
    S.OPEN_SENT: to_idle(notify_unexpected, *ERROR),
    S.OPEN_CONFIRM: to_idle(notify_unexpected, *ERROR),
    S.ESTABLISHED: to_idle(notify_unexpected, *ERROR),
}


def rules_for(state: S, event: E) -> tuple[Rule, ...]:
    """The rules of one cell; the last one always holds."""
    return TABLE[state].get(event) or OTHERWISE[state]
