"""Read-only views for status pages and metrics: plain values, taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pybgp.config import PrefixLimit
from pybgp.family import Family
from pybgp.fsm.negotiation import Negotiated
from pybgp.fsm.states import State, Timer
from pybgp.happenings import Offence
from pybgp.messages.capabilities import Capability
from pybgp.peer import Peer


@dataclass(frozen=True, slots=True)
class FamilySnapshot:
    """One family of one peer. Counts are prefixes (paths with ADD-PATH)."""

    received: int
    advertised: int
    pending: int
    """Changes that wait for the peer to read."""
    stale: bool
    """Graceful restart: what the peer said before is kept until it has said all again."""
    end_of_rib_received: bool
    end_of_rib_sent: bool
    accepted: int = 0
    """Of those received, the ones that no check and no policy has rejected."""
    limit: PrefixLimit | None = None
    """How many the peer may have with us."""
    limit_out: int | None = None
    """How many it is told at most."""
    announced_in: int = 0
    """Announced to us in UPDATEs, again and again counted, over all sessions with the peer."""
    withdrawn_in: int = 0
    refused_in: int = 0
    """Of those announced, the ones that a check or the import policy rejected as they came."""
    announced_out: int = 0
    withdrawn_out: int = 0


@dataclass(frozen=True, slots=True)
class PeerSnapshot:
    """One peer at one moment. Times are seconds; `since` is on the event loop's clock."""

    address: str
    description: str
    peer_as: int
    local_as: int
    internal: bool
    state: State
    since: float
    uptime: float
    """Seconds in this state."""
    administratively_down: bool
    last_error: str
    """Why the last session or attempt ended, in words; "" if none did."""
    bgp_identifier: int | None
    local_address: str
    hold_time: int | None
    keepalive_time: float | None
    families: dict[Family, FamilySnapshot]
    """Those that were negotiated; without a session, those that are configured."""
    capabilities: tuple[Capability, ...]
    """What the peer's OPEN said."""
    restarting: bool
    """Graceful restart: the peer is gone and its routes are kept for now."""
    established_count: int
    messages_received: int
    messages_sent: int
    updates_received: int
    updates_sent: int
    bytes_received: int
    bytes_sent: int
    group: str = ""
    """The peer group that its settings are of; "" without one."""
    dynamic: str = ""
    """The range that the peer came from by itself; "" for a configured one."""
    incoming: bool | None = None
    """Whether the peer made the connection of the session; None without a session."""
    last_error_at: float | None = None
    """On the event loop's clock."""
    timers: Mapping[str, float] = field(default_factory=dict)
    """Seconds until each running timer of the session that has come farthest, by its name in RFC 4271 section 10."""
    sent_capabilities: tuple[Capability, ...] = ()
    """What our OPEN said."""
    negotiated: Negotiated | None = None
    """All that holds for the session; None without one."""
    offences: tuple[Offence, ...] = ()
    """The last wrong messages of the peer, oldest first, as they came."""

    @property
    def established(self) -> bool:
        return self.state is State.ESTABLISHED

    @property
    def routes_received(self) -> int:
        return sum(family.received for family in self.families.values())

    @property
    def routes_advertised(self) -> int:
        return sum(family.advertised for family in self.families.values())

    @property
    def end_of_rib(self) -> frozenset[Family]:
        """The families of which the peer has sent its whole table."""
        return frozenset(f for f, family in self.families.items() if family.end_of_rib_received)


def snapshot(peer: Peer, now: float) -> PeerSnapshot:
    """A peer as it is now."""
    agreed = peer.negotiated
    counters = [session.counters for session in peer.sessions]
    return PeerSnapshot(
        address=peer.address,
        description=peer.config.description,
        peer_as=peer.config.peer_as,
        local_as=peer.config.local_as,
        internal=peer.config.internal,
        state=peer.state,
        since=peer.since,
        uptime=max(0.0, now - peer.since),
        administratively_down=not peer.started,
        last_error=peer.last_error,
        bgp_identifier=None if agreed is None else agreed.peer_bgp_identifier,
        local_address=peer.local_address,
        hold_time=None if agreed is None else agreed.hold_time,
        keepalive_time=None if agreed is None else agreed.keepalive_time,
        families={
            family: FamilySnapshot(
                received=len(exchange.adj_rib_in),
                advertised=exchange.advertised,
                pending=exchange.pending,
                stale=exchange.stale,
                end_of_rib_received=exchange.end_of_rib_received,
                end_of_rib_sent=exchange.end_of_rib_sent,
                accepted=exchange.adj_rib_in.accepted,
                limit=peer.config.max_prefixes.get(family),
                limit_out=peer.config.max_prefixes_out.get(family),
                announced_in=exchange.announced_in,
                withdrawn_in=exchange.withdrawn_in,
                refused_in=exchange.adj_rib_in.refused,
                announced_out=exchange.announced_out,
                withdrawn_out=exchange.withdrawn_out,
            )
            for family, exchange in peer.exchanges.items()
            if agreed is None or exchange.established
        },
        capabilities=() if agreed is None else agreed.peer_open.capabilities,
        restarting=peer.exchanges.stale,
        established_count=peer.established_count,
        messages_received=sum(counter.messages_in for counter in counters),
        messages_sent=sum(counter.messages_out for counter in counters),
        updates_received=sum(counter.updates_in for counter in counters),
        updates_sent=sum(counter.updates_out for counter in counters),
        bytes_received=sum(counter.bytes_in for counter in counters),
        bytes_sent=sum(counter.bytes_out for counter in counters),
        group=peer.config.group,
        dynamic="" if peer.dynamic is None else str(peer.dynamic.prefix),
        incoming=None if peer.current is None else peer.current.incoming,
        last_error_at=max((at for session in peer.sessions if (at := session.last_error_at) is not None), default=None),
        timers=_timers(peer, now),
        sent_capabilities=() if agreed is None else agreed.my_open.capabilities,
        negotiated=agreed,
        offences=peer.offences,
    )


_TIMER_NAMES = {
    Timer.CONNECT_RETRY: "ConnectRetryTimer",
    Timer.HOLD: "HoldTimer",
    Timer.KEEPALIVE: "KeepaliveTimer",
    Timer.DELAY_OPEN: "DelayOpenTimer",
    Timer.IDLE_HOLD: "IdleHoldTimer",
    Timer.SEND_HOLD: "SendHoldTimer",  # RFC 9687
}


def _timers(peer: Peer, now: float) -> dict[str, float]:
    session = max(peer.sessions, key=lambda one: one.state)
    found = {_TIMER_NAMES[timer]: session.deadline(timer) for timer in Timer}
    return {name: max(0.0, deadline - now) for name, deadline in found.items() if deadline is not None}
