"""What this node should do, computed from what the datastore says: no I/O, no clock.

`Wishes` answers three questions: who are we, whom do we speak to, and which addresses do we announce.
What is left out is named with its reason, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeAlias

from pybgp import Prefix

from .advertised import Advertised, advertised
from .compat import Compat, compat
from .identity import Identity, router_id
from .model import BgpConfiguration, Kind, Node, WorkloadEndpoint
from .programming import KernelRules, Static, kernel_rules
from .sessions import Local, MeshPeer, Options
from .telling import ExportRules, export_rules
from .topology import Topology, topology
from .view import Table, View

Present: TypeAlias = Callable[[str, Prefix], bool]
"""Whether an interface of this name exists here, or else a local route to this prefix."""


JUDGED_KEPT = 65536  # verdicts of the pools on addresses, of which there are a few hundred on a host


@dataclass(frozen=True, slots=True)
class Desired:
    """`local` is None when this node takes no part in BGP; `problems` says why.

    `withheld` are the workload addresses that are not announced, each with the reason; `nodes` the names of all
    nodes that take part in BGP, by address, with a session or without. `local_prefs` are those of our announcements,
    by AFI; `kernel` says how learned routes go in, and `statics` are routes of our own that go in beside them.
    """

    local: Local | None
    peers: Mapping[str, MeshPeer]
    announcements: frozenset[Prefix]
    withheld: Mapping[Prefix, str]
    problems: tuple[str, ...]
    nodes: Mapping[str, str] = field(default_factory=dict)
    local_prefs: tuple[tuple[int, int], ...] = ()
    kernel: KernelRules = field(default_factory=KernelRules)
    statics: Mapping[Prefix, Static] = field(default_factory=dict)


class Wishes:
    """Works out the state to reach, again and again; what follows from the same resources as the last time is not
    worked out anew, but given as the same object. A workload that comes or goes costs the same in any cluster.
    `rules`, `advertised` and `compat` are what the last answer was made of."""

    def __init__(self) -> None:
        self._seen: dict[Kind, Table] = {}
        self._from: tuple[Identity, Options] | None = None
        self._unreadable: tuple[str, ...] = ()
        self._said: tuple[str, ...] = ()  # of sessions
        self._problems: tuple[str, ...] = ()
        self._local: Local | None = None
        self._topology: Topology | None = None
        self.rules = ExportRules()
        self.advertised = Advertised()
        self.compat = Compat()
        self._kernel = KernelRules()
        self._statics: Mapping[Prefix, Static] = {}
        self._local_prefs: tuple[tuple[int, int], ...] = ()
        self._allowed: set[Prefix] = set()  # by the pools
        self._refused: dict[Prefix, str] = {}

    def state(
        self,
        view: View,
        identity: Identity,
        options: Options,
        *,
        present: Present,
        kernel_workloads: AbstractSet[Prefix],
    ) -> Desired:
        """`kernel_workloads` are the host routes to workload interfaces."""
        self._look(view, identity, options)
        local, found = self._local, self._topology
        if local is None or found is None:
            return Desired(None, {}, frozenset(), {}, self._problems)
        announcements, withheld = self._announcements(view, local.name, options, present, kernel_workloads)
        return Desired(
            local,
            found.peers,
            announcements,
            withheld,
            self._problems,
            found.nodes,
            self._local_prefs,
            self._kernel,
            self._statics,
        )

    def _look(self, view: View, identity: Identity, options: Options) -> None:
        """Take in what is new, a table as a whole: Views share those that did not change."""
        tables = {kind: view.table(kind) for kind in Kind}
        changed = {kind for kind, table in tables.items() if table is not self._seen.get(kind)}
        if changed:
            self._unreadable = tuple(str(problem) for one in view.invalid for problem in one.problems)
        others = changed - {Kind.WORKLOAD_ENDPOINT} or self._from != (identity, options)
        if others:
            problems: list[str] = []
            self._local = local = _local(view, identity, options, problems)
            self._topology = None if local is None else self._look_around(view, local, options, problems)
            self._said = (*problems, *(self._topology.problems if self._topology else ()))
            self._allowed.clear()
            self._refused.clear()
        if changed or others:
            self._problems = (*self._unreadable, *self._said)
        self._seen, self._from = tables, (identity, options)

    def _look_around(self, view: View, local: Local, options: Options, problems: list[str]) -> Topology:
        own = view.node(local.name) or Node(name=local.name)
        known = compat(view, options.compat)
        beside = advertised(view, own, known, problems, blocks=options.announce_blocks, pod_cidrs=options.pod_cidrs)
        self.advertised, self.compat = beside, known
        self._local_prefs = tuple((afi, value) for afi in (1, 2) if (value := known.local_pref(afi)) is not None)
        self.rules = export_rules(
            view.pools,
            communities=beside.communities,
            blocks=beside.whole,
            services=(*beside.services, *beside.reflected),
        )
        found = topology(view, local, options, self.rules)
        kernel = kernel_rules(view.pools, beside.served, known, local.ipv4)
        self._kernel = self._kernel if kernel == self._kernel else kernel
        self._statics = _statics(beside, found.peers.values())
        return found

    def _announcements(
        self, view: View, node: str, options: Options, present: Present, kernel_workloads: AbstractSet[Prefix]
    ) -> tuple[frozenset[Prefix], dict[Prefix, str]]:
        candidates: set[Prefix] = {*self.advertised.held, *self.advertised.services}
        obstacles: dict[Prefix, str] = {}
        if options.workloads_from_kernel:
            candidates.update(kernel_workloads)
        if options.workloads_from_etcd:
            for endpoint in view.workloads(node):
                for prefix in endpoint.networks:
                    if options.announce_unchecked or present(endpoint.interface, prefix):
                        candidates.add(prefix)
                    else:
                        obstacles.setdefault(prefix, _absence(endpoint))
        # Sets know the hashes of their members: who is known from before is not looked at one by one.
        unknown = (candidates | obstacles.keys()) - self._allowed - self._refused.keys()
        if len(self._allowed) + len(self._refused) > JUDGED_KEPT:
            self._allowed.clear()
            self._refused.clear()
            unknown = candidates | obstacles.keys()
        if unknown:
            for prefix in unknown:
                reason = self.rules.refusal(prefix)
                if reason:
                    self._refused[prefix] = reason
                else:
                    self._allowed.add(prefix)
        announced = candidates & self._allowed
        withheld = {prefix: self._refused.get(prefix) or obstacles[prefix] for prefix in obstacles.keys() - announced}
        withheld.update((prefix, self._refused[prefix]) for prefix in candidates - announced)
        return frozenset(announced), withheld


def _local(view: View, identity: Identity, options: Options, problems: list[str]) -> Local | None:
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
    of_node = view.get(Kind.BGP_CONFIGURATION, f"node.{identity.name}")
    bind_mode = view.configuration.bind_mode
    if isinstance(of_node, BgpConfiguration) and compat(view, options.compat).node_bind_mode:
        bind_mode = of_node.bind_mode or bind_mode
    if bind_mode == "NodeIP":
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


def _statics(beside: Advertised, peers: Iterable[MeshPeer]) -> Mapping[Prefix, Static]:
    """What is sent to an own block and has no workload ends here; and gateways lead to neighbours that are far."""
    found = {block: Static() for block in beside.held if block.length < (128 if block.family.afi == 2 else 32)}
    for peer in peers:
        if peer.reachable_by is not None:
            found[Prefix(f"{peer.address}/{128 if ':' in peer.address else 32}")] = Static(peer.reachable_by)
    return found


def _absence(endpoint: WorkloadEndpoint) -> str:
    interface = f"interface {endpoint.interface} does not exist" if endpoint.interface else "no interface named"
    return f"{interface}, and no local route leads to it (workload endpoint {endpoint.namespace}/{endpoint.name})"
