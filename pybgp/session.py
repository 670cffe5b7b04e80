"""One neighbour's session without any I/O: octets and `now` in, octets and happenings out.

The shell of a `Session` keeps four rules, and nothing that the peer does makes a method raise:

1. After every call write `data_to_send()` first, then carry out the returned happenings in their order.
   (A NOTIFICATION is written before the `CloseTransport` behind it; a later `OpenTransport` has no octets yet.)
2. After `CloseTransport` nothing more is reported of that connection or attempt: no `closed`, no data.
3. `handle_timer` is called once `next_deadline()` has come. It may come at once: what follows an OPEN in the
   same read is looked at one call later, so that a collision can be settled between the two.
4. `write_blocked` says that TCP takes nothing, `write_progress` that it took something (RFC 9687).

An outgoing session lives as long as its neighbour is configured and goes from one connection to the next;
an incoming one is made for a connection that was accepted, waits in ACTIVE for `connected`, and ends with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from pybgp.config import PeerConfig
from pybgp.errors import (
    AdministrativeShutdown,
    Cease,
    ConnectionCollisionResolution,
    FSMError,
    HardReset,
    ProtocolError,
)
from pybgp.fsm.actions import (
    Action,
    CloseTransport,
    Down,
    DownReason,
    Received,
    Send,
    Start,
    Stop,
    Up,
)
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.machine import Machine
from pybgp.fsm.negotiation import Negotiated, make_open, negotiate
from pybgp.fsm.states import State, Timer
from pybgp.happenings import Counters, Happening, InternalError, Offence, OpenReceived
from pybgp.messages import (
    CodecContext,
    MessageType,
    Notification,
    Open,
    RouteRefresh,
    decode_message,
    encode_message,
)
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.framing import HEADER_LENGTH, Framer, frame
from pybgp.messages.update import Update, decode_update

__all__ = ["Counters", "Happening", "InternalError", "Offence", "OpenReceived", "Recorder", "Session"]

KEPT: Final = 8  # how many offending messages are remembered
LAST_CHANCE: Final = 5.0  # seconds; see Session._send_hold_expired

Recorder = Callable[[str, bytes, float], None]

_EXPIRY: Final = {
    Timer.CONNECT_RETRY: EventKind.CONNECT_RETRY_TIMER_EXPIRES,
    Timer.HOLD: EventKind.HOLD_TIMER_EXPIRES,
    Timer.KEEPALIVE: EventKind.KEEPALIVE_TIMER_EXPIRES,
    Timer.DELAY_OPEN: EventKind.DELAY_OPEN_TIMER_EXPIRES,
    Timer.IDLE_HOLD: EventKind.IDLE_HOLD_TIMER_EXPIRES,
    Timer.SEND_HOLD: EventKind.SEND_HOLD_TIMER_EXPIRES,
}
_ERROR_EVENT: Final = {
    1: EventKind.BGP_HEADER_ERR,
    2: EventKind.BGP_OPEN_MSG_ERR,
    3: EventKind.UPDATE_MSG_ERR,
    7: EventKind.ROUTE_REFRESH_MSG_ERR,
}
_STARTS: Final = frozenset(
    (
        EventKind.MANUAL_START,
        EventKind.AUTOMATIC_START,
        EventKind.MANUAL_START_PASSIVE,
        EventKind.AUTOMATIC_START_PASSIVE,
        EventKind.AUTOMATIC_START_DAMPED,
        EventKind.AUTOMATIC_START_DAMPED_PASSIVE,
    )
)


class Session:
    """See the module. `jitter` gives numbers from 0 to 1; `restarting` sets the R bit of RFC 4724 in our OPEN.

    `recorder`, where given, gets ("in" or "out", octets, now) for everything that crosses.
    Raises ConfigurationError when made for an address family that the codec does not know.
    """

    def __init__(
        self,
        config: PeerConfig,
        *,
        jitter: Callable[[], float],
        restarting: bool = False,
        incoming: bool = False,
        pool: AttributePool | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.config = config
        self.incoming = incoming
        self.counters = Counters()
        self.last_error = ""
        self.last_error_at: float | None = None
        self.ended: DownReason | None = None  # of the last connection
        self.offences: deque[Offence] = deque(maxlen=KEPT)
        self.state_since: float | None = None
        self._machine = Machine(config, make_open(config, restarting=restarting), jitter, incoming=incoming)
        self._pool = AttributePool() if pool is None else pool
        self._recorder = recorder
        self._deadlines: list[float | None] = [None] * len(Timer)
        self._wanted = False
        self._connected = False
        self._is_up = False
        self._asked_to_write = False
        self._framer = Framer()
        self._context = CodecContext()
        self._held: list[tuple[int, bytes]] = []  # what came behind an OPEN
        self._held_since: float | None = None
        self._at_work: bytes = b""  # the message that is handled, for the report of a bug
        self._output: list[bytes] = []

    # what it is

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def negotiated(self) -> Negotiated | None:
        """What holds since the peer's OPEN was taken; None without a connection that came this far."""
        return self._machine.negotiated if self._machine.state >= State.OPEN_CONFIRM else None

    @property
    def connect_retry_counter(self) -> int:
        return self._machine.connect_retry_counter

    @property
    def finished(self) -> bool:
        """True for an incoming session whose connection has ended: it will do nothing more."""
        return self.incoming and self.ended is not None

    def deadline(self, timer: Timer) -> float | None:
        """When this timer expires; None while it does not run."""
        return self._deadlines[timer]

    def next_deadline(self) -> float | None:
        """When `handle_timer` is to be called next."""
        running = [deadline for deadline in self._deadlines if deadline is not None]
        if self._held_since is not None:
            running.append(self._held_since)
        return min(running, default=None)

    def data_to_send(self) -> bytes:
        """Take the octets that are to be written now; they belong to the connection of before any CloseTransport."""
        data = b"".join(self._output)
        self._output.clear()
        return data

    # what its owner wants

    def start(self, now: float) -> list[Happening]:
        """Begin to connect, or to wait for the peer where the configuration says passive. No pause before it."""
        passive = self.config.passive
        return self.fire(Event(EventKind.AUTOMATIC_START_PASSIVE if passive else EventKind.AUTOMATIC_START), now)

    def resume(self, now: float, after: DownReason | None = None) -> list[Happening]:
        """Go on after the neighbour's other connection has ended: after a pause, or an idle hold if it was an error."""
        self._wanted = True
        event = Event(EventKind.AUTOMATIC_STOP, error=Cease(), text="" if after is None else after.text)
        error = after is not None and after.error
        happenings: list[Happening] = []
        if self.state in (State.CONNECT, State.ACTIVE) and error:
            self._guarded(happenings, now, lambda: self._fire(event, now, happenings))
        elif self.state is State.IDLE and self._deadlines[Timer.IDLE_HOLD] is None:
            if error:
                self._apply(self._machine.hold_idle(event, now), now, happenings)
            self._guarded(happenings, now, lambda: self._restart(now, happenings))
        return happenings

    def stop(self, now: float, cease: ProtocolError | None = None, *, silent: bool = False) -> list[Happening]:
        """End the session and stay idle until `start`; `cease` defaults to Administrative Shutdown.

        `silent` closes TCP without a NOTIFICATION: the peer keeps our routes (RFC 4724). Where both sides speak
        RFC 8538 a `cease` is wrapped in a Hard Reset, since a plain one would not withdraw anything.
        """
        error = cease or AdministrativeShutdown()
        kind = EventKind.MANUAL_STOP
        if isinstance(error, ConnectionCollisionResolution) and self.state >= State.OPEN_SENT:
            kind = EventKind.OPEN_COLLISION_DUMP
            if self._output and self._output[-1][18] == MessageType.KEEPALIVE:
                # Not yet gone out; with it the peer might think itself established here, and close the other one.
                self._output.pop()
                self.counters.messages_out -= 1
                self.counters.bytes_out -= HEADER_LENGTH
        elif self.negotiated is not None and self.negotiated.graceful_notification:
            error = HardReset(error.reason, bytes((error.code, error.subcode)) + error.data)
        self._wanted = False
        return self.fire(Event(kind, error=error, silent=silent), now)

    def fire(self, event: Event, now: float) -> list[Happening]:
        """Let an event of RFC 4271 8.1 happen, such as AUTOMATIC_STOP with the Cease to send (then it is retried)."""
        if event.kind in _STARTS:
            if self.incoming:
                return []  # it has its connection, and dials for no other
            self._wanted = True
        elif event.kind is EventKind.MANUAL_STOP:
            self._wanted = False
        happenings: list[Happening] = []
        self._guarded(happenings, now, lambda: self._fire(event, now, happenings))
        return happenings

    def restart_done(self) -> None:
        """Our own restart is over: later OPENs carry no Restart State bit (RFC 4724 section 4.1)."""
        self._machine.my_open = make_open(self.config)

    def send(self, messages: list[bytes], now: float) -> None:
        """Queue whole messages, already encoded, of an ESTABLISHED session; without one they are dropped."""
        if not messages or not self._is_up:
            return
        updates = sum(message[18] == MessageType.UPDATE for message in messages)
        self.counters.updates_out += updates
        self._queue(messages, now)
        if updates:
            for action in self._machine.update_sent():
                self._deadlines[action.timer] = now + action.seconds

    # what the transport says

    def connected(self, now: float) -> list[Happening]:
        """The TCP connection stands: the one that `OpenTransport` asked for, or one that was accepted."""
        happenings: list[Happening] = []
        if self._connected:
            return happenings
        kind = {
            State.CONNECT: EventKind.TCP_CR_ACKED,
            State.ACTIVE: EventKind.TCP_CONNECTION_CONFIRMED,
        }.get(self.state)
        if kind is None or self.finished:
            reason = DownReason(f"no connection is wanted in state {self.state}")
            return [CloseTransport(reason.text, reason)]
        self._connected = True
        self._forget_connection()
        self._output.clear()
        self._guarded(happenings, now, lambda: self._fire(Event(kind), now, happenings))
        return happenings

    def connect_failed(self, now: float, reason: str) -> list[Happening]:
        """The attempt that `OpenTransport` asked for failed; `reason` in words."""
        if self._connected or self.state is not State.CONNECT:
            return []
        return self.fire(Event(EventKind.TCP_CONNECTION_FAILS, text=reason), now)

    def closed(self, now: float, reason: str) -> list[Happening]:
        """The peer closed or reset the connection, or the network did; `reason` in words."""
        if not self._connected:
            return []
        happenings: list[Happening] = []
        if self._held_since is not None:  # what was read before counts: a NOTIFICATION may wait behind an OPEN
            self._guarded(happenings, now, lambda: self._take(b"", now, happenings))
        if self._connected:
            happenings += self.fire(Event(EventKind.TCP_CONNECTION_FAILS, text=reason), now)
        return happenings

    def receive_data(self, data: bytes | memoryview, now: float) -> list[Happening]:
        """Take octets that arrived, cut anywhere."""
        happenings: list[Happening] = []
        if self._connected:
            self.counters.bytes_in += len(data)
            if self._recorder is not None:
                self._recorder("in", bytes(data), now)
            self._guarded(happenings, now, lambda: self._take(data, now, happenings))
        return happenings

    def write_blocked(self, now: float) -> None:
        """TCP does not take what is to be written: the SendHoldTimer runs, if it did not yet."""
        agreed = self._machine.negotiated
        if self._deadlines[Timer.SEND_HOLD] is None and self._is_up and agreed is not None and agreed.send_hold_time:
            self._deadlines[Timer.SEND_HOLD] = now + agreed.send_hold_time

    def write_progress(self, now: float, *, drained: bool = False) -> None:
        """TCP took something: the SendHoldTimer starts anew; `drained`: it took everything, and the timer stops."""
        self._asked_to_write = False
        waiting = self._deadlines[Timer.SEND_HOLD] is not None
        self._deadlines[Timer.SEND_HOLD] = None
        if waiting and not drained:
            self.write_blocked(now)

    def handle_timer(self, now: float) -> list[Happening]:
        """Let every deadline happen that has come."""
        happenings: list[Happening] = []
        if self._held_since is not None:
            self._guarded(happenings, now, lambda: self._take(b"", now, happenings))
        due = sorted((at, timer) for timer in Timer if (at := self._deadlines[timer]) is not None and at <= now)
        for at, timer in due:
            if self._deadlines[timer] == at:  # an earlier one may have stopped or moved it
                self._deadlines[timer] = None
                self._guarded(happenings, now, partial(self._expire, timer, now, happenings))
        return happenings

    # inside

    def _guarded(self, happenings: list[Happening], now: float, work: Callable[[], None]) -> None:
        """The wall around bugs: whatever goes wrong in here costs this one session, never the speaker."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the one place where a bug of ours is caught
            happenings.append(InternalError(error, self._at_work))
            text = f"internal error: {type(error).__name__}: {error}"
            try:
                self._fire(Event(EventKind.AUTOMATIC_STOP, error=Cease(), text=text), now, happenings)
            except Exception:  # noqa: BLE001 - the machine itself is broken: end it by hand
                self._abandon(text, now, happenings)

    def _abandon(self, text: str, now: float, happenings: list[Happening]) -> None:
        reason = DownReason(text, error=True)
        self._deadlines = [None] * len(Timer)
        self._machine.reset()
        was_up, self._is_up = self._is_up, False
        self._apply([CloseTransport(text, reason)], now, happenings)
        if was_up:
            happenings.append(Down(reason))
        self._deadlines[Timer.IDLE_HOLD] = None if self.incoming else now + self.config.idle_hold_max

    def _expire(self, timer: Timer, now: float, happenings: list[Happening]) -> None:
        if timer is Timer.SEND_HOLD and not self._asked_to_write:
            # A shell may speak of progress only when it next writes: it is asked once before the session goes.
            self._asked_to_write = True
            self._deadlines[timer] = now + LAST_CHANCE
            return
        self._fire(Event(_EXPIRY[timer]), now, happenings)

    def _fire(self, event: Event, now: float, happenings: list[Happening]) -> None:
        before = self._machine.state
        self._apply(self._machine.fire(event, now), now, happenings)
        if self._machine.state is not before:
            self.state_since = now
            if self._machine.state is State.IDLE:
                self._restart(now, happenings)

    def _restart(self, now: float, happenings: list[Happening]) -> None:
        """AllowAutomaticStart: out of Idle at once, into a pause that grows; after an error only when it was held."""
        if self._wanted and not self.incoming and self._deadlines[Timer.IDLE_HOLD] is None:
            self._fire(Event(EventKind.AUTOMATIC_START_DAMPED_PASSIVE), now, happenings)

    def _apply(self, actions: Iterable[Action], now: float, happenings: list[Happening]) -> None:
        for action in actions:
            if isinstance(action, Start):
                self._deadlines[action.timer] = now + action.seconds
            elif isinstance(action, Stop):
                self._deadlines[action.timer] = None
            elif isinstance(action, Send):
                self._queue([encode_message(action.message, self._context)], now)
            else:
                if isinstance(action, CloseTransport):
                    self._connected = False
                    self._forget_connection()
                    self.ended = action.ended
                    if not action.ended.administrative:
                        self.last_error, self.last_error_at = action.ended.text, now
                elif isinstance(action, Up):
                    self._is_up = True
                elif isinstance(action, Down):
                    self._is_up = False
                happenings.append(action)

    def _forget_connection(self) -> None:
        self._framer = Framer()
        self._context = CodecContext()
        self._held = []
        self._held_since = None
        self._asked_to_write = False

    def _queue(self, messages: list[bytes], now: float) -> None:
        self._output += messages
        self.counters.messages_out += len(messages)
        self.counters.bytes_out += sum(map(len, messages))
        if self._recorder is not None:
            self._recorder("out", b"".join(messages), now)
        self.write_blocked(now)  # until the shell says that TCP took it

    def _take(self, data: bytes | memoryview, now: float, happenings: list[Happening]) -> None:
        framer = self._framer
        messages = framer.feed(data)
        if self._held_since is not None:
            messages = self._held + messages
            self._held, self._held_since = [], None
        machine = self._machine
        counters = self.counters
        updates = 0
        for position, (kind, body) in enumerate(messages):
            counters.messages_in += 1
            self._at_work = body
            # The one road beside the table, for the one hot cell; a test holds the two together.
            if kind == MessageType.UPDATE and machine.state is State.ESTABLISHED:
                updates += 1
                try:
                    update = decode_update(body, self._context, self._pool)
                except ProtocolError as error:
                    self._offended(kind, body, error, now, happenings)
                    return
                if update.faults:
                    self._remember_faults(body, update, now, happenings)
                happenings.append(Received(update))
                continue
            try:
                self._message(kind, body, now, happenings)
            except ProtocolError as error:
                self._offended(kind, body, error, now, happenings)
            if self._framer is not framer:
                return  # the connection ended with this message
            if kind == MessageType.OPEN:
                self._held = messages[position + 1 :]
                if self._held or framer.error is not None:
                    self._held_since = now
                    return
        if updates:
            counters.updates_in += updates
            for action in machine.update_received():
                self._deadlines[action.timer] = now + action.seconds
        if framer.error is not None:
            self._remember(framer.offending, framer.error, now, happenings)
            self._fire(Event(EventKind.BGP_HEADER_ERR, error=framer.error), now, happenings)

    def _message(self, kind: int, body: bytes, now: float, happenings: list[Happening]) -> None:
        """Any message but an UPDATE in ESTABLISHED. Raises ProtocolError for what is wrong with it."""
        state = self._machine.state
        if kind == MessageType.OPEN:
            early = self._machine.delay_open_running
            fired = EventKind.BGP_OPEN_DELAY_OPEN if early else EventKind.BGP_OPEN
            if not early and state is not State.OPEN_SENT:
                self._unexpected(fired, kind, body, now, happenings)
                return
            theirs = decode_message(kind, body, self._context)
            assert isinstance(theirs, Open)
            agreed = negotiate(self._machine.my_open, theirs, self.config)
            self._fire(Event(fired, negotiated=agreed), now, happenings)
            self._context = agreed.context
            if self.config.extended_message:  # RFC 8654 section 4: who announced it must be able to take it
                self._framer.maximum_length = CodecContext(extended_message=True).maximum_length
            happenings.append(OpenReceived(theirs))
        elif kind == MessageType.KEEPALIVE:
            if state < State.OPEN_CONFIRM:
                self._unexpected(EventKind.KEEPALIVE_MSG, kind, body, now, happenings)
            else:
                decode_message(kind, body, self._context)
                self._fire(Event(EventKind.KEEPALIVE_MSG), now, happenings)
        elif kind == MessageType.NOTIFICATION:
            said = decode_message(kind, body, self._context)
            assert isinstance(said, Notification)
            version = (said.code, said.subcode) == (2, 1)
            fired = EventKind.NOTIF_MSG_VER_ERR if version else EventKind.NOTIF_MSG
            self._fire(Event(fired, notification=said), now, happenings)
        elif kind == MessageType.ROUTE_REFRESH:
            if state is not State.ESTABLISHED:
                self._unexpected(EventKind.ROUTE_REFRESH_MSG, kind, body, now, happenings)
                return
            refresh = decode_message(kind, body, self._context)
            assert isinstance(refresh, RouteRefresh)
            if refresh.family in self._context.families:  # RFC 2918 section 4: others are ignored
                self._fire(Event(EventKind.ROUTE_REFRESH_MSG, refresh=refresh), now, happenings)
        else:
            self._unexpected(EventKind.UPDATE_MSG, kind, body, now, happenings)

    def _unexpected(self, fired: EventKind, kind: int, body: bytes, now: float, happenings: list[Happening]) -> None:
        name = MessageType(kind).name
        error = FSMError(f"{name} in state {self.state}").at(18, "RFC 6608 4")
        self._remember(frame(kind, body), error, now, happenings)
        self._fire(Event(fired), now, happenings)

    def _offended(self, kind: int, body: bytes, error: ProtocolError, now: float, happenings: list[Happening]) -> None:
        self._remember(frame(kind, body), error, now, happenings)
        fired = _ERROR_EVENT.get(error.code, EventKind.BGP_HEADER_ERR)
        self._fire(Event(fired, error=error), now, happenings)

    def _remember(self, message: bytes, error: ProtocolError, now: float, happenings: list[Happening]) -> None:
        offence = Offence(now, str(error), message, error.offset, error.section)
        self.offences.append(offence)
        happenings.append(offence)

    def _remember_faults(self, body: bytes, update: Update, now: float, happenings: list[Happening]) -> None:
        """The faults of an UPDATE that the session survives; the strongest one says where and what."""
        worst = max(update.faults, key=lambda fault: fault.outcome)
        reason = "; ".join(fault.reason for fault in update.faults)
        message = frame(MessageType.UPDATE, body)
        offence = Offence(now, reason, message, worst.offset, worst.section, str(worst.outcome))
        self.offences.append(offence)
        happenings.append(offence)
