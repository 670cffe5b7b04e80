"""What the datastore says, folded into one immutable value: no I/O, no clock.

A `View` is what everything else is computed from. Folding copies only the table that changes, so that an
old View stays what it was and two of them can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from .datastore import Batch, Snapshot, Update
from .model import (
    DEFAULT_AS_NUMBER,
    DEFAULT_BGP_PORT,
    BgpConfiguration,
    BgpPeer,
    ClusterInformation,
    Invalid,
    IpPool,
    Kind,
    Node,
    ReadyFlag,
    Resource,
    ResourceKey,
    WorkloadEndpoint,
)

Table: TypeAlias = Mapping[ResourceKey, Resource | Invalid]

_EMPTY: Final[Table] = MappingProxyType({})
_NO_CONFIGURATION: Final = BgpConfiguration(name="default")


@dataclass(frozen=True, slots=True)
class View:
    """All resources of a datastore at one revision, by kind."""

    revision: int = 0
    tables: Mapping[Kind, Table] = field(default_factory=dict)

    def table(self, kind: Kind) -> Table:
        """The resources of one kind, also those that were never readable."""
        return self.tables.get(kind, _EMPTY)

    def get(self, kind: Kind, name: str) -> Resource | Invalid | None:
        """A resource of cluster scope."""
        return self.table(kind).get(ResourceKey(kind, "", name))

    def with_table(self, kind: Kind, table: Table) -> View:
        """The same with all resources of one kind exchanged."""
        tables = dict(self.tables)
        if table:
            tables[kind] = table
        else:
            tables.pop(kind, None)
        return replace(self, tables=tables)

    @property
    def empty(self) -> bool:
        """True when there is no resource at all."""
        return not self.tables

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The readable Nodes, by name."""
        found = [one for one in self.table(Kind.NODE).values() if isinstance(one, Node)]
        return tuple(sorted(found, key=lambda node: node.name))

    def node(self, name: str) -> Node | None:
        """One Node; None if there is none, or none that was ever readable."""
        found = self.get(Kind.NODE, name)
        return found if isinstance(found, Node) else None

    @property
    def pools(self) -> tuple[IpPool, ...]:
        """The readable pools, by name."""
        found = [one for one in self.table(Kind.IP_POOL).values() if isinstance(one, IpPool)]
        return tuple(sorted(found, key=lambda pool: pool.name))

    @property
    def peers(self) -> tuple[BgpPeer, ...]:
        """The readable BGPPeers, by name."""
        found = [one for one in self.table(Kind.BGP_PEER).values() if isinstance(one, BgpPeer)]
        return tuple(sorted(found, key=lambda peer: peer.name))

    def workloads(self, node: str) -> tuple[WorkloadEndpoint, ...]:
        """The workload endpoints on a node, in order of their names."""
        table = self.table(Kind.WORKLOAD_ENDPOINT).values()
        found = [one for one in table if isinstance(one, WorkloadEndpoint) and one.node == node]
        return tuple(sorted(found, key=lambda endpoint: (endpoint.namespace, endpoint.name)))

    @property
    def invalid(self) -> tuple[Invalid, ...]:
        """What exists but was never readable."""
        found = [one for table in self.tables.values() for one in table.values() if isinstance(one, Invalid)]
        return tuple(sorted(found, key=lambda one: one.key))

    @property
    def configuration(self) -> BgpConfiguration:
        """The BGP settings of the cluster; an empty one if there are none."""
        found = self.get(Kind.BGP_CONFIGURATION, "default")
        return found if isinstance(found, BgpConfiguration) else _NO_CONFIGURATION

    @property
    def asn(self) -> int:
        """The AS number of nodes that have none of their own."""
        return self.configuration.asn or DEFAULT_AS_NUMBER

    @property
    def mesh(self) -> bool:
        """Whether every node has a session to every other one."""
        return self.configuration.mesh_enabled is not False

    def configuration_of(self, node: str) -> BgpConfiguration:
        """The BGP settings of a node alone; an empty one if there are none."""
        found = self.get(Kind.BGP_CONFIGURATION, f"node.{node}")
        return found if isinstance(found, BgpConfiguration) else _NO_CONFIGURATION

    def port(self, node: str) -> int:
        """Where a node listens: its own setting, else the cluster's, else 179."""
        own_port = self.configuration_of(node).listen_port
        return own_port or self.configuration.listen_port or DEFAULT_BGP_PORT

    @property
    def not_ready(self) -> str:
        """Why nobody should act on the datastore now (an upgrade, a migration), "" when it is ready."""
        flag = self.get(Kind.READY_FLAG, "Ready")
        if isinstance(flag, ReadyFlag) and not flag.ready:
            return "its key Ready says false"
        cluster = self.get(Kind.CLUSTER_INFORMATION, "default")
        if isinstance(cluster, ClusterInformation) and cluster.ready is False:
            return "ClusterInformation says datastoreReady: false"
        return ""


def fold(view: View, update: Update) -> View:
    """What is known after an update: a Snapshot replaces everything, a Batch changes single resources."""
    if isinstance(update, Snapshot):
        tables: dict[Kind, dict[ResourceKey, Resource | Invalid]] = {}
        for key, resource in update.resources.items():
            tables.setdefault(key.kind, {})[key] = resource
        return View(update.revision, dict(tables))
    return _apply(view, update)


def _apply(view: View, batch: Batch) -> View:
    tables: dict[Kind, Table] = dict(view.tables)
    changed: dict[Kind, dict[ResourceKey, Resource | Invalid]] = {}
    for event in batch.events:
        kind = event.key.kind
        table = changed.get(kind)
        if table is None:
            table = changed[kind] = dict(tables.get(kind, _EMPTY))
        if event.resource is None:
            table.pop(event.key, None)
        else:
            table[event.key] = event.resource
    for kind, table in changed.items():
        if table:
            tables[kind] = table
        else:
            tables.pop(kind, None)
    return View(max(view.revision, batch.revision), tables)
