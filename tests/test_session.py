"""Sessions without I/O: climbing, staying up, being cut anywhere, coming back."""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.errors import AdministrativeReset, MaximumPrefixes
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.fsm.actions import CloseTransport, Down, OpenTransport, Received, Refresh, Up
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.states import State, Timer
from pybgp.messages import Notification, RouteRefresh, encode_message
from pybgp.messages.framing import Framer, frame
from pybgp.session import Happening, OpenReceived, Session
from tests.fsm.making import mirrored, settings
from tests.wire import (
    ANNOUNCE,
    END_OF_RIB,
    KEEPALIVE,
    PLAIN,
    WITHDRAW,
    One,
    Pair,
    established,
    notifications,
    their_open,
)


def count(kind: type[object], one: One) -> int:
    return sum(isinstance(happening, kind) for happening in one.seen)


# climbing and staying


def test_two_sessions_come_up_once() -> None:
    pair = Pair().connect()
    for one in (pair.a, pair.b):
        assert one.state() is State.ESTABLISHED
        assert (count(Up, one), count(Down, one), count(OpenReceived, one)) == (1, 0, 1)
        assert one.session.counters.messages_in == one.session.counters.messages_out == 2
    assert pair.a.session.counters.bytes_out == pair.b.session.counters.bytes_in
    assert pair.a.session.negotiated is not None
    assert pair.b.session.negotiated is not None
    assert pair.a.session.negotiated.peer_bgp_identifier == pair.b.config.bgp_identifier
    assert pair.a.session.negotiated.context == pair.b.session.negotiated.context


@pytest.mark.parametrize("hold", [3, 9, 90])
def test_keepalives_hold_a_session_for_hours(hold: int) -> None:
    pair = Pair({"hold_time": hold}).connect()
    pair.until(100.0 + 400 * hold)
    assert (pair.a.session.state, pair.b.session.state) == (State.ESTABLISHED, State.ESTABLISHED)
    assert pair.a.session.counters.messages_in >= 1200


def test_a_hold_time_of_zero_sends_nothing_and_never_expires() -> None:
    pair = Pair({"hold_time": 0}).connect()
    assert pair.a.session.state is State.ESTABLISHED
    assert pair.a.session.next_deadline() is None
    assert pair.a.session.counters.messages_out == 2


@pytest.mark.parametrize("jitter", [0.0, 0.3, 1.0])
def test_keepalives_come_at_75_to_100_percent(jitter: float) -> None:
    one = One(settings(hold_time=30), jitter=jitter).in_state(State.ESTABLISHED)
    deadline = one.session.deadline(Timer.KEEPALIVE)
    assert deadline == pytest.approx(one.now + 10 * (0.75 + 0.25 * jitter))
    one.sleep()
    assert one.sent == KEEPALIVE


@pytest.mark.rfc("4271", "6.5", "pybgp.session:Session._expire", "code 4 after the hold time")
def test_a_silent_peer_is_given_up_after_the_hold_time() -> None:
    one = established(hold_time=9)
    start = one.now
    for _ in range(20):
        if one.state() is State.ESTABLISHED:
            one.sleep()
    assert one.now == start + 9
    assert notifications(one.sent) == [Notification(4, 0)]
    (down,) = [h for h in one.seen if isinstance(h, Down)]
    assert (down.reason.sent, down.reason.notification) == (True, Notification(4, 0))
    assert "9 s" in one.session.last_error


@pytest.mark.parametrize("message", [KEEPALIVE, ANNOUNCE, END_OF_RIB, ANNOUNCE * 40], ids=len)
def test_keepalive_and_update_restart_the_hold_timer(message: bytes) -> None:
    one = established(hold_time=9)
    one.now += 8
    one.receive(message)
    assert one.session.deadline(Timer.HOLD) == one.now + 9


def test_a_route_refresh_does_not_restart_the_hold_timer() -> None:
    """RFC 4271 section 4.2: KEEPALIVE and UPDATE do."""
    one = established(hold_time=9)
    before = one.session.deadline(Timer.HOLD)
    one.now += 1
    (refresh,) = one.receive(encode_message(RouteRefresh(IPV4_UNICAST), PLAIN))
    assert refresh == Refresh(RouteRefresh(IPV4_UNICAST))
    assert one.session.deadline(Timer.HOLD) == before


@pytest.mark.rfc("2918", "4", "pybgp.session:Session._message", "families that are not spoken")
def test_a_refresh_of_a_family_that_is_not_spoken_is_ignored() -> None:
    """RFC 2918 section 4."""
    assert established().receive(encode_message(RouteRefresh(IPV6_UNICAST), PLAIN)) == []


def test_an_update_that_is_sent_restarts_the_keepalive_timer() -> None:
    one = established(hold_time=30)
    one.now += 5
    one.session.send([ANNOUNCE, WITHDRAW], one.now)
    assert one.session.data_to_send() == ANNOUNCE + WITHDRAW
    assert one.session.deadline(Timer.KEEPALIVE) == one.now + 10
    assert one.session.counters.updates_out == 2
    one.now += 1
    one.session.send([encode_message(RouteRefresh(IPV4_UNICAST), PLAIN)], one.now)
    assert one.session.deadline(Timer.KEEPALIVE) == one.now - 1 + 10
    assert one.session.counters.updates_out == 2


@pytest.mark.parametrize("state", [State.IDLE, State.OPEN_SENT, State.OPEN_CONFIRM])
def test_updates_are_dropped_while_there_is_no_session(state: State) -> None:
    one = One() if state is State.IDLE else One().in_state(state)
    one.session.send([ANNOUNCE], one.now)
    assert one.session.data_to_send() == b""


def test_many_updates_in_one_read_are_handed_over_in_order() -> None:
    one = established()
    happenings = one.receive((ANNOUNCE + WITHDRAW) * 300 + END_OF_RIB)
    assert [type(happening) for happening in happenings] == [Received] * 601
    bodies = [happening.update.body for happening in happenings if isinstance(happening, Received)]
    assert bodies[:2] == [ANNOUNCE[19:], WITHDRAW[19:]]
    assert happenings[-1].update.end_of_rib == IPV4_UNICAST  # type: ignore[union-attr]
    assert one.session.counters.updates_in == 601


def test_open_hold_time_limits_the_wait_for_an_open() -> None:
    one = One(settings(open_hold_time=60.0)).in_state(State.OPEN_SENT)
    assert one.sleep() == 60
    assert notifications(one.sent) == [Notification(4, 0)]
    assert "no OPEN" in one.session.last_error


# cut anywhere

STREAM = (
    their_open(settings())
    + KEEPALIVE
    + ANNOUNCE
    + WITHDRAW
    + encode_message(RouteRefresh(IPV4_UNICAST), PLAIN)
    + END_OF_RIB
    + encode_message(Notification(6, 2, b"\x03bye"), PLAIN)
)


def fed(*pieces: bytes) -> list[Happening]:
    one = One().in_state(State.OPEN_SENT)
    for piece in pieces:
        one.receive(piece)
    assert one.state() is State.ACTIVE  # down, and waiting to try again
    return one.seen


def test_the_cut_does_not_matter() -> None:
    whole = fed(STREAM)
    assert [type(happening) for happening in whole] == [
        OpenReceived,
        Up,
        Received,
        Received,
        Refresh,
        Received,
        CloseTransport,
        Down,
    ]
    for cut in range(len(STREAM) + 1):
        assert fed(STREAM[:cut], STREAM[cut:]) == whole
    assert fed(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == whole


def test_what_follows_an_open_waits_for_one_call() -> None:
    """So that a collision is settled between the OPEN and the KEEPALIVE behind it."""
    one = One().in_state(State.OPEN_SENT)
    happenings = one.session.receive_data(STREAM, one.now)
    assert [type(happening) for happening in happenings] == [OpenReceived]
    assert one.state() is State.OPEN_CONFIRM
    assert one.session.next_deadline() == one.now
    assert [type(h) for h in one.session.handle_timer(one.now)][:2] == [Up, Received]


def test_what_was_held_is_forgotten_with_its_connection() -> None:
    one = One().in_state(State.OPEN_SENT)
    one.session.receive_data(STREAM, one.now)
    one.take(one.session.stop(one.now))
    assert one.session.handle_timer(one.now) == []
    assert one.session.next_deadline() is None


def test_a_close_does_not_lose_what_was_held() -> None:
    one = One().in_state(State.OPEN_SENT)
    one.session.receive_data(STREAM, one.now)
    happenings = one.close()
    assert [type(happening) for happening in happenings][-2:] == [CloseTransport, Down]
    assert "Administrative Shutdown (6/2): bye" in one.session.last_error


def test_a_recording_plays_again() -> None:
    tape: list[tuple[str, bytes, float]] = []
    one = One(recorder=lambda *entry: tape.append(entry)).in_state(State.OPEN_SENT)
    for position in range(0, len(STREAM), 50):
        one.now += 0.25
        one.receive(STREAM[position : position + 50])
    again = One().in_state(State.OPEN_SENT)
    for direction, data, now in tape:
        if direction == "in":
            again.now = now
            again.receive(data)
    assert again.seen == one.seen
    assert b"".join(data for direction, data, _ in tape if direction == "in") == STREAM
    assert Framer().feed(b"".join(data for direction, data, _ in tape if direction == "out"))[0][0] == 1


# leaving and coming back


def pauses_of(one: One, fail: Any, attempts: int) -> list[float]:
    """How long the session waits before each new attempt, when each one fails."""
    pauses = []
    for _ in range(attempts):
        fail()
        before = one.dials
        waited = 0.0
        while one.dials == before:
            waited += one.sleep()
        pauses.append(waited)
    return pauses


def closes_before_its_open(one: One) -> None:
    one.connected()
    one.close()


@pytest.mark.parametrize("jitter", [0.0, 1.0])
@pytest.mark.parametrize("how", ["refused", "closed before the OPEN"])
def test_pauses_between_attempts_grow(how: str, jitter: float) -> None:
    one = One(settings(connect_retry_time=1.0, connect_retry_max=60.0), jitter=jitter)
    one.start()
    assert one.dials == 1  # the first attempt is immediate
    fail = one.refuse if how == "refused" else lambda: closes_before_its_open(one)
    factor = 0.75 + 0.25 * jitter
    assert pauses_of(one, fail, 9) == [pytest.approx(p * factor) for p in (1, 2, 4, 8, 16, 32, 60, 60, 60)]


def test_a_peer_that_never_opens_is_not_a_hot_loop() -> None:
    one = One(jitter=0.0)
    one.start()
    begin = one.now
    pauses_of(one, lambda: closes_before_its_open(one), 1000)
    assert one.dials == 1001
    assert one.now - begin > 990 * 45  # 75 percent of a minute each, but for the first few


def test_a_peer_that_comes_up_and_goes_at_once_is_not_a_hot_loop() -> None:
    one = One(jitter=0.0)
    one.start()

    def flap() -> None:
        one.connected()
        one.receive(their_open(one.config) + KEEPALIVE)
        assert one.state() is State.ESTABLISHED
        one.close()

    assert pauses_of(one, flap, 8) == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0]


def test_after_a_long_session_the_first_pause_is_short() -> None:
    one = One()
    one.start()
    pauses_of(one, one.refuse, 9)
    one.connected()
    one.receive(their_open(one.config) + KEEPALIVE)
    for _ in range(100):
        one.now += 60
        one.receive(KEEPALIVE)
    assert pauses_of(one, one.close, 1) == [1.0]


def test_an_attempt_without_answer_is_given_up_and_made_again() -> None:
    one = One(settings(connect_timeout=4.0)).start()
    assert one.sleep() == 4
    assert [type(happening) for happening in one.seen] == [OpenTransport, CloseTransport, OpenTransport]
    assert "within 4 s" in one.session.last_error


def test_after_an_error_the_session_is_held_idle_longer_and_longer() -> None:
    one = One()
    one.start()

    def err() -> None:
        one.connected()
        one.receive(KEEPALIVE)  # not an OPEN
        assert one.state() is State.IDLE
        assert one.session.deadline(Timer.CONNECT_RETRY) is None

    assert pauses_of(one, err, 6) == [5, 10, 20, 40, 60, 60]
    one.connected()
    one.receive(their_open(one.config) + KEEPALIVE)
    for _ in range(10):
        one.now += 60
        one.receive(KEEPALIVE)
    assert pauses_of(one, lambda: one.receive(frame(2, b"\xff\xff\0\0")), 1) == [5]


def test_a_plain_close_and_a_stop_are_not_held() -> None:
    one = established()
    one.close()
    assert one.state() is State.ACTIVE
    one = established()
    one.take(one.session.stop(one.now))
    assert one.state() is State.IDLE
    assert one.session.next_deadline() is None


def test_start_and_stop_are_immediate() -> None:
    one = established()
    happenings = one.take(one.session.stop(one.now))
    assert notifications(one.sent) == [Notification(6, 2)]
    assert [type(happening) for happening in happenings] == [CloseTransport, Down]
    assert happenings[1].reason.administrative  # type: ignore[union-attr]
    assert one.session.last_error == ""
    assert one.session.stop(one.now) == []
    assert one.take(one.session.start(one.now)) == [OpenTransport()]
    assert one.session.start(one.now) == []


@pytest.mark.rfc("4271", "6.7", "pybgp.session:Session.stop", "the Cease that was asked for")
@pytest.mark.rfc("4486", "4", "pybgp.session:Session.stop", "with its subcode")
def test_a_stop_says_what_it_is_told() -> None:
    one = established()
    one.take(one.session.stop(one.now, AdministrativeReset("", b"\x02ok")))
    assert notifications(one.sent) == [Notification(6, 4, b"\x02ok")]


def test_a_silent_stop_keeps_the_peers_view() -> None:
    """RFC 4724: a planned restart ends without a NOTIFICATION."""
    one = established()
    (closed, down) = one.take(one.session.stop(one.now, silent=True))
    assert one.sent == b""
    assert isinstance(closed, CloseTransport)
    assert isinstance(down, Down)
    assert down.reason.administrative
    assert not down.reason.sent


@pytest.mark.rfc("8538", "5", "pybgp.session:Session.stop", "a stop is a Hard Reset")
def test_with_rfc_8538_a_stop_is_a_hard_reset() -> None:
    one = established(graceful_notification=True)
    one.take(one.session.stop(one.now, AdministrativeReset("", b"\x02ok")))
    assert notifications(one.sent) == [Notification(6, 9, b"\x06\x04\x02ok")]


def test_an_automatic_stop_is_an_error_and_tries_again() -> None:
    one = established()
    one.take(one.session.fire(Event(EventKind.AUTOMATIC_STOP, error=MaximumPrefixes("over 100")), one.now))
    assert notifications(one.sent) == [Notification(6, 1)]
    assert "over 100" in one.session.last_error
    assert one.sleep() == 5
    assert one.state() is State.CONNECT


def test_a_passive_session_waits_and_takes_what_comes() -> None:
    one = One(settings(passive=True)).start()
    assert (one.state(), one.session.next_deadline(), one.dials) == (State.ACTIVE, None, 0)
    one.connected()
    one.receive(their_open(one.config) + KEEPALIVE)
    assert one.state() is State.ESTABLISHED
    one.close()
    assert (one.state(), one.session.next_deadline(), one.dials) == (State.ACTIVE, None, 0)
    one.connected()
    one.receive(KEEPALIVE)
    assert one.state() is State.IDLE  # held after the error
    assert one.sleep() == 5
    assert (one.state(), one.dials) == (State.ACTIVE, 0)


def test_an_accepted_session_lives_once() -> None:
    one = One(incoming=True)
    assert one.state() is State.ACTIVE
    one.connected()
    one.receive(their_open(one.config) + KEEPALIVE)
    assert one.state() is State.ESTABLISHED
    one.close()
    assert one.session.finished
    assert one.session.next_deadline() is None
    assert one.session.start(one.now) == []
    assert isinstance(one.session.connected(one.now)[0], CloseTransport)


@pytest.mark.parametrize(("error", "wait"), [(True, 5.0), (False, 1.0)])
def test_the_other_connection_counts_for_this_session(error: bool, wait: float) -> None:
    other = One(incoming=True)
    other.connected()
    if error:
        other.receive(KEEPALIVE)
    else:
        other.close()
    assert other.session.ended is not None
    assert other.session.ended.error is error
    one = One()
    one.take(one.session.resume(one.now, other.session.ended))
    assert one.sleep() == wait
    assert one.state() is State.CONNECT
    one.take(one.session.resume(one.now, other.session.ended))
    assert one.state() is (State.IDLE if error else State.CONNECT)


def test_connections_nobody_wants_are_closed() -> None:
    one = One()
    assert isinstance(one.session.connected(one.now)[0], CloseTransport)
    assert one.session.receive_data(KEEPALIVE, one.now) == []
    assert one.session.closed(one.now, "gone") == []
    assert one.session.connect_failed(one.now, "no") == []


# the options


def test_delay_open_waits_before_it_speaks() -> None:
    one = One(settings(delay_open_time=7.0)).start()
    one.connected()
    assert (one.state(), one.sent) == (State.CONNECT, b"")
    assert one.sleep() == 7
    assert one.state() is State.OPEN_SENT
    assert Framer().feed(one.sent)[0][0] == 1


def test_delay_open_is_over_when_the_peer_speaks_first() -> None:
    one = One(settings(delay_open_time=7.0)).start()
    one.connected()
    one.receive(their_open(one.config) + KEEPALIVE)
    assert [kind for kind, _ in Framer().feed(one.sent)] == [1, 4]
    assert one.state() is State.ESTABLISHED


def test_two_sessions_that_delay_come_up() -> None:
    pair = Pair({"delay_open_time": 7.0}).connect()
    pair.until(110.0)
    assert (pair.a.session.state, pair.b.session.state) == (State.ESTABLISHED, State.ESTABLISHED)


@pytest.mark.rfc("4724", "4.1", "pybgp.session:Session.restart_done", "the R bit is for the first session")
def test_the_restart_bit_is_for_the_first_session_after_a_restart() -> None:
    config = settings()
    session = Session(config, jitter=lambda: 0.0, restarting=True)
    session.start(0.0)
    session.connected(0.0)
    assert b"\x80\x78" in session.data_to_send()  # R, 120 s
    session.restart_done()
    session.closed(1.0, "gone")
    session.handle_timer(10.0)
    session.connected(10.0)
    data = session.data_to_send()
    assert b"\x80\x78" not in data
    assert b"\x40\x06\x00\x78" in data


@pytest.mark.rfc("8654", "4", "pybgp.session:Session._message", "long messages where they were negotiated")
def test_extended_messages_are_taken_by_who_announced_them() -> None:
    """RFC 8654 section 4."""
    long = frame(2, bytes.fromhex("0fff") + b"\x18\x0a\x00\x00" * 1023 + b"\x10\x0a\x00" + bytes(2))
    assert len(long) > 4096
    pair = Pair().connect()
    (received,) = pair.a.receive(long)
    assert isinstance(received, Received)
    pair = Pair({"extended_message": False}, {"extended_message": True}).connect()
    pair.a.receive(long)
    assert notifications(pair.a.sent) == [Notification(1, 2, len(long).to_bytes(2))]


def test_graceful_is_told_from_final() -> None:
    one = established()
    (_, down) = one.close("connection reset")
    assert isinstance(down, Down)
    assert (down.reason.graceful, down.reason.text) == (True, "connection reset")
    one = established()
    down = one.receive(encode_message(Notification(6, 2), PLAIN))[-1]
    assert isinstance(down, Down)
    assert (down.reason.graceful, down.reason.sent, down.reason.administrative) == (False, False, False)


# RFC 9687


@pytest.mark.rfc("9687", "3.2", "pybgp.session:Session._expire", "the session ends")
def test_a_peer_that_takes_nothing_is_dropped() -> None:
    one = established(hold_time=0, send_hold_time=30)
    one.stuck = True
    one.session.send([ANNOUNCE], one.now)
    one.session.write_blocked(one.now)
    waited = one.sleep()
    assert waited == 30
    assert one.state() is State.ESTABLISHED  # asked once more: some shells tell only when they write again
    one.sleep()
    assert one.state() is State.IDLE
    assert notifications(one.sent[len(ANNOUNCE) :]) == [Notification(8, 0)]
    assert "took no data" in one.session.last_error


def test_progress_restarts_the_send_hold_timer_and_the_end_stops_it() -> None:
    one = established(hold_time=0, send_hold_time=30)
    one.stuck = True
    one.session.send([ANNOUNCE], one.now)
    one.now += 20
    one.session.write_progress(one.now)
    assert one.session.deadline(Timer.SEND_HOLD) == one.now + 30
    one.session.write_progress(one.now, drained=True)
    assert one.session.deadline(Timer.SEND_HOLD) is None
    one.session.write_blocked(one.now)
    first = one.session.deadline(Timer.SEND_HOLD)
    one.session.write_blocked(one.now + 5)
    assert one.session.deadline(Timer.SEND_HOLD) == first


def test_a_shell_that_tells_late_does_not_lose_the_session() -> None:
    one = established(hold_time=0, send_hold_time=30)
    one.stuck = True
    one.session.send([ANNOUNCE], one.now)
    for _ in range(20):
        one.sleep()
        one.session.write_progress(one.now)
    assert one.state() is State.ESTABLISHED


def test_zero_switches_the_send_hold_timer_off() -> None:
    one = established(hold_time=0, send_hold_time=0)
    one.stuck = True
    one.session.send([ANNOUNCE], one.now)
    one.session.write_blocked(one.now)
    assert one.session.next_deadline() is None


def test_the_wire_helpers_speak_of_the_same_neighbours() -> None:
    """The OPEN that these tests send is the one that the other side of a Pair sends."""
    config = settings()
    other = Session(mirrored(config), jitter=lambda: 0.0, incoming=True)
    other.connected(0.0)
    assert other.data_to_send() == their_open(config)
