"""Profiles, policies and endpoints as values: what the documents mean, without I/O.

A rule is that of Calico v3, of which the rules of v0.4.9 are a part (rules.py). Whom a side of a rule stands for is a
`Selection`; who that is at the moment is worked out in members.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import NamedTuple, TypeAlias

from calico_route.selector import Labels, parse_selector

Address: TypeAlias = IPv4Address | IPv6Address
PortRange: TypeAlias = tuple[int, int]
"""First and last, both included."""

NAMESPACE = "projectcalico.org/namespace"
ORCHESTRATOR = "projectcalico.org/orchestrator"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
ALLOW_ALL_PROFILE = "projectcalico-default-allow"
"""The profile that Calico has without storing it."""

ICMP, TCP, UDP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 58, 132, 136
PROTOCOLS: Mapping[str, int] = {
    "tcp": TCP,
    "udp": UDP,
    "icmp": ICMP,
    "icmpv6": ICMPV6,
    "sctp": SCTP,
    "udplite": UDPLITE,
}
"""By the names of Calico, in small letters."""
WITH_PORTS = frozenset({TCP, UDP, SCTP, UDPLITE})
WITH_TYPES = frozenset({ICMP, ICMPV6})


class Action(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"
    PASS = "Pass"  # on to the profiles
    LOG = "Log"  # and go on


class Direction(StrEnum):
    """Seen from the workload, as Calico has it. v0.4.9 said inbound and outbound."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True, slots=True)
class Selection:
    """Endpoints by labels: all that is given has to hold. `namespaces` and `accounts` select by the labels that
    profiles give with the prefixes pcns. and pcsa.; `namespace` is that of the policy, whose rules mean their own."""

    selector: str = ""
    namespaces: str = ""
    accounts: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        given = (
            ("", self.selector),
            ("namespaces ", self.namespaces),
            ("service accounts ", self.accounts),
            ("namespace ", self.namespace),
        )
        return " and ".join(word + text for word, text in given if text) or "all()"

    def selects(self, labels: Labels) -> bool:
        if self.namespace and labels.get(NAMESPACE) != self.namespace:
            return False
        if self.namespaces and not _selects_prefixed(self.namespaces, labels, "pcns."):
            return False
        if self.accounts and not _selects_prefixed(self.accounts, labels, "pcsa."):
            return False
        return not self.selector or parse_selector(self.selector)(labels)


def _selects_prefixed(selector: str, labels: Labels, prefix: str) -> bool:
    """Calico reads all() here as "in any namespace", and global() as "in none"."""
    if "".join(selector.split()) == "global()":
        return NAMESPACE not in labels
    if NAMESPACE not in labels:
        return False
    cut = len(prefix)
    named = {name[cut:]: value for name, value in labels.items() if name.startswith(prefix)}
    named.setdefault("projectcalico.org/name", labels[NAMESPACE] if prefix == "pcns." else "")
    return parse_selector(selector)(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Source or destination of a rule; what is not given holds for all. Networks as texts in canonical form."""

    nets: tuple[str, ...] = ()
    not_nets: tuple[str, ...] = ()
    selection: Selection | None = None
    not_selection: Selection | None = None
    ports: tuple[PortRange, ...] = ()
    not_ports: tuple[PortRange, ...] = ()

    def selections(self) -> tuple[Selection, ...]:
        return tuple(one for one in (self.selection, self.not_selection) if one is not None)


ANYBODY = Side()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All that is given has to hold. `icmp`: type, and code or None."""

    action: Action = Action.ALLOW
    ip_version: int | None = None
    protocol: int | None = None
    not_protocol: int | None = None
    icmp: tuple[int, int | None] | None = None
    not_icmp: tuple[int, int | None] | None = None
    source: Side = ANYBODY
    destination: Side = ANYBODY

    def selections(self) -> tuple[Selection, ...]:
        return self.source.selections() + self.destination.selections()


DENY_ALL = Rule(action=Action.DENY)
ALLOW_ALL = Rule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Rules and labels for the endpoints that name it. `name` is that of the datastore."""

    name: str
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """A policy for the endpoints that it selects; `namespace` is empty for a GlobalNetworkPolicy.
    `order` None comes last."""

    name: str
    namespace: str = ""
    order: float | None = None
    applies_to: Selection = Selection()
    types: frozenset[Direction] = frozenset()
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    @property
    def rank(self) -> tuple[float, str, str]:
        """The order in which policies are asked."""
        return (float("inf") if self.order is None else self.order, self.name, self.namespace)

    def rules(self, direction: Direction) -> tuple[Rule, ...]:
        return self.ingress if direction is Direction.INGRESS else self.egress

    def __str__(self) -> str:
        return f"NetworkPolicy {self.namespace}/{self.name}" if self.namespace else f"GlobalNetworkPolicy {self.name}"


class EndpointKey(NamedTuple):
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An interface of a workload, here or on another node. `labels` are its own, without those of its profiles."""

    key: EndpointKey
    node: str
    interface: str = ""
    addresses: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.key.namespace}/{self.key.name}" if self.key.namespace else self.key.name


class Flow(NamedTuple):
    """The first packet of a connection. Ports and ICMP type and code are None where the protocol has none."""

    source: str
    destination: str
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def version(self) -> int:
        return 6 if ":" in self.source else 4


@lru_cache(maxsize=65536)
def network_of(text: str) -> IPv4Network | IPv6Network:
    """A network that was checked before."""
    return ip_network(text)
