"""What the version of Calico decides: whose IPIP routes are, and whether LOCAL_PREF carries the kernel's metric.

From v3.32 on the priority of a route (the kernel's metric, 1024 as a rule) travels as LOCAL_PREF, 2147483647 less the
priority, and a learned route goes in with that metric. From v3.33 on routes through IPIP tunnels are Felix's unless
`programClusterRoutes` says otherwise. Older ones know neither, and so does a cluster that does not say what it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .model import HIGHEST_PRIORITY, ClusterInformation, Kind
from .view import View

NORMAL_PRIORITY = 1024
_WITHOUT_LOCAL_PREF = 1024  # the metric of a learned route that has none
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\D.*)?", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Compat:
    """`priorities`: the normal priority by AFI, empty where LOCAL_PREF and metric have nothing to do with each other.

    `tunnels` and `plain`: whether routes into IPIP pools, and into pools without encapsulation, are ours to install.
    `external_services`: whether a reflector tells of external addresses of services. `encrypted`: whether routes to
    nodes with WireGuard are Felix's on a node with WireGuard. `listens_per_node`: whether the bindMode and the
    ignoredInterfaces of a node's own BGPConfiguration count.
    """

    priorities: tuple[tuple[int, int], ...] = ()
    tunnels: bool = True
    plain: bool = True
    external_services: bool = False
    encrypted: bool = False
    listens_per_node: bool = True

    def local_pref(self, afi: int) -> int | None:
        """Of our own routes; None: as BGP has it."""
        priority = dict(self.priorities).get(afi)
        return None if priority is None else local_pref_of(priority)

    @property
    def metrics(self) -> bool:
        """Whether a learned route's metric is that of its LOCAL_PREF."""
        return bool(self.priorities)


def local_pref_of(priority: int) -> int:
    """The LOCAL_PREF that carries a priority."""
    return HIGHEST_PRIORITY - priority


def metric_of(local_pref: int | None) -> int:
    """The metric that a LOCAL_PREF carries, in 32 bits as BIRD reckons."""
    return _WITHOUT_LOCAL_PREF if local_pref is None else (HIGHEST_PRIORITY - local_pref) & 0xFFFFFFFF


def compat(view: View, choice: str) -> Compat:
    """By a flag's choice, or with `auto` by the cluster's own version."""
    version = _version(choice) if choice != "auto" else _version(_version_text(view))
    if version is None or version < (3, 32):
        return Compat()
    configuration = view.configuration
    wanted = configuration.program_cluster_routes
    if version < (3, 33):  # which has just two words
        wanted = wanted if wanted in ("Enabled", "Disabled") else "Enabled"
    wanted = wanted or "EnabledNoEncapOnly"
    ipv4, ipv6 = configuration.ipv4_route_priority, configuration.ipv6_route_priority
    return Compat(
        priorities=((1, NORMAL_PRIORITY if ipv4 is None else ipv4), (2, NORMAL_PRIORITY if ipv6 is None else ipv6)),
        tunnels=wanted in ("Enabled", "EnabledIPIPOnly"),
        plain=wanted in ("Enabled", "EnabledNoEncapOnly"),
        external_services=version >= (3, 33),
        encrypted=version >= (3, 33),
        listens_per_node=False,
    )


def _version_text(view: View) -> str:
    cluster = view.get(Kind.CLUSTER_INFORMATION, "default")
    return (cluster.version or "") if isinstance(cluster, ClusterInformation) else ""


def _version(text: str) -> tuple[int, int] | None:
    """Of "v3.32.1", "v3.33-dev"; None for what says nothing."""
    found = _VERSION.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))
