"""The table against RFC 4271 section 8.2.2, cell by cell, and what the table must be whatever the RFC says."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pybgp.fsm.__main__ import markdown
from pybgp.fsm.actions import CloseTransport, Down, OpenTransport, Received, Send, Up
from pybgp.fsm.events import EventKind
from pybgp.fsm.rules import deliver, restart_hold
from pybgp.fsm.states import TIMERS_OF, State, Timer
from pybgp.fsm.table import OTHERWISE, TABLE, rules_for
from pybgp.messages import Keepalive, Open
from tests.fsm import rfc4271
from tests.fsm.making import Bench, bench_in, settings
from tests.fsm.rfc4271 import DELAY_OPEN, DIFFERENT, ROWS, RUNNING, Cell

STATES = {str(state): state for state in State}
CODES = {rfc4271.CEASE: 6, rfc4271.HOLD_EXPIRED: 4, rfc4271.FSM_ERROR: 5, "Send Hold Timer Expired": 8}
TIMERS = {
    "ConnectRetry": Timer.CONNECT_RETRY,
    "Hold": Timer.HOLD,
    "Keepalive": Timer.KEEPALIVE,
    "DelayOpen": Timer.DELAY_OPEN,
}
EXPIRES = {
    EventKind.CONNECT_RETRY_TIMER_EXPIRES: Timer.CONNECT_RETRY,
    EventKind.HOLD_TIMER_EXPIRES: Timer.HOLD,
    EventKind.KEEPALIVE_TIMER_EXPIRES: Timer.KEEPALIVE,
    EventKind.DELAY_OPEN_TIMER_EXPIRES: Timer.DELAY_OPEN,
    EventKind.IDLE_HOLD_TIMER_EXPIRES: Timer.IDLE_HOLD,
}
PLAIN = (EventKind.TCP_CONNECTION_FAILS, EventKind.OPEN_COLLISION_DUMP)  # never damped here, as the RFC leaves open


def test_the_typed_table_is_whole() -> None:
    assert {(state, event) for state, event in ROWS if event <= 28} == set(product(rfc4271.STATES, range(1, 29)))


def possible(cell: Cell, state: str, event: int, *, running: bool) -> bool:
    """Whether the setting of the DelayOpenTimer can be under the cell's condition."""
    if state not in ("Connect", "Active"):
        return not running
    if event in (12, 20):
        return running
    if event in (9, 16, 17):  # with the DelayOpenTimer the ConnectRetryTimer stands and the connection is there
        return not running
    return cell.when is None or (cell.when == RUNNING) is running


CASES = [
    pytest.param(
        state, event, cell, running, id=f"{state}-{event}-{'running' if running else 'still'}-{cell.when or 'always'}"
    )
    for (state, event), cells in ROWS.items()
    for cell in DIFFERENT.get((state, event), (cells,))[0]
    for running in (False, True)
    if possible(cell, state, event, running=running)
]


@pytest.mark.parametrize(("state", "event", "cell", "running"), CASES)
@pytest.mark.rfc("4271", "8.2.2", "pybgp.fsm.machine:Machine.fire", "each event in each state")
@pytest.mark.rfc("4271", "8.1", "pybgp.fsm.machine:Machine.fire", "every event in every state")
def test_a_cell_does_what_the_rfc_says(state: str, event: int, cell: Cell, running: bool) -> None:
    bench = prepared(STATES[state], delay_open=running or cell.when == DELAY_OPEN, running=running)
    machine, kind = bench.machine, EventKind(event)
    machine.connect_retry_counter = 5
    had_transport, before = machine.transport, set(bench.running)
    if kind in EXPIRES:
        bench.running.pop(EXPIRES[kind], None)
        before.discard(EXPIRES[kind])
    happened = bench.event(kind)
    actions = machine.fire(happened, bench.now)
    bench.account(actions)

    assert machine.state is STATES[cell.to]
    sent = [action.message for action in actions if isinstance(action, Send)]
    assert [word(message) for message in sent] == [
        happened.error.code if wanted == rfc4271.THE_ERROR and happened.error else CODES.get(wanted, wanted)
        for wanted in cell.sends
    ]
    if kind is not EventKind.TCP_CONNECTION_FAILS:  # there it is gone already
        closed = any(isinstance(action, CloseTransport) for action in actions)
        assert closed == (cell.drops and had_transport)
    assert any(isinstance(action, OpenTransport) for action in actions) == cell.dials
    assert machine.connect_retry_counter == {"same": 5, "zero": 0, "plus one": 6}[cell.counter]
    expected = before if cell.timers is None else {TIMERS[name] for name in cell.timers}
    if cell.damping and kind not in PLAIN:
        expected = expected | {Timer.IDLE_HOLD}
    assert set(bench.running) == expected
    assert any(isinstance(action, Received) for action in actions) == cell.delivers
    was_up, is_up = STATES[state] is State.ESTABLISHED, machine.state is State.ESTABLISHED
    assert sum(isinstance(action, Up) for action in actions) == (is_up and not was_up)
    assert sum(isinstance(action, Down) for action in actions) == (was_up and not is_up)


def prepared(state: State, *, delay_open: bool, running: bool) -> Bench:
    bench = bench_in(state, settings(delay_open_time=10.0 if delay_open else 0.0))
    if running:
        bench.fire(EventKind.TCP_CR_ACKED if state is State.CONNECT else EventKind.TCP_CONNECTION_CONFIRMED)
        assert bench.machine.state is state
        assert bench.machine.delay_open_running
    return bench


def word(message: object) -> object:
    if isinstance(message, Open):
        return "OPEN"
    return "KEEPALIVE" if isinstance(message, Keepalive) else message.code  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", sorted(DIFFERENT), ids=str)
def test_a_difference_is_one_and_has_a_reason(key: tuple[str, int]) -> None:
    cells, reason = DIFFERENT[key]
    assert cells != ROWS[key]
    assert reason


def test_every_state_answers_every_event() -> None:
    for state, event in product(State, EventKind):
        rules = rules_for(state, event)
        assert rules[-1].when is None
        assert all(rule.when is not None for rule in rules[:-1])
    assert set(TABLE) == set(OTHERWISE) == set(State)


def test_update_in_established_is_the_cell_that_session_bypasses() -> None:
    """`Session` handles this one without `fire`, and must do just this."""
    ((to, do, when),) = TABLE[State.ESTABLISHED][EventKind.UPDATE_MSG]
    assert (to, do, when) == (State.ESTABLISHED, (restart_hold, deliver), None)


@pytest.mark.parametrize(
    ("state", "subcode"), [(State.OPEN_SENT, 1), (State.OPEN_CONFIRM, 2), (State.ESTABLISHED, 3)], ids=str
)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (EventKind.BGP_OPEN_DELAY_OPEN, 1),
        (EventKind.BGP_OPEN, 1),
        (EventKind.UPDATE_MSG, 2),
        (EventKind.KEEPALIVE_MSG, 4),
        (EventKind.ROUTE_REFRESH_MSG, 5),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
@pytest.mark.rfc("6608", "3", "pybgp.fsm.rules:notify_unexpected", "the subcode names the state")
def test_an_unexpected_message_is_named(state: State, subcode: int, kind: EventKind, message: int) -> None:
    """RFC 6608: the subcode says the state, the data is the type of the message."""
    if (state, kind) in {
        (State.OPEN_SENT, EventKind.BGP_OPEN),
        (State.OPEN_CONFIRM, EventKind.KEEPALIVE_MSG),
        *((State.ESTABLISHED, k) for k in (E.UPDATE_MSG, E.KEEPALIVE_MSG, E.ROUTE_REFRESH_MSG)),
    }:
        assert rules_for(state, kind) is not OTHERWISE[state]
        return
    sent = [action.message for action in bench_in(state).fire(kind) if isinstance(action, Send)]
    assert [(n.code, n.subcode, n.data) for n in sent] == [(5, subcode, bytes((message,)))]  # type: ignore[union-attr]


E = EventKind


@pytest.mark.parametrize("state", [State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED], ids=str)
def test_an_event_that_is_no_message_has_no_subcode(state: State) -> None:
    sent = [a.message for a in bench_in(state).fire(E.CONNECT_RETRY_TIMER_EXPIRES) if isinstance(a, Send)]
    assert [(n.code, n.subcode, n.data) for n in sent] == [(5, 0, b"")]  # type: ignore[union-attr]


def test_every_timer_belongs_to_a_state() -> None:
    assert set(TIMERS_OF) == set(State)
    assert frozenset().union(*TIMERS_OF.values()) == set(Timer)


def test_event_numbers_are_those_of_the_rfcs() -> None:
    assert [kind.value for kind in EventKind] == list(range(1, 32))
    few = (E.IDLE_HOLD_TIMER_EXPIRES, E.TCP_CONNECTION_FAILS, E.BGP_OPEN, E.UPDATE_MSG_ERR, E.SEND_HOLD_TIMER_EXPIRES)
    assert [kind.value for kind in few] == [13, 18, 19, 28, 29]


def test_the_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "fsm.md"
    assert page.read_text() == markdown(), "run: python -m pybgp.fsm > docs/fsm.md"
