"""What a command answers with, and how it says no."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from calico_route.status import table


class Refused(Exception):
    """What was asked for is not done: what, where, why, and what to do, for a person. Exit code 1."""

    exit_code = 1


class BadInput(Refused):
    """The words of the command line, or what came on standard input, cannot be understood. Exit code 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """`document` is what --json prints; `lines` are for people, on standard output; `notes` too, on standard error."""

    document: Any
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0


def rows(head: Sequence[str], body: Iterable[Sequence[object]], *, none: str) -> list[str]:
    """A table for people; the sentence `none` where there is nothing to show."""
    found = [tuple("-" if cell in (None, "") else str(cell) for cell in row) for row in body]
    return table([tuple(head), *found]) if found else [none]


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean "web"?`, or nothing."""
    close = get_close_matches(word, list(known), 1)
    return f'; did you mean "{close[0]}"?' if close else ""
