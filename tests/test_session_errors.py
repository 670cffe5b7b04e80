"""What a peer does wrong, and what we do wrong: the exact NOTIFICATION, and never an exception."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pybgp import session as session_module
from pybgp.errors import ConnectionCollisionResolution
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.fsm.actions import CloseTransport, Down, Received, Up
from pybgp.fsm.states import TIMERS_OF, State, Timer
from pybgp.messages import Notification, RouteRefresh, encode_message
from pybgp.messages.framing import frame
from pybgp.session import KEPT, Happening, InternalError, Offence
from tests.fsm.making import settings
from tests.wire import ANNOUNCE, KEEPALIVE, PLAIN, WITHDRAW, One, established, notifications, their_open

MARKER = b"\xff" * 16
REFRESH = encode_message(RouteRefresh(IPV4_UNICAST), PLAIN)
CONFIG = settings()
OPEN = their_open(CONFIG)


def patched(message: bytes, offset: int, octets: str) -> bytes:
    """The message with some octets replaced; offsets count from its first octet."""
    raw = bytes.fromhex(octets)
    return message[:offset] + raw + message[offset + len(raw) :]


ANYWHERE = [
    ("a marker that is not all ones", bytes(19), (1, 1, "")),
    ("a length below the header", MARKER + bytes.fromhex("001204"), (1, 2, "0012")),
    ("a length above the most", MARKER + bytes.fromhex("ffff01"), (1, 2, "ffff")),
    ("a KEEPALIVE with a body", MARKER + bytes.fromhex("00140400"), (1, 2, "0014")),
    ("a type that is none", MARKER + bytes.fromhex("001309"), (1, 3, "09")),
    ("a NOTIFICATION without subcode", MARKER + bytes.fromhex("00140306"), (1, 2, "0014")),
]
IN_OPEN_SENT = [
    ("KEEPALIVE", KEEPALIVE, (5, 1, "04")),
    ("UPDATE", ANNOUNCE, (5, 1, "02")),
    ("ROUTE-REFRESH", REFRESH, (5, 1, "05")),
    ("version 3", patched(OPEN, 19, "03"), (2, 1, "0004")),
    ("another AS", their_open(CONFIG, local_as=64513), (2, 2, "")),
    ("identifier 0", patched(OPEN, 24, "00000000"), (2, 3, "00000000")),
    ("our identifier", their_open(CONFIG, bgp_identifier=CONFIG.bgp_identifier), (2, 3, "0a000001")),
    ("an unknown optional parameter", patched(OPEN, 29, "63"), (2, 4, "")),
    ("a hold time of 2", patched(OPEN, 22, "0002"), (2, 6, "0002")),
    ("no family in common", their_open(CONFIG, families=(IPV6_UNICAST,)), (2, 7, "010400010001")),
]
IN_OPEN_CONFIRM = [
    ("OPEN", OPEN, (5, 2, "01")),
    ("UPDATE", ANNOUNCE, (5, 2, "02")),
    ("ROUTE-REFRESH", REFRESH, (5, 2, "05")),
]
IN_ESTABLISHED = [
    ("OPEN", OPEN, (5, 3, "01")),
    ("withdrawn routes longer than the message", frame(2, b"\x00\x05\x00\x00"), (3, 1, "")),
    ("attributes longer than the message", frame(2, b"\x00\x00\x00\x05"), (3, 1, "")),
    ("a BoRR with a tail", frame(5, bytes.fromhex("0001010100")), (7, 1, frame(5, bytes.fromhex("0001010100")).hex())),
]
CASES = [
    *((state, *row) for state in (State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED) for row in ANYWHERE),
    *((State.OPEN_SENT, *row) for row in IN_OPEN_SENT),
    *((State.OPEN_CONFIRM, *row) for row in IN_OPEN_CONFIRM),
    *((State.ESTABLISHED, *row) for row in IN_ESTABLISHED),
]


@pytest.mark.parametrize(("state", "what", "data", "answer"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
@pytest.mark.rfc("4271", "6.6", "pybgp.fsm.rules:notify_unexpected", "a message that does not belong there")
@pytest.mark.rfc("4271", "6.4", "pybgp.fsm.rules:notify_error", "errors are answered, and a NOTIFICATION never is")
def test_an_error_is_answered_exactly(state: State, what: str, data: bytes, answer: tuple[int, int, str]) -> None:
    one = One().in_state(state)
    happenings = one.receive(data)
    assert notifications(one.sent) == [Notification(answer[0], answer[1], bytes.fromhex(answer[2]))]
    closed = [h for h in happenings if isinstance(h, CloseTransport)]
    assert len(closed) == 1
    assert closed[0].ended.sent
    assert closed[0].ended.error
    assert any(isinstance(h, Down) for h in happenings) == (state is State.ESTABLISHED)
    assert f"({answer[0]}/{answer[1]})" in one.session.last_error
    assert one.state() is State.IDLE
    assert one.session.offences[-1].data
    assert one.session.receive_data(KEEPALIVE * 3, one.now) == []


@pytest.mark.parametrize("state", [State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED], ids=str)
@pytest.mark.rfc("4271", "6.4", "pybgp.session:Session._message", "a NOTIFICATION is never answered")
def test_a_notification_is_never_answered(state: State) -> None:
    one = One().in_state(state)
    happenings = one.receive(encode_message(Notification(2, 6), PLAIN))
    assert one.sent == b""
    (closed,) = [h for h in happenings if isinstance(h, CloseTransport)]
    assert closed.ended.notification == Notification(2, 6)
    assert not closed.ended.sent
    assert "Unacceptable Hold Time (2/6)" in one.session.last_error


def test_what_came_before_the_fault_counts() -> None:
    one = established()
    happenings = one.receive(ANNOUNCE + WITHDRAW + frame(2, b"\x00\x05\x00\x00") + ANNOUNCE)
    assert [type(happening) for happening in happenings] == [Received, Received, Offence, CloseTransport, Down]
    one = established()
    happenings = one.receive(ANNOUNCE + WITHDRAW + KEEPALIVE + bytes(40))
    assert [type(happening) for happening in happenings] == [Received, Received, Offence, CloseTransport, Down]
    assert notifications(one.sent) == [Notification(1, 1)]


@pytest.mark.rfc("7606", "6", "pybgp.session:Session._remember_faults", "what was wrong is kept and told")
def test_a_fault_that_is_no_reset_is_remembered() -> None:
    """RFC 7606: treat-as-withdraw; the octets stay for who wants to see them."""
    one = established()
    bad_origin = patched(ANNOUNCE, ANNOUNCE.index(b"\x40\x01\x01") + 3, "07")
    offence, received = one.receive(bad_origin)
    assert isinstance(received, Received)
    assert received.update.faults
    assert received.update.reach == ()
    assert one.state() is State.ESTABLISHED
    assert one.session.offences[-1] is offence
    at = bad_origin.index(b"\x40\x01\x01") + 3
    assert offence == Offence(
        one.now, "ORIGIN: undefined ORIGIN 7", bad_origin, at, "RFC 7606 7.1", "treat as withdraw"
    )
    assert f"offset={at} " in str(offence)
    assert bad_origin.hex() in str(offence)


def test_only_the_last_offences_are_kept() -> None:
    one = established()
    bad_origin = patched(ANNOUNCE, ANNOUNCE.index(b"\x40\x01\x01") + 3, "07")
    one.receive(bad_origin * 50)
    assert len(one.session.offences) == KEPT


def test_a_collision_is_settled_before_the_keepalive_behind_the_open() -> None:
    one = One().in_state(State.OPEN_SENT)
    one.take(one.session.receive_data(OPEN + KEEPALIVE, one.now))
    one.take(one.session.stop(one.now, ConnectionCollisionResolution()))
    assert notifications(one.sent) == [Notification(6, 7)]
    assert not any(isinstance(happening, Up) for happening in one.seen)
    assert one.state() is State.IDLE
    assert one.session.next_deadline() is None  # who gave way neither tries again by itself nor is held


# our own bugs


def test_a_bug_costs_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    one = established()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(session_module, "decode_update", broken)
    happenings = one.receive(ANNOUNCE + WITHDRAW)
    assert [type(happening) for happening in happenings] == [InternalError, CloseTransport, Down]
    bug = happenings[0]
    assert isinstance(bug, InternalError)
    assert isinstance(bug.error, ZeroDivisionError)
    assert bug.data == ANNOUNCE[19:]
    assert notifications(one.sent) == [Notification(6, 0)]
    assert "internal error: ZeroDivisionError: a bug" in one.session.last_error
    assert one.sleep() == 5  # damped like any error, then tried again
    assert one.state() is State.CONNECT


def test_a_machine_that_is_broken_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one = established()

    def broken(*_: object) -> None:
        raise KeyError("table")

    with monkeypatch.context() as patch:
        patch.setattr(one.session._machine, "fire", broken)
        happenings = one.receive(KEEPALIVE)
        assert [type(happening) for happening in happenings] == [InternalError, CloseTransport, Down]
        assert one.state() is State.IDLE
    assert one.sleep() == 60
    assert one.state() is State.CONNECT


# anything at all

MESSAGES = [OPEN, KEEPALIVE, ANNOUNCE, WITHDRAW, REFRESH, encode_message(Notification(6, 2), PLAIN)]


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    state=st.sampled_from([State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED]),
    pieces=st.lists(st.one_of(st.sampled_from(MESSAGES), st.binary(max_size=60)), max_size=6),
    data=st.data(),
)
def test_no_octets_raise(state: State, pieces: list[bytes], data: st.DataObject) -> None:
    stream = bytearray(b"".join(pieces))
    for _ in range(data.draw(st.integers(0, 3)) if stream else 0):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    one = One().in_state(state)
    one.receive(bytes(stream))
    assert not any(isinstance(happening, InternalError) for happening in one.seen)
    assert len(notifications(one.sent)) <= 1


class AnyLife(RuleBasedStateMachine):
    """A shell, a peer and an operator that do what they like, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.one = One(settings(hold_time=30))
        self.ups = 0

    def watch(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            assert not isinstance(happening, InternalError), happening
            if isinstance(happening, Up):
                self.ups += 1
            elif isinstance(happening, Down):
                self.ups -= 1
            assert self.ups in (0, 1)
        self.one.take(happenings)

    @rule()
    def start(self) -> None:
        self.watch(self.one.session.start(self.one.now))

    @rule(silent=st.booleans(), collision=st.booleans())
    def stop(self, silent: bool, collision: bool) -> None:
        cease = ConnectionCollisionResolution() if collision else None
        self.watch(self.one.session.stop(self.one.now, cease, silent=silent))
        assert self.one.state() is State.IDLE
        assert self.one.session.next_deadline() is None

    @precondition(lambda self: self.one.open)
    @rule(works=st.booleans())
    def answer(self, works: bool) -> None:
        if works:
            self.watch(self.one.session.connected(self.one.now))
        else:
            self.one.open = False
            self.watch(self.one.session.connect_failed(self.one.now, "no"))
        self.one.open = self.one.session._machine.transport

    @precondition(lambda self: self.one.open)
    @rule(message=st.sampled_from(MESSAGES), cut=st.integers(1, 80))
    def receive(self, message: bytes, cut: int) -> None:
        self.watch(self.one.session.receive_data(message[:cut], self.one.now))
        self.watch(self.one.session.receive_data(message[cut:], self.one.now))

    @rule()
    def climb(self) -> None:
        for step in (self.one.session.start, self.one.session.connected):
            self.watch(step(self.one.now))
        self.watch(self.one.session.receive_data(OPEN + KEEPALIVE, self.one.now))
        self.watch(self.one.session.handle_timer(self.one.now))
        self.one.open = self.one.session._machine.transport

    @precondition(lambda self: self.one.open)
    @rule()
    def close(self) -> None:
        self.watch(self.one.session.closed(self.one.now, "gone"))
        self.one.open = self.one.session._machine.transport

    @rule(seconds=st.floats(0, 200))
    def wait(self, seconds: float) -> None:
        end = self.one.now + seconds
        while (deadline := self.one.session.next_deadline()) is not None and deadline <= end:
            self.one.now = max(deadline, self.one.now)
            self.watch(self.one.session.handle_timer(self.one.now))
        self.one.now = end

    @rule(stuck=st.booleans())
    def tcp(self, stuck: bool) -> None:
        self.one.stuck = stuck
        self.one.session.write_blocked(self.one.now)
        self.one.session.send([ANNOUNCE], self.one.now)

    @invariant()
    def timers_belong_to_the_state(self) -> None:
        session = self.one.session
        running = {timer for timer in Timer if session.deadline(timer) is not None}
        assert running <= TIMERS_OF[session.state]
        assert (self.ups == 1) == (session.state is State.ESTABLISHED)
        assert (session.negotiated is not None) == (session.state >= State.OPEN_CONFIRM)


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = hypothesis_settings(max_examples=150, stateful_step_count=30, deadline=None)
