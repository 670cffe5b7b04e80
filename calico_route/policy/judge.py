"""Whether a connection is allowed, and by what: the rules as Calico means them, without a kernel.

The order is that of the compiled table: the source's egress, then the destination's ingress; in each the policies that
select the endpoint, by order and name; what none of them decides is dropped, and profiles are asked only where no
policy selects the endpoint in that direction, or one says Pass.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple

from .cluster import Cluster
from .expressions import describe
from .model import (
    WITH_PORTS,
    Action,
    Direction,
    Endpoint,
    Flow,
    PortRange,
    Rule,
    Selection,
    Side,
    network_of,
)


class Step(NamedTuple):
    """What one endpoint's rules say in one direction. `why` names the rule, or what was missing."""

    direction: Direction
    endpoint: str
    allowed: bool
    why: str


class Verdict(NamedTuple):
    """Steps in the order in which they are asked; the last is the one that dropped, if it is not allowed."""

    allowed: bool
    steps: tuple[Step, ...]

    @property
    def why(self) -> str:
        if not self.steps:
            return "neither end is a workload"
        return "; ".join(f"{step.direction} of {step.endpoint}: {step.why}" for step in self.steps)


def judge(cluster: Cluster, flow: Flow, *, local: bool = False) -> Verdict:
    """Ask the rules of both ends; `local`: only those that this node enforces."""
    steps: list[Step] = []
    for direction, address in ((Direction.EGRESS, flow.source), (Direction.INGRESS, flow.destination)):
        for endpoint in sorted(cluster.at(address), key=lambda one: one.key):
            if local and not cluster.enforces(endpoint):
                continue
            step = judge_endpoint(cluster, endpoint, direction, flow)
            steps.append(step)
            if not step.allowed:
                return Verdict(False, tuple(steps))
    return Verdict(True, tuple(steps))


def judge_endpoint(cluster: Cluster, endpoint: Endpoint, direction: Direction, flow: Flow) -> Step:
    """Ask one endpoint's rules in one direction."""

    def step(allowed: bool, why: str) -> Step:
        return Step(direction, str(endpoint), allowed, why)

    policies = [cluster.policies[key] for key in cluster.policies_of(endpoint)]
    asked = [policy for policy in policies if direction in policy.types]
    passed = ""
    for policy in asked:
        decided = _first(cluster, policy.rules(direction), flow)
        if decided is None:
            continue
        number, rule = decided
        why = f"{policy}, rule {number}: {describe(rule)}"
        if rule.action is not Action.PASS:
            return step(rule.action is Action.ALLOW, why)
        passed = f"{why}; "
        break
    if asked and not passed:
        return step(False, f"no rule of {', '.join(map(str, asked))} decides, so it is dropped")
    for name in endpoint.profiles:
        profile = cluster.profile(name)
        if profile is None:
            return step(False, f"{passed}profile {name} does not exist, so all is dropped")
        decided = _first(cluster, profile.rules(direction), flow)
        if decided is not None:
            number, rule = decided
            return step(rule.action is Action.ALLOW, f"{passed}profile {name}, rule {number}: {describe(rule)}")
    asked_profiles = f"no rule of {', '.join(endpoint.profiles)} matches" if endpoint.profiles else "it has no profile"
    return step(False, f"{passed}{asked_profiles}, so it is dropped")


def _first(cluster: Cluster, rules: tuple[Rule, ...], flow: Flow) -> tuple[int, Rule] | None:
    for number, rule in enumerate(rules, 1):
        if rule.action is not Action.LOG and matches(cluster, rule, flow):
            return number, rule
    return None


def matches(cluster: Cluster, rule: Rule, flow: Flow) -> bool:
    """Whether all that a rule gives holds for a flow."""
    if rule.ip_version is not None and rule.ip_version != flow.version:
        return False
    if rule.protocol is not None and rule.protocol != flow.protocol:
        return False
    if rule.not_protocol is not None and rule.not_protocol == flow.protocol:
        return False
    if rule.icmp is not None and not _is_icmp(rule.icmp, flow):
        return False
    if rule.not_icmp is not None and _is_icmp(rule.not_icmp, flow):
        return False
    return _side_matches(cluster, rule.source, flow.source, flow.source_port, flow) and _side_matches(
        cluster, rule.destination, flow.destination, flow.destination_port, flow
    )


def _is_icmp(wanted: tuple[int, int | None], flow: Flow) -> bool:
    return flow.icmp_type == wanted[0] and wanted[1] in (None, flow.icmp_code)


def _side_matches(cluster: Cluster, side: Side, address: str, port: int | None, flow: Flow) -> bool:
    if side.nets and not _inside(address, side.nets):
        return False
    if side.not_nets and _inside(address, side.not_nets):
        return False
    if side.selection is not None and not _selected(cluster, side.selection, address):
        return False
    if side.not_selection is not None and _selected(cluster, side.not_selection, address):
        return False
    if not side.ports and not side.not_ports:
        return True
    if flow.protocol not in WITH_PORTS or port is None:
        return False
    return (not side.ports or _in_ranges(port, side.ports)) and not _in_ranges(port, side.not_ports)


def _in_ranges(port: int, ranges: tuple[PortRange, ...]) -> bool:
    return any(low <= port <= high for low, high in ranges)


def _inside(address: str, nets: tuple[str, ...]) -> bool:
    found = ip_address(address)
    return any(found in network_of(net) for net in nets)


def _selected(cluster: Cluster, selection: Selection, address: str) -> bool:
    if cluster.members.follows(selection):
        return cluster.members.has(selection, address)
    return any(selection.selects(cluster.labels(endpoint)) for endpoint in cluster.at(address))
