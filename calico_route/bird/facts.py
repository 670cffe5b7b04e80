"""What the agent knows, as BIRD would tell it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from calico_route.agent import Agent
from calico_route.mesh import GRACEFUL_RESTART
from calico_route.report import clock_offset
from calico_route.sessions import MeshPeer
from pybgp import (
    IPV4_UNICAST,
    IPV6_UNICAST,
    FamilySnapshot,
    ListedRoute,
    PathAttributes,
    PeerSnapshot,
    Prefix,
    Speaker,
    State,
    __version__,
    format_address,
)

from .wire import BirdProtocol, BirdRoute, Changes, Exported, Status

VERSION = f"1.6.8 (calico_route {__version__})"
_CAPABILITIES = {2: "refresh", 70: "enhanced-refresh", 71: "llgr-aware", 65: "AS4"}
_ORIGINS = "ie?"


class AgentFacts:
    """The sessions and routes of one IP version: BIRD has a daemon for each."""

    def __init__(self, agent: Agent, version: int) -> None:
        self._agent = agent
        self._family = IPV4_UNICAST if version == 4 else IPV6_UNICAST

    def status(self) -> Status:
        agent = self._agent
        local = agent.mesh.local
        return Status(
            version=VERSION,
            router_id="0.0.0.0" if local is None else local.bgp_identifier,
            now=time.time(),
            started=agent.started,
            changed=agent.changed,
            recovery=self._recovery(),
        )

    def _recovery(self) -> tuple[int, int, int] | None:
        """Only where routes of before are there, and may go: that is what is waited for."""
        agent = self._agent
        left = agent.grace.left(asyncio.get_running_loop().time())
        if left is None or not agent.kernel.routes().unconfirmed:
            return None
        waiting = sum(not one.complete for one in agent.mesh.progress())
        return waiting, round(left), round(agent.grace.patience)

    def protocols(self) -> Sequence[BirdProtocol]:
        agent = self._agent
        afi = self._family.afi
        wanted = agent.wanted
        own = [] if wanted is None else [one for one in wanted.announcements if one.family == self._family]
        static = sum(self._is_static(one) for one in own)
        found = [
            BirdProtocol("static1", "Static", "up", agent.started, preference=200, imported=static),
            BirdProtocol(
                *("kernel1", "Kernel", "up", agent.started),
                preference=10,
                filters=("ACCEPT", "calico_kernel_programming"),
                imported=len(own) - static,
                exported=len(agent.kernel.routes().installed.get(afi, ())),
            ),
            BirdProtocol("device1", "Device", "up", agent.started, preference=240),
        ]
        snapshots = agent.mesh.snapshots()
        for address, peer in sorted(agent.mesh.peers.items()):
            if peer.family == self._family and address in snapshots:
                found.append(_session(peer, snapshots[address], agent.mesh.failed.get(address, "")))
        return found

    def reconfigure(self) -> None:
        self._agent.mark()

    def routes(self, *, exported: Exported | None, details: bool) -> Iterator[Sequence[BirdRoute]]:
        agent = self._agent
        speaker = agent.mesh.speaker
        if speaker is None:
            return
        names = {address: peer.bird_name for address, peer in agent.mesh.peers.items()}
        began = {address: one.since + clock_offset() for address, one in agent.mesh.snapshots().items()}
        to = next((address for address, name in names.items() if exported and name == exported.session), None)
        if to is None or exported is None:
            parts = speaker.table(family=self._family)
        elif exported.how == "export":
            parts = speaker.table(family=self._family, advertised=to)
        else:
            parts = self._offered(speaker, to, without_told=exported.how == "noexport")
        for part in parts:
            yield [self._route(one, names, began, details=details) for one in part]

    def _offered(self, speaker: Speaker, to: str, *, without_told: bool) -> Iterator[list[ListedRoute]]:
        """The routes that a session could be told, were it not for filters: the best ones, not its own, and between
        internal ones only what a reflector passes on."""
        told: set[Prefix] = set()
        if without_told:
            for part in speaker.table(family=self._family, advertised=to):
                told.update(one.prefix for one in part)
                yield []
        peers = self._agent.mesh.peers
        target = peers.get(to)

        def passes(one: ListedRoute) -> bool:
            if not one.best or one.path is None or one.peer == to or one.prefix in told:
                return False
            source = peers.get(one.peer)
            both_internal = source is not None and target is not None and source.internal and target.internal
            return not both_internal or (source is not None and source.client) or (target is not None and target.client)

        for part in speaker.table(family=self._family):
            yield [one for one in part if passes(one)]

    # inside -------------------------------------------------------------------------------------

    def _route(self, one: ListedRoute, names: dict[str, str], since: dict[str, float], *, details: bool) -> BirdRoute:
        path = one.path
        attributes = one.attributes
        lines = tuple(_attributes(attributes)) if details else ()
        if path is None or path.source.local:
            static = self._is_static(one.prefix)
            link = self._agent.kernel.interface_of(one.prefix.family.afi, one.prefix.nlri, b"")
            return BirdRoute(
                prefix=one.prefix,
                what="blackhole" if static else f"dev {link or '?'}",
                protocol="static1" if static else "kernel1",
                since=self._agent.started,
                best=path is None or one.best,
                rank="200" if static else "10",
                kind=("static" if static else "inherit") if details else "",
                attributes=lines if path is None else (),
            )
        next_hop = path.attributes.next_hop
        device = self._agent.kernel.interface_of(self._family.afi, one.prefix.nlri, next_hop)
        address = attributes.next_hop_text or "?"
        # What policy has refused is filtered; without a way to its next hop a route is there, and of no use.
        unreachable = one.rejected is not None and device is None
        return BirdRoute(
            prefix=one.prefix,
            what="unreachable" if device is None else f"via {address} on {device}",
            protocol=names.get(one.peer, one.peer),
            since=since.get(one.peer, self._agent.started),
            best=one.best,
            rank=f"100/{'-' if device is None else path.cost}",
            suffix=_origin(attributes),
            gone_through="" if address == one.peer and device is not None else one.peer,
            rejected=one.rejected is not None and not unreachable,
            kind="BGP" if details else "",
            attributes=lines,
        )

    def _is_static(self, prefix: Prefix) -> bool:
        return prefix.length != (32 if prefix.family == IPV4_UNICAST else 128)


def _session(peer: MeshPeer, now: PeerSnapshot, refused: str) -> BirdProtocol:
    state = "up" if now.established else "down" if now.administratively_down else "start"
    error = refused or ("" if now.established else now.last_error)
    # BIRD's word for Active where it does not dial, and for what is switched off.
    word = "Down" if now.administratively_down else str(now.state)
    if peer.passive and now.state is State.ACTIVE:
        word = "Passive"
    family = next(iter(now.families.values()), None)
    filtered = bool(peer.imports)
    return BirdProtocol(
        name=peer.bird_name,
        kind="BGP",
        state=state,
        since=now.since + clock_offset(),
        info=f"{word:14}{error}",
        imported=0 if family is None else family.accepted,
        exported=0 if family is None else family.advertised,
        recovering=now.restarting,
        description=peer.name,
        filters=("(unnamed)" if filtered else "ACCEPT", "(unnamed)"),
        changes=None if family is None else _changes(family),
        details=tuple(_session_details(now, word, error)),
    )


def _changes(family: FamilySnapshot) -> Changes:
    return Changes(
        announced_in=family.announced_in,
        withdrawn_in=family.withdrawn_in,
        filtered=family.refused_in,
        announced_out=family.announced_out,
        withdrawn_out=family.withdrawn_out,
    )


def _session_details(now: PeerSnapshot, word: str, error: str) -> Iterator[str]:
    yield f"  BGP state:          {word}"
    yield f"    Neighbor address: {now.address}"
    yield f"    Neighbor AS:      {now.peer_as}"
    if now.bgp_identifier is not None:
        yield f"    Neighbor ID:      {format_address(now.bgp_identifier.to_bytes(4, 'big'))}"
    if now.established:
        known = {one.code for one in now.capabilities}
        words = [word for code, word in _CAPABILITIES.items() if code in known]
        words += ["restart-able"] if GRACEFUL_RESTART in known else []
        yield f"    Neighbor caps:    {' '.join(words)}"
        yield f"    Session:          {'internal' if now.internal else 'external'} multihop AS4"
        yield f"    Source address:   {now.local_address}"
    timers = now.timers
    if now.hold_time and "HoldTimer" in timers:
        yield f"    Hold timer:       {timers['HoldTimer']:.0f}/{now.hold_time}"
    if now.keepalive_time and "KeepaliveTimer" in timers:
        yield f"    Keepalive timer:  {timers['KeepaliveTimer']:.0f}/{now.keepalive_time:.0f}"
    if not now.established and "ConnectRetryTimer" in timers:
        yield f"    Connect delay:    {timers['ConnectRetryTimer']:.0f}"
    if error:
        yield f"    Last error:       {error}"


def _origin(attributes: PathAttributes) -> str:
    """The AS that a route comes from, and its ORIGIN."""
    asn = attributes.as_path.origin_as
    return (f"AS{asn}" if asn else "") + _ORIGINS[min(attributes.origin, 2)]


def _attributes(attributes: PathAttributes) -> Iterator[str]:
    yield f"BGP.origin: {('IGP', 'EGP', 'Incomplete')[min(attributes.origin, 2)]}"
    yield f"BGP.as_path: {attributes.as_path}"
    if attributes.next_hop_text:
        yield f"BGP.next_hop: {attributes.next_hop_text}"
    if attributes.med is not None:
        yield f"BGP.med: {attributes.med}"
    if attributes.local_pref is not None:
        yield f"BGP.local_pref: {attributes.local_pref}"
    if attributes.communities:
        texts = (f"({value >> 16},{value & 0xFFFF})" for value in sorted(attributes.communities))
        yield f"BGP.community: {' '.join(texts)}"
    if attributes.large_communities:
        texts = (f"({', '.join(map(str, value))})" for value in sorted(attributes.large_communities))
        yield f"BGP.large_community: {' '.join(texts)}"
    if attributes.originator_id is not None:
        yield f"BGP.originator_id: {format_address(attributes.originator_id.to_bytes(4, 'big'))}"
    if attributes.cluster_list:
        texts = (format_address(value.to_bytes(4, "big")) for value in attributes.cluster_list)
        yield f"BGP.cluster_list: {' '.join(texts)}"
