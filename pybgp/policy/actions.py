"""Actions of the declarative form: what a rule does with a route that it matches, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.communities import COMMUNITIES, format_community, parse_community
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES, LargeCommunity, parse_large_community
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import pack_address

T = TypeVar("T")


class Verdict(Enum):
    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Action:
    """An edit of the attributes, or a verdict that ends the policy. `text` describes it."""

    text: str
    edit: Callable[[PathAttributes], PathAttributes] | None = None
    verdict: Verdict | None = None

    def __str__(self) -> str:
        return self.text


def accept() -> Action:
    """Take the route as it is by now; no further rule is asked."""
    return Action("accept", verdict=Verdict.ACCEPT)


def reject(reason: str = "") -> Action:
    """Refuse the route; the reason shows up where people ask why."""
    return Action(reason or "reject", verdict=Verdict.REJECT)


def set_attribute(row: Attribute[T], value: object) -> Action:
    """Set any attribute, from its value or its text or JSON form. ValueError for a bad value."""
    checked = row.from_json(value)
    PathAttributes.build().with_(row, checked)  # raises now what it would raise for each route later
    return Action(f"set {row.name} {value}", lambda attributes: attributes.with_(row, checked))


def remove_attribute(row: Attribute[Any]) -> Action:
    """Take an attribute away. ValueError for one that every route has."""
    PathAttributes.build().without(row)
    return Action(f"remove {row.name}", lambda attributes: attributes.without(row))


def set_local_pref(value: int) -> Action:
    return set_attribute(LOCAL_PREF, value)


def set_med(value: int | None) -> Action:
    """Set MULTI_EXIT_DISC; None removes it."""
    return remove_attribute(MED) if value is None else set_attribute(MED, value)


def set_next_hop(address: str) -> Action:
    """Set the next hop. ValueError for no address."""
    raw = pack_address(address)
    return Action(f"set next hop {address}", lambda attributes: attributes.with_next_hop(raw))


def prepend(asn: int, times: int = 1) -> Action:
    """Put an AS in front of the AS_PATH. (Towards external peers the local AS comes in front of that anyway.)"""
    if times < 1:
        raise ValueError(f"prepend at least once, not {times} times")
    PathAttributes.build(as_path=[asn] * times)
    return Action(
        f"prepend {asn}" + (f" {times} times" if times > 1 else ""),
        lambda attributes: attributes.with_(AS_PATH, attributes.as_path.prepend(asn, times)),
    )


def add_communities(*values: str | int) -> Action:
    """Add communities: "65000:100", well-known names, or numbers."""
    wanted = _some(map(parse_community, values))
    return Action(
        "add communities " + _names(wanted),
        lambda attributes: attributes.with_(COMMUNITIES, attributes.communities | wanted),
    )


def remove_communities(*values: str | int) -> Action:
    """Remove communities, where they are."""
    unwanted = _some(map(parse_community, values))
    return Action(
        "remove communities " + _names(unwanted),
        lambda attributes: (
            attributes.with_(COMMUNITIES, attributes.communities - unwanted)
            if attributes.communities & unwanted
            else attributes
        ),
    )


def set_communities(*values: str | int) -> Action:
    """Replace all communities by these; none removes them."""
    wanted = frozenset(map(parse_community, values))
    return Action(
        "set communities " + (_names(wanted) or "none"), lambda attributes: attributes.with_(COMMUNITIES, wanted)
    )


def add_large_communities(*values: str | LargeCommunity) -> Action:
    """Add large communities: "64500:1:2" or three numbers."""
    wanted = _some(map(parse_large_community, values))
    return Action(
        "add large communities " + ", ".join(map(str, values)),
        lambda attributes: attributes.with_(LARGE_COMMUNITIES, attributes.large_communities | wanted),
    )


def _some(values: map[T]) -> frozenset[T]:
    made = frozenset(values)
    if not made:
        raise ValueError("at least one community is needed")
    return made


def _names(values: frozenset[int]) -> str:
    return ", ".join(map(format_community, sorted(values)))
