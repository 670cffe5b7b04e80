"""Two sessions joined in memory, a clock that only tests move, and messages as octets."""

from __future__ import annotations

from typing import Any

from pybgp.config import PeerConfig
from pybgp.fsm.actions import CloseTransport, OpenTransport
from pybgp.fsm.negotiation import make_open
from pybgp.fsm.states import State
from pybgp.messages import CodecContext, Keepalive, Notification, decode_message, encode_message
from pybgp.messages.framing import Framer, frame
from pybgp.session import Happening, OpenReceived, Session
from tests.fsm.making import mirrored, settings

PLAIN = CodecContext()
KEEPALIVE = encode_message(Keepalive(), PLAIN)


def update(body: str) -> bytes:
    """A whole UPDATE from the hex of its body."""
    return frame(2, bytes.fromhex(body))


# ORIGIN IGP, an empty AS_PATH, NEXT_HOP 192.0.2.1, LOCAL_PREF 100; then 10.0.0.0/24
ANNOUNCE = update("0000 0015 400101 00 400200 400304 c0000201 400504 00000064 18 0a0000".replace(" ", ""))
WITHDRAW = update("0004 18 0a0000 0000".replace(" ", ""))
END_OF_RIB = update("00000000")


def notifications(data: bytes) -> list[Notification]:
    """The NOTIFICATIONs among what was sent."""
    framer = Framer(65535)
    found = [decode_message(kind, body, PLAIN) for kind, body in framer.feed(data) if kind == 3]
    assert framer.error is None
    return [message for message in found if isinstance(message, Notification)]


def their_open(config: PeerConfig, **changes: Any) -> bytes:
    """The OPEN that the neighbour of these settings would send."""
    return encode_message(make_open(mirrored(config, **changes)), PLAIN)


class One:
    """A session, and the test as its shell and its peer."""

    def __init__(self, config: PeerConfig | None = None, *, jitter: float = 1.0, **rest: Any) -> None:
        self.config = config or settings()
        self.session = Session(self.config, jitter=lambda: jitter, **rest)
        self.now = 100.0
        self.sent = b""
        self.seen: list[Happening] = []
        self.dials = 0
        self.open = False
        self.stuck = False  # TCP takes nothing

    def state(self) -> State:
        """A method: a property would be taken to keep its value between two assertions."""
        return self.session.state

    def take(self, happenings: list[Happening]) -> list[Happening]:
        """What a shell does: write first, then look at what happened."""
        self.sent += self.session.data_to_send()
        if not self.stuck:
            self.session.write_progress(self.now, drained=True)
        for happening in happenings:
            if isinstance(happening, OpenTransport):
                assert not self.open
                self.dials += 1
                self.open = True
            elif isinstance(happening, CloseTransport):
                self.open = False
        self.seen += happenings
        return happenings

    def start(self) -> One:
        self.take(self.session.start(self.now))
        return self

    def connected(self) -> One:
        self.open = True
        self.take(self.session.connected(self.now))
        return self

    def receive(self, data: bytes) -> list[Happening]:
        """Hand over octets, and let what is held behind an OPEN follow."""
        happenings = self.take(self.session.receive_data(data, self.now))
        if any(isinstance(happening, OpenReceived) for happening in happenings):
            happenings = happenings + self.take(self.session.handle_timer(self.now))
        return happenings

    def refuse(self) -> None:
        self.open = False
        self.take(self.session.connect_failed(self.now, "connection refused"))

    def close(self, reason: str = "closed by the peer") -> list[Happening]:
        self.open = False
        return self.take(self.session.closed(self.now, reason))

    def sleep(self) -> float:
        """To the next deadline; how long that was."""
        deadline = self.session.next_deadline()
        assert deadline is not None
        waited, self.now = deadline - self.now, deadline
        self.take(self.session.handle_timer(self.now))
        return waited

    def in_state(self, state: State) -> One:
        """Climb to a state from the beginning."""
        self.start()
        if state >= State.OPEN_SENT:
            self.connected()
        if state >= State.OPEN_CONFIRM:
            self.receive(their_open(self.config))
        if state >= State.ESTABLISHED:
            self.receive(KEEPALIVE)
        assert self.session.state is state
        self.sent, self.seen = b"", []
        return self


def established(**changes: Any) -> One:
    return One(settings(**changes)).in_state(State.ESTABLISHED)


class Pair:
    """A session that dials and one that was accepted, joined."""

    def __init__(self, ours: dict[str, Any] | None = None, theirs: dict[str, Any] | None = None) -> None:
        config = settings(**(ours or {}))
        self.a = One(config)
        self.b = One(mirrored(config, **(theirs or {})), incoming=True)

    def connect(self) -> Pair:
        self.a.start().connected()
        self.b.connected()
        self.settle()
        return self

    def settle(self) -> None:
        """Carry octets until nobody has any."""
        while self.a.sent or self.b.sent:
            to_b, self.a.sent = self.a.sent, b""
            to_a, self.b.sent = self.b.sent, b""
            self.b.receive(to_b)
            self.a.receive(to_a)

    def until(self, now: float) -> None:
        """Let time pass for both, deadline by deadline."""
        while True:
            due = [d for one in (self.a, self.b) if (d := one.session.next_deadline()) is not None and d <= now]
            if not due:
                break
            self.a.now = self.b.now = max(min(due), self.a.now)
            for one in (self.a, self.b):
                one.take(one.session.handle_timer(one.now))
            self.settle()
        self.a.now = self.b.now = now
