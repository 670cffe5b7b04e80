"""`show route` of BIRD's control protocol, with its words. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pybgp import Prefix

from .wire import SYNTAX, AnswerError, BirdProtocol, BirdRoute, Exported, Facts, Line, since

END, COUNT, ROUTE, ROUTE_TYPE, ATTRIBUTES = 0, 14, 1007, 1008, 1012
NOT_IN_TABLE, PROTOCOL_DOWN = 8001, 8005
TABLE = "master"
"""The only one, as in Calico's BIRD."""


@dataclass(frozen=True, slots=True)
class Query:
    """What `show route` asks for."""

    details: bool = False
    protocol: str | None = None
    exported: Exported | None = None
    prefix: Prefix | None = None
    address: Prefix | None = None  # of which the longest network is wanted
    best: bool = False
    rejected: bool = False
    count: bool = False
    stats: bool = False

    @classmethod
    def read(cls, words: list[str], facts: Facts) -> Query:
        flags: set[str] = set()
        names: dict[str, str] = {}
        prefixes: dict[str, Prefix] = {}
        rest = iter(words)

        def needed() -> str:
            word = next(rest, None)
            if word is None:
                raise AnswerError(SYNTAX, "syntax error")
            return word

        for word in rest:
            if word in _FLAGS:
                flags.add(word)
            elif word == "table":
                if (name := needed()) != TABLE:
                    raise AnswerError(SYNTAX, f"{name} is not a table")
            elif word in ("protocol", *_EXPORTS):
                there = _protocol(needed(), facts)
                if word in _EXPORTS and there.state != "up":
                    raise AnswerError(PROTOCOL_DOWN, "Protocol is down")
                names[word] = there.name
            elif word in ("where", "filter"):
                raise AnswerError(SYNTAX, f"{word}: this is not BIRD, and knows no filters; ask for a network")
            elif word == "for":
                prefixes["address"] = _prefix(needed())
            else:
                prefixes["prefix"] = _prefix(word)
        return cls(
            details="all" in flags,
            protocol=names.get("protocol"),
            exported=next((Exported(how, names[how]) for how in _EXPORTS if how in names), None),
            prefix=prefixes.get("prefix"),
            address=prefixes.get("address"),
            best="primary" in flags,
            rejected="filtered" in flags,
            count="count" in flags,
            stats="stats" in flags,
        )

    def takes(self, route: BirdRoute) -> bool:
        return (
            (self.prefix is None or route.prefix == self.prefix)
            and (self.address is None or self.address in route.prefix)
            and (self.protocol is None or route.protocol == self.protocol)
            and (route.best or not self.best)
            and route.rejected is self.rejected
        )


_FLAGS = frozenset({"all", "primary", "filtered", "count", "stats"})
_EXPORTS = ("export", "preexport", "noexport")


def _protocol(name: str, facts: Facts) -> BirdProtocol:
    for one in facts.protocols():
        if one.name == name:
            return one
    raise AnswerError(SYNTAX, f"{name} is not a protocol")


def _prefix(text: str) -> Prefix:
    try:
        return Prefix(text if "/" in text else f"{text}/{128 if ':' in text else 32}")
    except ValueError:
        raise AnswerError(SYNTAX, "syntax error") from None


def answer_routes(query: Query, facts: Facts) -> Iterator[Sequence[Line]]:
    now = facts.status().now
    counted, networks = 0, set[Prefix]()
    longest: list[BirdRoute] = []
    last: Prefix | None = None
    total = 0
    for part in facts.routes(exported=query.exported, details=query.details):
        taken = [one for one in part if query.takes(one)]
        total += len(part)
        if query.address is not None:
            longest = _longest([*longest, *taken])
        elif query.count:
            counted += len(taken)
            networks.update(one.prefix for one in taken)
        else:
            lines: list[Line] = []
            for one in taken:
                lines += _route(one, now, again=one.prefix == last)
                last = one.prefix
                counted += 1
            if query.stats:
                networks.update(one.prefix for one in taken)
            yield lines
            continue
        yield []
    if query.count:
        counted, networks = (len(longest), {one.prefix for one in longest}) if query.address else (counted, networks)
        yield [(COUNT, f"{counted} of {total} routes for {len(networks)} networks")]
        return
    if query.address is not None:
        for number, one in enumerate(longest):
            yield list(_route(one, now, again=number > 0))
        counted, networks = len(longest), {one.prefix for one in longest}
    if not counted and (query.prefix is not None or query.address is not None):
        raise AnswerError(NOT_IN_TABLE, "Network not in table")
    yield [(COUNT, f"{counted} of {total} routes for {len(networks)} networks") if query.stats else (END, "")]


def _longest(routes: list[BirdRoute]) -> list[BirdRoute]:
    length = max((one.prefix.length for one in routes), default=0)
    return [one for one in routes if one.prefix.length == length]


def _route(one: BirdRoute, now: float, *, again: bool) -> Iterator[Line]:
    told = f" from {one.gone_through}" if one.gone_through else ""
    mark = " *" if one.best else ""
    suffix = f" [{one.suffix}]" if one.suffix else ""
    name = "" if again else str(one.prefix)
    where = f"[{one.protocol} {since(one.since, now)}{told}]"
    yield ROUTE, f"{name:18} {one.what} {where}{mark} ({one.rank}){suffix}"
    if one.kind:
        yield ROUTE_TYPE, f"\tType: {one.kind} unicast univ"
        for text in one.attributes:
            yield ATTRIBUTES, f"\t{text}"
