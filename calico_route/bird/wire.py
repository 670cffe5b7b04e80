"""Lines of BIRD's control protocol, and what they tell of: a number and a text each. No I/O, no clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pybgp import Prefix

Line = tuple[int, str]

SYNTAX, PARSE = 9001, 9002

DAY = 20 * 3600
"""What is older is told by its date, as BIRD does."""


@dataclass(frozen=True, slots=True)
class Status:
    """`recovery`: after a restart the sessions that are waited for, the seconds that are left, and of how many."""

    version: str
    router_id: str
    now: float
    started: float
    changed: float
    recovery: tuple[int, int, int] | None = None


class Changes(NamedTuple):
    """Routes that came and went, each counted as often as it did; `filtered` are of `announced_in`."""

    announced_in: int
    withdrawn_in: int
    filtered: int
    announced_out: int
    withdrawn_out: int


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
    filters: tuple[str, str] = ("ACCEPT", "REJECT")
    changes: Changes | None = None
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
    kind: str = ""  # of `show route all`: "BGP", "static", "inherit"
    attributes: tuple[str, ...] = field(default=(), compare=False)


class Facts(Protocol):
    """Where answers come from, for one IP version. Routes come in slices, so that nobody waits for a large table."""

    def status(self) -> Status: ...

    def protocols(self) -> Sequence[BirdProtocol]: ...

    def routes(self, *, exported: Exported | None, details: bool) -> Iterator[Sequence[BirdRoute]]: ...

    def reconfigure(self) -> None: ...


class Exported(NamedTuple):
    """Which routes are wanted of those for one session: `export`, what it was told; `preexport`, what it could be told
    were it not for filters; `noexport`, what is of the second and not of the first."""

    how: str
    session: str


class AnswerError(Exception):
    """An answer of one line, which says that the question makes no sense."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.line: Line = code, text


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


def since(at: float, now: float) -> str:
    """As BIRD shows when something began: by the clock, or by its date."""
    return time.strftime("%H:%M:%S" if now - at < DAY else "%Y-%m-%d", time.localtime(at))
