"""Questions of BIRD's control protocol, and the answers of BIRD 1.6 to them. No I/O, no clock.

An answer is lines of a number and a text. Understood are `show status`, `show protocols [all] [NAME]`, `show route`
with its words, `restrict` and `configure`; everything else is a syntax error, as from BIRD.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from pybgp import Prefix

Line = tuple[int, str]

READY, STATUS, ROUTER_ID, UP, RECOVERY = 1, 1000, 1011, 13, 24
HEADINGS, PROTOCOL, DETAILS, END = 2002, 1002, 1006, 0
ROUTE, ROUTE_TYPE, ATTRIBUTES, COUNT = 1007, 1008, 1012, 14
NOT_IN_TABLE, NO_PROTOCOLS_MATCH, PROTOCOL_DOWN, SYNTAX, PARSE = 8001, 8003, 8005, 9001, 9002
RECONFIGURED, RESTRICTED = 3, 16

DAY = 20 * 3600
"""What is older is told by its date, as BIRD does."""
_TOKEN = re.compile(r'\s*("[^"]*"|[^\s"]+)')


@dataclass(frozen=True, slots=True)
class Status:
    """`recovery`: after a restart the sessions that are waited for, the seconds that are left, and of how many."""

    version: str
    router_id: str
    now: float
    started: float
    changed: float
    recovery: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class BirdProtocol:
    """What BIRD calls a protocol: a session, or a source of routes. Times since 1970; `details` are lines of
    `show protocols all` after the counts of routes."""

    name: str
    kind: str
    state: str
    since: float
    info: str = ""
    preference: int = 100
    imported: int = 0
    exported: int = 0
    recovering: bool = False
    description: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BirdRoute:
    """One route. `what` is how it goes ("via 192.0.2.1 on eth0", "blackhole"), `rank` what stands in parentheses,
    `suffix` what BGP adds. `attributes` are lines of `show route all`."""

    prefix: Prefix
    what: str
    protocol: str
    since: float
    best: bool
    rank: str
    suffix: str = ""
    gone_through: str = ""  # the neighbour that has told it, where that is not its next hop
    rejected: bool = False
    bgp: bool = False
    attributes: tuple[str, ...] = field(default=(), compare=False)


class Facts(Protocol):
    """Where answers come from, for one IP version. Routes come in slices, so that nobody waits for a large table."""

    def status(self) -> Status: ...

    def protocols(self) -> Sequence[BirdProtocol]: ...

    def routes(self, *, exported_to: str | None, details: bool) -> Iterator[Sequence[BirdRoute]]: ...

    def reconfigure(self) -> None: ...


class _AnswerError(Exception):
    """An answer of one line, which says that the question makes no sense."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.line: Line = code, text


def greeting(facts: Facts) -> Line:
    return READY, f"BIRD {facts.status().version} ready."


def answer(question: str, facts: Facts) -> Iterator[Sequence[Line]]:
    """The lines of an answer, in slices; a slice may be empty."""
    words = [word.strip('"') for word in _TOKEN.findall(question)]
    try:
        made = _answered(words, facts)
    except _AnswerError as error:
        yield [error.line]
        return
    try:
        yield from made
    except _AnswerError as error:
        yield [error.line]


def encode(slices: Iterable[Sequence[Line]]) -> Iterator[bytes]:
    """As octets, slice by slice: `CCCC-text` for a line, ` text` for more of the same number, `CCCC text` at last."""
    held: Line | None = None
    before = -1
    for part in slices:
        octets = []
        for line in part:
            if held is not None:
                octets.append(_encoded(held, before))
                before = held[0]
            held = line
        yield "".join(octets).encode()
    if held is not None:
        yield f"{held[0]:04} {held[1]}\n".encode()


def _encoded(line: Line, before: int) -> str:
    code, text = line
    return f" {text}\n" if code == before else f"{code:04}-{text}\n"


def _answered(words: list[str], facts: Facts) -> Iterator[Sequence[Line]]:
    match words:
        case ["show", "status"]:
            return iter([_status(facts.status())])
        case ["show", "protocols", *rest]:
            return iter([_protocols(rest, facts)])
        case ["show", "route", *rest]:
            return _routes(_Query.read(rest, facts), facts)
        case ["restrict"]:
            return iter([[(RESTRICTED, "Access restricted")]])
        case ["configure"] | ["configure", "soft"]:
            facts.reconfigure()
            return iter([[(RECONFIGURED, "Reconfigured")]])
    raise _AnswerError(SYNTAX, "syntax error")


def _status(status: Status) -> list[Line]:
    lines = [
        (STATUS, f"BIRD {status.version}"),
        (ROUTER_ID, f"Router ID is {status.router_id}"),
        (ROUTER_ID, f"Current server time is {_moment(status.now)}"),
        (ROUTER_ID, f"Last reboot on {_moment(status.started)}"),
        (ROUTER_ID, f"Last reconfiguration on {_moment(status.changed)}"),
    ]
    if status.recovery is not None:
        waiting, left, whole = status.recovery
        lines += [
            (RECOVERY, "Graceful restart recovery in progress"),
            (RECOVERY, f"  Waiting for {waiting} protocols to recover"),
            (RECOVERY, f"  Wait timer is {left}/{whole}"),
        ]
    return [*lines, (UP, "Daemon is up and running")]


def _protocols(words: list[str], facts: Facts) -> list[Line]:
    whole = words[:1] == ["all"]
    names = words[whole:]
    if len(names) > 1:
        raise _AnswerError(SYNTAX, "syntax error")
    found = list(facts.protocols())
    if names:
        found = [one for one in found if fnmatchcase(one.name, names[0])]
        if not found and set(names[0]) & set("*?["):
            raise _AnswerError(NO_PROTOCOLS_MATCH, "No protocols match")
        if not found:
            raise _AnswerError(PARSE, f"{names[0]} is not a protocol")
    now = facts.status().now
    lines = [(HEADINGS, "name     proto    table    state  since       info")]
    for one in found:
        since = _since(one.since, now)
        lines.append((PROTOCOL, f"{one.name:8} {one.kind:8} {'master':8} {one.state:5}  {since:10}  {one.info}"))
        if whole:
            lines += [(DETAILS, text) for text in _details(one)]
    return [*lines, (END, "")]


def _details(one: BirdProtocol) -> Iterator[str]:
    if one.description:
        yield f"  Description:    {one.description}"
    yield f"  Preference:     {one.preference}"
    yield "  Input filter:   ACCEPT"
    yield "  Output filter:  ACCEPT"
    if one.recovering:
        yield "  GR recovery:    pending"
    yield f"  Routes:         {one.imported} imported, {one.exported} exported, {one.imported} preferred"
    yield from one.details
    yield ""


@dataclass(frozen=True, slots=True)
class _Query:
    """What `show route` asks for."""

    details: bool = False
    protocol: str | None = None
    exported_to: str | None = None
    prefix: Prefix | None = None
    address: Prefix | None = None  # of which the longest network is wanted
    best: bool = False
    rejected: bool = False
    count: bool = False

    @classmethod
    def read(cls, words: list[str], facts: Facts) -> _Query:
        flags: set[str] = set()
        names: dict[str, str] = {}
        prefixes: dict[str, Prefix] = {}
        rest = iter(words)

        def needed() -> str:
            word = next(rest, None)
            if word is None:
                raise _AnswerError(SYNTAX, "syntax error")
            return word

        for word in rest:
            if word in _FLAGS:
                flags.add(word)
            elif word == "table":
                needed()  # there is but one
            elif word in ("protocol", "export"):
                name = needed()
                there = next((one for one in facts.protocols() if one.name == name), None)
                if there is None:
                    raise _AnswerError(PARSE, f"{name} is not a protocol")
                if word == "export" and there.state != "up":
                    raise _AnswerError(PROTOCOL_DOWN, "Protocol is down")
                names[word] = name
            elif word == "for":
                prefixes["address"] = _prefix(needed())
            else:
                prefixes["prefix"] = _prefix(word)
        return cls(
            details="all" in flags,
            protocol=names.get("protocol"),
            exported_to=names.get("export"),
            prefix=prefixes.get("prefix"),
            address=prefixes.get("address"),
            best="primary" in flags,
            rejected="filtered" in flags,
            count="count" in flags,
        )

    def takes(self, route: BirdRoute) -> bool:
        return (
            (self.prefix is None or route.prefix == self.prefix)
            and (self.address is None or self.address in route.prefix)
            and (self.protocol is None or route.protocol == self.protocol)
            and (route.best or not self.best)
            and route.rejected is self.rejected
        )


_FLAGS = frozenset({"all", "primary", "filtered", "count"})


def _prefix(text: str) -> Prefix:
    try:
        return Prefix(text if "/" in text else f"{text}/{128 if ':' in text else 32}")
    except ValueError:
        raise _AnswerError(SYNTAX, "syntax error") from None


def _routes(query: _Query, facts: Facts) -> Iterator[Sequence[Line]]:
    now = facts.status().now
    counted, networks = 0, set[Prefix]()
    longest: list[BirdRoute] = []
    last: Prefix | None = None
    total = 0
    for part in facts.routes(exported_to=query.exported_to, details=query.details):
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
        counted = len(longest)
    if not counted and (query.prefix is not None or query.address is not None):
        raise _AnswerError(NOT_IN_TABLE, "Network not in table")
    yield [(END, "")]


def _longest(routes: list[BirdRoute]) -> list[BirdRoute]:
    length = max((one.prefix.length for one in routes), default=0)
    return [one for one in routes if one.prefix.length == length]


def _route(one: BirdRoute, now: float, *, again: bool) -> Iterator[Line]:
    told = f" from {one.gone_through}" if one.gone_through else ""
    mark = " *" if one.best else ""
    suffix = f" [{one.suffix}]" if one.suffix else ""
    name = "" if again else str(one.prefix)
    where = f"[{one.protocol} {_since(one.since, now)}{told}]"
    yield ROUTE, f"{name:18} {one.what} {where}{mark} ({one.rank}){suffix}"
    if one.attributes:
        yield ROUTE_TYPE, f"\tType: {'BGP unicast' if one.bgp else 'static unicast'} univ"
        for text in one.attributes:
            yield ATTRIBUTES, f"\t{text}"


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _since(at: float, now: float) -> str:
    return time.strftime("%H:%M:%S" if now - at < DAY else "%Y-%m-%d", time.localtime(at))
