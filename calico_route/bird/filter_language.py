"""BGPFilters and what else decides about routes, in BIRD 1.6's filter language. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from calico_route.compat import Compat, local_pref_of
from calico_route.model import HIGHEST_PRIORITY, FilterOperation, FilterRule
from calico_route.programming import TUNNEL, KernelRules, Way
from calico_route.telling import ExportRules, NamedRules
from pybgp import Family, Prefix, format_address

LONGEST_SYMBOL = 60
"""Letters of a name in BIRD 1.6 (SYM_MAX_LEN is 64)."""
QUOTE = '"'
_NO_SYMBOL = re.compile(r"[^0-9A-Za-z_.:-]")


def filter_functions(filters: Iterable[NamedRules], direction: str, family: Family) -> Iterator[str]:
    """A function for each BGPFilter: it accepts, rejects, or leaves the route to what comes after."""
    for one in filters:
        yield f"function {filter_name(one, direction, family)}(bool internal_peer) {{"
        yield from (f"  {_rule(rule, family)}" for rule in one.rules)
        yield "}"


def filter_name(rules: NamedRules, direction: str, family: Family) -> str:
    """What confd calls the function of a BGPFilter; quoted, since names have dots and dashes. One that would be too
    long for BIRD, or has letters that it does not take, gets a digest in the place of the rest."""
    end = f"_{direction}FilterV{6 if family.afi == 2 else 4}"
    room = LONGEST_SYMBOL - len("bgp_") - len(end)
    name = _NO_SYMBOL.sub("_", rules.name)
    if name != rules.name or len(name) > room:
        digest = hashlib.sha256(rules.name.encode()).hexdigest()[:16]
        name = f"{name[: room - len(digest) - 1]}_{digest}"
    return f"'bgp_{name}{end}'"


def in_a_line(text: str) -> str:
    """For a comment."""
    return " ".join(text.split())


def quoted(pattern: str) -> str:
    """A pattern of names as a string of BIRD. What cannot stand in one is `?` instead, which is any letter."""
    return f'"{"".join(one if one.isprintable() and one != QUOTE else "?" for one in pattern)}"'


def _rule(rule: FilterRule, family: Family) -> str:
    conditions = list(_conditions(rule, family))
    body = [_operation(one) for one in rule.operations] if rule.accept else []
    body.append("accept;" if rule.accept else "reject;")
    return f"if ({' && '.join(conditions) or 'true'}) then {{ {' '.join(body)} }}"


def _conditions(rule: FilterRule, family: Family) -> Iterator[str]:
    if rule.peer_type is not None:
        yield "(internal_peer)" if rule.peer_type == "iBGP" else "(! internal_peer)"
    if rule.cidr is not None:
        yield _network(rule, 128 if family.afi == 2 else 32)
    if rule.learned:
        yield "(source = RTS_BGP)"
    if rule.interface is not None:
        yield f"((defined(ifname)) && (ifname ~ {quoted(rule.interface)}))"
    for value in rule.communities:
        large = value.count(":") == 2
        yield f"({_community(value)} ~ {'bgp_large_community' if large else 'bgp_community'})"
    if rule.as_path_prefix:
        yield f"(bgp_path ~ [= {' '.join(map(str, rule.as_path_prefix))} * =])"
    if rule.priority is not None:
        yield f"((defined(bgp_local_pref)) && (bgp_local_pref = {local_pref_of(rule.priority)}))"


def _network(rule: FilterRule, bits: int) -> str:
    assert rule.cidr is not None
    inverted = "!" if rule.operator.startswith("Not") else ""
    exact = rule.operator in ("Equal", "NotEqual")
    if rule.shortest is None and rule.longest is None:
        return f"(net {inverted}{'=' if exact else '~'} {rule.cidr})"
    longest = bits if rule.longest is None else rule.longest
    # The length of a network has a range of its own, which may leave nothing.
    shortest = max(rule.cidr.length, rule.shortest or 0)
    if exact:
        longest = min(longest, rule.cidr.length)
    inside = f"net ~ [ {rule.cidr}{{{shortest},{longest}}} ]" if shortest <= longest else "false"
    return f"(! ({inside}))" if inverted else f"({inside})"


def _community(value: str) -> str:
    return f"({', '.join(value.split(':'))})"


def _operation(one: FilterOperation) -> str:
    if one.kind == "add_community":
        return _adding(str(one.value))
    if one.kind == "prepend" and isinstance(one.value, tuple):
        return " ".join(f"bgp_path.prepend({asn});" for asn in reversed(one.value))
    assert isinstance(one.value, int), f"there is no operation {one}"
    return f"bgp_local_pref = {local_pref_of(one.value)};"


def _adding(value: str) -> str:
    kind = "bgp_large_community" if value.count(":") == 2 else "bgp_community"
    return f"{kind}.add({_community(value)});"


def export_functions(rules: ExportRules, family: Family, known: Compat) -> Iterator[str]:
    """What all neighbours are told by: the same order as in Calico."""
    yield "function calico_export_to_bgp_peers(bool internal_peer) {"
    local_pref = known.local_pref(family.afi)
    if local_pref is not None:
        yield f"  if (source != RTS_BGP) then {{ bgp_local_pref = {local_pref}; }}"
    yield from (
        f"  if (net ~ {cidr}) then {{ reject; }}  # pool {in_a_line(name)}" for cidr, name in _of(family, rules.refused)
    )
    for pattern in ("*.cali", "*.calico", *(() if known.tunnels else (TUNNEL,))):  # Felix's ways to other nodes
        yield f'  if ((internal_peer) && (defined(ifname)) && (ifname ~ "{pattern}")) then {{ reject; }}'
    yield '  if ((defined(ifname)) && (ifname ~ "bpf*.cali")) then { reject; }'
    for cidr, values in rules.communities:
        if cidr.family == family:
            yield f"  if (net ~ {cidr}) then {{ {' '.join(map(_adding, values))} }}"
    yield "  calico_aggr();"
    yield from (f"  if (net ~ {cidr}) then {{ accept; }}  # services" for cidr in _plain(family, rules.services))
    yield from (f"  if (net ~ {cidr}) then {{ accept; }}" for cidr in _plain(family, rules.allowed))
    yield "  reject;"
    yield "}"


def aggregation(blocks: Sequence[Prefix], family: Family) -> Iterator[str]:
    """Blocks of this node leave as a whole, and nothing from inside them."""
    yield "function calico_aggr() {"
    for block in _plain(family, blocks):
        yield f"  if (net = {block}) then {{ accept; }}"
        yield f"  if (net ~ {block}) then {{ reject; }}"
    yield "}"


def kernel_filter(rules: KernelRules, known: Compat, family: Family) -> Iterator[str]:
    """What goes into the kernel. Calico's BIRD knows `krt_tunnel`, others do not: routes through the tunnel are only
    marked."""
    yield "filter calico_kernel_programming {"
    if known.metrics:
        yield "  if (source = RTS_BGP) then {"
        yield f"    if (defined(bgp_local_pref)) then krt_metric = {HIGHEST_PRIORITY} - bgp_local_pref;"
        yield "    else krt_metric = 1024;"
        yield "  }"
    for address in map(format_address, sorted(rules.encrypted)):
        if (":" in address) == (family.afi == 2):
            yield f"  if ((defined(bgp_next_hop)) && (bgp_next_hop = {address})) then {{ reject; }}  # WireGuard"
    for cidr, way in rules.ways:
        if cidr.family == family:
            what = "reject" if way is Way.NOT else "accept"
            tunnel = f'  # krt_tunnel = "{TUNNEL}" ({way.value})' if way in (Way.TUNNEL, Way.TUNNEL_ACROSS) else ""
            yield f"  if (net ~ {cidr}) then {{ {what}; }}{tunnel}"
    yield "  accept;"
    yield "}"


def _plain(family: Family, networks: Iterable[Prefix]) -> list[Prefix]:
    return [one for one in networks if one.family == family]


def _of(family: Family, networks: Iterable[tuple[Prefix, str]]) -> list[tuple[Prefix, str]]:
    return [one for one in networks if one[0].family == family]
