"""Clusters by chance, as documents: a small world, so that networks lie in each other and settings meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from random import Random
from typing import Any

from calico_route.documents import read_value
from calico_route.model import Kind, Resource, ResourceKey
from calico_route.view import View
from tests.calico_route.bird_behaviour import Candidate, Labels, Network
from tests.calico_route.resources import view

VERSIONS = {"v3.31": (3, 31), "v3.32": (3, 32), "v3.33": (3, 33)}
ME = "node-1.example"
POOLS = ("10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.1.0/24", "10.1.0.0/16", "10.0.0.0/15", "192.168.0.0/16")
POOLS_V6 = ("fd00::/16", "fd00:0:1::/48", "fd00:1::/32")
BLOCKS = ("10.0.0.0/26", "10.0.0.64/26", "10.0.1.0/24", "10.1.7.7/32", "192.168.3.0/26", "172.20.0.0/26")
BLOCKS_V6 = ("fd00:0:1::/122", "fd00:0:1::40/122", "fd00:1::7/128")
HOSTS = (
    "10.0.0.1/32",
    "10.0.0.65/32",
    "10.0.1.9/32",
    "10.1.7.7/32",
    "10.200.0.1/32",
    "192.168.3.1/32",
    "172.20.0.5/32",
)
HOSTS_V6 = ("fd00:0:1::1/128", "fd00:0:1::41/128", "fd00:1::7/128", "fd00:9::1/128", "fd80::1/128")
SERVICES = ("10.96.0.0/12", "10.1.0.0/24", "198.51.100.0/28", "198.51.100.77/32", "10.0.0.0/28", "fd00:1:2::/108")
FAR = (
    "10.0.0.0/26",
    "10.0.0.128/26",
    "10.97.0.1/32",
    "198.51.100.77/32",
    "198.51.100.3/32",
    "172.16.0.0/12",
    "10.1.0.7/32",
)
FAR += ("0.0.0.0/0", "10.0.0.0/16", "10.1.0.0/26", "192.168.9.0/26", "fd00:0:1::80/122", "fd00:1:2::5/128", "::/0")
KEYS, VALUES = ("rack", "zone", "a.example/role"), ("r1", "r2", "")


@dataclass
class World:
    """Documents by kind and name, what the selectors in them mean, and routes to be asked about."""

    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    selectors: dict[str, Callable[[Labels], bool]] = field(default_factory=dict)
    workloads: tuple[Network, ...] = ()
    heard: tuple[Candidate, ...] = ()

    def view(self) -> View:
        """As the agent reads it; ValueError for a document that it does not take."""
        import json

        resources: list[Resource] = []
        for key, document in self.documents.items():
            word, _, name = key.partition("/")
            kind = Kind.BLOCK_AFFINITY if word == "Block" else Kind(word)
            namespace = ME if word == "Block" else ""
            reading = read_value(ResourceKey(kind, namespace, name), json.dumps(document).encode())
            if reading.resource is None:
                raise ValueError(f"{key}: {reading.problems}")
            resources.append(reading.resource)
        return view(*resources)


def random_world(random: Random, version: str) -> World:
    world = World()
    _nodes(random, world)
    for number in range(random.randrange(5)):
        world.documents[f"IPPool/pool-{number}"] = {"spec": _pool(random)}
    for cidr in random.sample(BLOCKS + BLOCKS_V6, random.randrange(6)):
        world.documents[f"Block/{cidr}"] = random.choice(
            [
                {"state": "confirmed"},
                {"state": "confirmed"},
                {},
                {"state": ""},
                {"state": "pending"},
                {"state": "pendingDeletion"},
            ]
        )
    world.documents["BGPConfiguration/default"] = {"spec": _configuration(random)}
    if random.random() < 0.3:
        world.documents[f"BGPConfiguration/node.{ME}"] = {"spec": {**_advertisements(random), **_port(random)}}
    if random.random() < 0.3:
        world.documents["BGPConfiguration/node.b"] = {"spec": _port(random)}
    for number in range(random.randrange(3)):
        world.documents[f"BGPFilter/f-{number}.x"] = {"spec": _filter(random, version)}
    for number in range(random.randrange(4)):
        world.documents[f"BGPPeer/peer-{number}"] = {"spec": _peer(random, world)}
    if random.random() < 0.9:
        calico = f"{version}.{random.randrange(4)}"
        world.documents["ClusterInformation/default"] = {"spec": {"calicoVersion": calico, "datastoreReady": True}}
    hosts = random.sample(HOSTS + HOSTS_V6, random.randrange(8))
    world.workloads = tuple(ip_network(text) for text in hosts)
    world.heard = tuple(_heard(random, text) for text in random.sample(FAR, 8))
    return world


def _maybe(random: Random, chance: float, **values: Any) -> dict[str, Any]:
    """Each of the fields, or null, or empty, or nothing."""
    found = {}
    for name, value in values.items():
        if random.random() < chance:
            found[name] = value
        elif random.random() < 0.1:
            found[name] = None
    return found


def _as_number(random: Random) -> int | str:
    return random.choice([64512, 64512, "64512", "0.64512", 64600, "1.10", 65546])


def _nodes(random: Random, world: World) -> None:
    for number, name in enumerate((ME, "b", "c-2", "d.x", "e")[: random.randrange(1, 6)]):
        ipv4 = random.choice([f"192.0.2.{number + 8}/24", f"192.0.2.{number + 8}", f"198.18.{number}.1/30"])
        ipv6 = random.choice([f"2001:DB8:0::{number + 8:X}/64", f"2001:db8:0:0::{number + 8:x}"])
        spec: dict[str, Any] = {
            "bgp": {
                **_maybe(random, 0.9 if name != ME else 1, ipv4Address=ipv4),
                **_maybe(random, 0.5, ipv6Address=ipv6),
                **_maybe(random, 0.4, asNumber=_as_number(random)),
                **_maybe(random, 0.25, routeReflectorClusterID=random.choice(["244.0.0.1", "244.0.0.2", ""])),
            }
        }
        if name != ME and random.random() < 0.1:
            spec = random.choice([{}, {"bgp": None}])
        if random.random() < 0.3:
            spec["wireguard"] = _maybe(random, 0.7, interfaceIPv4Address="10.9.9.9", interfaceIPv6Address="fd09::9")
        labels = {key: random.choice(VALUES) for key in KEYS if random.random() < 0.5}
        if random.random() < 0.1:
            labels["node.kubernetes.io/exclude-from-external-load-balancers"] = random.choice(["true", "false"])
        world.documents[f"Node/{name}"] = {"metadata": {"name": name, "labels": labels or None}, "spec": spec}


def _pool(random: Random) -> dict[str, Any]:
    spec: dict[str, Any] = {"cidr": random.choice(POOLS + POOLS + POOLS_V6)}
    mode = random.choice(["Always", "CrossSubnet", "Never", ""])
    spec |= random.choice([{}, {}, {"vxlanMode": mode}, {"ipipMode": mode} if ":" not in spec["cidr"] else {}])
    return spec | _maybe(random, 0.3, disableBGPExport=True) | _maybe(random, 0.2, disabled=True, natOutgoing=True)


def _port(random: Random) -> dict[str, Any]:
    return _maybe(random, 0.4, listenPort=random.choice([179, 1790, 178]))


def _configuration(random: Random) -> dict[str, Any]:
    def some() -> list[dict[str, str]]:
        return [{"cidr": cidr} for cidr in random.sample(SERVICES, random.randrange(3))]

    words = ("Enabled", "Disabled", "EnabledIPIPOnly", "EnabledNoEncapOnly", "Someday")
    return {
        **_maybe(random, 0.3, nodeToNodeMeshEnabled=random.random() < 0.4),
        **_maybe(random, 0.2, asNumber=_as_number(random)),
        **_port(random),
        **_advertisements(random),
        **_maybe(random, 0.3, serviceClusterIPs=some(), serviceExternalIPs=some(), serviceLoadBalancerIPs=some()),
        **_maybe(random, 0.2, serviceLoadBalancerAggregation=random.choice(["Enabled", "Disabled"])),
        **_maybe(random, 0.3, programClusterRoutes=random.choice(words)),
        **_maybe(random, 0.2, ipv4NormalRoutePriority=random.choice([0, 100, 2048])),
        **_maybe(random, 0.3, nodeMeshMaxRestartTime=random.choice(["2m0s", "90s", "1h5m", "1.5s", "2.5s", "0s"])),
        "somethingNew": {"of": ["a", "later", "Calico"]},
    }


def _advertisements(random: Random) -> dict[str, Any]:
    values = ["64512:300", "64512:1:2", "inside", "big", "nobody"]
    made = [
        {
            "cidr": random.choice(POOLS + HOSTS + POOLS_V6),
            "communities": random.choices(values, k=random.randrange(1, 4)),
        }
        for _ in range(random.randrange(3))
    ]
    named = [{"name": "inside", "value": random.choice(["64512:7", "64512:8"])}, {"name": "big", "value": "1:2:3"}]
    return _maybe(random, 0.4, prefixAdvertisements=made) | _maybe(random, 0.5, communities=named)


def _filter(random: Random, version: str) -> dict[str, Any]:
    def some(six: bool) -> list[dict[str, Any]]:
        return [_rule(random, six, version) for _ in range(random.randrange(4))]

    return _maybe(random, 0.7, exportV4=some(False), importV4=some(False), exportV6=some(True), importV6=some(True))


def _rule(random: Random, six: bool, version: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": random.choice(["Accept", "Reject"])}
    if random.random() < 0.7:
        cidr = random.choice((POOLS_V6 + BLOCKS_V6 + HOSTS_V6) if six else (POOLS + BLOCKS + HOSTS))
        rule |= {"cidr": cidr, "matchOperator": random.choice(["Equal", "NotEqual", "In", "NotIn"])}
        bits, length = 128 if six else 32, int(cidr.partition("/")[2])
        if random.random() < 0.4 and rule["matchOperator"].endswith("In"):
            low = random.randint(0, bits)
            high = random.randint(max(low, length), bits)
            rule["prefixLength"] = random.choice([{"min": low, "max": high}, {"max": high}, {"min": low, "max": None}])
    rule |= _maybe(random, 0.15, source="RemotePeers", interface=random.choice(["cali*", "eth0", "*li7", "*"]))
    if version != "v3.31":
        rule |= _maybe(random, 0.15, peerType=random.choice(["iBGP", "eBGP"]))
        rule |= _maybe(random, 0.15, communities={"values": [random.choice(["64512:5", "64512:5:6"])]})
        rule |= _maybe(random, 0.1, asPathPrefix=random.choice([[65001], ["0.65001", 65002]]))
        added = [{"addCommunity": {"value": random.choice(["64512:9", "64512:9:9"])}, "setPriority": None}]
        rule |= _maybe(random, 0.3, operations=added)
    return rule


def _selector(random: Random, world: World) -> str:
    text, meaning = _expression(random, 3)
    world.selectors[text] = meaning
    return text


def _expression(random: Random, depth: int) -> tuple[str, Callable[[Labels], bool]]:
    if depth and random.random() < 0.5:
        one, first = _expression(random, depth - 1)
        two, second = _expression(random, depth - 1)
        blank = random.choice(["", " "])
        match random.randrange(3):
            case 0:
                return f"!({one})", lambda labels: not first(labels)
            case 1:
                return f"({one}){blank}&&{blank}({two})", lambda labels: first(labels) and second(labels)
            case _:
                return f"({one}){blank}||{blank}({two})", lambda labels: first(labels) or second(labels)
    key, value = random.choice(KEYS), random.choice(VALUES)
    quote = random.choice("'\"")
    text = f"{quote}{value}{quote}"
    return random.choice(
        [
            ("all()", lambda _: True),
            ("global()", lambda _: True),
            (f"has({key})", lambda labels: key in labels),
            (f"!has({key})", lambda labels: key not in labels),
            (f"{key} == {text}", lambda labels: labels.get(key) == value),
            (f"{key}!={text}", lambda labels: labels.get(key) != value),
            (f"{key} in {{{text}, 'x'}}", lambda labels: labels.get(key) in (value, "x")),
            (f"{key} not in {{{text}}}", lambda labels: labels.get(key) != value),
            (f"{key} contains 'r'", lambda labels: "r" in labels.get(key, "")),
            (f"{key} starts with 'r'", lambda labels: labels.get(key, "").startswith("r")),
            (f"{key} ends with '1'", lambda labels: labels.get(key, "").endswith("1")),
        ]
    )


def _peer(random: Random, world: World) -> dict[str, Any]:
    spec: dict[str, Any] = random.choice([{}, {}, {"node": random.choice([ME, "b", "gone"])}, {"nodeSelector": None}])
    if "nodeSelector" in spec and random.random() < 0.8:
        spec = {"nodeSelector": _selector(random, world)}
    if random.random() < 0.4:
        spec["peerSelector"] = _selector(random, world)
    else:
        addresses = (
            "192.0.2.9",
            "192.0.2.10",
            "192.0.2.8",
            "203.0.113.1",
            "203.0.113.2",
            "2001:DB8::9",
            "2001:db8:9::1",
        )
        address = random.choice(addresses)
        if random.random() < 0.3:
            address = f"[{address}]:1790" if ":" in address else f"{address}:1790"
        spec |= {"peerIP": address, "asNumber": random.choice([_as_number(random), 65001])}
        spec |= _maybe(random, 0.1, reachableBy="2001:db8::1" if address.count(":") > 1 else "192.0.2.254")
    spec |= _maybe(random, 0.15, localASNumber=random.choice([64999, "0.64999"]), ttlSecurity=random.choice([1, 3]))
    spec |= _maybe(random, 0.2, nextHopMode=random.choice(["Auto", "Self", "Keep"]), keepOriginalNextHop=True)
    spec |= _maybe(random, 0.2, sourceAddress=random.choice(["UseNodeIP", "None"]), numAllowedLocalASNumbers=2)
    spec |= _maybe(
        random, 0.2, maxRestartTime=random.choice(["1m30s", "500ms".replace("500m", "0.5")]), keepaliveTime="20s"
    )
    spec |= _maybe(random, 0.2, reversePeering=random.choice(["Auto", "Manual"]))
    return spec | _maybe(random, 0.5, filters=random.sample(["f-0.x", "f-1.x", "missing"], random.randrange(1, 4)))


def _heard(random: Random, text: str) -> Candidate:
    net = ip_network(text)
    hops = (
        ("2001:db8::9", "2001:db8::fe")
        if net.version == 6
        else ("192.0.2.9", "192.0.2.250", "198.18.1.1", "203.0.113.1")
    )
    return Candidate(
        net,
        "bgp",
        random.choice(["eth0", "cali7", None]),
        random.choice([None, 100, 2147482623, 2147483135]),
        random.choice([(), (65001,), (65001, 65002), (65002, 65001)]),
        frozenset(random.sample(["64512:5", "64512:5:6", "64512:300"], random.randrange(3))),
        random.choice(hops),
    )
