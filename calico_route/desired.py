"""What this node should do, computed from what the datastore says: no I/O, no clock.

`desired()` answers three questions: who are we, whom do we speak to, and which addresses do we announce.
What is left out is named with its reason, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pybgp import IPV4_UNICAST, IPV6_UNICAST, Prefix

from .identity import Identity, router_id
from .model import HostAddress, IpPool, Node, WorkloadEndpoint
from .view import View

Present: TypeAlias = Callable[[str, Prefix], bool]
"""Whether an interface of this name exists here, or else a local route to this prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What flags decide. `hold_time` in seconds; `ttl_security` in hops."""

    workloads_from_etcd: bool = True
    workloads_from_kernel: bool = False
    announce_unchecked: bool = False
    hold_time: int = 90
    password: str | None = field(default=None, repr=False)
    ttl_security: int | None = None


REDIAL = 5.0
"""Seconds at most between two attempts to reach a node: one that was away for long is back at once."""


@dataclass(frozen=True, slots=True)
class Local:
    """This node as a BGP speaker. `listen` are the addresses of its listening sockets."""

    name: str
    ipv4: HostAddress | None
    ipv6: HostAddress | None
    asn: int
    bgp_identifier: str
    port: int
    listen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportPools:
    """What an external peer may be told: inside one of `allowed` and in none of `refused`."""

    allowed: tuple[Prefix, ...]
    refused: tuple[Prefix, ...]

    def __contains__(self, prefix: Prefix) -> bool:
        return not any(prefix in pool for pool in self.refused) and any(prefix in pool for pool in self.allowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPeer:
    """A session to another node. `export` is None for an internal peer: it hears our own routes only."""

    node: str
    address: str
    peer_as: int
    port: int
    passive: bool
    local_address: str
    restart_time: int
    hold_time: int
    password: str | None = field(default=None, repr=False)
    ttl_security: int | None = None
    export: ExportPools | None = None

    def settings(self) -> dict[str, Any]:
        """As the speaker takes it, all but address and policies."""
        return {
            "peer_as": self.peer_as,
            "port": self.port,
            "passive": self.passive,
            "local_address": self.local_address,
            "families": (IPV6_UNICAST if ":" in self.address else IPV4_UNICAST,),
            "restart_time": self.restart_time,
            "hold_time": self.hold_time,
            "connect_retry_max": REDIAL,
            "password": self.password,
            "ttl_security": self.ttl_security,
            "description": self.node,
        }


@dataclass(frozen=True, slots=True)
class Desired:
    """`local` is None when this node takes no part in BGP; `problems` says why.

    `withheld` are the workload addresses that are not announced, each with the reason.
    """

    local: Local | None
    peers: Mapping[str, MeshPeer]
    announcements: frozenset[Prefix]
    withheld: Mapping[Prefix, str]
    problems: tuple[str, ...]


def desired(
    view: View,
    identity: Identity,
    options: Options,
    *,
    present: Present,
    kernel_workloads: Mapping[Prefix, str],
) -> Desired:
    """The state to reach. `kernel_workloads` are the host routes to workload interfaces, with the interface."""
    problems = [str(problem) for one in view.invalid for problem in one.problems]
    local = _local(view, identity, problems)
    if local is None:
        return Desired(None, {}, frozenset(), {}, tuple(problems))
    peers = _mesh(view, local, options, problems)
    announcements, withheld = _announcements(view, local.name, options, present, kernel_workloads)
    return Desired(local, peers, announcements, withheld, tuple(problems))


def _local(view: View, identity: Identity, problems: list[str]) -> Local | None:
    own = view.node(identity.name)
    ipv4 = identity.effective(4, own)
    ipv6 = identity.effective(6, own)
    if ipv4 is None and ipv6 is None:
        if own is not None and not own.bgp:
            problems.append(f"Node {own.name} has no spec.bgp: it takes no part in BGP. Give --ip to change that")
        else:
            problems.append(f"no address is known for node {identity.name}: give --ip")
        return None
    asn = identity.asn or (own.asn if own is not None else None) or view.asn
    listen = [any_ for address, any_ in ((ipv4, "0.0.0.0"), (ipv6, "::")) if address is not None]
    if view.configuration.bind_mode == "NodeIP":
        listen = [address.address for address in (ipv4, ipv6) if address is not None]
    return Local(
        name=identity.name,
        ipv4=ipv4,
        ipv6=ipv6,
        asn=asn,
        bgp_identifier=router_id(identity, ipv4),
        port=view.port(identity.name),
        listen=tuple(listen),
    )


def _mesh(view: View, local: Local, options: Options, problems: list[str]) -> dict[str, MeshPeer]:
    if view.peers:
        names = ", ".join(peer.name for peer in view.peers)
        problems.append(f"BGPPeer {names}: only the mesh between the nodes is served; no session for these")
    if not view.mesh:
        return {}
    own = view.node(local.name)
    if own is not None and own.cluster_id is not None:
        problems.append(f"this node is a route reflector ({own.cluster_id}): it stands outside of the mesh")
        return {}
    if view.configuration.node_mesh_password is not None and options.password is None:
        problems.append(
            "the mesh has a password in a Kubernetes secret, which is out of reach here: give --mesh-password-file"
        )
    peers: dict[str, MeshPeer] = {}
    own_addresses = {address.address for address in (local.ipv4, local.ipv6) if address is not None}
    for node in view.nodes:
        if node.name == local.name or not node.bgp or node.cluster_id is not None:
            continue
        if node.ipv4 is None and node.ipv6 is None:
            problems.append(f"Node {node.name} has no address: no session to it")
        for ours, theirs in ((local.ipv4, node.ipv4), (local.ipv6, node.ipv6)):
            if theirs is None or ours is None:
                continue
            if theirs.address in own_addresses:
                problems.append(f"Node {node.name} has our own address {theirs.address}: no session to it")
            elif theirs.address in peers:
                first = peers[theirs.address].node
                problems.append(f"Node {node.name} has the address {theirs.address} of {first}: no session to it")
            else:
                peers[theirs.address] = _peer(view, node, theirs.address, ours.address, local, options)
    return peers


def _peer(view: View, node: Node, address: str, own_address: str, local: Local, options: Options) -> MeshPeer:
    # A Node without a number has the AS of whoever looks at it, not that of the cluster: so does Calico,
    # and both ends of a session must come to the same answer.
    peer_as = node.asn or local.asn
    restart_time = view.configuration.node_mesh_max_restart_time
    return MeshPeer(
        node=node.name,
        address=address,
        peer_as=peer_as,
        port=view.port(node.name),
        # Of two nodes the one with the lower address, compared as text, dials. Calico's own nodes do it so;
        # with any other rule both sides of a mixed mesh might wait for ever.
        passive=address > own_address,
        local_address=own_address,
        restart_time=120 if restart_time is None else min(4095, max(0, round(restart_time))),
        hold_time=options.hold_time,
        password=options.password,
        ttl_security=options.ttl_security,
        export=None if peer_as == local.asn else export_pools(view.pools),
    )


def export_pools(pools: Iterable[IpPool]) -> ExportPools:
    """The pools as an export filter."""
    pools = tuple(pools)
    return ExportPools(
        tuple(sorted({pool.cidr for pool in pools if not pool.disable_bgp_export})),
        tuple(sorted({pool.cidr for pool in pools if pool.disable_bgp_export})),
    )


def _announcements(
    view: View, node: str, options: Options, present: Present, kernel_workloads: Mapping[Prefix, str]
) -> tuple[frozenset[Prefix], dict[Prefix, str]]:
    pools = view.pools
    announced: set[Prefix] = set()
    withheld: dict[Prefix, str] = {}
    refusals: dict[Prefix, str] = {}

    def consider(prefix: Prefix, obstacle: str) -> None:
        if prefix not in refusals:
            refusals[prefix] = _refusal(prefix, pools)
        reason = refusals[prefix] or obstacle
        if reason:
            withheld.setdefault(prefix, reason)
        else:
            announced.add(prefix)

    if options.workloads_from_kernel:
        for prefix in kernel_workloads:
            consider(prefix, "")
    if options.workloads_from_etcd:
        for endpoint in view.workloads(node):
            for prefix in endpoint.networks:
                if options.announce_unchecked or present(endpoint.interface, prefix):
                    consider(prefix, "")
                else:
                    consider(prefix, _absence(endpoint))
    for prefix in announced:
        withheld.pop(prefix, None)  # one of two endpoints with this address is there
    return frozenset(announced), withheld


def _refusal(prefix: Prefix, pools: Iterable[IpPool]) -> str:
    """Why a prefix must not leave this node, "" if it may. Pools that forbid it win, as with Calico."""
    inside = [pool for pool in pools if prefix in pool.cidr]
    for pool in inside:
        if pool.disable_bgp_export:
            return f"pool {pool.name} {pool.cidr} has disableBGPExport"
    return "" if inside else "in no IP pool"


def _absence(endpoint: WorkloadEndpoint) -> str:
    interface = f"interface {endpoint.interface} does not exist" if endpoint.interface else "no interface named"
    return f"{interface}, and no local route leads to it (workload endpoint {endpoint.namespace}/{endpoint.name})"
