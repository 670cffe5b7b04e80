"""Which communities a condition or an action means: exact ones, and patterns such as "65000:*".

Standard (RFC 1997), large (RFC 8092), extended (RFC 4360) and IPv6 address specific extended (RFC 5701) ones are
four kinds of the same thing: an attribute that holds a set, its members' text form, and a way to match them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.communities import COMMUNITIES, format_community, parse_community
from pybgp.messages.attributes.extended_communities import (
    EXTENDED_COMMUNITIES,
    format_extended_community,
    parse_extended_community,
)
from pybgp.messages.attributes.ipv6_extended_communities import (
    IPV6_EXTENDED_COMMUNITIES,
    format_ipv6_extended_community,
    parse_ipv6_extended_community,
)
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES, parse_large_community
from pybgp.messages.attributes.path_attributes import PathAttributes

_FIELD = re.compile(r"\*|\d{1,10}(?:-\d{1,10})?", re.ASCII)
MOST_STARS = 4

Member = Any
"""An int, a tuple of three, 8 octets or 20 octets: what the attribute of the kind holds."""
Fits = Callable[[Member], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of community. `pattern` makes a test of a text with a `*` or a range in it."""

    name: str
    row: Attribute[Collection[Member]]
    parse: Callable[[object], Member]
    format: Callable[[Member], str]
    pattern: Callable[[Kind, str], Fits]

    @property
    def plural(self) -> str:
        return self.name.removesuffix("y") + "ies"

    def of(self, attributes: PathAttributes) -> frozenset[Member]:
        """Those that a route has."""
        found = attributes.get(self.row)
        return frozenset(found) if found else frozenset()


class CommunitySet:
    """Communities of one kind. ValueError for one that is none, or for no one at all."""

    def __init__(self, kind: Kind, values: Collection[object], *, patterns: bool = True) -> None:
        if not values:
            raise ValueError(f"at least one {kind.name} is needed")
        self.kind = kind
        self.exact: frozenset[Member]
        exact, fits = set(), []
        for value in values:
            if patterns and isinstance(value, str) and _is_pattern(kind, value):
                fits.append(kind.pattern(kind, value))
            else:
                exact.add(kind.parse(value))
        self.exact = frozenset(exact)
        self._fits: tuple[Fits, ...] = tuple(fits)
        self._text = ", ".join(
            [value if isinstance(value, str) else kind.format(kind.parse(value)) for value in values]
        )

    def all_in(self, attributes: PathAttributes) -> bool:
        """The route has each exact one, and one that fits for each pattern."""
        held = self.kind.of(attributes)
        return self.exact <= held and all(any(map(fits, held)) for fits in self._fits)

    def any_in(self, attributes: PathAttributes) -> bool:
        """The route has one of them."""
        return bool(self.found(self.kind.of(attributes)))

    def found(self, held: frozenset[Member]) -> frozenset[Member]:
        """Those of `held` that are meant."""
        if not self._fits or not held:
            return held & self.exact
        return frozenset(one for one in held if one in self.exact or any(fits(one) for fits in self._fits))

    def __str__(self) -> str:
        return self._text


def _is_pattern(kind: Kind, text: str) -> bool:
    if "*" in text:
        return True
    if "-" not in text or kind.pattern is not _numbers:
        return False
    return text[:1].isdecimal()  # else a name such as "no-export"


def _numbers(kind: Kind, text: str) -> Fits:
    """Fields of numbers, each a number, a range or `*`."""
    largest, fields = (0xFFFF, 2) if kind.row is COMMUNITIES else (0xFFFFFFFF, 3)
    parts = text.split(":")
    if len(parts) != fields or not all(map(_FIELD.fullmatch, parts)):
        shape = ":".join(["65000", "*", "100-199"][:fields] if fields == 3 else ["65000", "*"])
        raise ValueError(f'{text!r} is no {kind.name}, and no pattern of such as "{shape}" is')
    bounds = []
    for part in parts:
        low, _dash, high = ("0", "", str(largest)) if part == "*" else part.partition("-")
        first, last = int(low), int(high or low)
        if not first <= last <= largest:
            raise ValueError(f"{text!r}: {part} is no range up to {largest}")
        bounds.append((first, last))
    if fields == 2:
        (a, b), (c, d) = bounds
        return lambda value: a <= value >> 16 <= b and c <= value & 0xFFFF <= d
    return lambda value: all(low <= number <= high for number, (low, high) in zip(value, bounds, strict=True))


def _words(kind: Kind, text: str) -> Fits:
    """The text form, with `*` for any characters."""
    if not text.strip("*: ") or text.count("*") > MOST_STARS:
        raise ValueError(f"{text!r}: a pattern has words or numbers, and at most {MOST_STARS} stars")
    compiled = re.compile(".*".join(map(re.escape, text.split("*"))))
    return lambda value: compiled.fullmatch(kind.format(value)) is not None


def _format_large(value: Member) -> str:
    return "{}:{}:{}".format(*value)


STANDARD = Kind("community", COMMUNITIES, parse_community, format_community, _numbers)
LARGE = Kind("large community", LARGE_COMMUNITIES, parse_large_community, _format_large, _numbers)
EXTENDED = Kind("extended community", EXTENDED_COMMUNITIES, parse_extended_community, format_extended_community, _words)
IPV6_EXTENDED = Kind(
    "IPv6 extended community",
    IPV6_EXTENDED_COMMUNITIES,
    parse_ipv6_extended_community,
    format_ipv6_extended_community,
    _words,
)
