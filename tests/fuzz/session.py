"""Target `session`: one Session fed with octets, calls of its shell and time. Nothing raises, nothing gets stuck.

Input: an octet for the settings, one for how far the session is brought up first, then steps. A step is an octet
below 0x80 (the low four bits and the next octet are a length, and so many octets of the peer follow), or one of
`CALLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pybgp.config import PeerConfig
from pybgp.errors import Cease
from pybgp.fsm.actions import CloseTransport, Down, DownReason, OpenTransport, Received, Refresh, Up
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.negotiation import make_open
from pybgp.fsm.states import TIMERS_OF, State, Timer
from pybgp.messages import (
    CodecContext,
    Keepalive,
    MessageType,
    Notification,
    Open,
    decode_message,
    encode_message,
    nlri,
)
from pybgp.messages.framing import Framer
from pybgp.session import KEPT, Happening, InternalError, Offence, OpenReceived, Session
from tests.fuzz.inputs import Octets

CALLS: Final = 12
NEXT_DEADLINE: Final = 0x84  # the first of them: 0x84 is a multiple of 12
SENT: Final = bytes.fromhex("ff" * 16 + "0017" + "02" + "00000000")  # an End-of-RIB
KEEPALIVE: Final = encode_message(Keepalive(), CodecContext())


@lru_cache(maxsize=256)
def settings(octet: int) -> PeerConfig:
    families = tuple(codec.family for codec in nlri.FAMILIES)
    internal = bool(octet & 4)
    return PeerConfig(
        address="192.0.2.2",
        peer_as=64512 if internal else 65001,
        local_as=64512,
        bgp_identifier=0x0A000001,
        passive=bool(octet & 1),
        delay_open_time=7.0 if octet & 2 else 0.0,
        families=families,
        hold_time=0 if octet & 8 else 9,
        add_path_receive=families if octet & 16 else (),
        extended_message=bool(octet & 32),
        four_octet_as=not octet & 64,
    )


@lru_cache(maxsize=256)
def opening(octet: int) -> bytes:
    """The OPEN of a peer that suits these settings."""
    ours = settings(octet)
    theirs = PeerConfig(
        address="192.0.2.1",
        peer_as=ours.local_as,
        local_as=ours.peer_as,
        bgp_identifier=0x0A000002,
        families=ours.families,
        hold_time=ours.hold_time,
        add_path_send=ours.add_path_receive,
        extended_message=ours.extended_message,
        four_octet_as=ours.four_octet_as,
        graceful_restart=bool(octet & 128),
    )
    return encode_message(make_open(theirs), CodecContext())


class Watched:
    """A session, its shell, and what must hold after each call."""

    def __init__(self, octet: int, *, incoming: bool) -> None:
        self.config = settings(octet)
        self.session = Session(self.config, jitter=lambda: 0.5, incoming=incoming)
        self.incoming = incoming
        self.now = 1000.0
        self.up = False
        self.trying = False  # OpenTransport was asked for, and neither answered nor given up
        self.open = False  # a connection stands
        self.wanted = False
        self.said: list[int] = []  # message types on this connection
        self.framer = Framer(65535)

    def call(self, function: Callable[[], list[Happening] | None]) -> None:
        happenings = function() or []
        self.write(self.session.data_to_send())
        for happening in happenings:
            self.happened(happening)
        self.check()

    def write(self, data: bytes) -> None:
        """What goes out is whole messages that a peer can read, and nothing follows a NOTIFICATION."""
        for kind, body in self.framer.feed(data):
            assert not self.said or self.said[-1] != MessageType.NOTIFICATION, "octets behind a NOTIFICATION"
            if kind != MessageType.UPDATE:
                message = decode_message(kind, body, CodecContext())
                assert isinstance(message, Notification | Open | Keepalive)
            if not self.said:
                assert kind in (MessageType.OPEN, MessageType.NOTIFICATION), "no OPEN before it"
            else:
                assert kind != MessageType.OPEN, "two OPENs on a connection"
            self.said.append(kind)
        assert self.framer.error is None, "what was sent is no message"

    def happened(self, happening: Happening) -> None:
        assert not isinstance(happening, InternalError), repr(happening)
        if isinstance(happening, OpenTransport):
            assert not self.open
            assert not self.trying
            assert not self.incoming
            assert not self.config.passive
            self.trying = True
        elif isinstance(happening, CloseTransport):
            assert self.open or self.trying, "closed, and nothing was open"
            assert happening.reason
            self.open = self.trying = False
            self.said, self.framer = [], Framer(65535)
        elif isinstance(happening, Up):
            assert not self.up
            assert self.open
            self.up = True
        elif isinstance(happening, Down):
            assert self.up
            assert happening.reason.text
            self.up = False
        elif isinstance(happening, Received | Refresh):
            assert self.up, "routes without a session"
        else:
            assert isinstance(happening, OpenReceived | Offence)
            assert self.open

    def check(self) -> None:
        session = self.session
        state = session.state
        assert self.up == (state is State.ESTABLISHED)
        assert (session.negotiated is not None) == (state >= State.OPEN_CONFIRM)
        if state >= State.OPEN_SENT:
            assert self.open
        if state is State.IDLE:
            assert not self.open
            assert not self.trying
        running = {timer for timer in Timer if session.deadline(timer) is not None}
        assert running - {Timer.SEND_HOLD} <= TIMERS_OF[state], (state, running)
        if state in (State.CONNECT, State.OPEN_SENT, State.OPEN_CONFIRM):
            assert running, "nothing will ever end this"
        if state is State.ESTABLISHED and session.negotiated is not None and session.negotiated.hold_time:
            assert Timer.HOLD in running
        if self.wanted and not self.incoming:
            assert state is not State.IDLE or Timer.IDLE_HOLD in running, "wanted, and nothing will start it"
            assert not (state is State.ACTIVE and not self.open and not self.config.passive) or running
        assert len(session.offences) <= KEPT
        assert isinstance(session.last_error, str)

    # the shell

    def start(self) -> None:
        if not self.incoming:
            self.wanted = True
        self.call(lambda: self.session.start(self.now))

    def connect(self) -> None:
        """TCP stands, where somebody waits for it."""
        if self.open or (self.incoming and self.session.finished):
            return
        if self.session.state in (State.CONNECT, State.ACTIVE) and (self.trying or self.incoming or not self.wanted):
            pass
        elif self.session.state is not State.ACTIVE:
            return
        self.trying, self.open = False, True
        self.call(lambda: self.session.connected(self.now))

    def fail(self) -> None:
        if self.trying:
            self.trying = False
            before = self.session.state
            # The attempt is over; a CloseTransport that comes of it says so once more.
            self.trying = before is State.CONNECT
            self.call(lambda: self.session.connect_failed(self.now, "connection refused"))
            self.trying = self.trying and self.session.state is State.CONNECT

    def close(self) -> None:
        if self.open:
            self.call(lambda: self.session.closed(self.now, "closed by the peer"))

    def stop(self, *, silent: bool = False) -> None:
        self.wanted = False
        self.call(lambda: self.session.stop(self.now, silent=silent))

    def give_up(self) -> None:
        event = Event(EventKind.AUTOMATIC_STOP, error=Cease(), text="told to")
        self.call(lambda: self.session.fire(event, self.now))

    def resume(self, *, error: bool) -> None:
        if not self.incoming:
            self.wanted = True
            self.call(lambda: self.session.resume(self.now, DownReason("the other one", error=error)))

    def receive(self, data: bytes) -> None:
        self.call(lambda: self.session.receive_data(data, self.now))

    def until(self, now: float) -> None:
        """Let time pass, deadline by deadline; never busy without time passing."""
        for _ in range(200):
            deadline = self.session.next_deadline()
            if deadline is None or deadline > now:
                break
            self.now = max(self.now, deadline)
            for _ in range(10):
                self.call(lambda: self.session.handle_timer(self.now))
                following = self.session.next_deadline()
                if following is None or following > self.now:
                    break
            else:
                raise AssertionError("a timer that is always due")
        self.now = max(self.now, now)


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever wrongly came out of the session."""
    octets = Octets(data)
    first, climb = octets.octet(), octets.octet()
    watched = Watched(first, incoming=bool(climb & 128))
    if climb & 3:
        watched.start()
        watched.connect()
    if climb & 2:
        watched.receive(opening(first))
        watched.until(watched.now)
    if climb & 3 == 3:
        watched.receive(KEEPALIVE)
    for _ in range(300):
        if not octets.left:
            break
        step(watched, octets, octets.octet())
    watched.until(watched.now + 600.0)
    watched.stop()
    assert watched.session.state is State.IDLE or watched.incoming
    assert not watched.open
    assert watched.session.next_deadline() is None


def step(watched: Watched, octets: Octets, what: int) -> None:
    if what < 0x80:
        watched.receive(octets.take((what & 0x0F) << 8 | octets.octet()))
        return
    session = watched.session
    (
        lambda: watched.until(session.next_deadline() or watched.now),
        lambda: watched.until(watched.now + octets.octet() / 16),
        lambda: watched.until(watched.now + octets.octet() * 16),
        watched.start,
        watched.connect,
        watched.fail,
        watched.close,
        lambda: watched.stop(silent=bool(octets.octet() & 1)),
        watched.give_up,
        lambda: watched.resume(error=bool(octets.octet() & 1)),
        lambda: watched.call(lambda: session.send([SENT], watched.now)),
        lambda: blocked(watched, octets.octet()),
    )[what % CALLS]()


def blocked(watched: Watched, how: int) -> None:
    if how & 1:
        watched.call(lambda: watched.session.write_blocked(watched.now))
    else:
        watched.call(lambda: watched.session.write_progress(watched.now, drained=bool(how & 2)))
