"""NetworkPolicy and GlobalNetworkPolicy of Calico v3, where they say what can be enforced here.

What cannot be enforced is closed, not open: somebody wrote the policy to protect something. A rule that we have no
means for (a named port, a service, an HTTP method) is left out if it allows, and denies all if it does not; so a policy
that has become unclear lets less through at its place in the order, and everybody whom it does not select is unharmed.
A policy of another tier than `default` closes whom it selects, too. Where not even the selector can be read there is
nobody to protect: such a policy is reported and not in force, as in Calico.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from calico_route.fields import show

from .model import DENY_ALL, Direction, NetworkPolicy, Selection
from .v3_rules import Findings, Object, read_rules, selector_text

_SPEC_KEYS = frozenset(
    (
        *("tier", "order", "selector", "types", "ingress", "egress", "namespaceSelector", "serviceAccountSelector"),
        *("doNotTrack", "preDNAT", "applyOnForward", "performanceHints"),
    )
)


class PolicyReading(NamedTuple):
    """`policy` is None where it is not in force here. `wrong`: the last good one should stay."""

    policy: NetworkPolicy | None
    wrong: bool
    problems: tuple[str, ...]


def read_network_policy(name: str, namespace: str, value: bytes) -> PolicyReading:
    """The policy in a value of the datastore; `namespace` is empty for a GlobalNetworkPolicy."""
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        return PolicyReading(None, True, (f"not JSON: {error}",))
    if not isinstance(document, Mapping):
        return PolicyReading(None, True, (f"{show(document)}: must be an object",))
    findings = Findings()
    spec = Object(document.get("spec"), "spec", findings)
    if spec.values.get("doNotTrack") is True or spec.values.get("preDNAT") is True:
        return PolicyReading(None, False, ())  # for interfaces of hosts alone
    applies_to = Selection(
        spec.read("selector", selector_text) or "",
        spec.read("namespaceSelector", selector_text) or "",
        spec.read("serviceAccountSelector", selector_text) or "",
        namespace,
    )
    order = spec.read("order", _order)
    types = _types(spec)
    if findings.wrong:
        return PolicyReading(None, True, findings.texts)
    ingress = read_rules(spec.values.get("ingress"), "spec.ingress", namespace, findings)
    egress = read_rules(spec.values.get("egress"), "spec.egress", namespace, findings)
    whole = Findings()
    Object(spec.values, "spec", whole).refuse_others(_SPEC_KEYS)
    tier = spec.values.get("tier")
    if tier not in (None, "", "default"):
        whole.refused.append(f"spec.tier: {show(tier)}: only the tier default is known here")
    if whole.refused:
        ingress = egress = (DENY_ALL,)
    findings.refused += whole.refused
    policy = NetworkPolicy(
        name=name,
        namespace=namespace,
        order=order,
        applies_to=applies_to,
        types=types,
        ingress=ingress,
        egress=egress,
    )
    return PolicyReading(policy, bool(findings.wrong), findings.texts)


def _order(value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError("must be a number")


def _types(spec: Object) -> frozenset[Direction]:
    """As given; else Egress if there are only rules for it, both if there are rules for both, and Ingress."""
    given = spec.list_of("types", _direction)
    if given or spec.has("types"):
        return frozenset(given)
    found = {Direction.EGRESS} if spec.has("egress") else set()
    if spec.has("ingress") or not found:
        found.add(Direction.INGRESS)
    return frozenset(found)


def _direction(value: object) -> Direction:
    for direction in Direction:
        if value == direction:
            return direction
    raise ValueError("must be Ingress or Egress")


def metadata_name(document: Mapping[str, Any], stored: str) -> str:
    """The name that the policy's user gave it: Calico before v3.32 stores `default.web` for `web`."""
    metadata = document.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    text = annotations.get("projectcalico.org/metadata") if isinstance(annotations, Mapping) else None
    try:
        kept = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        kept = None
    given = kept.get("name") if isinstance(kept, Mapping) else None
    return given if isinstance(given, str) and given else stored
