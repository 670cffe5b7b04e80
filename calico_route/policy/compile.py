"""From what is known to the table of nftables, change by change.

    prerouting (raw)    spoofing      a workload's packets come from its own addresses, or are dropped
    forward             from_workload → map from → from-GROUP → the policies' or profiles' -out chains → drop
    forward             to_workload   → map to   → to-GROUP   → … -in chains → drop
                        (one profile and no policy: the map leads to the profile's chain itself)
    input               host_from     as from_workload, after what every workload may ask of its host (DHCP, DNS, ND)
    input               host          `to_host`: drop or accept what the workload's own rules have let out

An accept ends its own base chain only, so that what goes from one workload to another has to be accepted twice. A
`cali*` interface that is in no map has no rules yet, or none any more: dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .cluster import Cluster, PolicyKey
from .expressions import (
    Statement,
    comment,
    describe,
    digest,
    match,
    meta,
    payload,
    readable,
    rule_statements,
    set_name,
)
from .model import TCP, UDP, Direction, NetworkPolicy, Profile, Selection
from .table import Hook, RuleText, Table

_DROP: tuple[Statement, ...] = ({"counter": None}, {"drop": None})
_ACCEPT: Statement = {"accept": None}
_RAW, _BEFORE_FILTER, _FILTER = -300, -1, 0
_ADDRESS_TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
_SUFFIX = {Direction.INGRESS: "in", Direction.EGRESS: "out"}
_WAY = {Direction.INGRESS: "to", Direction.EGRESS: "from"}
_ND_TYPES = [130, 131, 132, 133, 134, 135, 136, 143]
TO_HOST = ("drop", "accept")


@dataclass(frozen=True, slots=True)
class _Group:
    """Workloads with the same policies and profiles in one direction: one chain for all of them. Chains cost time in
    each transaction, and a node has many workloads of few kinds."""

    direction: Direction
    policies: tuple[PolicyKey, ...]
    profiles: tuple[str, ...]

    @property
    def chain(self) -> str:
        names = [part for key in self.policies for part in ("policy", *key)] + ["profiles", *self.profiles]
        shown = readable("-".join(self.profiles) or "none", 40)
        return f"{_WAY[self.direction]}-{shown}-{digest(*names)}"


class Compiler:
    """Keeps a Table as a Cluster asks for."""

    def __init__(self, cluster: Cluster, *, to_host: str = "drop") -> None:
        if to_host not in TO_HOST:
            raise ValueError(f"to_host {to_host!r}: must be drop or accept")
        self.cluster = cluster
        self.table = Table()
        self._allowed: dict[str, frozenset[str]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}  # by map and interface
        self._users: Counter[_Group] = Counter()
        self._filled: set[_Group] = set()  # in this update
        _base(self.table, cluster.interface_prefix, to_host)

    def update(self) -> set[str]:
        """Bring the table up to what is known. The addresses whose connections have to be looked at again."""
        delta = self.cluster.take_delta()
        for selection in delta.selections:
            self._selection(selection)
        fresh = delta.selections
        for selection, address, _ in delta.members:
            if selection not in fresh and self.cluster.members.follows(selection):
                name = set_name(selection, _version(address))
                # The last word counts: an address may have come and gone, or gone from one endpoint to another.
                self.table.element(name, address, self.cluster.members.has(selection, address))
        for name in delta.profiles:
            self._profile(name)
        for key in delta.policies:
            self._policy(key)
        self._filled.clear()
        for interface in delta.interfaces:
            self._interface(interface)
        return delta.concerned

    def _selection(self, selection: Selection) -> None:
        followed = self.cluster.members.follows(selection)
        members = list(self.cluster.members.of(selection))
        for version, kind in _ADDRESS_TYPES.items():
            name = set_name(selection, version)
            wanted = [address for address in members if _version(address) == version]
            if not followed:
                self.table.drop_set(name)
            elif name not in self.table.sets:
                self.table.add_set(name, kind, wanted)
            else:
                for address in self.table.sets[name].elements.symmetric_difference(wanted):
                    self.table.element(name, address, address in wanted)

    def _profile(self, name: str) -> None:
        profile = self.cluster.active_profile(name)
        for direction in Direction:
            chain = profile_chain(name, direction)
            if profile is None:
                self.table.drop_chain(chain)
            else:
                self.table.chain(chain, _rules(profile, direction))

    def _policy(self, key: PolicyKey) -> None:
        policy = self.cluster.active_policy(key)
        for direction in Direction:
            chain = policy_chain(key, direction)
            if policy is None or direction not in policy.types:
                self.table.drop_chain(chain)
            else:
                self.table.chain(chain, _rules(policy, direction))

    def _interface(self, interface: str) -> None:
        one = self.cluster.local.get(interface)
        for direction in Direction:
            way = _WAY[direction]
            whole = profiles = None
            if one is not None:
                asked = tuple(key for key in one.policies if direction in self.cluster.policies[key].types)
                names = tuple(dict.fromkeys(one.endpoint.profiles))
                whole = _Group(direction, asked, names)
                profiles = _Group(direction, (), names) if asked else None
            self._join(way, interface, whole)
            self._join(f"{way}_profiles", interface, profiles)
        self._allow(interface, frozenset(one.endpoint.addresses) if one is not None else frozenset())

    def _join(self, name: str, interface: str, group: _Group | None) -> None:
        """Lead the packets of an interface to the chain of a group, which is made with its first one."""
        before = self._groups.pop((name, interface), None)
        target = None
        if group is not None:
            self._groups[name, interface] = group
            if group != before:
                self._users[group] += 1
            target = self._shared_with_profile(group)
            if group not in self._filled:
                self._filled.add(group)
                if target is None:
                    self.table.chain(group.chain, self._rules_of(group))
                else:
                    self.table.drop_chain(group.chain)
            target = target or group.chain
        self.table.map(name, interface, target)
        if before is not None and group != before:
            self._users[before] -= 1
            if not self._users[before]:
                del self._users[before]
                self.table.drop_chain(before.chain)
                self._filled.discard(before)

    def _shared_with_profile(self, group: _Group) -> str | None:
        """The chain that does all that is asked for: a profile's, at whose end the base chain drops."""
        if group.policies or len(group.profiles) != 1 or self.cluster.profile(group.profiles[0]) is None:
            return None
        return profile_chain(group.profiles[0], group.direction)

    def _rules_of(self, group: _Group) -> Iterator[RuleText]:
        for key in group.policies:
            yield _jump(policy_chain(key, group.direction), str(self.cluster.policies[key]))
        if group.policies:
            yield RuleText(_DROP, "no policy decided")
            return
        for name in group.profiles:
            if self.cluster.profile(name) is None:
                yield RuleText(_DROP, comment(f"profile {name} does not exist"))
                return
            yield _jump(profile_chain(name, group.direction), f"profile {name}")
        yield RuleText(_DROP, "no rule matched")

    def _allow(self, interface: str, addresses: frozenset[str]) -> None:
        before = self._allowed.pop(interface, frozenset())
        if addresses:
            self._allowed[interface] = addresses
        for address in before ^ addresses:
            self.table.element(f"allowed{_version(address)}", (interface, address), address in addresses)


def profile_chain(name: str, direction: Direction) -> str:
    return f"profile-{readable(name, 40)}-{digest(name)}-{_SUFFIX[direction]}"


def policy_chain(key: PolicyKey, direction: Direction) -> str:
    return f"policy-{readable(key[1], 40)}-{digest(*key)}-{_SUFFIX[direction]}"


def _version(address: str) -> int:
    return 6 if ":" in address else 4


def _jump(chain: str, words: str) -> RuleText:
    return RuleText(({"jump": {"target": chain}},), comment(words))


def _rules(owner: Profile | NetworkPolicy, direction: Direction) -> Iterator[RuleText]:
    for number, rule in enumerate(owner.rules(direction), 1):
        words = comment(f"{number}: {describe(rule)}")
        for statements in rule_statements(rule, direction):
            yield RuleText(tuple(statements), words)


def _base(table: Table, prefix: str, to_host: str) -> None:
    """What does not depend on anybody."""
    table.add_set("allowed4", ("ifname", "ipv4_addr"))
    table.add_set("allowed6", ("ifname", "ipv6_addr"))
    for name in ("from", "to", "from_profiles", "to_profiles"):
        table.maps[name] = {}
    came, goes = match(meta("iifname"), f"{prefix}*"), match(meta("oifname"), f"{prefix}*")
    for name, hook, priority, entry, target in (
        ("prerouting", "prerouting", _RAW, came, "spoofing"),
        ("forward_from", "forward", _BEFORE_FILTER, came, "from_workload"),
        ("forward_to", "forward", _FILTER, goes, "to_workload"),
        ("input_from", "input", _BEFORE_FILTER, came, "host_from"),
        ("input_host", "input", _FILTER, came, "host"),
    ):
        rules = [RuleText((entry, {"jump": {"target": target}}), target)]
        rules.append(RuleText((entry, *_DROP), "no rule matched"))
        table.chain(name, rules, Hook(hook, priority))
    table.chain("spoofing", _spoofing())
    table.chain("from_workload", [*_tracked(), *_dispatch("iifname", "from")])
    table.chain("to_workload", [*_tracked(), *_dispatch("oifname", "to")])
    table.chain("host_from", [*_tracked(), *_of_every_host(), *_dispatch("iifname", "from")])
    last = RuleText((_ACCEPT,), "to its host") if to_host == "accept" else RuleText(_DROP, "to its host")
    table.chain("host", [RuleText((_established(), _ACCEPT), "known"), *_of_every_host(), last])


def _established() -> Statement:
    return match({"ct": {"key": "state"}}, ["established", "related"], "in")


def _tracked() -> Iterator[RuleText]:
    """A TCP connection begins with SYN. Without that rule one that was cut could come to life again from its other
    end, as a new connection in that direction."""
    yield RuleText((_established(), _ACCEPT), "known")
    yield RuleText((match({"ct": {"key": "state"}}, "invalid", "in"), *_DROP), "not of any connection")
    flags = {"&": [payload("tcp", "flags"), ["fin", "syn", "rst", "ack"]]}
    new = match({"ct": {"key": "state"}}, "new", "in")
    yield RuleText((match(meta("l4proto"), TCP), new, match(flags, "syn", "!="), *_DROP), "the middle of no connection")


def _dispatch(key: str, name: str) -> Iterator[RuleText]:
    yield RuleText(({"vmap": {"key": meta(key), "data": f"@{name}"}},), "to its rules")
    yield RuleText(_DROP, "it has no rules")


def _spoofing() -> Iterator[RuleText]:
    for ip, version in (("ip", 4), ("ip6", 6)):
        pair = {"concat": [meta("iifname"), payload(ip, "saddr")]}
        yield RuleText((match(pair, f"@allowed{version}"), _ACCEPT), f"its own IPv{version} addresses")
    yield RuleText(
        (
            match(payload("ip6", "saddr"), {"prefix": {"addr": "fe80::", "len": 10}}),
            _ACCEPT,
        ),
        "link-local: not forwarded",
    )
    yield RuleText(
        (match(payload("ip6", "saddr"), "::"), match(payload("icmpv6", "type"), _types([135, 143])), _ACCEPT),
        "duplicate address detection",
    )
    yield RuleText(
        (
            match(payload("ip", "saddr"), "0.0.0.0"),
            match(payload("udp", "sport"), 68),
            match(payload("udp", "dport"), 67),
            _ACCEPT,
        ),
        "DHCP",
    )
    yield RuleText(_DROP, "an address that is not its own")


def _of_every_host() -> Iterator[RuleText]:
    """What a workload may ask of its host whatever its rules say, as with v0.4.9."""
    yield RuleText((match(payload("icmpv6", "type"), _types(_ND_TYPES)), _ACCEPT), "neighbour discovery")
    yield RuleText((match(payload("udp", "sport"), 68), match(payload("udp", "dport"), 67), _ACCEPT), "DHCP")
    yield RuleText((match(payload("udp", "sport"), 546), match(payload("udp", "dport"), 547), _ACCEPT), "DHCPv6")
    for protocol in (TCP, UDP):
        yield RuleText((match(meta("l4proto"), protocol), match(payload("th", "dport"), 53), _ACCEPT), "DNS")


def _types(types: Iterable[int]) -> Statement:
    return {"set": list(types)}
