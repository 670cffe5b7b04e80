"""The rules of Calico's v3 documents: `ingress` and `egress` of Profile, NetworkPolicy and GlobalNetworkPolicy.

Reading is total. Two kinds of trouble are told apart: a value that is wrong (`wrong`: the last good document stays in
force), and a value that is right but not enforced here (`refused`: named ports, services, HTTP …). The rule with it is
closed rather than open: an Allow is left out, anything else becomes a Deny of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from calico_route.fields import show
from calico_route.selector import parse_selector

from .model import DENY_ALL, WITH_PORTS, WITH_TYPES, Action, PortRange, Rule, Selection, Side
from .rules import PROTOCOL_NAMES, read_net, read_port, read_protocol

_T = TypeVar("_T")
_V3_NAMES = {"tcp": "TCP", "udp": "UDP", "icmp": "ICMP", "icmpv6": "ICMPv6", "sctp": "SCTP", "udplite": "UDPLite"}
_RULE_KEYS = frozenset(
    ("action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination", "metadata")
)
_SIDE_KEYS = frozenset(
    (
        *("nets", "notNets", "selector", "notSelector", "namespaceSelector"),
        *("ports", "notPorts", "serviceAccounts", "services"),
    )
)


@dataclass(slots=True)
class Findings:
    """What was odd in one document, as `path: what: why`."""

    wrong: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def texts(self) -> tuple[str, ...]:
        return (*self.wrong, *(f"{text} (closed: what it would let through is dropped)" for text in self.refused))


class _NotHere(ValueError):
    """A value that is good in Calico, and that we do not enforce."""


class Object:
    """An object of a document, read field by field; absent and null are the same."""

    def __init__(self, value: object, path: str, findings: Findings) -> None:
        self.path, self.findings = path, findings
        if value is not None and not isinstance(value, Mapping):
            findings.wrong.append(f"{path}: {show(value)}: must be an object")
            value = None
        self.values: Mapping[str, Any] = value or {}

    def has(self, name: str) -> bool:
        return self.values.get(name) not in (None, "", [], {})

    def read(self, name: str, reader: Callable[[object], _T]) -> _T | None:
        if not self.has(name):
            return None
        return self._try(f"{self.path}.{name}", self.values[name], reader)

    def list_of(self, name: str, reader: Callable[[object], _T]) -> tuple[_T, ...]:
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.findings.wrong.append(f"{self.path}.{name}: {show(value)}: must be a list")
            return ()
        found = (self._try(f"{self.path}.{name}[{index}]", one, reader) for index, one in enumerate(value))
        return tuple(one for one in found if one is not None)

    def section(self, name: str) -> Object:
        return Object(self.values.get(name), f"{self.path}.{name}", self.findings)

    def refuse_others(self, known: frozenset[str]) -> None:
        """A field that we do not know narrows the rule in some way that would be lost."""
        for name in self.values:
            if name not in known and self.has(name):
                self.findings.refused.append(f"{self.path}.{name}: not enforced here")

    def _try(self, path: str, value: object, reader: Callable[[object], _T]) -> _T | None:
        try:
            return reader(value)
        except _NotHere as error:
            self.findings.refused.append(f"{path}: {show(value)}: {error}")
        except ValueError as error:
            self.findings.wrong.append(f"{path}: {show(value)}: {error}")
        return None


def selector_text(value: object) -> str:
    """A selector that can be parsed, as it was written. ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be a selector in quotes")
    parse_selector(value)
    return value


def read_rules(document: object, path: str, namespace: str, findings: Findings) -> tuple[Rule, ...]:
    """The rules of a list; `namespace` is that of the policy, empty for others."""
    if document is None:
        return ()
    if not isinstance(document, list):
        findings.wrong.append(f"{path}: {show(document)}: must be a list of rules")
        return ()
    rules = (_read_rule(one, f"{path}[{index}]", namespace, findings) for index, one in enumerate(document))
    return tuple(rule for rule in rules if rule is not None)


def _read_rule(document: object, path: str, namespace: str, findings: Findings) -> Rule | None:
    own = Findings()
    one = Object(document, path, own)
    one.refuse_others(_RULE_KEYS)
    action = one.read("action", _action)
    if action is None and not own.wrong:
        own.wrong.append(f"{path}.action: must be Allow, Deny, Log or Pass")
    rule = Rule(
        action=action or Action.DENY,
        ip_version=one.read("ipVersion", _version),
        protocol=one.read("protocol", read_protocol),
        not_protocol=one.read("notProtocol", read_protocol),
        icmp=_icmp(one, "icmp"),
        not_icmp=_icmp(one, "notICMP"),
        source=_side(one.section("source"), namespace),
        destination=_side(one.section("destination"), namespace),
    )
    if not own.wrong:
        _check_together(rule, path, own)
    findings.wrong += own.wrong
    findings.refused += own.refused
    if own.wrong or own.refused:
        return None if rule.action is Action.ALLOW else DENY_ALL
    return rule


def _check_together(rule: Rule, path: str, findings: Findings) -> None:
    for name, side in (("source", rule.source), ("destination", rule.destination)):
        if (side.ports or side.not_ports) and rule.protocol not in WITH_PORTS:
            findings.wrong.append(f"{path}.{name}: ports need protocol TCP, UDP, SCTP or UDPLite")
    if (rule.icmp or rule.not_icmp) and rule.protocol not in WITH_TYPES:
        findings.wrong.append(f"{path}: an ICMP type needs protocol ICMP or ICMPv6")


def _icmp(rule: Object, name: str) -> tuple[int, int | None] | None:
    if not rule.has(name):
        return None
    one = rule.section(name)
    kind, code = one.values.get("type"), one.values.get("code")
    for what, value, most in (("type", kind, 254), ("code", code, 255)):
        if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most):
            rule.findings.wrong.append(f"{one.path}.{what}: {show(value)}: must be a number from 0 to {most}")
            return None
    if kind is None:
        rule.findings.wrong.append(f"{one.path}: must have a type")
        return None
    return kind, code


def _side(one: Object, namespace: str) -> Side:
    one.refuse_others(_SIDE_KEYS)
    if one.has("services"):
        one.findings.refused.append(f"{one.path}.services: services are not followed here; select their workloads")
    selector = one.read("selector", selector_text) or ""
    negated = one.read("notSelector", selector_text)
    namespaces = one.read("namespaceSelector", selector_text) or ""
    accounts = one.section("serviceAccounts")
    account_selector = accounts.read("selector", selector_text) or ""
    names = accounts.list_of("names", _account)
    if names:
        listed = ", ".join(f"'{name}'" for name in names)
        named = f"projectcalico.org/serviceaccount in {{{listed}}}"
        selector = f"({selector}) && {named}" if selector else named
    # A namespaced policy that says nothing of namespaces means its own.
    own = namespace if (selector or negated or account_selector) and not namespaces else ""
    selection = Selection(selector, namespaces, account_selector, own)
    return Side(
        nets=one.list_of("nets", read_net),
        not_nets=one.list_of("notNets", read_net),
        selection=None if selection == Selection() else selection,
        not_selection=None if negated is None else Selection(negated),
        ports=one.list_of("ports", _port),
        not_ports=one.list_of("notPorts", _port),
    )


def _account(value: object) -> str:
    if not isinstance(value, str) or not value or "'" in value:
        raise ValueError("must be the name of a service account")
    return value


def _action(value: object) -> Action:
    words = {action.lower(): action for action in Action}
    found = words.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be Allow, Deny, Log or Pass")
    return found


def _version(value: object) -> int:
    if value in (4, 6) and isinstance(value, int):
        return value
    raise ValueError("must be 4 or 6")


def _port(value: object) -> PortRange:
    if isinstance(value, str) and value[:1].isalpha():
        raise _NotHere("ports by name are not known here; write the number")
    return read_port(value)


def write_rules(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """The list as Calico writes it."""
    return [write_rule(rule) for rule in rules]


def write_rule(rule: Rule) -> dict[str, Any]:
    """One rule as Calico writes it. Rules of namespaced policies are not written here."""
    found: dict[str, Any] = {"action": str(rule.action)}
    if rule.ip_version is not None:
        found["ipVersion"] = rule.ip_version
    for name, protocol in (("protocol", rule.protocol), ("notProtocol", rule.not_protocol)):
        if protocol is not None:
            found[name] = _V3_NAMES[PROTOCOL_NAMES[protocol]] if protocol in PROTOCOL_NAMES else protocol
    for name, icmp in (("icmp", rule.icmp), ("notICMP", rule.not_icmp)):
        if icmp is not None:
            found[name] = {"type": icmp[0]} if icmp[1] is None else {"type": icmp[0], "code": icmp[1]}
    found["source"] = _write_side(rule.source)
    found["destination"] = _write_side(rule.destination)
    return found


def _write_side(side: Side) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if side.nets:
        found["nets"] = list(side.nets)
    if side.selection is not None:
        if side.selection.selector:
            found["selector"] = side.selection.selector
        if side.selection.namespaces:
            found["namespaceSelector"] = side.selection.namespaces
        if side.selection.accounts:
            found["serviceAccounts"] = {"selector": side.selection.accounts}
    if side.ports:
        found["ports"] = [_write_port(one) for one in side.ports]
    if side.not_nets:
        found["notNets"] = list(side.not_nets)
    if side.not_selection is not None:
        found["notSelector"] = side.not_selection.selector
    if side.not_ports:
        found["notPorts"] = [_write_port(one) for one in side.not_ports]
    return found


def _write_port(one: PortRange) -> int | str:
    return one[0] if one[0] == one[1] else f"{one[0]}:{one[1]}"
