"""Questions of BIRD's control protocol, and the answers of BIRD 1.6 to them. No I/O, no clock.

An answer is lines of a number and a text. Understood are `show status`, `show protocols [all] [NAME]`, `show route`
with its words, `restrict` and `configure`; everything else is a syntax error, as from BIRD.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from .routes import TABLE, Query, answer_routes
from .wire import PARSE, SYNTAX, AnswerError, BirdProtocol, Changes, Facts, Line, Status, since

READY, STATUS, ROUTER_ID, UP, RECOVERY = 1, 1000, 1011, 13, 24
HEADINGS, PROTOCOL, DETAILS, END = 2002, 1002, 1006, 0
NO_PROTOCOLS_MATCH, DENIED = 8003, 8007
RECONFIGURED, RESTRICTED = 3, 16

_TOKEN = re.compile(r'\s*("[^"]*"|[^\s"]+)')


def greeting(facts: Facts) -> Line:
    return READY, f"BIRD {facts.status().version} ready."


def answer(question: str, facts: Facts, *, restricted: bool = False) -> Iterator[Sequence[Line]]:
    """The lines of an answer, in slices; a slice may be empty. `restricted`: to one who has asked for `restrict`."""
    words = [word.strip('"') for word in _TOKEN.findall(question)]
    try:
        made = _answered(words, facts, restricted)
    except AnswerError as error:
        yield [error.line]
        return
    try:
        yield from made
    except AnswerError as error:
        yield [error.line]


def _answered(words: list[str], facts: Facts, restricted: bool) -> Iterator[Sequence[Line]]:
    match words:
        case ["show", "status"]:
            return iter([_status(facts.status())])
        case ["show", "protocols", *rest]:
            return iter([_protocols(rest, facts)])
        case ["show", "route", *rest]:
            return answer_routes(Query.read(rest, facts), facts)
        case ["restrict"]:
            return iter([[(RESTRICTED, "Access restricted")]])
        case ["configure"] | ["configure", "soft"]:
            if restricted:
                raise AnswerError(DENIED, "Access denied")
            facts.reconfigure()
            return iter([[(RECONFIGURED, "Reconfigured")]])
    raise AnswerError(SYNTAX, "syntax error")


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
        raise AnswerError(SYNTAX, "syntax error")
    found = list(facts.protocols())
    if names:
        found = [one for one in found if fnmatchcase(one.name, names[0])]
        if not found and set(names[0]) & set("*?["):
            raise AnswerError(NO_PROTOCOLS_MATCH, "No protocols match")
        if not found:
            raise AnswerError(PARSE, f"{names[0]} is not a protocol")
    now = facts.status().now
    lines = [(HEADINGS, "name     proto    table    state  since       info")]
    for one in found:
        began = since(one.since, now)
        lines.append((PROTOCOL, f"{one.name:8} {one.kind:8} {TABLE:8} {one.state:5}  {began:10}  {one.info}"))
        if whole:
            lines += [(DETAILS, text) for text in _details(one)]
    return [*lines, (END, "")]


def _details(one: BirdProtocol) -> Iterator[str]:
    if one.description:
        yield f"  Description:    {one.description}"
    yield f"  Preference:     {one.preference}"
    yield f"  Input filter:   {one.filters[0]}"
    yield f"  Output filter:  {one.filters[1]}"
    if one.recovering:
        yield "  GR recovery:    pending"
    yield f"  Routes:         {one.imported} imported, {one.exported} exported, {one.imported} preferred"
    if one.changes is not None:
        yield from _changes(one.changes)
    yield from one.details
    yield ""


def _changes(now: Changes) -> Iterator[str]:
    """BIRD's table, of five columns; what does not apply is `---`. Nothing is ever rejected as invalid by itself: the
    whole UPDATE is (RFC 7606)."""
    yield "  Route change stats:     received   rejected   filtered    ignored   accepted"
    for what, *columns in (
        ("Import updates:  ", now.announced_in, 0, now.filtered, 0, now.announced_in - now.filtered),
        ("Import withdraws:", now.withdrawn_in, 0, "---", 0, now.withdrawn_in),
        ("Export updates:  ", now.announced_out, 0, 0, "---", now.announced_out),
        ("Export withdraws:", now.withdrawn_out, "---", "---", "---", now.withdrawn_out),
    ):
        yield f"    {what}   " + " ".join(f"{value:>10}" for value in columns)


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
