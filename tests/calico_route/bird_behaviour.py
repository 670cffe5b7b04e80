"""A second answer to what a node of Calico does, written for comparison from what is known of its BIRD and confd, and
of nothing else: plain loops over the documents as they lie in the datastore, in the order in which Calico asks.

It knows one BGPPeer an address, and of BIRD what a route is asked when it leaves or goes into the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
Documents: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By kind and name: `"Node/a"`; of affinities `"Block/10.0.0.0/26"`."""
Labels: TypeAlias = Mapping[str, str]

HIGHEST = 2147483647


@dataclass(frozen=True)
class Candidate:
    """A route in BIRD's table. `source`: static, kernel or bgp."""

    net: Network
    source: str = "static"
    ifname: str | None = None
    local_pref: int | None = None
    path: tuple[int, ...] = ()
    communities: frozenset[str] = frozenset()
    next_hop: str = ""


@dataclass(frozen=True)
class Session:
    name: str
    peer_as: int
    local_as: int
    port: int
    source: str | None
    passive: bool = False
    cluster_id: str = ""  # set: a client of ours
    filters: tuple[str, ...] = ()
    restart_time: int = 120
    keepalive: int | None = None
    hops: int = 0
    next_hop: str = ""
    allowed_as: int = 0
    gateway: str | None = None

    @property
    def internal(self) -> bool:
        return self.peer_as == self.local_as


@dataclass
class Bird:
    """The BIRD of one node. `selectors` are the meanings of the selectors in the documents."""

    documents: Documents
    node: str
    version: tuple[int, int]
    selectors: Mapping[str, Callable[[Labels], bool]] = field(default_factory=dict)

    # --- documents ---

    def spec(self, key: str) -> Mapping[str, Any]:
        return self.documents.get(key, {}).get("spec") or {}

    def names(self, kind: str) -> list[str]:
        return sorted(key.partition("/")[2] for key in self.documents if key.startswith(f"{kind}/"))

    def labels(self, node: str) -> Labels:
        return self.documents[f"Node/{node}"].get("metadata", {}).get("labels") or {}

    def bgp(self, node: str) -> Mapping[str, Any] | None:
        found = self.spec(f"Node/{node}").get("bgp")
        return found if isinstance(found, dict) else None

    def address(self, node: str, family: int) -> str:
        text = (self.bgp(node) or {}).get(f"ipv{family}Address") or ""
        return str(ip_address(text.partition("/")[0])) if text else ""

    @property
    def default(self) -> Mapping[str, Any]:
        return self.spec("BGPConfiguration/default")

    @property
    def global_as(self) -> int:
        return as_int(self.default.get("asNumber")) or 64512

    def as_of(self, node: str) -> int:
        return as_int((self.bgp(node) or {}).get("asNumber")) or self.global_as

    def port_of(self, node: str) -> int:
        own = self.spec(f"BGPConfiguration/node.{node}").get("listenPort")
        return int(own or self.default.get("listenPort") or 179)

    def cluster_id(self, node: str) -> str:
        return str((self.bgp(node) or {}).get("routeReflectorClusterID") or "")

    # --- sessions ---

    def sessions(self) -> dict[str, Session]:
        found: dict[str, Session] = {}
        if self.bgp(self.node) is None:
            return found
        for address, session in self._by_peers():
            found.setdefault(address, session)
        if self.default.get("nodeToNodeMeshEnabled") is not False and not self.cluster_id(self.node):
            for other in self.names("Node"):
                if other != self.node and self.bgp(other) is not None and not self.cluster_id(other):
                    for family in (4, 6):
                        ours, theirs = self.address(self.node, family), self.address(other, family)
                        if ours and theirs and theirs not in found:
                            found[theirs] = Session(
                                bird_name("Mesh", theirs),
                                as_int((self.bgp(other) or {}).get("asNumber")) or self.as_of(self.node),
                                self.as_of(self.node),
                                self.port_of(other),
                                ours,
                                passive=theirs > ours,
                                restart_time=seconds(self.default.get("nodeMeshMaxRestartTime"), 120),
                            )
        return found

    def _by_peers(self) -> Iterator[tuple[str, Session]]:
        def scope(name: str) -> str:
            spec = self.spec(f"BGPPeer/{name}")
            return "Node" if spec.get("node") or spec.get("nodeSelector") else "Global"

        ordered = sorted(self.names("BGPPeer"), key=lambda name: (scope(name) == "Node", name))
        for name in ordered:
            if self.node in self._local_side(name):
                yield from self._to_remote_side(name, scope(name))
        for name in ordered:
            spec = self.spec(f"BGPPeer/{name}")
            families = (4, 6)
            if spec.get("reversePeering") == "Manual":
                continue
            if spec.get("peerSelector"):
                remote = self._selected(spec["peerSelector"])
            else:
                ip, port = ip_and_port(spec["peerIP"])
                families = (6,) if ":" in ip else (4,)
                remote = self._nodes_with(ip, port, as_int(spec.get("asNumber")))
            if self.node in remote:
                for other in self._local_side(name):
                    yield from self._to_node(name, other, families, "Node")

    def _local_side(self, name: str) -> list[str]:
        spec = self.spec(f"BGPPeer/{name}")
        if spec.get("node"):
            return [spec["node"]] if f"Node/{spec['node']}" in self.documents else []
        return self._selected(spec["nodeSelector"]) if spec.get("nodeSelector") else self.names("Node")

    def _selected(self, selector: str) -> list[str]:
        return [name for name in self.names("Node") if self.selectors[selector](self.labels(name))]

    def _nodes_with(self, ip: str, port: int, asn: int) -> list[str]:
        return [
            name
            for name in self.names("Node")
            if self.bgp(name) is not None
            and ip in (self.address(name, 4), self.address(name, 6))
            and asn in (0, self.as_of(name))
            and port in (0, self.port_of(name))
        ]

    def _to_remote_side(self, name: str, scope: str) -> Iterator[tuple[str, Session]]:
        spec = self.spec(f"BGPPeer/{name}")
        if spec.get("peerSelector"):
            for other in self._selected(spec["peerSelector"]):
                yield from self._to_node(name, other, (4, 6), scope)
            return
        ip, port = ip_and_port(spec["peerIP"])
        ours = self.address(self.node, 6 if ":" in ip else 4)
        if not ours or ip in (self.address(self.node, 4), self.address(self.node, 6)):
            return
        nodes = self._nodes_with(ip, port, as_int(spec.get("asNumber")))
        asn = as_int(spec.get("asNumber")) or (self.as_of(nodes[0]) if nodes else 0)
        if asn:
            there = port or (self.port_of(nodes[0]) if nodes else 179)
            cluster = self.cluster_id(nodes[0]) if nodes else ""
            made = self._session(spec, bird_name(scope, ip, port), ip, ours, asn, there, cluster)
            passive = scope == "Global" and bool(nodes) and ip > ours
            gateway = spec.get("reachableBy")
            yield ip, replace(made, passive=passive, gateway=None if gateway is None else str(ip_address(gateway)))

    def _to_node(self, name: str, other: str, families: tuple[int, ...], scope: str) -> Iterator[tuple[str, Session]]:
        if other == self.node or self.bgp(other) is None:
            return
        for family in families:
            ours, theirs = self.address(self.node, family), self.address(other, family)
            if ours and theirs:
                made = self._session(
                    self.spec(f"BGPPeer/{name}"),
                    bird_name(scope, theirs),
                    theirs,
                    ours,
                    self.as_of(other),
                    self.port_of(other),
                    self.cluster_id(other),
                )
                yield theirs, replace(made, passive=scope == "Global" and theirs > ours)

    def _session(
        self, spec: Mapping[str, Any], name: str, theirs: str, ours: str, asn: int, port: int, cluster_id: str
    ) -> Session:
        local_as = as_int(spec.get("localASNumber")) or self.as_of(self.node)
        own = self.cluster_id(self.node)
        mode = spec.get("nextHopMode") or ("Keep" if spec.get("keepOriginalNextHop") and asn != local_as else "")
        keepalive = seconds(spec.get("keepaliveTime"), 0) or None
        return Session(
            name=name,
            peer_as=asn,
            local_as=local_as,
            port=port,
            source=None if spec.get("sourceAddress") == "None" else ours,
            cluster_id=own if asn == local_as and own and cluster_id != own else "",
            filters=tuple(spec.get("filters") or ()),
            restart_time=seconds(spec.get("maxRestartTime"), 120),
            keepalive=keepalive,
            hops=spec.get("ttlSecurity") or 0,
            next_hop=mode if mode != "Auto" else "",
            allowed_as=spec.get("numAllowedLocalASNumbers") or 0,
        )

    # --- what leaves ---

    def statics(self) -> list[Network]:
        """Routes into nothing: blocks, and networks of services."""
        found = [
            network(name)
            for name in self.names("Block")
            if self.documents[f"Block/{name}"].get("state") != "pending" and not single(network(name))
        ]
        return found + self._service_statics()

    def _service_statics(self) -> list[Network]:
        if self.labels(self.node).get("node.kubernetes.io/exclude-from-external-load-balancers") == "true":
            return []
        found = [network(one["cidr"]) for one in self.default.get("serviceClusterIPs") or ()]
        for name in ("serviceExternalIPs", "serviceLoadBalancerIPs"):
            if name == "serviceLoadBalancerIPs" and self.default.get("serviceLoadBalancerAggregation") == "Disabled":
                continue
            found += [one for one in self._services(name) if not single(one)]
        return found

    def _services(self, name: str) -> list[Network]:
        return [network(one["cidr"]) for one in self.default.get(name) or ()]

    def export(self, session: Session, route: Candidate) -> frozenset[str] | None:
        """The communities with which a neighbour hears of a route; None: not at all."""
        communities = set(route.communities)
        verdict = self.filtered("export", session, route, communities)
        if verdict is not None:
            return frozenset(communities) if verdict else None
        pools = self._pools()
        for cidr, spec in pools:
            if spec.get("disableBGPExport") and within(route.net, cidr):
                return None
        self._add_communities(route.net, communities)
        for name in self.names("Block"):
            state = self.documents[f"Block/{name}"].get("state") or "confirmed"
            if state == "confirmed":
                if route.net == network(name):
                    return frozenset(communities)
                if within(route.net, network(name)):
                    return None
        accepted = list(self._service_statics())
        if self.cluster_id(self.node):
            accepted += self._services("serviceLoadBalancerIPs")
            if self.version >= (3, 33):
                accepted += self._services("serviceExternalIPs")
        accepted += [cidr for cidr, spec in pools if not spec.get("disableBGPExport")]
        return frozenset(communities) if any(within(route.net, one) for one in accepted) else None

    def _pools(self) -> list[tuple[Network, Mapping[str, Any]]]:
        specs = [self.spec(f"IPPool/{name}") for name in self.names("IPPool")]
        return [(network(spec["cidr"]), spec) for spec in sorted(specs, key=lambda one: str(network(one["cidr"])))]

    def _add_communities(self, net: Network, communities: set[str]) -> None:
        used = self.spec(f"BGPConfiguration/node.{self.node}")
        if not used.get("prefixAdvertisements"):
            used = self.default
        named = {one["name"]: one["value"] for one in used.get("communities") or ()}
        for entry in used.get("prefixAdvertisements") or ():
            if within(net, network(entry["cidr"])):
                for text in entry["communities"]:
                    value = text if re.fullmatch(r"\d+(:\d+){1,2}", text) else named.get(text)
                    communities.update(() if value is None else (value,))

    # --- filters ---

    def filtered(self, direction: str, session: Session, route: Candidate, communities: set[str]) -> bool | None:
        """Whether a BGPFilter accepts; None: none of them decides."""
        for name in session.filters:
            for rule in self.spec(f"BGPFilter/{name}").get(f"{direction}V{route.net.version}") or ():
                if matches(rule, session, route):
                    if rule["action"] == "Accept":
                        for operation in rule.get("operations") or ():
                            if "addCommunity" in operation:
                                communities.add(operation["addCommunity"]["value"])
                    return bool(rule["action"] == "Accept")
        return None

    # --- what goes into the kernel ---

    def kernel(self, route: Candidate) -> tuple[bool, int | None, bool]:
        """Whether a route goes in, with which metric, and whether through the tunnel."""
        for name in ("serviceClusterIPs", "serviceExternalIPs", "serviceLoadBalancerIPs"):
            if any(within(route.net, one) for one in self._services(name)):
                return False, None, False
        metric = None
        if self.version >= (3, 32) and route.source == "bgp":
            metric = 1024 if route.local_pref is None else HIGHEST - route.local_pref
        family = route.net.version
        if self.version >= (3, 33) and self._wireguard(self.node, family):
            for other in self.names("Node"):
                same = route.next_hop and route.next_hop == self.address(other, family)
                if other != self.node and same and self._wireguard(other, family):
                    return False, None, False
        word = self.default.get("programClusterRoutes") or ""
        if self.version < (3, 32) or (self.version < (3, 33) and word not in ("Enabled", "Disabled")):
            word = "Enabled"
        elif word not in ("Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly"):
            word = "EnabledNoEncapOnly"
        for cidr, spec in self._pools():
            if not within(route.net, cidr):
                continue
            if spec.get("vxlanMode") in ("Always", "CrossSubnet"):
                return False, None, False
            tunnel = spec.get("ipipMode") in ("Always", "CrossSubnet")
            if word not in (("Enabled", "EnabledIPIPOnly") if tunnel else ("Enabled", "EnabledNoEncapOnly")):
                return False, None, False
            if tunnel and spec["ipipMode"] == "CrossSubnet" and route.next_hop:
                text = (self.bgp(self.node) or {}).get("ipv4Address") or ""
                tunnel = ip_address(route.next_hop) not in ip_network(text, strict=False)
            return True, metric, tunnel and family == 4
        return True, metric, False

    def _wireguard(self, node: str, family: int) -> bool:
        return bool((self.spec(f"Node/{node}").get("wireguard") or {}).get(f"interfaceIPv{family}Address"))


def matches(rule: Mapping[str, Any], session: Session, route: Candidate) -> bool:
    """All criteria of a rule of a BGPFilter."""
    if rule.get("cidr"):
        cidr = network(rule["cidr"])
        lengths = rule.get("prefixLength") or {}
        low = max(cidr.prefixlen, lengths.get("min") or 0)
        high = min(cidr.max_prefixlen, lengths["max"] if lengths.get("max") is not None else cidr.max_prefixlen)
        operator = rule["matchOperator"]
        inside = route.net == cidr if operator in ("Equal", "NotEqual") else within(route.net, cidr)
        inside = inside and low <= route.net.prefixlen <= high
        if inside == operator.startswith("Not"):
            return False
    if rule.get("source") == "RemotePeers" and route.source != "bgp":
        return False
    if rule.get("interface"):
        pattern = re.escape(rule["interface"]).replace(r"\*", ".*")
        if route.ifname is None or re.fullmatch(pattern, route.ifname) is None:
            return False
    if rule.get("peerType") and (rule["peerType"] == "iBGP") != session.internal:
        return False
    for value in (rule.get("communities") or {}).get("values") or ():
        if value not in route.communities:
            return False
    wanted = tuple(map(as_int, rule.get("asPathPrefix") or ()))
    if wanted and route.path[: len(wanted)] != wanted:
        return False
    return rule.get("priority") is None or route.local_pref == HIGHEST - rule["priority"]


def within(net: Network, other: Network) -> bool:
    return net.version == other.version and net.subnet_of(other)  # type: ignore[arg-type]


def network(text: str) -> Network:
    return ip_network(text, strict=False)


def single(net: Network) -> bool:
    return net.prefixlen == net.max_prefixlen


def as_int(value: object) -> int:
    """64512, "64512", "1.10"; 0 where there is none."""
    high, dot, low = str(value or 0).rpartition(".")
    return (int(high) << 16 if dot else 0) + int(low)


def seconds(text: str | None, default: int) -> int:
    """Of a duration in hours, minutes, seconds and their fractions, in whole seconds."""
    if not text:
        return default
    total = sum(
        float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text)
    )
    return int(total + 0.5)


def ip_and_port(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"\[(.*)\]:(\d+)|([\d.]+):(\d+)|\[?(.*?)\]?", text)
    assert found is not None
    return str(ip_address(found[1] or found[3] or found[5])), int(found[2] or found[4] or 0)


def bird_name(scope: str, address: str, port: int = 0) -> str:
    return f"{scope}_{re.sub('[.:]', '_', address)}" + (f"_port_{port}" if port else "")
