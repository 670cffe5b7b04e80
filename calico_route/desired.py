"""What this node should do, computed from what the datastore says: no I/O, no clock.

`desired()` answers three questions: who are we, whom do we speak to, and which addresses do we announce.
What is left out is named with its reason, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pybgp import Prefix

from .identity import Identity, router_id
from .model import IpPool, WorkloadEndpoint
from .sessions import Local, MeshPeer, Options
from .topology import topology
from .view import View

Present: TypeAlias = Callable[[str, Prefix], bool]
"""Whether an interface of this name exists here, or else a local route to this prefix."""


@dataclass(frozen=True, slots=True)
class Desired:
    """`local` is None when this node takes no part in BGP; `problems` says why.

    `withheld` are the workload addresses that are not announced, each with the reason; `nodes` the names of all
    nodes that take part in BGP, by address, with a session or without.
    """

    local: Local | None
    peers: Mapping[str, MeshPeer]
    announcements: frozenset[Prefix]
    withheld: Mapping[Prefix, str]
    problems: tuple[str, ...]
    nodes: Mapping[str, str] = field(default_factory=dict)


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
    found = topology(view, local, options)
    announcements, withheld = _announcements(view, local.name, options, present, kernel_workloads)
    return Desired(local, found.peers, announcements, withheld, (*problems, *found.problems), found.nodes)


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
