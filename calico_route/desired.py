"""What this node should do, computed from what the datastore says: no I/O, no clock.

`Wishes` answers three questions: who are we, whom do we speak to, and which addresses do we announce.
What is left out is named with its reason, so that nobody has to guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pybgp import Prefix

from .advertised import Advertised, advertised
from .compat import Compat, compat
from .identity import Identity, router_id
from .local_workloads import LocalWorkloads, Present
from .model import Kind, Node
from .programming import KernelRules, Static, encrypted_next_hops, kernel_rules
from .sessions import Local, MeshPeer, Options
from .telling import ExportRules, export_rules
from .topology import Topology, topology
from .view import Table, View

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
    `rules`, `kernel`, `advertised`, `compat` and `statics` (those too that do not go into the kernel) are what the last
    answer was made of."""

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
        self.statics: Mapping[Prefix, Static] = {}
        self.kernel = KernelRules()
        self._statics: Mapping[Prefix, Static] = {}
        self._local_prefs: tuple[tuple[int, int], ...] = ()
        self._allowed: set[Prefix] = set()  # by the pools
        self._refused: dict[Prefix, str] = {}
        self._own = LocalWorkloads()
        self._made_of: tuple[object, ...] = ()  # the announcements
        self._announced: frozenset[Prefix] = frozenset()
        self._withheld: Mapping[Prefix, str] = {}

    def state(
        self,
        view: View,
        identity: Identity,
        options: Options,
        *,
        present: Present,
        kernel_workloads: AbstractSet[Prefix],
        interfaces: AbstractSet[str] = frozenset(),
    ) -> Desired:
        """`kernel_workloads` are the host routes to workload interfaces; `interfaces` names that exist here, which
        `present` need not be asked for."""
        self._look(view, identity, options)
        local, found = self._local, self._topology
        if local is None or found is None:
            return Desired(None, {}, frozenset(), {}, self._problems)
        table = view.table(Kind.WORKLOAD_ENDPOINT) if options.workloads_from_etcd else {}
        self._own.look(table, local.name, present=present, interfaces=interfaces, unchecked=options.announce_unchecked)
        fed = frozenset(kernel_workloads) if options.workloads_from_kernel else frozenset()
        made_of = (self.rules, self.advertised, self._topology, self._own.version, fed)
        if self._made_of != made_of:
            self._announced, self._withheld = self._announcements(fed)
            self._made_of = made_of
        return Desired(
            local,
            found.peers,
            self._announced,
            self._withheld,
            self._problems,
            found.nodes,
            self._local_prefs,
            self.kernel,
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
            self.compat = compat(view, options.compat)
            self._local = local = _local(view, identity, self.compat, problems)
            self._topology = None if local is None else self._look_around(view, local, options, problems)
            self._said = (*problems, *(self._topology.problems if self._topology else ()))
            self._allowed.clear()
            self._refused.clear()
        if changed or others:
            self._problems = (*self._unreadable, *self._said)
        self._seen, self._from = tables, (identity, options)

    def _look_around(self, view: View, local: Local, options: Options, problems: list[str]) -> Topology:
        own = view.node(local.name) or Node(name=local.name)
        known = self.compat
        beside = advertised(view, own, known, problems, blocks=options.announce_blocks, pod_cidrs=options.pod_cidrs)
        self.advertised = beside
        self._local_prefs = tuple((afi, value) for afi in (1, 2) if (value := known.local_pref(afi)) is not None)
        self.rules = export_rules(
            view.pools,
            communities=beside.communities,
            blocks=beside.whole,
            services=(*beside.services, *beside.reflected),
        )
        found = topology(view, local, options, self.rules)
        encrypted = encrypted_next_hops(own, view.nodes, known)
        kernel = kernel_rules(view.pools, beside.served, known, local.ipv4, encrypted)
        self.kernel = self.kernel if kernel == self.kernel else kernel
        self.statics = _statics(beside, found.peers.values())
        self._statics = {prefix: static for prefix, static in self.statics.items() if kernel.takes(prefix)}
        return found

    def _announcements(self, kernel_workloads: AbstractSet[Prefix]) -> tuple[frozenset[Prefix], Mapping[Prefix, str]]:
        obstacles = self._own.obstacles
        candidates = {*self.advertised.held, *self.advertised.services} | self._own.reachable | kernel_workloads
        # Sets know the hashes of their members: who is known from before is not looked at one by one.
        unknown = (candidates | obstacles.keys()) - self._allowed - self._refused.keys()
        if len(self._allowed) + len(self._refused) > JUDGED_KEPT:
            self._allowed.clear()
            self._refused.clear()
            unknown = candidates | obstacles.keys()
        if unknown:
            for prefix in unknown:
                reason = self.rules.refusal(prefix)
                if reason and not self._lets_out(prefix):
                    self._refused[prefix] = reason
                else:
                    self._allowed.add(prefix)
        announced = candidates & self._allowed
        withheld = {prefix: self._refused.get(prefix) or obstacles[prefix] for prefix in obstacles.keys() - announced}
        withheld.update((prefix, self._refused[prefix]) for prefix in candidates - announced)
        return frozenset(announced), withheld

    def _lets_out(self, prefix: Prefix) -> bool:
        """Whether the filters of a neighbour may want what nobody else is told."""
        return any(
            peer.export.lets_out(prefix, internal=peer.internal)
            for peer in (() if self._topology is None else self._topology.peers.values())
            if peer.export is not None and peer.export.filters and peer.family == prefix.family
        )


def _local(view: View, identity: Identity, known: Compat, problems: list[str]) -> Local | None:
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
    bind_mode = view.configuration_of(identity.name).bind_mode if known.listens_per_node else None
    if (bind_mode or view.configuration.bind_mode) == "NodeIP":
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
    found = {block: Static() for block in beside.held}
    for peer in peers:
        if peer.reachable_by is not None:
            found[Prefix(f"{peer.address}/{128 if ':' in peer.address else 32}")] = Static(peer.reachable_by)
    return found
