"""The values that say who this node is to its neighbours and how it speaks to each of them. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pybgp import IPV4_UNICAST, IPV6_UNICAST, Family

from .model import HostAddress, SecretReference
from .telling import ExportRules, NamedRules

REDIAL = 5.0
"""Seconds at most between two attempts to reach a node: one that was away for long is back at once."""


def whole_seconds(seconds: float, most: int) -> int:
    """Rounded as confd does, a half upwards."""
    return min(most, int(seconds + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What flags decide. `hold_time` in seconds; `ttl_security` in hops.

    `auto_reflectors` is a label, `key` or `key=value`, whose nodes reflect; "": only what the datastore says.
    `announce_blocks`: own blocks are announced whole, as Calico does, and not each workload; with `pod_cidrs` the
    blocks are those that the Node names. `compat` is a version of Calico (compat.py). `secrets` are the passwords
    that the datastore only names.
    """

    workloads_from_etcd: bool = True
    workloads_from_kernel: bool = False
    announce_unchecked: bool = False
    hold_time: int = 90
    password: str | None = field(default=None, repr=False)
    ttl_security: int | None = None
    auto_reflectors: str = ""
    announce_blocks: bool = False
    pod_cidrs: bool = False
    compat: str = "auto"
    secrets: Mapping[SecretReference, str] = field(default_factory=dict, hash=False, repr=False)


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

    def address_for(self, other: str) -> str | None:
        """Our address of the same IP version as another one."""
        own = self.ipv6 if ":" in other else self.ipv4
        return None if own is None else own.address


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPeer:
    """A session to another node, or to a router that a BGPPeer names.

    `node` is its name, "" for a router. `own_as` is this node's number, `shown_as` the one that this neighbour
    sees where it is another. `export` None: it hears all that a speaker tells such a neighbour; `imports` are the
    BGPFilters that what it says goes through. `client`: we reflect for it, as `cluster_id` (None: our BGP
    Identifier). `reachable_by` is a gateway that leads to it. `origin` names the BGPPeer that it is due to.
    `scope` and `port_given` make its name for BIRD. `leaving`: no longer wanted so, but not let go yet (handover.py).
    """

    node: str
    address: str
    peer_as: int
    own_as: int
    port: int
    passive: bool
    local_address: str | None
    restart_time: int
    hold_time: int
    password: str | None = field(default=None, repr=False)
    ttl_security: int | None = None
    export: ExportRules | None = None
    imports: tuple[NamedRules, ...] = ()
    reachable_by: str | None = None
    client: bool = False
    cluster_id: int | None = None
    keepalive_time: float | None = None
    next_hop_self: bool | None = None
    next_hop_unchanged: bool = False
    allow_own_as: int = 0
    shown_as: int | None = None
    origin: str = ""
    graceful_shutdown: bool = False  # all that it is told says that we are about to go (RFC 8326)
    scope: str = "Mesh"
    port_given: bool = False
    leaving: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"node {self.node}" if self.node else f"router of BGPPeer {self.origin}"

    def settings(self) -> dict[str, Any]:
        """As the speaker takes it, all but address and policies."""
        return {
            "peer_as": self.peer_as,
            "local_as": self.shown_as or self.own_as,
            "speaker_as": None if self.shown_as is None else self.own_as,
            "port": self.port,
            "passive": self.passive,
            # BIRD establishes a connection before it compares it with the other one; by Calico's rule who is passive.
            "keep_confirmed": self.passive or self.address > (self.local_address or self.address),
            "local_address": self.local_address,
            "families": (self.family,),
            "restart_time": self.restart_time,
            # A node whose agent ends twice in a row goes on forwarding, whatever RFC 4724 section 4.2 says.
            "keep_stale": bool(self.node),
            "hold_time": self.hold_time,
            "keepalive_time": self.keepalive_time,
            "connect_retry_max": REDIAL,
            "password": self.password,
            "ttl_security": self.ttl_security,
            "route_reflector_client": self.client,
            "cluster_id": self.cluster_id,
            "next_hop_self": self.next_hop_self,
            "next_hop_unchanged": self.next_hop_unchanged,
            "allow_own_as": self.allow_own_as,
            "local_as_no_prepend": self.shown_as is not None,
            "local_as_replace": self.shown_as is not None,
            "graceful_shutdown": self.graceful_shutdown,
            "description": self.node or self.origin,
        }

    @property
    def bird_name(self) -> str:
        """As confd has called the session in BIRD's configuration, and others look for it."""
        port = f"_port_{self.port}" if self.port_given else ""
        return f"{self.scope}_{self.address.replace('.', '_').replace(':', '_')}{port}"

    @property
    def family(self) -> Family:
        """Of the routes that are exchanged: that of the session's addresses."""
        return IPV6_UNICAST if ":" in self.address else IPV4_UNICAST

    @property
    def internal(self) -> bool:
        """True for iBGP."""
        return self.peer_as == (self.shown_as or self.own_as)
