"""What a neighbour is told and what is taken from it: BGPFilters, pools, blocks and communities, as a policy.

The order is Calico's: the filters of the neighbour's BGPPeer, pools that must not leave, communities, the blocks of
this node, addresses of services, the other pools; what none of them decides about stays here. No I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pybgp import IPV6_UNICAST, Family, Policy, Prefix, Route, accept, accept_all, match, prefix_in, reject, rules
from pybgp.policy import (
    Action,
    Condition,
    Rule,
    add_communities,
    add_large_communities,
    community,
    large_community,
    local_pref_in,
    prepend,
    set_local_pref,
    where,
)

from .compat import local_pref_of
from .model import FilterRule, IpPool

InterfaceOf = Callable[[Route], str | None]
"""Through which interface the destination of a route is reached; None where it is not known."""


class NamedRules(NamedTuple):
    """The rules of one BGPFilter for one direction and IP version."""

    name: str
    rules: tuple[FilterRule, ...]


@dataclass(frozen=True, slots=True)
class ExportRules:
    """All that decides what a neighbour is told. `refused` and `allowed` are pools, `blocks` those of this node that
    are announced whole, `services` what is announced for services, `communities` what is added to routes inside a
    network."""

    filters: tuple[NamedRules, ...] = ()
    refused: tuple[tuple[Prefix, str], ...] = ()  # with the names of the pools
    communities: tuple[tuple[Prefix, tuple[str, ...]], ...] = ()
    blocks: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()
    allowed: tuple[Prefix, ...] = ()

    def lets_out(self, prefix: Prefix, *, internal: bool) -> bool:
        """Whether the filters may accept a route of our own, so that no pool and no block is asked."""
        for rule in (rule for one in self.filters for rule in one.rules):
            # Of our own routes none comes from a neighbour, or has a path or communities yet.
            never = rule.learned or rule.communities or rule.as_path_prefix
            if never or rule.peer_type not in (None, "iBGP" if internal else "eBGP") or not _covers(rule, prefix):
                continue
            if rule.accept:
                return True
            if rule.interface is None and rule.priority is None:
                return False
        return False

    def refusal(self, prefix: Prefix) -> str:
        """Why a route of our own must not leave where no filter lets it out; "" if it may."""
        for cidr, name in self.refused:
            if prefix in cidr:
                return f"pool {name} {cidr} has disableBGPExport"
        for block in self.blocks:
            if prefix == block:
                return ""
            if prefix in block:
                return f"inside of our own block {block}, which is announced as a whole"
        return "" if any(prefix in one for one in (*self.services, *self.allowed)) else "in no IP pool"


def export_rules(
    pools: Iterable[IpPool],
    *,
    communities: Iterable[tuple[Prefix, tuple[str, ...]]] = (),
    blocks: Iterable[Prefix] = (),
    services: Iterable[Prefix] = (),
) -> ExportRules:
    """In an order of their own, so that equal ones compare equal."""
    pools = tuple(pools)
    return ExportRules(
        refused=tuple(sorted({(pool.cidr, pool.name) for pool in pools if pool.disable_bgp_export})),
        communities=tuple(sorted(communities)),
        blocks=tuple(sorted(set(blocks))),
        services=tuple(sorted(set(services))),
        allowed=tuple(sorted({pool.cidr for pool in pools if not pool.disable_bgp_export})),
    )


def export_policy(wanted: ExportRules, family: Family, *, internal: bool, interface_of: InterfaceOf) -> Policy:
    """The policy for one neighbour, with which `internal` says that the session is iBGP."""
    made = _filter_rules(wanted.filters, family, internal, interface_of)
    if own := _of(family, tuple(cidr for cidr, _ in wanted.refused)):
        made.append(match(_inside(own, family), name="disableBGPExport") >> reject("its pool has disableBGPExport"))
    for number, (cidr, values) in enumerate(wanted.communities, 1):
        if cidr.family == family:
            rule = match(_inside((cidr,), family), name=f"prefixAdvertisement {number}")
            for action in _adding(values):
                rule = rule >> action
            made.append(rule)
    if own := _of(family, wanted.blocks):
        made.append(match(prefix_in(*own), name="own block") >> accept())
        made.append(match(_inside(own, family), name="in own block") >> reject("inside of a block of ours"))
    if own := _of(family, wanted.services):
        made.append(match(_inside(own, family), name="services") >> accept())
    if own := _of(family, wanted.allowed):
        made.append(match(_inside(own, family), name="pools") >> accept())
    return rules(*made, default=reject("in no IP pool"), name="export of the node")


def import_policy(
    filters: tuple[NamedRules, ...], family: Family, *, internal: bool, interface_of: InterfaceOf
) -> Policy:
    """What no filter decides about is taken."""
    made = _filter_rules(filters, family, internal, interface_of)
    return rules(*made, default=accept(), name="import of the node") if made else accept_all


def _filter_rules(
    filters: tuple[NamedRules, ...], family: Family, internal: bool, interface_of: InterfaceOf
) -> list[Rule]:
    made = []
    for name, some in filters:
        for number, rule in enumerate(some, 1):
            if rule.peer_type is None or (rule.peer_type == "iBGP") == internal:
                made.append(_rule(f"BGPFilter {name} {number}", rule, family, interface_of))
    return made


def _rule(name: str, rule: FilterRule, family: Family, interface_of: InterfaceOf) -> Rule:
    made = match(*_conditions(rule, family, interface_of), name=name)
    if rule.accept:
        for operation in rule.operations:
            for action in _actions(operation.kind, operation.value):
                made = made >> action
    return made >> (accept() if rule.accept else reject())


def _conditions(rule: FilterRule, family: Family, interface_of: InterfaceOf) -> list[Condition]:
    found: list[Condition] = []
    if rule.priority is not None:
        wanted = local_pref_of(rule.priority)
        found.append(local_pref_in(ge=wanted, le=wanted))
    if rule.learned:
        found.append(where(lambda route: not route.peer.local, "from a neighbour", per_path=True))
    for value in rule.communities:
        found.append(large_community(value) if value.count(":") == 2 else community(value))
    if rule.as_path_prefix:
        found.append(_path_begins(rule.as_path_prefix))
    if rule.cidr is not None:
        found.append(_network(rule, family))
    if rule.interface is not None:
        found.append(_through(rule.interface, interface_of))
    return found


def _network(rule: FilterRule, family: Family) -> Condition:
    assert rule.cidr is not None
    shortest, longest = _lengths(rule, rule.cidr)
    if rule.operator in ("Equal", "NotEqual"):
        inside = prefix_in(rule.cidr)
        if not shortest <= rule.cidr.length <= longest:
            inside = where(lambda _: False, f"{rule.cidr} and of another length", per_path=True)
    else:
        inside = prefix_in(rule.cidr, ge=shortest, le=longest)
    return ~inside if rule.operator.startswith("Not") else inside


def _covers(rule: FilterRule, prefix: Prefix) -> bool:
    """The same for one route, by its network alone."""
    if rule.cidr is None:
        return True
    shortest, longest = _lengths(rule, rule.cidr)
    inside = prefix == rule.cidr if rule.operator in ("Equal", "NotEqual") else prefix in rule.cidr
    return (inside and shortest <= prefix.length <= longest) != rule.operator.startswith("Not")


def _lengths(rule: FilterRule, cidr: Prefix) -> tuple[int, int]:
    bits = _bits(cidr.family)
    return max(cidr.length, rule.shortest or 0), bits if rule.longest is None else min(bits, rule.longest)


def _path_begins(numbers: tuple[int, ...]) -> Condition:
    def begins(route: Route) -> bool:
        segments = route.attributes.as_path.segments
        return bool(segments) and segments[0].type == 2 and segments[0].asns[: len(numbers)] == numbers

    return where(begins, f"AS_PATH begins with {' '.join(map(str, numbers))}", per_path=True)


def _through(pattern: str, interface_of: InterfaceOf) -> Condition:
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)

    def through(route: Route) -> bool:
        name = interface_of(route)
        return name is not None and wanted.fullmatch(name) is not None

    return where(through, f"through interface {pattern}")


def _actions(kind: str, value: object) -> list[Action]:
    if kind == "add_community":
        return _adding((str(value),))
    if kind == "set_priority" and isinstance(value, int):
        return [set_local_pref(local_pref_of(value))]
    if kind == "prepend" and isinstance(value, tuple):
        return [prepend(asn) for asn in reversed(value)]
    raise ValueError(f"there is no operation {kind} {value!r}")


def _adding(values: Iterable[str]) -> list[Action]:
    """Communities of two and of three parts, which are two attributes."""
    values = tuple(values)
    large = [value for value in values if value.count(":") == 2]
    plain = [value for value in values if value.count(":") != 2]
    return ([add_communities(*plain)] if plain else []) + ([add_large_communities(*large)] if large else [])


def _inside(networks: tuple[Prefix, ...], family: Family) -> Condition:
    return prefix_in(*networks, le=_bits(family))


def _of(family: Family, networks: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    return tuple(one for one in networks if one.family == family)


def _bits(family: Family) -> int:
    return 128 if family == IPV6_UNICAST else 32
