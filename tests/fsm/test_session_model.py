"""No run of calls, octets and time breaks a session: its shell gets what it was promised, and nothing gets stuck."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pybgp.family import IPV4_UNICAST
from pybgp.fsm.states import State
from pybgp.messages import Notification, RouteRefresh, encode_message
from pybgp.messages.framing import frame
from tests.fuzz.session import KEEPALIVE, SENT, Watched, opening
from tests.wire import ANNOUNCE, PLAIN, WITHDRAW

MESSAGES = {
    "keepalive": KEEPALIVE,
    "announce": ANNOUNCE,
    "withdraw": WITHDRAW,
    "end of rib": SENT,
    "refresh": encode_message(RouteRefresh(IPV4_UNICAST), PLAIN),
    "cease": encode_message(Notification(6, 2), PLAIN),
    "hard reset": encode_message(Notification(6, 9, b"\6\2"), PLAIN),
    "version": encode_message(Notification(2, 1, b"\0\3"), PLAIN),
    "bad update": frame(2, b"\0\0\0"),
    "no prefix": frame(2, bytes.fromhex("0000 0000 21")),
    "bad refresh": frame(5, b"\0"),
    "unknown type": frame(77, b""),
    "no marker": bytes(19),
}


class AnySession(RuleBasedStateMachine):
    """`Watched` checks after every call what must hold; here is what may be called."""

    @initialize(octet=st.integers(0, 255), incoming=st.booleans())
    def make(self, octet: int, incoming: bool) -> None:
        self.octet = octet
        self.watched = Watched(octet, incoming=incoming)

    @rule(name=st.sampled_from(sorted(MESSAGES)), cut=st.integers(0, 30))
    def message(self, name: str, cut: int) -> None:
        octets = MESSAGES[name]
        self.watched.receive(octets[:cut])
        self.watched.receive(octets[cut:])

    @rule(names=st.lists(st.sampled_from(sorted(MESSAGES)), max_size=4))
    def messages_in_one_read(self, names: list[str]) -> None:
        self.watched.receive(b"".join(MESSAGES[name] for name in names))

    @rule(behind=st.sampled_from([b"", KEEPALIVE, KEEPALIVE + ANNOUNCE, MESSAGES["cease"], b"\xff"]))
    def open_message(self, behind: bytes) -> None:
        self.watched.receive(opening(self.octet) + behind)

    @rule(other=st.integers(0, 255))
    def open_of_another(self, other: int) -> None:
        self.watched.receive(opening(other))

    @precondition(lambda self: self.watched.session.state in (State.IDLE, State.CONNECT, State.ACTIVE))
    @rule()
    def climb(self) -> None:
        self.watched.start()
        self.watched.connect()
        self.watched.receive(opening(self.octet))
        self.watched.until(self.watched.now)
        self.watched.receive(KEEPALIVE)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 20.0, 300.0, 5000.0]))
    def time_passes(self, seconds: float) -> None:
        self.watched.until(self.watched.now + seconds)

    @rule()
    def until_something_is_due(self) -> None:
        self.watched.until(self.watched.session.next_deadline() or self.watched.now)

    @rule(call=st.sampled_from(["start", "connect", "fail", "close", "stop", "give_up"]))
    def shell(self, call: str) -> None:
        getattr(self.watched, call)()

    @rule()
    def stop_without_a_word(self) -> None:
        self.watched.stop(silent=True)

    @rule(error=st.booleans())
    def resume(self, error: bool) -> None:
        self.watched.resume(error=error)

    @rule()
    def send(self) -> None:
        self.watched.call(lambda: self.watched.session.send([SENT], self.watched.now))

    @rule(drained=st.sampled_from([None, False, True]))
    def transport(self, drained: bool | None) -> None:
        session, now = self.watched.session, self.watched.now
        if drained is None:
            self.watched.call(lambda: session.write_blocked(now))
        else:
            self.watched.call(lambda: session.write_progress(now, drained=drained))

    def teardown(self) -> None:
        if hasattr(self, "watched"):
            self.watched.stop()
            assert self.watched.session.state is State.IDLE or self.watched.incoming
            assert not self.watched.open
            assert self.watched.session.next_deadline() is None


AnySession.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestAnySession = AnySession.TestCase
