"""Actions of the declarative form: what a rule does with a route that it matches, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import pack_address
from pybgp.rib.decision import DEFAULT_LOCAL_PREF

T = TypeVar("T")


_LARGEST = 0xFFFFFFFF


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


def adjust_local_pref(change: int) -> Action:
    """Raise or lower LOCAL_PREF (100 where there is none), within 0 and 4294967295."""
    return _adjust(LOCAL_PREF, DEFAULT_LOCAL_PREF, change)


def adjust_med(change: int) -> Action:
    """Raise or lower MULTI_EXIT_DISC (0 where there is none), within 0 and 4294967295."""
    return _adjust(MED, 0, change)


def _adjust(row: Attribute[int], default: int, change: int) -> Action:
    if isinstance(change, bool) or not isinstance(change, int) or not -_LARGEST <= change <= _LARGEST:
        raise ValueError(f"{row.name} is changed by a whole number up to {_LARGEST}, not {change!r}")
    return Action(
        f"{row.name} {change:+d}",
        lambda attributes: attributes.with_(row, max(0, min(_LARGEST, attributes.get(row, default) + change))),
    )


def set_origin(origin: Origin | int | str) -> Action:
    """Set ORIGIN: "igp", "egp", "incomplete", or its code."""
    return set_attribute(ORIGIN, origin)


def set_otc(asn: int) -> Action:
    """Set ONLY_TO_CUSTOMER (RFC 9234); the roles of the peers do so by themselves."""
    return set_attribute(ONLY_TO_CUSTOMER, asn)


def set_next_hop(address: str) -> Action:
    """Set the next hop. ValueError for no address."""
    raw = pack_address(address)
    return Action(f"set next hop {address}", lambda attributes: attributes.with_next_hop(raw))


def prepend(asn: int, times: int = 1) -> Action:
    """Put an AS in front of the AS_PATH. (Towards external peers the local AS comes in front of that anyway.)"""
    if times < 1:
        raise ValueError(f"prepend at least once, not {times} times")
    PathAttributes.build(as_path=[asn] * times)  # refuses what is no AS number
    return Action(
        f"prepend {asn}" + (f" {times} times" if times > 1 else ""),
        lambda attributes: attributes.with_(AS_PATH, attributes.as_path.prepend(asn, times)),
    )


def prepend_neighbor(times: int) -> Action:
    """Put the neighboring AS, the first of the AS_PATH, in front of it again so often. A path without one stays."""
    if times < 1:
        raise ValueError(f"prepend at least once, not {times} times")
    return Action(
        f"prepend the neighboring AS {times} times",
        lambda attributes: (
            attributes.with_(AS_PATH, attributes.as_path.prepend(attributes.neighbor_as, times))
            if attributes.neighbor_as
            else attributes
        ),
    )
