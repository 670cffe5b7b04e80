"""Calico's resources as far as routing needs them: immutable values, without I/O.

A resource compares by what it means to a router: the document that it came from is kept in `raw` for
those who write it back, and takes no part in equality (a new label timestamp is not a new peer).
`documents.py` makes these values from JSON or YAML objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from pybgp import Prefix

DEFAULT_AS_NUMBER = 64512
DEFAULT_BGP_PORT = 179
HIGHEST_PRIORITY = 0x7FFFFFFF
DEFAULT_POOL_NAME = "default-ipv4-ippool"
DEFAULT_POOL_CIDR = "192.168.0.0/16"
API_VERSION = "projectcalico.org/v3"


class Kind(StrEnum):
    """The kinds of objects that are watched. The last two have no resource envelope in etcd."""

    NODE = "Node"
    BGP_CONFIGURATION = "BGPConfiguration"
    IP_POOL = "IPPool"
    WORKLOAD_ENDPOINT = "WorkloadEndpoint"
    BGP_PEER = "BGPPeer"
    BGP_FILTER = "BGPFilter"
    CLUSTER_INFORMATION = "ClusterInformation"
    READY_FLAG = "Ready"
    BLOCK_AFFINITY = "BlockAffinity"

    # That of enum is a function of Python, called for every key that is looked up.
    __hash__ = str.__hash__


class ResourceKey(NamedTuple):
    """What names a resource. `namespace` is empty for kinds of cluster scope."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}({self.namespace}/{self.name})" if self.namespace else f"{self.kind}({self.name})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One value that could not be used: where it is, what it is and why.

    `fatal` problems make the whole resource unusable (its last good form stays in force); of the others
    only the named field is left out. `source` is the place in a file, empty for etcd.
    """

    key: ResourceKey
    field: str
    value: str
    why: str
    fatal: bool = True
    source: str = ""

    def __str__(self) -> str:
        source = f"{self.source}: " if self.source else ""
        what = " ".join(part for part in (self.field, self.value) if part)
        return f"{source}{self.key}: {what}: {self.why}" if what else f"{source}{self.key}: {self.why}"


@dataclass(frozen=True, slots=True)
class Invalid:
    """Stands for a resource that exists but has never been readable."""

    key: ResourceKey
    problems: tuple[Problem, ...]


class HostAddress(NamedTuple):
    """An address of a host with the length of its subnet, as in `10.192.0.2/16`."""

    address: str
    prefix_length: int

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix_length}"


class SecretReference(NamedTuple):
    """Where a password is kept in Kubernetes: never the password itself."""

    name: str
    key: str


class PeerAddress(NamedTuple):
    """`peerIP` of a BGPPeer. `port` is None when the text has none."""

    address: str
    port: int | None = None


class PrefixAdvertisement(NamedTuple):
    """Communities for the routes inside `cidr`: values such as `64512:300`, or names of communities."""

    cidr: Prefix
    communities: tuple[str, ...]


Raw: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A host. `bgp` is False when `spec.bgp` is absent: such a node takes no part in routing."""

    name: str
    bgp: bool = True
    asn: int | None = None  # None: the AS number of the cluster
    ipv4: HostAddress | None = None
    ipv6: HostAddress | None = None
    cluster_id: str | None = None  # set: a route reflector, outside of the mesh
    ipv4_ipip_tunnel: str | None = None
    ipv4_vxlan_tunnel: str | None = None
    ipv6_vxlan_tunnel: str | None = None
    ipv4_wireguard: str | None = None  # of its WireGuard interface
    ipv6_wireguard: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    pod_cidrs: tuple[Prefix, ...] = ()
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.NODE, "", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpConfiguration:
    """BGP settings of the cluster (`default`) or of one node (`node.<name>`). None: not set."""

    name: str
    asn: int | None = None
    mesh_enabled: bool | None = None
    listen_port: int | None = None
    log_severity: str | None = None
    bind_mode: str | None = None
    ignored_interfaces: tuple[str, ...] = ()
    communities: Mapping[str, str] = field(default_factory=dict, hash=False)
    prefix_advertisements: tuple[PrefixAdvertisement, ...] = ()
    node_mesh_password: SecretReference | None = None
    node_mesh_max_restart_time: float | None = None  # seconds
    service_cluster_ips: tuple[Prefix, ...] = ()
    service_external_ips: tuple[Prefix, ...] = ()
    service_load_balancer_ips: tuple[Prefix, ...] = ()
    service_load_balancer_aggregation: str | None = None
    program_cluster_routes: str | None = None
    ipv4_route_priority: int | None = None
    ipv6_route_priority: int | None = None
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.BGP_CONFIGURATION, "", self.name)

    @property
    def node(self) -> str | None:
        """Name of the node that these settings are for, None for those of the cluster."""
        return self.name[5:] if self.name.startswith("node.") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpPool:
    """Addresses that workloads get. `disabled` stops assignment, not the export of routes."""

    name: str
    cidr: Prefix
    disabled: bool = False
    disable_bgp_export: bool = False
    ipip_mode: str = "Never"
    vxlan_mode: str = "Never"
    nat_outgoing: bool = False
    block_size: int | None = None
    node_selector: str = "all()"
    allowed_uses: tuple[str, ...] = ()
    assignment_mode: str = "Automatic"
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.IP_POOL, "", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEndpoint:
    """One interface of a workload.

    `networks` holds all host routes to announce: the /32s and /128s of `ipNetworks`, then the external
    addresses of `ipNATs` (these alone are in `nat_networks` again).
    """

    namespace: str
    name: str
    node: str
    networks: tuple[Prefix, ...] = ()
    nat_networks: tuple[Prefix, ...] = ()
    interface: str = ""
    orchestrator: str = ""
    endpoint: str = ""
    mac: str = ""
    profiles: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.WORKLOAD_ENDPOINT, self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpPeer:
    """A session besides the mesh. Selectors are kept as text; no node and no selector: every node."""

    name: str
    node: str | None = None
    node_selector: str | None = None
    peer_ip: PeerAddress | None = None
    peer_selector: str | None = None
    local_workload_selector: str | None = None
    asn: int | None = None
    local_asn: int | None = None
    next_hop_mode: str | None = None
    keep_original_next_hop: bool = False
    source_address: str | None = None
    max_restart_time: float | None = None  # seconds
    keepalive_time: float | None = None  # seconds
    allowed_local_as: int | None = None
    ttl_security: int | None = None  # hops
    reachable_by: str | None = None
    reverse_peering: str | None = None
    filters: tuple[str, ...] = ()
    password: SecretReference | None = None
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.BGP_PEER, "", self.name)


class FilterOperation(NamedTuple):
    """An edit of a route: `add_community` ("64512:5", "64512:5:6"), `prepend` (AS numbers), `set_priority`."""

    kind: str
    value: str | tuple[int, ...] | int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRule:
    """One rule of a BGPFilter. All that is given has to hold (nothing given: any route); then come the operations, and
    the route is accepted or rejected.

    `operator`: Equal, NotEqual, In (equal or inside) or NotIn, of `cidr` with the lengths from `shortest` to
    `longest`. `learned`: from a neighbour. `interface`: of the route, `*` in it stands for anything. `peer_type`: eBGP
    or iBGP, the session's. `priority` is the kernel's metric, which LOCAL_PREF carries as 2147483647 less it.
    """

    accept: bool
    cidr: Prefix | None = None
    operator: str = "In"
    shortest: int | None = None
    longest: int | None = None
    learned: bool = False
    interface: str | None = None
    peer_type: str | None = None
    communities: tuple[str, ...] = ()
    as_path_prefix: tuple[int, ...] = ()
    priority: int | None = None
    operations: tuple[FilterOperation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BgpFilter:
    """Rules that a BGPPeer may name, in the order in which they are tried: the first that matches decides."""

    name: str
    export_v4: tuple[FilterRule, ...] = ()
    import_v4: tuple[FilterRule, ...] = ()
    export_v6: tuple[FilterRule, ...] = ()
    import_v6: tuple[FilterRule, ...] = ()
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.BGP_FILTER, "", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterInformation:
    """`ready` is None when the document does not say."""

    name: str = "default"
    ready: bool | None = None
    version: str | None = None
    guid: str | None = None
    cluster_type: str | None = None
    raw: Raw = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.CLUSTER_INFORMATION, "", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyFlag:
    """The key `Ready`: while it says false (an upgrade, a migration) nobody should act on the datastore."""

    ready: bool
    name: str = "Ready"

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.READY_FLAG, "", self.name)


class AffinityState(StrEnum):
    """How far a node's claim on a block has got."""

    CONFIRMED = "confirmed"
    PENDING = "pending"
    PENDING_DELETION = "pendingDeletion"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAffinity:
    """A block of a pool from which one node assigns addresses."""

    node: str
    cidr: Prefix
    state: AffinityState = AffinityState.CONFIRMED
    deleted: bool = False

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(Kind.BLOCK_AFFINITY, self.node, str(self.cidr))


Resource: TypeAlias = (
    Node
    | BgpConfiguration
    | IpPool
    | WorkloadEndpoint
    | BgpPeer
    | BgpFilter
    | ClusterInformation
    | ReadyFlag
    | BlockAffinity
)
