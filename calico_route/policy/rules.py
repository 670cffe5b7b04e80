"""The rules of a profile as Calico v0.4.9 wrote them, in JSON.

    {"id": "db", "inbound_rules": [{"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [3306]}],
     "outbound_rules": [{"action": "allow"}]}

An action that is absent is allow. Ports stand only with a protocol that has ports, an ICMP code only with a type. A tag
is a label with an empty value: `src_tag` T selects by `T == ''`. `ip_version` (4 or 6) is understood as Felix did.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from calico_route.fields import network, show

from .model import PROTOCOLS, WITH_PORTS, WITH_TYPES, Action, PortRange, Rule, Selection, Side

TAG = re.compile(r"[A-Za-z0-9_.-]+")
_TAG_SELECTOR = re.compile(r"""\s*([A-Za-z0-9_.-]+)\s*==\s*(?:''|"")\s*""")
_PORTS = re.compile(r"(\d{1,5})(?:[:-](\d{1,5}))?", re.ASCII)
PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}
_WITH_PORTS = "tcp, udp, sctp or udplite"
_TOP_KEYS = ("id", "inbound_rules", "outbound_rules")


class RulesError(ValueError):
    """Rules that nobody can mean. The text has a line for each fault: which rule, which key, what would be right."""


class Unsayable(ValueError):
    """A rule of Calico v3 which the form of v0.4.9 has no words for; the text says which part of it."""


class ProfileRules(NamedTuple):
    """`id` is None where the document does not say which profile it is for."""

    id: str | None
    inbound: tuple[Rule, ...]
    outbound: tuple[Rule, ...]


def tag_selection(tag: str) -> Selection:
    return Selection(f"{tag} == ''")


def tag_of(selection: Selection) -> str | None:
    """The tag that a selection stands for, None for any other."""
    if selection != Selection(selection.selector):
        return None
    found = _TAG_SELECTOR.fullmatch(selection.selector)
    return found[1] if found else None


def read_profile_rules(document: object) -> ProfileRules:
    """The rules in a JSON object. RulesError names every fault."""
    faults: list[str] = []
    if not isinstance(document, Mapping):
        raise RulesError(f"{show(document)}: must be an object with inbound_rules and outbound_rules")
    for key in document:
        if key not in _TOP_KEYS:
            faults.append(_unknown(str(key), _TOP_KEYS))
    name = document.get("id")
    if name is not None and not isinstance(name, str):
        faults.append(f"id {show(name)}: must be the name of the profile")
        name = None
    inbound = _read_list(document.get("inbound_rules"), "inbound", faults)
    outbound = _read_list(document.get("outbound_rules"), "outbound", faults)
    if faults:
        raise RulesError("\n".join(faults))
    return ProfileRules(name, inbound, outbound)


def _read_list(value: object, which: str, faults: list[str]) -> tuple[Rule, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        faults.append(f"{which}_rules {show(value)}: must be a list of rules")
        return ()
    found = []
    for number, one in enumerate(value, 1):
        try:
            found.append(read_rule(one))
        except RulesError as error:
            faults += [f"{which} rule {number}: {line}" for line in str(error).splitlines()]
    return tuple(found)


def read_rule(document: object) -> Rule:
    """One rule from its JSON object. RulesError has a line for each fault."""
    if not isinstance(document, Mapping):
        raise RulesError(f"{show(document)}: a rule must be an object")
    faults: list[str] = []
    found: dict[str, Any] = {}
    for key, value in document.items():
        read = _KEYS.get(key) if isinstance(key, str) else None
        if read is None:
            faults.append(_unknown(str(key), tuple(_KEYS)))
            continue
        try:
            found[key] = read(value)
        except ValueError as error:
            faults.append(f"{key} {show(value)}: {error}")
    if not faults:
        _check_together(found, faults)
    if faults:
        raise RulesError("\n".join(faults))
    return _made(found)


def _unknown(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"{key}: unknown key; {hint}"


def _check_together(found: Mapping[str, Any], faults: list[str]) -> None:
    protocol = found.get("protocol")
    for key in ("src_ports", "dst_ports"):
        if found.get(key) and protocol not in WITH_PORTS:
            faults.append(f'{key}: ports need a protocol that has them: add "protocol": {_WITH_PORTS}')
    if "icmp_type" in found and protocol not in WITH_TYPES:
        faults.append('icmp_type: a type needs "protocol": icmp or icmpv6')
    if "icmp_code" in found and "icmp_type" not in found:
        faults.append("icmp_code: a code needs an icmp_type beside it")
    versions = {key: 6 if ":" in found[key] else 4 for key in ("src_net", "dst_net") if key in found}
    if protocol in WITH_TYPES:
        versions[f"protocol {PROTOCOL_NAMES[protocol]}"] = 6 if protocol == PROTOCOLS["icmpv6"] else 4
    if "ip_version" in found:
        versions["ip_version"] = found["ip_version"]
    if len(set(versions.values())) > 1:
        said = " and ".join(f"{key} is IPv{version}" for key, version in versions.items())
        faults.append(f"{said}: such a rule can never hold; write one for each IP version")


def _made(found: Mapping[str, Any]) -> Rule:
    return Rule(
        action=found.get("action", Action.ALLOW),
        ip_version=found.get("ip_version"),
        protocol=found.get("protocol"),
        icmp=(found["icmp_type"], found.get("icmp_code")) if "icmp_type" in found else None,
        source=_side(found, "src"),
        destination=_side(found, "dst"),
    )


def _side(found: Mapping[str, Any], prefix: str) -> Side:
    tag, net = found.get(f"{prefix}_tag"), found.get(f"{prefix}_net")
    return Side(
        nets=() if net is None else (net,),
        selection=None if tag is None else tag_selection(tag),
        ports=found.get(f"{prefix}_ports", ()),
    )


def _fail(why: str) -> NoReturn:
    raise ValueError(why)


def _action(value: object) -> Action:
    actions = {"allow": Action.ALLOW, "deny": Action.DENY}
    found = actions.get(value.lower()) if isinstance(value, str) else None
    return found or _fail("must be allow or deny")


def read_protocol(value: object) -> int:
    """A number from 1 to 255, or a name in any case. ValueError."""
    if isinstance(value, str):
        name = value.lower()
        if name in PROTOCOLS:
            return PROTOCOLS[name]
        if name.isascii() and name.isdigit() and len(name) <= 3:
            value = int(name)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 255:
        return value
    _fail(f"must be one of {', '.join(PROTOCOLS)} or a number from 1 to 255")


def _tag(value: object) -> str:
    if not isinstance(value, str) or not TAG.fullmatch(value):
        _fail("a tag is made of letters, digits, _ . and -")
    return value


def read_net(value: object) -> str:
    """A CIDR in canonical form; an address alone is a network of one. ValueError."""
    return str(network(value))


def read_ports(value: object) -> tuple[PortRange, ...]:
    """A list of numbers and of texts such as "8000:8010". ValueError."""
    if not isinstance(value, list) or not value:
        _fail('must be a list of ports, such as [80, "8000:8010"]')
    return tuple(read_port(one) for one in value)


def read_port(value: object) -> PortRange:
    """A number or "first:last" (or "first-last"). ValueError."""
    low = high = -1
    if isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    elif isinstance(value, str):
        found = _PORTS.fullmatch(value.strip())
        if found is not None:
            low = int(found[1])
            high = int(found[2] or found[1])
    if not 0 <= low <= 65535 or high > 65535:
        _fail(f'{show(value)} is no port: write a number from 0 to 65535, or "first:last"')
    if high < low:
        _fail(f"{show(value)}: the range ends before it begins")
    return low, high


def _octet(most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        _fail(f"must be a number from 0 to {most}")

    return read


def _version(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value in (4, 6):
        return value
    _fail("must be 4 or 6")


_KEYS: Mapping[str, Callable[[object], object]] = {
    "action": _action,
    "protocol": read_protocol,
    "src_tag": _tag,
    "src_net": read_net,
    "src_ports": read_ports,
    "dst_tag": _tag,
    "dst_net": read_net,
    "dst_ports": read_ports,
    "icmp_type": _octet(254),
    "icmp_code": _octet(255),
    "ip_version": _version,
}


def write_profile_rules(name: str, inbound: tuple[Rule, ...], outbound: tuple[Rule, ...]) -> dict[str, Any]:
    """The JSON object of these rules. Unsayable for a rule that v0.4.9 has no words for: which, and why."""
    found: dict[str, Any] = {"id": name}
    for which, rules in (("inbound", inbound), ("outbound", outbound)):
        written = found[f"{which}_rules"] = []
        for number, rule in enumerate(rules, 1):
            try:
                written.append(write_rule(rule))
            except Unsayable as error:
                raise Unsayable(f"{which} rule {number}: {error}") from None
    return found


def write_rule(rule: Rule) -> dict[str, Any]:
    """The JSON object of one rule. Unsayable says which part of it v0.4.9 has no words for."""
    if rule.action not in (Action.ALLOW, Action.DENY):
        raise Unsayable(f"the rules of v0.4.9 allow or deny, and this one says {rule.action}")
    if rule.not_protocol is not None or rule.not_icmp is not None:
        raise Unsayable("the rules of v0.4.9 have no notProtocol and no notICMP")
    found: dict[str, Any] = {"action": rule.action.lower()}
    if rule.ip_version is not None:
        found["ip_version"] = rule.ip_version
    if rule.protocol is not None:
        found["protocol"] = PROTOCOL_NAMES.get(rule.protocol, rule.protocol)
    for prefix, side in (("src", rule.source), ("dst", rule.destination)):
        _write_side(prefix, side, found)
    if rule.icmp is not None:
        found["icmp_type"] = rule.icmp[0]
        if rule.icmp[1] is not None:
            found["icmp_code"] = rule.icmp[1]
    try:
        read_rule(found)
    except RulesError as error:  # v3 takes what can never hold; whoever sends the JSON back would be refused
        raise Unsayable(f"the rules of v0.4.9 have no place for it: {error}") from None
    return found


def _write_side(prefix: str, side: Side, found: dict[str, Any]) -> None:
    if side.not_nets or side.not_selection is not None or side.not_ports:
        raise Unsayable("the rules of v0.4.9 have no notNets, notSelector and notPorts")
    if len(side.nets) > 1:
        raise Unsayable(f"the rules of v0.4.9 have one network a side, and this one {len(side.nets)}")
    if side.selection is not None:
        tag = tag_of(side.selection)
        if tag is None:
            raise Unsayable(f"the rules of v0.4.9 select by a tag alone, and this one by {side.selection}")
        found[f"{prefix}_tag"] = tag
    if side.nets:
        found[f"{prefix}_net"] = side.nets[0]
    if side.ports:
        found[f"{prefix}_ports"] = [low if low == high else f"{low}:{high}" for low, high in side.ports]
