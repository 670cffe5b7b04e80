"""Which nodes have a session with which: the full mesh, or reflectors in its place. No I/O, no clock.

Three ways, of which the first two are Calico's:

* Every node speaks to every other one, but for those with a `routeReflectorClusterID`.
* Those, and whoever else, have the sessions that BGPPeers name (bgp_peers.py).
* With a label given by a flag, the nodes that have it reflect and the others of their AS speak to them alone. An AS
  without such a node keeps its mesh, and so do nodes of different ASes among each other.

Both ends of a session come to the same answer by themselves, from the same resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pybgp import pack_address

from .bgp_peers import sessions_of_bgp_peers
from .model import Node
from .sessions import Local, MeshPeer, Options, whole_seconds
from .telling import ExportRules
from .view import View


@dataclass(frozen=True, slots=True)
class Topology:
    """`peers` are the sessions of this node, by address. `nodes` names the node behind every address of others that
    take part in BGP, with a session or without."""

    peers: Mapping[str, MeshPeer]
    nodes: Mapping[str, str]
    problems: tuple[str, ...]


def topology(view: View, local: Local, options: Options, rules: ExportRules) -> Topology:
    """The sessions that this node should have, and what is wrong with them. `rules` are what neighbours are told by."""
    return _Topology(view, local, options, rules).make()


class _Topology:
    def __init__(self, view: View, local: Local, options: Options, rules: ExportRules) -> None:
        self._view, self._local, self._options = view, local, options
        self._others = [node for node in view.nodes if node.name != local.name and node.bgp]
        self._own = view.node(local.name) or Node(name=local.name)
        self._problems: list[str] = []
        self._rules = rules

    def make(self) -> Topology:
        cluster_id = self._cluster_id()
        peers = sessions_of_bgp_peers(self._view, self._own, self._local, self._options, cluster_id, self._problems)
        nodes: dict[str, str] = {}
        faults: list[str] = []
        addresses = {one.address for one in (self._local.ipv4, self._local.ipv6) if one is not None}
        for node, address in self._addresses(faults):
            if address in addresses:
                faults.append(f"Node {node.name} has our own address {address}: no session to it")
            elif address in nodes:
                faults.append(f"Node {node.name} has the address {address} of {nodes[address]}: no session to it")
            else:
                nodes[address] = node.name
        reflectors = self._reflectors() if self._view.mesh else {}
        if self._view.mesh and (self._own.cluster_id is None or self._local.name in reflectors):
            self._problems += faults
            self._add_mesh(peers, nodes, reflectors, cluster_id)
        elif not peers and self._own.cluster_id is not None:
            self._problems.append(
                f"this node is a route reflector ({self._own.cluster_id}), outside of the mesh, and no BGPPeer leads "
                "to it or from it: it has no sessions"
            )
        return Topology(self._filtered(peers), nodes, tuple(self._problems))

    def _cluster_id(self) -> int | None:
        """The Node's own; None: our BGP Identifier serves."""
        text = self._own.cluster_id
        if text is None:
            return None
        try:
            octets = pack_address(text)
            if len(octets) == 4 and any(octets):
                return int.from_bytes(octets, "big")
        except ValueError:
            pass
        self._problems.append(
            f"routeReflectorClusterID {text!r} of this node is not four octets such as 244.0.0.1: "
            "its BGP Identifier takes its place"
        )
        return None

    def _addresses(self, faults: list[str]) -> Iterator[tuple[Node, str]]:
        """The addresses of other nodes that could have a session with us."""
        for node in self._others:
            if node.ipv4 is None and node.ipv6 is None:
                faults.append(f"Node {node.name} has no address: no session to it")
            for theirs in (node.ipv4, node.ipv6):
                if theirs is not None and self._local.address_for(theirs.address) is not None:
                    yield node, theirs.address

    def _add_mesh(
        self,
        peers: dict[str, MeshPeer],
        nodes: Mapping[str, str],
        reflectors: Mapping[str, int],
        cluster_id: int | None,
    ) -> None:
        """`reflectors` are the AS numbers of those that have the label, by name."""
        reference = self._view.configuration.node_mesh_password
        self._password = self._options.password
        if reference is not None:
            self._password = self._options.secrets.get(reference, self._password)
            if self._password is None:
                self._problems.append(
                    f"the password of the mesh is in the secret {reference.name}, which etcd does not hold: give "
                    f"--secrets-dir with a file {reference.name}/{reference.key}, or --mesh-password-file"
                )
        reflected = self._local.asn in reflectors.values()
        we_reflect = self._local.name in reflectors
        for address, name in nodes.items():
            node = self._view.node(name)
            if node is None or address in peers or (node.cluster_id is not None and name not in reflectors):
                continue
            together = reflected and self._as_of(node) == self._local.asn
            it_reflects = name in reflectors
            if together and not (we_reflect or it_reflects):
                continue
            peer = self._session(node, address)
            if together and we_reflect:
                peer = replace(peer, client=not it_reflects, cluster_id=cluster_id)
            peers[address] = peer

    def _reflectors(self) -> Mapping[str, int]:
        """The AS numbers of the nodes that have the label, by name."""
        label = self._options.auto_reflectors
        if not label:
            return {}
        key, sign, value = label.partition("=")
        found = {}
        for node in (self._own, *self._others):
            there = node.labels.get(key)
            has_address = node is self._own or node.ipv4 is not None or node.ipv6 is not None
            if there is not None and (not sign or there == value) and has_address:
                found[node.name] = self._as_of(node)
        if self._local.asn not in found.values():
            self._problems.append(f"no node of AS {self._local.asn} has the label {label}: these keep their full mesh")
        return found

    def _as_of(self, node: Node) -> int:
        return self._local.asn if node is self._own else node.asn or self._local.asn

    def _session(self, node: Node, address: str) -> MeshPeer:
        own_address = self._local.address_for(address)
        assert own_address is not None
        # A Node without a number has the AS of whoever looks at it, not that of the cluster: so does Calico,
        # and both ends of a session must come to the same answer.
        restart_time = self._view.configuration.node_mesh_max_restart_time
        return MeshPeer(
            node=node.name,
            address=address,
            peer_as=self._as_of(node),
            own_as=self._local.asn,
            port=self._view.port(node.name),
            # Of two nodes the one with the lower address, compared as text, dials. Calico's own nodes do it so;
            # with any other rule both sides of a mixed mesh might wait for ever.
            passive=address > own_address,
            local_address=own_address,
            restart_time=120 if restart_time is None else whole_seconds(restart_time, 4095),
            hold_time=self._options.hold_time,
            password=self._password,
            ttl_security=self._options.ttl_security,
        )

    def _filtered(self, peers: dict[str, MeshPeer]) -> dict[str, MeshPeer]:
        """With what each may be told. In a mesh of one AS nodes pass nothing on and have looked at the pools before
        they announced anything, so that nobody need ask again. Everybody hears of pools alone from a node that Calico
        calls a reflector, that may know routes from outside of the AS or of others than nodes, that has a filter, which
        may let out to one neighbour what no other may hear, or that adds communities."""
        strict = self._own.cluster_id is not None or bool(self._rules.communities)
        strict = strict or any(not peer.node or not peer.internal or peer.export is not None for peer in peers.values())
        found = {}
        for address, peer in sorted(peers.items()):
            if peer.export is not None:
                peer = replace(peer, export=replace(self._rules, filters=peer.export.filters))
            elif strict:
                peer = replace(peer, export=self._rules)
            found[address] = peer
        return found
