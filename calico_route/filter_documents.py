"""BGPFilters: documents to rules. What a rule says is checked here, so that a session meets none that cannot work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pybgp import Prefix
from pybgp.policy import add_communities, add_large_communities

from .fields import Fields, as_number
from .model import HIGHEST_PRIORITY, BgpFilter, FilterOperation, FilterRule, ResourceKey

OPERATORS = ("Equal", "NotEqual", "In", "NotIn")
_KNOWN = frozenset(
    (
        *("action", "cidr", "matchOperator", "prefixLength", "source", "interface", "peerType", "communities"),
        *("asPathPrefix", "priority", "operations"),
    )
)


def read_bgp_filter(key: ResourceKey, fields: Fields) -> BgpFilter:
    """All that is wrong is a problem of `fields`; a filter of which any rule cannot be read is not used at all, since
    the rules after it would see routes that are not for them."""
    spec = fields.section("spec")
    return BgpFilter(
        name=key.name,
        export_v4=_rules(spec, "exportV4", 32),
        import_v4=_rules(spec, "importV4", 32),
        export_v6=_rules(spec, "exportV6", 128),
        import_v6=_rules(spec, "importV6", 128),
        raw=fields.values,
    )


def _rules(spec: Fields, name: str, bits: int) -> tuple[FilterRule, ...]:
    return tuple(_rule(rule, bits) for rule in spec.sections(name))


def _rule(rule: Fields, bits: int) -> FilterRule:
    for name in rule.values.keys() - _KNOWN:
        rule.problem(str(name), rule.values[name], "unknown in a rule: it is applied without this", fatal=False)
    action = rule.values.get("action")
    if action not in ("Accept", "Reject"):
        rule.problem("action", action, "must be Accept or Reject")
    cidr, operator = _network(rule, bits)
    shortest, longest = _lengths(rule, cidr, bits)
    return FilterRule(
        accept=action == "Accept",
        cidr=cidr,
        operator=operator,
        shortest=shortest,
        longest=longest,
        learned=_one_of(rule, "source", ("RemotePeers",)) is not None,
        interface=rule.text("interface"),
        peer_type=_one_of(rule, "peerType", ("eBGP", "iBGP")),
        communities=_communities(rule),
        as_path_prefix=_as_numbers(rule, "asPathPrefix"),
        priority=rule.number("priority", 0, HIGHEST_PRIORITY),
        operations=tuple(one for part in rule.sections("operations") if (one := _operation(part)) is not None),
    )


def _one_of(rule: Fields, name: str, known: tuple[str, ...]) -> str | None:
    """A criterion that is not understood would match routes that it is not meant for."""
    value = rule.text(name)
    if value is not None and value not in known:
        rule.problem(name, value, f"must be {' or '.join(known)}")
        return None
    return value


def _network(rule: Fields, bits: int) -> tuple[Prefix | None, str]:
    operator = _one_of(rule, "matchOperator", OPERATORS)
    if not rule.has("cidr"):
        if operator is not None:
            rule.problem("matchOperator", operator, "needs a cidr")
        return None, "In"
    cidr = rule.prefix("cidr")
    if cidr is not None and (cidr.family.afi == 1) != (bits == 32):
        rule.problem("cidr", str(cidr), f"must be an IPv{4 if bits == 32 else 6} network in this list")
        cidr = None
    if operator is None and rule.text("matchOperator") is None:
        rule.problem("matchOperator", None, f"must stand beside the cidr: {', '.join(OPERATORS)}")
    return cidr, operator or "In"


def _lengths(rule: Fields, cidr: Prefix | None, bits: int) -> tuple[int | None, int | None]:
    if not rule.has("prefixLength"):
        return None, None
    part = rule.section("prefixLength")
    shortest, longest = part.number("min", 0, bits), part.number("max", 0, bits)
    if not rule.has("cidr"):
        rule.problem("prefixLength", rule.values["prefixLength"], "needs a cidr")
    elif cidr is not None and (bits if longest is None else longest) < max(cidr.length, shortest or 0):
        rule.problem("prefixLength", rule.values["prefixLength"], f"no network in {cidr} has such a length")
    return shortest, longest


def _communities(rule: Fields) -> tuple[str, ...]:
    if not rule.has("communities"):
        return ()
    part = rule.section("communities")
    values = part.texts("values")
    if not values:
        part.problem("values", part.values.get("values"), "must name a community")
    return tuple(value for value in values if _checked(part, "values", value, _community))


def _as_numbers(fields: Fields, name: str) -> tuple[int, ...]:
    found = []
    for index, value in enumerate(fields.items(name)):
        try:
            found.append(as_number(value))
        except ValueError as error:
            fields.problem(f"{name}[{index}]", value, str(error))
    return tuple(found)


def _operation(fields: Fields) -> FilterOperation | None:
    given = {name: value for name, value in fields.values.items() if value is not None}
    if len(given) != 1:
        fields.problem("", given, "must have one of addCommunity, prependASPath, setPriority")
        return None
    ((name, value),) = given.items()
    if not isinstance(value, Mapping):
        fields.problem(str(name), value, "must be an object")
        return None
    part = fields.section(str(name))
    if name == "addCommunity":
        text = part.text("value") or ""
        return FilterOperation("add_community", text) if _checked(part, "value", text, _community) else None
    if name == "prependASPath":
        numbers = _as_numbers(part, "prefix")
        if not numbers:
            part.problem("prefix", part.values.get("prefix"), "must be a list of AS numbers")
        return FilterOperation("prepend", numbers)
    if name == "setPriority":
        priority = part.number("value", 0, HIGHEST_PRIORITY)
        if priority is None and not part.has("value"):
            part.problem("value", None, f"must be a number from 0 to {HIGHEST_PRIORITY}")
        return None if priority is None else FilterOperation("set_priority", priority)
    fields.problem(str(name), value, "unknown; known are addCommunity, prependASPath, setPriority")
    return None


def _checked(fields: Fields, name: str, value: str, check: Callable[[str], None]) -> bool:
    try:
        check(value)
    except ValueError as error:
        fields.problem(name, value, str(error))
        return False
    return True


def _community(text: str) -> None:
    """Raise ValueError for what is neither "64512:5" nor "64512:5:6"."""
    try:
        (add_large_communities if text.count(":") == 2 else add_communities)(text)
    except ValueError:
        raise ValueError("must be a community such as 64512:5, or a large one such as 64512:5:6") from None
