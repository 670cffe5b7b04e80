"""One neighbour, sans-I/O: its sessions, which of them stays, and what follows for its routes.

A neighbour has one session that dials (or, when passive, waits), and one for each connection that it made
itself. At most one is established; `pybgp.fsm.collision` decides between them (RFC 4271 section 6.8).
What the shell must do is left in `Surroundings.effects`, in order; peers to look after in `touched`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from pybgp.config import PeerConfig
from pybgp.connections import Connections
from pybgp.dynamic import Range
from pybgp.errors import (
    AdministrativeReset,
    Cease,
    ConfigurationError,
    ConnectionCollisionResolution,
    OtherConfigurationChange,
    ProtocolError,
    SessionClosed,
)
from pybgp.events import EventKind, PeerEvent
from pybgp.exchanges import Exchanges
from pybgp.family import Family
from pybgp.fsm.actions import CloseTransport, Down, DownReason, OpenTransport, Received, Refresh, Up
from pybgp.fsm.events import Event
from pybgp.fsm.events import EventKind as Fsm
from pybgp.fsm.negotiation import Negotiated
from pybgp.fsm.states import State
from pybgp.happenings import Offence
from pybgp.messages import Notification, RouteRefresh, encode_message
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.prefix import pack_address
from pybgp.prefix_limit import too_many
from pybgp.rib.eligibility import Eligibility
from pybgp.rib.filter import Filter
from pybgp.session import Happening, OpenReceived, Session
from pybgp.tables import Tables


@dataclass(frozen=True, slots=True)
class Connect:
    """The shell shall connect to the peer for this session."""

    peer: Peer
    session: Session


@dataclass(frozen=True, slots=True)
class Close:
    """The shell shall write what the session has ready and close its connection, or give up the attempt."""

    session: Session


Effect = Connect | Close | PeerEvent


class Surroundings(Protocol):
    """What a peer needs of its router."""

    tables: Tables
    pool: AttributePool
    effects: list[Effect]
    touched: set[Peer]
    jitter: Callable[[], float]

    @property
    def restarting(self) -> bool: ...

    def eligibility(self, config: PeerConfig) -> Eligibility: ...

    def session_changed(self, peer: Peer, now: float) -> None: ...


class Peer:
    """See the module. `accept` and the methods that a session's transport calls are the shell's; the others
    belong to the router."""

    def __init__(self, config: PeerConfig, router: Surroundings, import_: Filter, export: Filter) -> None:
        self.config = config
        self.dynamic: Range | None = None  # that it came from by itself
        self.current: Session | None = None
        self.negotiated: Negotiated | None = None
        self.attempted = False
        self.local_address = ""
        self.last_error = ""
        self.since = 0.0
        self.established_count = 0
        self._router = router
        self._import = import_
        self._export = export
        self._started = False
        self._back_at: float | None = None  # when it starts by itself after too many prefixes
        self._outdated = False
        self._fallen: DownReason | None = None  # the end of an accepted connection, to be followed up
        self._last: DownReason | None = None
        self.connections = Connections(self._new_session(incoming=False))
        self.exchanges = self._make_exchanges()

    @property
    def address(self) -> str:
        return self.config.address

    @property
    def state(self) -> State:
        """Of the session that has come farthest."""
        return self.connections.state

    @property
    def sessions(self) -> tuple[Session, ...]:
        return self.connections.sessions

    @property
    def offences(self) -> tuple[Offence, ...]:
        """The last wrong messages of the neighbour, oldest first, of whatever session."""
        return self.connections.offences

    @property
    def initial_table_received(self) -> bool:
        return self.exchanges.initial_table_received

    @property
    def started(self) -> bool:
        """False while the peer is administratively down."""
        return self._started

    @property
    def departed(self) -> bool:
        """Whether it came by itself, and nothing is left of it: no connection, and no routes that are kept."""
        gone = self.current is None and not self.connections.accepted and not self.exchanges.stale
        return self.dynamic is not None and gone and self._back_at is None

    @property
    def import_filter(self) -> Filter:
        return self._import

    @property
    def export_filter(self) -> Filter:
        return self._export

    # what the router wants

    def start(self, now: float) -> None:
        self._started = True
        self._back_at = None
        self.since = now
        dialing = self.connections.dialing
        self._handle(dialing, dialing.start(now), now)

    def stop(self, now: float, cease: ProtocolError, *, silent: bool = False) -> None:
        """End everything. With `silent` the connections just close, and the peer may keep our routes."""
        self._started = False
        self._back_at = None
        for session in self.sessions:
            self._handle(session, session.stop(now, cease, silent=silent), now)
        self.exchanges.give_up("the peer was shut down", now)

    def reset(self, text: str, now: float) -> None:
        """End the session, and begin anew."""
        cease = AdministrativeReset(text, Notification.shutdown(AdministrativeReset(), text).data)
        if self._started:
            self.stop(now, cease)
            self.start(now)

    def reconfigure(self, config: PeerConfig, now: float | None, *, reset: bool) -> None:
        """Use other settings: at once with `reset` or without a session, else from the next session on."""
        started = self._started
        self._outdated = True
        if now is None or not started:
            self.config = config
            self.exchanges.flush()
            self.exchanges = self._make_exchanges()
            self.connections.dialing = self._new_session(incoming=False)
            self._outdated = False
        elif reset:
            self.stop(now, OtherConfigurationChange())
            self.reconfigure(config, now, reset=True)
            self.start(now)
        else:
            self.config = config
            self.exchanges.change_settings(config, self._router.eligibility(config), now)
            if self.exchanges.over is not None:
                self._too_many(now)
                return
            if self.current is None:
                self._renew(now)

    def change_policies(self, import_: Filter | None, export: Filter | None) -> None:
        """None leaves a policy as it is. Only what comes out otherwise is told to anybody."""
        self._import = import_ or self._import
        self._export = export or self._export
        self.exchanges.change_policies(import_, export)

    def restart_done(self) -> None:
        """Our own restart is over (RFC 4724 section 4.1)."""
        for session in self.sessions:
            session.restart_done()
        self.exchanges.release()

    def forget(self) -> None:
        """The peer is removed: its routes go, too. To be called after `stop`."""
        self.exchanges.flush()

    def ask_for_refresh(self, family: Family | None, now: float) -> None:
        """Raises SessionClosed without a session, ConfigurationError when the peer does not do it."""
        if self.current is None or self.negotiated is None:
            raise SessionClosed(f"no session with {self.address} is established")
        if not self.negotiated.route_refresh:
            raise ConfigurationError(f"{self.address} has no route refresh capability")
        if family is not None and family not in self.negotiated.families:
            raise ConfigurationError(f"{family} was not negotiated with {self.address}")
        families = sorted(self.negotiated.families) if family is None else [family]
        context = self.negotiated.context
        self.current.send([encode_message(RouteRefresh(one), context) for one in families], now)
        self._router.touched.add(self)

    # what the shell says

    def accept(self, now: float) -> Session | None:
        """The peer has connected to us; None when it may not now (an event says why)."""
        connections, patience = self.connections, self.config.connect_timeout
        why = None
        if not self._started:
            why = "the peer is administratively down"
        elif connections.dialing.state is State.IDLE and self.current is None:
            why = f"held back after an error: {self.last_error}"
        elif connections.busy(now, patience):
            why = "another connection is being set up"
        if why is not None:
            self._tell("refused", now, why)
            return None
        for other in connections.superseded(now, patience):
            self._handle(other, other.stop(now, silent=True), now)
        session = self._new_session(incoming=True)
        connections.accept(session, now)
        return session

    def connected(self, session: Session, local_address: str, now: float, link_local: str = "") -> None:
        """`link_local` is our address of that scope on the link with the peer, where they share one (RFC 2545)."""
        self.connections.connected(session, local_address, link_local)
        self._handle(session, session.connected(now), now)

    def connect_failed(self, session: Session, reason: str, now: float) -> None:
        self._handle(session, session.connect_failed(now, reason), now)

    def receive(self, session: Session, data: bytes, now: float) -> None:
        self._handle(session, session.receive_data(data, now), now)

    def closed(self, session: Session, reason: str, now: float) -> None:
        self._handle(session, session.closed(now, reason), now)

    def handle_timer(self, now: float) -> None:
        for session in self.sessions:
            deadline = session.next_deadline()
            if deadline is not None and deadline <= now:
                self._handle(session, session.handle_timer(now), now)
        self.exchanges.handle_timer(now)
        if self._back_at is not None and now >= self._back_at:
            self.start(now)
        self._router.touched.add(self)

    def next_deadline(self) -> float | None:
        deadlines = [deadline for s in self.sessions if (deadline := s.next_deadline()) is not None]
        if self.exchanges.deadline is not None:
            deadlines.append(self.exchanges.deadline)
        if self._back_at is not None:
            deadlines.append(self._back_at)
        return min(deadlines, default=None)

    def produce(self, limit: int, now: float) -> bool:
        """Hand up to `limit` waiting prefixes to the session; False when nothing was waiting."""
        if self.current is None:
            return False
        try:
            messages = self.exchanges.produce(limit, now)
        except Exception as error:  # noqa: BLE001  a bug costs this session, not the others
            self.fail(error, now)
            return False
        if messages:
            self.current.send(messages, now)
            self._router.touched.add(self)
        return bool(messages)

    def fail(self, error: Exception, now: float) -> None:
        """A bug met while something was done for this peer: it alone pays."""
        text = f"{type(error).__name__}: {error}"
        self._tell("error", now, text, detail=_trace(error))
        if self.current is not None:
            self._automatic_stop(self.current, f"internal error: {text}", now)

    # what the sessions say

    def _handle(self, session: Session, happenings: Iterable[Happening], now: float) -> None:
        self._router.touched.add(self)
        opened, failed = False, ""
        for happening in happenings:
            if failed and not isinstance(happening, OpenTransport | CloseTransport | Down):
                continue
            try:
                opened |= isinstance(happening, OpenReceived)
                self._happened(session, happening, now)
            except Exception as error:  # noqa: BLE001  the wall between this peer and the others
                failed = f"{type(error).__name__}: {error}"
                self._tell("error", now, failed, detail=_trace(error))
        if failed:
            self._automatic_stop(session, f"internal error: {failed}", now)
        elif opened and session.state is State.OPEN_CONFIRM:
            self._handle(session, session.handle_timer(now), now)  # what came behind the OPEN
        self._rest(now)

    def _happened(self, session: Session, happening: Happening, now: float) -> None:
        effects = self._router.effects
        if isinstance(happening, Received):
            if session is self.current:
                self.exchanges.update(happening.update, now)
                if self.exchanges.over is not None:
                    self._too_many(now)
        elif isinstance(happening, OpenTransport):
            effects.append(Connect(self, session))
        elif isinstance(happening, CloseTransport):
            effects.append(Close(session))
            self._ended(session, happening.ended, now)
        elif isinstance(happening, OpenReceived):
            self._collide(session, happening.open.bgp_identifier, now)
        elif isinstance(happening, Up):
            self._up(session, happening.negotiated, now)
        elif isinstance(happening, Down):
            self._down(session, happening.reason, now)
        elif isinstance(happening, Refresh):
            if session is self.current:
                self.exchanges.refresh(happening.message, now)
        elif isinstance(happening, Offence):
            self._tell("offence", now, str(happening))
        else:
            error = happening.error
            detail = f"while handling {happening.data.hex()}\n{_trace(error)}"
            self._tell("error", now, f"{type(error).__name__}: {error}", detail=detail)

    def _collide(self, session: Session, identifier: int, now: float) -> None:
        """An OPEN has arrived: is there another connection, and which of the two stays?"""
        for other in self.connections.rivals(session):
            if other.state is State.ESTABLISHED and self._outlived(other, now):
                # RFC 4724 section 5: the peer has restarted, and TCP did not tell us.
                self._handle(other, other.closed(now, "the peer has opened a new connection"), now)
                continue
            loser = self.connections.loser(session, other, self.config, identifier)
            if loser is not None:
                self._handle(loser, loser.stop(now, ConnectionCollisionResolution()), now)
            if loser is session:
                return

    def _outlived(self, session: Session, now: float) -> bool:
        """Whether a new connection tells that this established one is dead. Shortly after the start it may
        be just the second of two that crossed: then the established one stays."""
        agreed = session.negotiated
        return (
            agreed is not None
            and agreed.graceful_restart is not None
            and now - self.since > self.config.connect_timeout
        )

    def _up(self, session: Session, agreed: Negotiated, now: float) -> None:
        self.current, self.negotiated = session, agreed
        self.since = now
        self.attempted = True
        self.established_count += 1
        self.local_address, link_local = self.connections.local_addresses(session)
        self._tell("up", now)
        octets, beside = (pack_address(text) if text else b"" for text in (self.local_address, link_local))
        self.exchanges.up(agreed, octets, now, deferring=self._router.restarting, link_local=beside)
        self._router.session_changed(self, now)

    def _too_many(self, now: float) -> None:
        """The peer has more prefixes than it may have: the session ends, and comes back by itself or not."""
        assert self.exchanges.over is not None
        (family, limit, words), self.exchanges.over = self.exchanges.over, None
        self.stop(now, too_many(family, limit, words))
        self.last_error = words
        self._back_at = now + limit.restart_after if limit.action == "restart" else None

    def _down(self, session: Session, reason: DownReason, now: float) -> None:
        if session is not self.current or self.negotiated is None:
            return
        agreed, self.current, self.negotiated = self.negotiated, None, None
        self.since = now
        self._router.effects.append(PeerEvent("down", self.address, reason.text, now=now, wanted=reason.administrative))
        self.exchanges.down(agreed, now, graceful=reason.graceful)
        self._router.session_changed(self, now)

    def _ended(self, session: Session, ended: DownReason, now: float) -> None:
        """A connection, or an attempt at one, has come to its end. (`Down` follows, if it was established.)"""
        self._last = ended
        crossed = ended.notification is not None and ended.notification.error == ConnectionCollisionResolution()
        plain = ended.administrative or crossed
        if not plain:
            self.last_error = ended.text
        if self.connections.ended(session):
            self._fallen = ended
        if self.current is None:
            if not plain:
                self._tell("failed", now, ended.text)
            if not self.attempted and not crossed:
                self.attempted = True
                self._router.session_changed(self, now)

    def _rest(self, now: float) -> None:
        """What the dialing session is to do while another one is established, and after it; new settings
        are taken up while it sleeps."""
        dialing = self.connections.dialing
        fallen, self._fallen = self._fallen, None
        if self.current is None:
            if not self._started or self.connections.accepted:
                return
            if self._outdated and self._last is not None:
                self._renew(now, self._last)
            elif fallen is not None:
                self._handle(dialing, dialing.resume(now, fallen), now)
        elif (
            self.current is not dialing
            and dialing.state in (State.IDLE, State.ACTIVE)
            and dialing.next_deadline() is not None
        ):
            self._handle(dialing, dialing.stop(now), now)

    # making

    def _new_session(self, *, incoming: bool) -> Session:
        router = self._router
        return Session(
            self.config, jitter=router.jitter, restarting=router.restarting, incoming=incoming, pool=router.pool
        )

    def _renew(self, now: float, after: DownReason | None = None) -> None:
        """Another dialing session with the settings of now; connections that are on their way are given up."""
        self._outdated = False
        for session in self.sessions:
            self._handle(session, session.stop(now, silent=True), now)
        dialing = self.connections.dialing = self._new_session(incoming=False)
        self._handle(dialing, dialing.start(now) if after is None else dialing.resume(now, after), now)

    def _make_exchanges(self) -> Exchanges:
        return Exchanges(
            self.config,
            self,
            self._router.tables,
            self._import,
            self._export,
            self._router.eligibility(self.config),
            self._tell,
            lambda now: self._router.session_changed(self, now),
        )

    def _automatic_stop(self, session: Session, text: str, now: float) -> None:
        event = Event(Fsm.AUTOMATIC_STOP, error=Cease(text), text=text)
        self._handle(session, session.fire(event, now), now)

    def _tell(
        self, kind: EventKind, now: float, reason: str = "", family: Family | None = None, *, detail: str = ""
    ) -> None:
        self._router.effects.append(PeerEvent(kind, self.address, reason, family, now, detail))


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
