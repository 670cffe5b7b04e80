"""How many prefixes of a family a neighbour may have here, and what follows when there are more (RFC 4271 6.7).

One `LimitWatch` a neighbour and family. It keeps no prefixes: it is shown the count after each UPDATE, and says what
is to be told or done. What is over a limit of the kind "block" is held back by the Adj-RIB-In itself.
"""

from __future__ import annotations

from typing import NamedTuple

from pybgp.config import PrefixLimit
from pybgp.errors import MaximumPrefixes
from pybgp.family import Family


class Crossing(NamedTuple):
    """A count has crossed a mark. `words` for people; with `ends` the session is not to go on."""

    words: str
    ends: bool


class LimitWatch:
    """Says each crossing once, and again when the count was below the mark in between."""

    __slots__ = ("_above_limit", "_above_mark", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self._above_mark = False
        self._above_limit = False

    def look(self, limit: PrefixLimit, count: int) -> Crossing | None:
        """What `count` prefixes mean; None: nothing new."""
        mark = limit.limit * limit.warn_at / 100
        if count > limit.limit:
            first, self._above_limit, self._above_mark = not self._above_limit, True, True
            if not first and limit.action not in ("shut", "restart"):
                return None
            return Crossing(self._over(limit, count), limit.action in ("shut", "restart"))
        self._above_limit = False
        first, self._above_mark = not self._above_mark, count > mark
        if first and self._above_mark:
            return Crossing(f"{count} prefixes {limit.count}, of {limit.limit} allowed", ends=False)
        return None

    def _over(self, limit: PrefixLimit, count: int) -> str:
        then = {
            "shut": "the session ends, and comes back when it is enabled again",
            "restart": f"the session ends, and comes back in {limit.restart_after:g} s",
            "block": "what is above is not used",
            "warn": "they are used all the same",
        }[limit.action]
        return f"{count} prefixes {limit.count}, and {limit.limit} are allowed: {then}"


def too_many(family: Family, limit: PrefixLimit, words: str) -> MaximumPrefixes:
    """The NOTIFICATION's error, with family and limit as its data (RFC 4486 section 4)."""
    data = family.afi.to_bytes(2, "big") + bytes((family.safi,)) + limit.limit.to_bytes(4, "big")
    return MaximumPrefixes(words, data)
