"""No run of events breaks the machine: timers by state, one Down for each Up, one close for each connection."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybgp.fsm.actions import CloseTransport, Down, DownReason, OpenTransport, Send, Start, Up
from pybgp.fsm.attributes import SessionAttributes
from pybgp.fsm.backoff import Backoff
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.negotiation import make_open
from pybgp.fsm.rules import drop
from pybgp.fsm.states import TIMERS_OF, State, Timer
from pybgp.messages import Keepalive, Notification
from tests.fsm.making import Bench, bench_in, settings

E = EventKind
EXPIRES = {
    Timer.CONNECT_RETRY: E.CONNECT_RETRY_TIMER_EXPIRES,
    Timer.HOLD: E.HOLD_TIMER_EXPIRES,
    Timer.KEEPALIVE: E.KEEPALIVE_TIMER_EXPIRES,
    Timer.DELAY_OPEN: E.DELAY_OPEN_TIMER_EXPIRES,
    Timer.IDLE_HOLD: E.IDLE_HOLD_TIMER_EXPIRES,
}
ACTIVE_STARTS = (E.MANUAL_START, E.AUTOMATIC_START, E.AUTOMATIC_START_DAMPED)
ANYWHERE = [
    kind
    for kind in E
    if kind not in EXPIRES.values()
    and kind not in (E.TCP_CR_ACKED, E.TCP_CONNECTION_CONFIRMED, E.BGP_OPEN_DELAY_OPEN, E.SEND_HOLD_TIMER_EXPIRES)
]


class AnyRunOfEvents(RuleBasedStateMachine):
    @initialize(
        delay_open=st.booleans(), passive=st.booleans(), incoming=st.booleans(), hold=st.sampled_from([0, 3, 90])
    )
    def make(self, delay_open: bool, passive: bool, incoming: bool, hold: int) -> None:
        config = settings(delay_open_time=10.0 if delay_open else 0.0, passive=passive, hold_time=hold)
        self.bench = Bench(config, incoming=incoming)
        self.up = False
        self.open = False

    def run(self, kind: EventKind) -> None:
        for action in self.bench.fire(kind):
            if isinstance(action, Up):
                assert not self.up
                self.up = True
            elif isinstance(action, Down):
                assert self.up
                self.up = False
            elif isinstance(action, OpenTransport):
                assert not self.open
                assert not self.bench.machine.passive
                self.open = True
            elif isinstance(action, CloseTransport):
                assert self.open
                assert action.reason
                self.open = False
            elif isinstance(action, Start):
                assert action.seconds > 0
        self.bench.now += 1.0

    @rule(kind=st.sampled_from(ANYWHERE))
    def anything(self, kind: EventKind) -> None:
        if self.bench.machine.passive and kind in ACTIVE_STARTS:
            return  # an order to dial: nobody gives it to one that never dials
        self.run(kind)

    @rule(seconds=st.floats(0, 1000))
    def time_passes(self, seconds: float) -> None:
        self.bench.now += seconds

    @precondition(lambda self: self.bench.running)
    @rule(data=st.data())
    def timer(self, data: st.DataObject) -> None:
        timer = data.draw(st.sampled_from(sorted(self.bench.running)))
        del self.bench.running[timer]
        self.run(EXPIRES[timer])

    @precondition(lambda self: self.bench.machine.state in (State.CONNECT, State.ACTIVE))
    @precondition(lambda self: not self.bench.machine.delay_open_running)
    @rule()
    def connected(self) -> None:
        dialed = self.bench.machine.state is State.CONNECT
        self.open = True
        self.run(E.TCP_CR_ACKED if dialed else E.TCP_CONNECTION_CONFIRMED)

    @precondition(lambda self: self.bench.machine.delay_open_running)
    @rule()
    def open_comes_early(self) -> None:
        self.run(E.BGP_OPEN_DELAY_OPEN)

    @precondition(lambda self: self.bench.machine.state is State.OPEN_SENT)
    @rule()
    def climb(self) -> None:
        self.run(E.BGP_OPEN)
        self.run(E.KEEPALIVE_MSG)

    @precondition(lambda self: self.bench.machine.state is State.ESTABLISHED)
    @rule()
    def peer_takes_nothing(self) -> None:
        self.run(E.SEND_HOLD_TIMER_EXPIRES)

    @invariant()
    def timers_belong_to_the_state(self) -> None:
        machine = self.bench.machine
        assert set(self.bench.running) <= TIMERS_OF[machine.state]
        if machine.state is State.OPEN_SENT:
            assert set(self.bench.running) == {Timer.HOLD}
        if machine.state >= State.OPEN_CONFIRM:
            assert machine.negotiated is not None
            if machine.negotiated.hold_time:
                assert set(self.bench.running) == {Timer.HOLD, Timer.KEEPALIVE}
            else:
                assert Timer.KEEPALIVE not in self.bench.running
                assert (Timer.HOLD in self.bench.running) == (machine.state is State.OPEN_CONFIRM)
        if machine.state is State.CONNECT:
            assert len(self.bench.running) == 1
        assert machine.delay_open_running == (Timer.DELAY_OPEN in self.bench.running)

    @invariant()
    def up_is_established(self) -> None:
        assert self.up == (self.bench.machine.state is State.ESTABLISHED)

    @invariant()
    def a_connection_is_where_one_can_be(self) -> None:
        machine = self.bench.machine
        assert machine.transport == self.open
        if machine.state is State.IDLE:
            assert not self.open
        if machine.state in (State.CONNECT, State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED):
            assert self.open


TestAnyRunOfEvents = AnyRunOfEvents.TestCase
TestAnyRunOfEvents.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)


def ended(state: State, kind: EventKind, **carried: object) -> DownReason:
    (found,) = [a.ended for a in bench_in(state).fire(kind, **carried) if isinstance(a, CloseTransport)]
    return found


def held(state: State, kind: EventKind, **carried: object) -> bool:
    bench = bench_in(state)
    bench.fire(kind, **carried)
    return Timer.IDLE_HOLD in bench.running


DAMPED = [
    (State.ESTABLISHED, E.HOLD_TIMER_EXPIRES, {}),
    (State.ESTABLISHED, E.UPDATE_MSG_ERR, {}),
    (State.ESTABLISHED, E.NOTIF_MSG, {}),
    (State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(6, 1)}),  # maximum prefixes
    (State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(6, 9, b"\3\1")}),  # hard reset for an error
    (State.OPEN_SENT, E.BGP_OPEN_MSG_ERR, {}),
    (State.OPEN_SENT, E.KEEPALIVE_MSG, {}),
    (State.OPEN_CONFIRM, E.NOTIF_MSG, {}),
]
NOT_DAMPED = [
    *((state, E.TCP_CONNECTION_FAILS, {}) for state in (State.CONNECT, State.OPEN_CONFIRM, State.ESTABLISHED)),
    *((state, E.MANUAL_STOP, {}) for state in State),
    (State.ESTABLISHED, E.OPEN_COLLISION_DUMP, {}),
    *((State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(6, code)}) for code in (2, 3, 4, 5, 6, 7)),
    (State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(6, 9, b"\6\2")}),  # hard reset for a shutdown
]


@pytest.mark.parametrize(("state", "kind", "carried"), DAMPED)
def test_errors_are_damped(state: State, kind: EventKind, carried: dict[str, object]) -> None:
    assert held(state, kind, **carried)
    assert ended(state, kind, **carried).error


@pytest.mark.parametrize(("state", "kind", "carried"), NOT_DAMPED)
def test_a_plain_close_or_a_decision_is_not_damped(state: State, kind: EventKind, carried: dict[str, object]) -> None:
    assert not held(state, kind, **carried)


def test_damping_can_be_switched_off_and_is_not_for_accepted_connections() -> None:
    bench = bench_in(State.ESTABLISHED, settings(idle_hold_time=0, idle_hold_max=0))
    bench.fire(E.HOLD_TIMER_EXPIRES)
    assert bench.running == {}
    bench = Bench(settings(), incoming=True)
    bench.fire(E.TCP_CONNECTION_CONFIRMED)
    bench.fire(E.BGP_HEADER_ERR)
    assert bench.running == {}


def test_the_idle_hold_doubles_between_its_ends_and_is_forgotten() -> None:
    bench = Bench(settings())
    holds = []
    for _ in range(6):
        bench.fire(E.AUTOMATIC_START_DAMPED)
        bench.fire(E.TCP_CR_ACKED)
        bench.fire(E.BGP_HEADER_ERR)
        holds.append(bench.running[Timer.IDLE_HOLD])
        bench.now += holds[-1] + 1
    assert holds == [5, 10, 20, 40, 60, 60]
    bench.now += 300
    bench.fire(E.AUTOMATIC_START_DAMPED)
    bench.fire(E.TCP_CR_ACKED)
    bench.fire(E.BGP_HEADER_ERR)
    assert bench.running[Timer.IDLE_HOLD] == 5


def test_an_administrative_start_forgets_the_holds() -> None:
    bench = bench_in(State.ESTABLISHED)
    bench.fire(E.HOLD_TIMER_EXPIRES)
    bench.fire(E.MANUAL_STOP)
    assert bench.running == {}
    for kind in (E.AUTOMATIC_START, E.TCP_CR_ACKED, E.BGP_HEADER_ERR):
        bench.fire(kind)
    assert bench.running[Timer.IDLE_HOLD] == 5


@pytest.mark.parametrize(("jitter", "factor"), [(0.0, 0.75), (0.5, 0.875), (1.0, 1.0), (-9.0, 0.75), (9.0, 1.0)])
@pytest.mark.rfc("4271", "10", "pybgp.fsm.rules:keepalive_timer", "jitter from 0.75 to 1")
def test_keepalives_have_the_jitter_of_rfc_4271(jitter: float, factor: float) -> None:
    bench = bench_in(State.ESTABLISHED, settings(hold_time=90))
    bench.machine.jitter = lambda: jitter
    actions = bench.fire(E.KEEPALIVE_TIMER_EXPIRES)
    assert actions == [Send(Keepalive()), Start(Timer.KEEPALIVE, 30 * factor)]


def test_at_most_one_keepalive_a_second() -> None:
    bench = bench_in(State.ESTABLISHED, settings(hold_time=3))
    bench.machine.jitter = lambda: 0.0
    bench.fire(E.KEEPALIVE_TIMER_EXPIRES)
    assert bench.running[Timer.KEEPALIVE] == 1.0


@pytest.mark.parametrize("kind", [E.TCP_CONNECTION_FAILS, E.MANUAL_STOP, E.HOLD_TIMER_EXPIRES, E.NOTIF_MSG])
@pytest.mark.rfc("4724", "4.2", "pybgp.fsm.ending:_graceful", "without a word only")
def test_graceful_is_only_a_connection_that_went_away_without_a_word(kind: EventKind) -> None:
    """RFC 4724 section 4.2."""
    assert ended(State.ESTABLISHED, kind).graceful == (kind is E.TCP_CONNECTION_FAILS)
    assert not any(
        a.ended.graceful
        for a in bench_in(State.ESTABLISHED, settings(graceful_restart=False)).fire(kind)
        if isinstance(a, CloseTransport)
    )
    assert not ended(State.OPEN_CONFIRM, kind).graceful


@pytest.mark.parametrize(
    ("kind", "carried", "graceful"),
    [
        (E.TCP_CONNECTION_FAILS, {}, True),
        (E.HOLD_TIMER_EXPIRES, {}, True),
        (E.UPDATE_MSG_ERR, {}, True),
        (E.NOTIF_MSG, {"notification": Notification(6, 4)}, True),
        (E.NOTIF_MSG, {"notification": Notification(6, 9, b"\6\2")}, False),
        (E.MANUAL_STOP, {}, False),
        (E.OPEN_COLLISION_DUMP, {}, False),
    ],
)
@pytest.mark.rfc("8538", "4", "pybgp.fsm.ending:_graceful", "only a Hard Reset is final")
@pytest.mark.rfc("8538", "3.1", "pybgp.fsm.ending:_graceful", "Hard Reset is final")
def test_with_the_n_bit_only_a_hard_reset_is_final(kind: EventKind, carried: dict[str, object], graceful: bool) -> None:
    """RFC 8538 section 4."""
    bench = bench_in(State.ESTABLISHED, settings(graceful_notification=True))
    (found,) = [a.ended for a in bench.fire(kind, **carried) if isinstance(a, CloseTransport)]
    assert found.graceful == graceful


@pytest.mark.parametrize(
    ("state", "kind", "carried", "words"),
    [
        (State.CONNECT, E.CONNECT_RETRY_TIMER_EXPIRES, {}, "no answer to the connection attempt within 10 s"),
        (State.CONNECT, E.TCP_CONNECTION_FAILS, {"text": "Connection refused"}, "Connection refused"),
        (State.OPEN_SENT, E.HOLD_TIMER_EXPIRES, {}, "no OPEN within 240 s"),
        (State.ESTABLISHED, E.HOLD_TIMER_EXPIRES, {}, "nothing heard from the peer for 90 s"),
        (State.ESTABLISHED, E.SEND_HOLD_TIMER_EXPIRES, {}, "took no data"),
        (State.ESTABLISHED, E.TCP_CONNECTION_FAILS, {}, "connection was lost"),
        (State.OPEN_SENT, E.BGP_OPEN_MSG_ERR, {}, "AS 1"),
        (State.OPEN_SENT, E.UPDATE_MSG, {}, "(5/1)"),
        (State.OPEN_SENT, E.OPEN_COLLISION_DUMP, {}, "collision"),
        (State.ESTABLISHED, E.MANUAL_STOP, {}, "stopped"),
        (
            State.ESTABLISHED,
            E.NOTIF_MSG,
            {"notification": Notification(6, 2, b"\x05later")},
            "Administrative Shutdown (6/2): later",
        ),
        (
            State.ESTABLISHED,
            E.NOTIF_MSG,
            {"notification": Notification(6, 9, b"\6\2\x05later")},
            "Hard Reset (6/9): Administrative Shutdown (6/2): later",
        ),
        (State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(77, 3)}, "NOTIFICATION 77/3"),
        (State.ESTABLISHED, E.NOTIF_MSG, {"notification": Notification(6, 99)}, "Cease (6/99)"),
    ],
)
def test_the_reason_is_words(state: State, kind: EventKind, carried: dict[str, object], words: str) -> None:
    assert words in ended(state, kind, **carried).text


def test_pauses_double_with_jitter_and_start_anew() -> None:
    backoff = Backoff(1.0, 8.0, quiet=70.0, jitter=lambda: 0.0)
    now, pauses = 0.0, []
    for _ in range(6):
        pauses.append(backoff.next(now))
        now += pauses[-1] + 10
    assert pauses == [0.75, 1.5, 3.0, 6.0, 6.0, 6.0]
    assert backoff.next(now + 70) == 0.75
    backoff.next(now + 80)
    backoff.forget()
    assert backoff.next(now + 81) == 0.75


def test_without_a_connection_there_is_none_to_drop() -> None:
    alone = SessionAttributes(settings(), make_open(settings()), lambda: 1.0)
    assert drop(alone, Event(EventKind.CONNECT_RETRY_TIMER_EXPIRES)) == ()
    alone.transport = True
    assert [type(action) for action in drop(alone, Event(EventKind.CONNECT_RETRY_TIMER_EXPIRES))] == [CloseTransport]
    assert not alone.transport
