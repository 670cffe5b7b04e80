"""A rule as nftables' JSON: a list of statements for each IP version that it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Any, TypeAlias

from .model import ICMPV6, Action, Direction, PortRange, Rule, Selection, Side, network_of
from .rule_text import format_rule
from .rules import Unsayable
from .v3_rules import write_rule

Statement: TypeAlias = dict[str, Any]
LONGEST_COMMENT = 120  # octets; nft takes 128
LOG_PREFIX = "calico-packet: "
_NFPROTO = {4: "ipv4", 6: "ipv6"}
_IP = {4: "ip", 6: "ip6"}


def match(left: Any, right: Any, operator: str = "==") -> Statement:
    return {"match": {"op": operator, "left": left, "right": right}}


def meta(key: str) -> Statement:
    return {"meta": {"key": key}}


def payload(protocol: str, field: str) -> Statement:
    return {"payload": {"protocol": protocol, "field": field}}


def comment(text: str) -> str:
    """As much of it as a rule can carry."""
    plain = "".join(letter if " " <= letter <= "~" and letter != '"' else "'" for letter in text)
    return plain if len(plain) <= LONGEST_COMMENT else plain[: LONGEST_COMMENT - 3] + "..."


def readable(text: str, longest: int = 24) -> str:
    """What of a name nftables can have in one of its own."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text)[:longest].strip("-")


def digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode()).hexdigest()[:12]


def set_name(selection: Selection, version: int) -> str:
    """The set of a selection's addresses. A tag's is called after it."""
    parts = (selection.selector, selection.namespaces, selection.accounts, selection.namespace)
    shown = readable(selection.selector.removesuffix(" == ''") or str(selection))
    return f"members{version}-{shown}-{digest(*parts)}"


def describe(rule: Rule) -> str:
    """A rule in the words of v0.4.9 where it has them, else as Calico's JSON."""
    try:
        return format_rule(rule)
    except Unsayable:
        return json.dumps({key: value for key, value in write_rule(rule).items() if value}, separators=(",", ":"))


def rule_statements(rule: Rule, direction: Direction) -> list[list[Statement]]:
    """The rules of nftables for one of ours: one, or one for each IP version where addresses are looked at."""
    verdict = _verdict(rule.action, direction)
    versions = (rule.ip_version,) if rule.ip_version else (4, 6)
    if not _looks_at_addresses(rule):
        first = [match(meta("nfproto"), _NFPROTO[rule.ip_version])] if rule.ip_version else []
        return [[*first, *_of_packet(rule), {"counter": None}, *verdict]]
    found = []
    for version in versions:
        sides = [_of_side(side, field, version) for side, field in _sides(rule)]
        if all(side is not None for side in sides):
            statements = [one for side in sides for one in side or ()]
            first = [match(meta("nfproto"), _NFPROTO[version])]
            found.append([*first, *_of_packet(rule), *statements, {"counter": None}, *verdict])
    return found


def _sides(rule: Rule) -> tuple[tuple[Side, str], tuple[Side, str]]:
    return (rule.source, "saddr"), (rule.destination, "daddr")


def _looks_at_addresses(rule: Rule) -> bool:
    return any(side.nets or side.not_nets or side.selections() for side, _ in _sides(rule))


def _verdict(action: Action, direction: Direction) -> list[Statement]:
    if action is Action.ALLOW:
        return [{"accept": None}]
    if action is Action.DENY:
        return [{"drop": None}]
    if action is Action.LOG:
        return [{"log": {"prefix": LOG_PREFIX}}]
    return [to_profiles(direction)]


def to_profiles(direction: Direction) -> Statement:
    """On to the profiles of whoever's packet it is; they end with a drop."""
    key, name = ("oifname", "@to_profiles") if direction is Direction.INGRESS else ("iifname", "@from_profiles")
    return {"vmap": {"key": meta(key), "data": name}}


def _of_packet(rule: Rule) -> list[Statement]:
    """What is looked at beside addresses."""
    found = []
    if rule.protocol is not None:
        found.append(match(meta("l4proto"), rule.protocol))
    if rule.not_protocol is not None:
        found.append(match(meta("l4proto"), rule.not_protocol, "!="))
    icmp = "icmpv6" if rule.protocol == ICMPV6 else "icmp"
    if rule.icmp is not None:
        found.append(match(payload(icmp, "type"), rule.icmp[0]))
        if rule.icmp[1] is not None:
            found.append(match(payload(icmp, "code"), rule.icmp[1]))
    if rule.not_icmp is not None:
        kind, code = rule.not_icmp
        if code is None:
            found.append(match(payload(icmp, "type"), kind, "!="))
        else:
            pair = {"concat": [payload(icmp, "type"), payload(icmp, "code")]}
            found.append(match(pair, {"set": [{"concat": [kind, code]}]}, "!="))
    for side, field in ((rule.source, "sport"), (rule.destination, "dport")):
        if side.ports:
            found.append(match(payload("th", field), _ports(side.ports)))
        if side.not_ports:
            found.append(match(payload("th", field), _ports(side.not_ports), "!="))
    return found


def _ports(ranges: Iterable[PortRange]) -> Any:
    """Without overlaps, which nftables refuses."""
    merged: list[list[int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return {"set": [low if low == high else {"range": [low, high]} for low, high in merged]}


def _of_side(side: Side, field: str, version: int) -> list[Statement] | None:
    """None: nobody of this IP version is meant."""
    address = payload(_IP[version], field)
    found = []
    if side.nets:
        nets = _networks(side.nets, version)
        if not nets:
            return None
        if nets[0].prefixlen:
            found.append(match(address, _set_of(nets)))
    if side.not_nets:
        nets = _networks(side.not_nets, version)
        if nets and not nets[0].prefixlen:
            return None
        if nets:
            found.append(match(address, _set_of(nets), "!="))
    if side.selection is not None:
        found.append(match(address, f"@{set_name(side.selection, version)}"))
    if side.not_selection is not None:
        found.append(match(address, f"@{set_name(side.not_selection, version)}", "!="))
    return found


def _networks(texts: Sequence[str], version: int) -> list[IPv4Network] | list[IPv6Network]:
    """Those of one IP version, without overlaps, which nftables refuses; all addresses are alone, then."""
    nets = [network_of(text) for text in texts]
    if version == 4:
        return list(collapse_addresses(net for net in nets if isinstance(net, IPv4Network)))
    return list(collapse_addresses(net for net in nets if isinstance(net, IPv6Network)))


def _set_of(nets: Iterable[IPv4Network | IPv6Network]) -> Statement:
    return {"set": [{"prefix": {"addr": str(net.network_address), "len": net.prefixlen}} for net in nets]}
