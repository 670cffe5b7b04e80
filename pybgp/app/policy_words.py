"""What the rules of a file may look at and do: from the value of a key to a condition or an action.

The makers raise ValueError with what is allowed; `policy_file` says where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pybgp import policy as p
from pybgp.family import Family
from pybgp.messages.attributes import ROW_NAMED
from pybgp.messages.attributes.origin import Origin
from pybgp.policy import Action, AsSet, Condition, PrefixSet
from pybgp.prefix import format_address, pack_address

MOST_PREPENDED = 255  # what one AS_PATH segment holds
LARGEST = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sets:
    """The named sets of a file: `[prefix_set]` and `[as_set]`."""

    prefixes: Mapping[str, PrefixSet] = field(default_factory=dict)
    asns: Mapping[str, AsSet] = field(default_factory=dict)


def listed(value: Any) -> list[Any]:
    """A list, or one thing as a list of one."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise ValueError("the list is empty")
    return items


def texts(value: Any) -> list[str]:
    for item in listed(value):
        if not isinstance(item, str):
            raise ValueError(f"must be a text, or a list of texts, not {item!r}")
    return listed(value)


def number(value: Any, least: int = 0, most: int = LARGEST) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"must be a number from {least} to {most}, not {value!r}")
    return value


def numbers(value: Any, least: int = 1) -> list[int]:
    for item in listed(value):
        if not isinstance(item, int) or isinstance(item, bool) or not least <= item <= LARGEST:
            raise ValueError(f"must be a number from {least} to {LARGEST}, or a list of such, not {item!r}")
    return listed(value)


def as_numbers(value: Any, sets: Sets, least: int = 1) -> list[int | str | AsSet]:
    """AS numbers, ranges such as "64512-65534", and names of AS sets."""
    found: list[int | str | AsSet] = []
    for item in listed(value):
        if isinstance(item, str) and not item[:1].isdecimal():
            found.append(_named(item, sets.asns, "as_set"))
        elif isinstance(item, str):
            AsSet(item)  # says what is wrong with it
            found.append(item)
        else:
            found += numbers(item, least)
    return found


def _named(name: str, known: Mapping[str, Any], table: str) -> Any:
    if name not in known:
        there = f"there are {', '.join(sorted(known))}" if known else f"the file has no [{table}]"
        raise ValueError(f"[{table}] has no {name!r}; {there}")
    return known[name]


def _between(make: Callable[..., Condition]) -> Maker:
    """A number, or a table with `ge`, `le` or both."""

    def made(value: Any, _sets: Sets) -> Condition:
        if not isinstance(value, dict):
            return make(ge=number(value), le=number(value))
        if not value or not value.keys() <= {"ge", "le"}:
            raise ValueError(f"must be a number, or a table of ge, le or both, not {value!r}")
        bounds = {key: number(bound) for key, bound in value.items()}
        if bounds.get("ge", 0) > bounds.get("le", LARGEST):
            raise ValueError(f"from {value['ge']} to {value['le']} is no range")
        return make(**bounds)

    return made


def _next_hop(value: Any, _sets: Sets) -> Condition:
    """Addresses, and prefixes that hold them."""
    addresses = [text for text in texts(value) if "/" not in text]
    prefixes = [text for text in texts(value) if "/" in text]
    conditions = [p.next_hop_is(*addresses)] if addresses else []
    return p.any_of(*conditions, *([p.next_hop_in(*prefixes)] if prefixes else []))


def _peer(text: str) -> str:
    """An address as `PeerConfig` writes it, so that other spellings of it match as well."""
    host, percent, zone = text.partition("%")
    return format_address(pack_address(host)) + percent + zone


def _source(value: Any, _sets: Sets) -> Condition:
    for item in texts(value):
        if item not in _SOURCES:
            raise ValueError(f"must be one of {', '.join(_SOURCES)}, not {item!r}")
    return p.any_of(*(_SOURCES[item]() for item in texts(value)))


def _origin(text: str) -> Origin:
    names = {origin.name.lower(): origin for origin in Origin}
    if text not in names:
        raise ValueError(f"must be one of {', '.join(names)}, not {text!r}")
    return names[text]


def _attributes(value: Any) -> list[str]:
    for item in texts(value):
        if item not in ROW_NAMED:
            raise ValueError(f"there is no attribute {item!r}: there are {', '.join(sorted(ROW_NAMED))}")
    return texts(value)


def _prepend(value: Any) -> Action:
    """An AS number, or [AS number, times]."""
    if isinstance(value, list) and len(value) != 2:
        raise ValueError(f"must be an AS number, or a list of it and how many times, not {value!r}")
    asn, times = (*numbers(value), 1)[:2]
    if times > MOST_PREPENDED:
        raise ValueError(f"up to {MOST_PREPENDED} times, not {times}")
    return p.prepend(asn, times)


def _remove(value: Any) -> Action:
    """Attributes by name, as one action."""
    actions = [p.remove_attribute(ROW_NAMED[name]) for name in _attributes(value)]

    def edit(attributes: Any) -> Any:
        for action in actions:
            assert action.edit is not None
            attributes = action.edit(attributes)
        return attributes

    return Action("remove " + ", ".join(texts(value)), edit)


Maker = Callable[[Any, Sets], Condition]

_SOURCES: dict[str, Callable[[], Condition]] = {
    "local": p.local_route,
    "internal": p.internal_route,
    "external": p.external_route,
}
CONDITIONS: dict[str, Maker] = {
    "prefix_set": lambda value, sets: p.prefix_in(*(_named(n, sets.prefixes, "prefix_set") for n in texts(value))),
    "family": lambda value, _: p.any_of(*(p.family_is(Family.parse(name)) for name in texts(value))),
    "community": lambda value, _: p.community(*listed(value)),
    "any_community": lambda value, _: p.any_community(*listed(value)),
    "large_community": lambda value, _: p.large_community(*listed(value)),
    "any_large_community": lambda value, _: p.any_large_community(*listed(value)),
    "extended_community": lambda value, _: p.extended_community(*listed(value)),
    "any_extended_community": lambda value, _: p.any_extended_community(*listed(value)),
    "ipv6_extended_community": lambda value, _: p.ipv6_extended_community(*listed(value)),
    "any_ipv6_extended_community": lambda value, _: p.any_ipv6_extended_community(*listed(value)),
    "as_path": lambda value, _: p.any_of(*map(p.as_path_matches, texts(value))),
    "as_path_hops": lambda value, _: p.any_of(*map(p.as_path_hops, texts(value))),
    "as_path_has": lambda value, sets: p.as_path_has(*as_numbers(value, sets)),
    "as_path_through": lambda value, sets: p.as_path_through(*as_numbers(value, sets)),
    "as_path_length": _between(p.as_path_length),
    "as_path_longer_than": lambda value, _: p.as_path_length(ge=numbers([value], 0)[0] + 1),
    "as_path_repeats": lambda value, _: p.as_path_repeats(number(value, 2, 255)),
    "neighbor_as": lambda value, sets: p.neighbor_as(*as_numbers(value, sets, 0)),
    "origin_as": lambda value, sets: p.origin_as(*as_numbers(value, sets, 0)),
    "next_hop": _next_hop,
    "next_hop_set": lambda value, sets: p.next_hop_in(*(_named(n, sets.prefixes, "prefix_set") for n in texts(value))),
    "peer": lambda value, _: p.peer_is(*map(_peer, texts(value))),
    "peer_as": lambda value, sets: p.peer_as(*as_numbers(value, sets)),
    "peer_group": lambda value, _: p.peer_group(*texts(value)),
    "peer_role": lambda value, _: p.peer_role(*texts(value)),
    "source": _source,
    "origin": lambda value, _: p.any_of(*(p.origin_is(_origin(text)) for text in texts(value))),
    "med": _between(p.med_in),
    "local_pref": _between(p.local_pref_in),
    "otc": lambda value, sets: p.otc() if value is True else p.otc(*as_numbers(value, sets)),
    "has": lambda value, _: p.all_of(*map(p.has_attribute, _attributes(value))),
}
ACTIONS: dict[str, Callable[[Any], Action]] = {
    "set_origin": lambda value: p.set_origin(_origin(value)),
    "set_local_pref": p.set_local_pref,
    "adjust_local_pref": p.adjust_local_pref,
    "set_med": p.set_med,
    "adjust_med": p.adjust_med,
    "set_next_hop": lambda value: p.set_next_hop(*texts([value])),
    "set_communities": lambda value: p.set_communities(*([] if value == [] else listed(value))),
    "remove_communities": lambda value: p.remove_communities(*listed(value)),
    "add_communities": lambda value: p.add_communities(*listed(value)),
    "set_large_communities": lambda value: p.set_large_communities(*([] if value == [] else listed(value))),
    "remove_large_communities": lambda value: p.remove_large_communities(*listed(value)),
    "add_large_communities": lambda value: p.add_large_communities(*listed(value)),
    "set_extended_communities": lambda value: p.set_extended_communities(*([] if value == [] else listed(value))),
    "remove_extended_communities": lambda value: p.remove_extended_communities(*listed(value)),
    "add_extended_communities": lambda value: p.add_extended_communities(*listed(value)),
    "set_ipv6_extended_communities": lambda value: p.set_ipv6_extended_communities(
        *([] if value == [] else listed(value))
    ),
    "remove_ipv6_extended_communities": lambda value: p.remove_ipv6_extended_communities(*listed(value)),
    "add_ipv6_extended_communities": lambda value: p.add_ipv6_extended_communities(*listed(value)),
    "set_otc": lambda value: p.set_otc(number(value, 1)),
    "remove": _remove,
    "prepend": _prepend,
    "prepend_neighbor": lambda value: p.prepend_neighbor(number(value, 1, MOST_PREPENDED)),
}
