"""BGPPeers to sessions: with routers, and between nodes where a reflector stands in the middle. No I/O, no clock.

A BGPPeer counts for the node that it names, for those that its nodeSelector selects, or for all. What it leads to is
an address (`peerIP`) or the nodes that its peerSelector selects. Where nodes are on both sides, either side has the
session (unless `reversePeering: Manual`), so that one BGPPeer serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .model import BgpFilter, BgpPeer, FilterRule, Invalid, Kind, Node, PeerAddress
from .selector import parse_selector
from .sessions import Local, MeshPeer, Options, whole_seconds
from .telling import ExportRules, NamedRules
from .view import View


def sessions_of_bgp_peers(
    view: View,
    own: Node,
    local: Local,
    options: Options,
    cluster_id: int | None,
    problems: list[str],
) -> dict[str, MeshPeer]:
    """The sessions of this node that BGPPeers ask for, by address; of several for one address the first counts:
    those for all nodes before those for some, then by name. What cannot be served is added to `problems`."""
    if not view.peers:
        return {}
    made = _Sessions(view, own, local, options, cluster_id, problems)
    found: dict[str, MeshPeer] = {}
    for session in made.all():
        first = found.setdefault(session.address, session)
        if first is not session and not session.node:
            problems.append(
                f"BGPPeer {session.origin}: {session.address} has a session by BGPPeer {first.origin} already"
            )
    return found


class _UnservedError(Exception):
    """A BGPPeer asks for what there is not; the text says what."""


class _Sessions:
    def __init__(
        self,
        view: View,
        own: Node,
        local: Local,
        options: Options,
        cluster_id: int | None,
        problems: list[str],
    ) -> None:
        self._view, self._own, self._local, self._options = view, own, local, options
        self._cluster_id, self._problems = cluster_id, problems
        self._nodes = [node for node in view.nodes if node.name != local.name and node.bgp]
        self._by_address = {
            address.address: node for node in self._nodes for address in (node.ipv4, node.ipv6) if address is not None
        }

    def all(self) -> Iterator[MeshPeer]:
        ordered = sorted(self._view.peers, key=lambda peer: (_for_some(peer), peer.name))
        for direction in (self._forward, self._reverse):
            for peer in ordered:
                try:
                    sessions = list(direction(peer))
                except _UnservedError as error:
                    text = f"BGPPeer {peer.name}: {error}; no session for it"
                    if text not in self._problems:
                        self._problems.append(text)
                else:
                    yield from sessions

    def _forward(self, peer: BgpPeer) -> Iterator[MeshPeer]:
        """What it leads to, if it counts for us."""
        if not _counts_for(peer, self._own):
            return
        if peer.local_workload_selector is not None:
            raise _UnservedError("sessions with workloads (localWorkloadSelector) are not served")
        if peer.peer_selector is not None:
            yield from self._with_nodes(peer, self._selected(peer.peer_selector))
        elif peer.peer_ip is not None:
            if peer.peer_ip.address not in self._own_addresses():
                yield from self._with_address(peer, peer.peer_ip, self._node_at(peer, peer.peer_ip))
        else:
            raise _UnservedError("it has neither peerIP nor peerSelector")

    def _reverse(self, peer: BgpPeer) -> Iterator[MeshPeer]:
        """The nodes that it counts for, if it leads to us."""
        if peer.reverse_peering == "Manual" or peer.local_workload_selector is not None:
            return
        if peer.peer_selector is not None:
            if not _selects(peer.peer_selector, self._own):
                return
        elif peer.peer_ip is None or not self._is_us(peer):
            return
        if peer.node is not None:
            some = [node for node in self._nodes if node.name == peer.node]
        elif peer.node_selector is not None:
            some = self._selected(peer.node_selector)
        else:
            some = self._nodes
        for made in self._with_nodes(peer, some):
            if peer.peer_ip is None or (":" in made.address) == (":" in peer.peer_ip.address):
                yield replace(made, scope="Node")  # to the other side it is for this node alone

    def _is_us(self, peer: BgpPeer) -> bool:
        if peer.peer_ip is None or peer.peer_ip.address not in self._own_addresses():
            return False
        own_port = self._view.port(self._local.name)
        return peer.asn in (None, self._local.asn) and peer.peer_ip.port in (None, own_port)

    def _node_at(self, peer: BgpPeer, there: PeerAddress) -> Node | None:
        """The node with this address, if its AS and port are those that are asked for: else it is another speaker."""
        node = self._by_address.get(there.address)
        if node is None or peer.asn not in (None, node.asn or self._view.asn):
            return None
        return node if there.port in (None, self._view.port(node.name)) else None

    def _own_addresses(self) -> set[str]:
        return {one.address for one in (self._local.ipv4, self._local.ipv6) if one is not None}

    def _selected(self, selector: str) -> list[Node]:
        return [node for node in self._nodes if _selects(selector, node)]

    def _with_nodes(self, peer: BgpPeer, nodes: list[Node]) -> Iterator[MeshPeer]:
        for node in nodes:
            for theirs in (node.ipv4, node.ipv6):
                ours = None if theirs is None else self._local.address_for(theirs.address)
                if theirs is not None and ours is not None and theirs.address not in self._own_addresses():
                    yield self._session(peer, theirs.address, node, node.asn or self._view.asn)

    def _with_address(self, peer: BgpPeer, there: PeerAddress, node: Node | None) -> Iterator[MeshPeer]:
        address, port = there
        if self._local.address_for(address) is None:
            return  # this node has no address of that IP version
        peer_as = peer.asn or (None if node is None else node.asn or self._view.asn)
        if peer_as is None:
            raise _UnservedError(f"peerIP {address} has no asNumber")
        # A gateway leads to the address that is named: there is none on the way back from there.
        made = replace(self._session(peer, address, node, peer_as), reachable_by=peer.reachable_by)
        yield made if port is None else replace(made, port=port, port_given=True)

    def _session(self, peer: BgpPeer, address: str, node: Node | None, peer_as: int) -> MeshPeer:
        own_address = self._local.address_for(address)
        assert own_address is not None
        own_as = peer.local_asn or self._local.asn
        internal = peer_as == own_as
        mode = peer.next_hop_mode or ("Keep" if peer.keep_original_next_hop and not internal else "Auto")
        hold_time = self._options.hold_time
        restart_time = 120.0 if peer.max_restart_time is None else peer.max_restart_time
        filters = self._filters(peer)
        ipv6 = ":" in address
        exports = _named(filters, [one.export_v6 if ipv6 else one.export_v4 for one in filters])
        # RFC 4456: whoever is in the same cluster is another reflector of it; all other internal ones are clients.
        other = None if node is None else node.cluster_id
        reflect = internal and self._own.cluster_id is not None and other != self._own.cluster_id
        return MeshPeer(
            node="" if node is None else node.name,
            address=address,
            peer_as=peer_as,
            own_as=self._local.asn,
            shown_as=None if own_as == self._local.asn else own_as,
            port=179 if node is None else self._view.port(node.name),
            passive=node is not None and address > own_address,
            local_address=None if peer.source_address == "None" else own_address,
            restart_time=whole_seconds(restart_time, 4095),
            hold_time=hold_time,
            keepalive_time=_keepalive(peer.keepalive_time, hold_time),
            password=self._password(peer, node),
            ttl_security=peer.ttl_security or (None if node is None else self._options.ttl_security),
            client=reflect,
            cluster_id=self._cluster_id if internal else None,
            next_hop_self=True if mode == "Self" else None,
            next_hop_unchanged=mode == "Keep" and not internal,
            allow_own_as=min(peer.allowed_local_as or 0, 255),
            export=ExportRules(filters=exports) if exports else None,
            imports=_named(filters, [one.import_v6 if ipv6 else one.import_v4 for one in filters]),
            origin=peer.name,
            scope="Node" if _for_some(peer) else "Global",
        )

    def _filters(self, peer: BgpPeer) -> list[BgpFilter]:
        """Those that it names and that there are. Without one that could never be read it might say too much."""
        found = []
        for name in peer.filters:
            there = self._view.get(Kind.BGP_FILTER, name)
            if isinstance(there, Invalid):
                raise _UnservedError(f"BGPFilter {name} cannot be read")
            if isinstance(there, BgpFilter):
                found.append(there)
        return found

    def _password(self, peer: BgpPeer, node: Node | None) -> str | None:
        """That of a file is for all sessions between nodes; a router has one only where its BGPPeer says so."""
        if peer.password is None:
            return None if node is None else self._options.password
        password = self._options.secrets.get(peer.password, self._options.password)
        if password is None:
            raise _UnservedError(
                f"its password is in the secret {peer.password.name}, which etcd does not hold: give --secrets-dir "
                f"with a file {peer.password.name}/{peer.password.key}"
            )
        return password


def _named(filters: list[BgpFilter], parts: list[tuple[FilterRule, ...]]) -> tuple[NamedRules, ...]:
    """Those that have rules for this direction."""
    return tuple(NamedRules(one.name, some) for one, some in zip(filters, parts, strict=True) if some)


def _for_some(peer: BgpPeer) -> bool:
    return peer.node is not None or peer.node_selector is not None


def _counts_for(peer: BgpPeer, node: Node) -> bool:
    if peer.node is not None:
        return peer.node == node.name
    return peer.node_selector is None or _selects(peer.node_selector, node)


def _selects(selector: str, node: Node) -> bool:
    return parse_selector(selector)(node.labels)  # one that cannot be read is no BgpPeer's


def _keepalive(seconds: float | None, hold_time: int) -> float | None:
    """As it was set, but never more than a third of the hold time."""
    if not seconds or not hold_time:
        return None
    return max(1.0, min(whole_seconds(seconds, hold_time), hold_time / 3))
