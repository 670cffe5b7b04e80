"""Conditions and actions for communities of all kinds.

Values are texts ("65000:100", "no-export", "64500:1:2", "rt:65000:100"), or what the attributes hold. Conditions and
removals also take patterns: "65000:*", "*:666", "65000:100-199", "64500:*:7", "rt:65000:*".
"""

from __future__ import annotations

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy.actions import Action
from pybgp.policy.community_set import EXTENDED, IPV6_EXTENDED, LARGE, STANDARD, CommunitySet, Kind
from pybgp.policy.condition import Condition


def community(*values: object) -> Condition:
    """The route has all these communities: "65000:100", a well-known name such as "no-export", a number, a pattern."""
    return _all(STANDARD, values)


def any_community(*values: object) -> Condition:
    """The route has at least one of these communities."""
    return _any(STANDARD, values)


def large_community(*values: object) -> Condition:
    """The route has all these large communities (RFC 8092)."""
    return _all(LARGE, values)


def any_large_community(*values: object) -> Condition:
    """The route has at least one of these large communities."""
    return _any(LARGE, values)


def extended_community(*values: object) -> Condition:
    """The route has all these extended communities (RFC 4360)."""
    return _all(EXTENDED, values)


def any_extended_community(*values: object) -> Condition:
    """The route has at least one of these extended communities."""
    return _any(EXTENDED, values)


def ipv6_extended_community(*values: object) -> Condition:
    """The route has all these IPv6 address specific extended communities (RFC 5701)."""
    return _all(IPV6_EXTENDED, values)


def any_ipv6_extended_community(*values: object) -> Condition:
    """The route has at least one of these IPv6 address specific extended communities."""
    return _any(IPV6_EXTENDED, values)


def set_communities(*values: object) -> Action:
    """Replace all communities by these; none removes them."""
    return _set(STANDARD, values)


def add_communities(*values: object) -> Action:
    """Add communities: "65000:100", well-known names, or numbers."""
    return _add(STANDARD, values)


def remove_communities(*values: object) -> Action:
    """Remove communities, where they are."""
    return _remove(STANDARD, values)


def set_large_communities(*values: object) -> Action:
    return _set(LARGE, values)


def add_large_communities(*values: object) -> Action:
    """Add large communities: "64500:1:2" or three numbers."""
    return _add(LARGE, values)


def remove_large_communities(*values: object) -> Action:
    return _remove(LARGE, values)


def set_extended_communities(*values: object) -> Action:
    return _set(EXTENDED, values)


def add_extended_communities(*values: object) -> Action:
    return _add(EXTENDED, values)


def remove_extended_communities(*values: object) -> Action:
    return _remove(EXTENDED, values)


def set_ipv6_extended_communities(*values: object) -> Action:
    return _set(IPV6_EXTENDED, values)


def add_ipv6_extended_communities(*values: object) -> Action:
    return _add(IPV6_EXTENDED, values)


def remove_ipv6_extended_communities(*values: object) -> Action:
    return _remove(IPV6_EXTENDED, values)


def _all(kind: Kind, values: tuple[object, ...]) -> Condition:
    wanted = CommunitySet(kind, values)
    return Condition(lambda route: wanted.all_in(route.attributes), f"{kind.name} {wanted}")


def _any(kind: Kind, values: tuple[object, ...]) -> Condition:
    wanted = CommunitySet(kind, values)
    return Condition(lambda route: wanted.any_in(route.attributes), f"any {kind.name} of {wanted}")


def _set(kind: Kind, values: tuple[object, ...]) -> Action:
    wanted = CommunitySet(kind, values, patterns=False) if values else None
    new = frozenset() if wanted is None else wanted.exact
    return Action(
        f"set {kind.plural} {wanted or 'none'}",
        lambda attributes: attributes if kind.of(attributes) == new else attributes.with_(kind.row, new),
    )


def _add(kind: Kind, values: tuple[object, ...]) -> Action:
    wanted = CommunitySet(kind, values, patterns=False)

    def add(attributes: PathAttributes) -> PathAttributes:
        held = kind.of(attributes)
        return attributes if wanted.exact <= held else attributes.with_(kind.row, held | wanted.exact)

    return Action(f"add {kind.plural} {wanted}", add)


def _remove(kind: Kind, values: tuple[object, ...]) -> Action:
    unwanted = CommunitySet(kind, values)

    def remove(attributes: PathAttributes) -> PathAttributes:
        held = kind.of(attributes)
        found = unwanted.found(held)
        return attributes.with_(kind.row, held - found) if found else attributes

    return Action(f"remove {kind.plural} {unwanted}", remove)
