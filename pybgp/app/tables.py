"""Text for people: aligned tables, wrapped lists, durations. What comes from others cannot move the cursor."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

from pybgp.events import printable

NARROWEST, WIDEST_ASSUMED = 60, 80


def width() -> int:
    """Columns to use: those of the terminal, or 80 where the text goes elsewhere."""
    if not sys.stdout.isatty():
        return WIDEST_ASSUMED
    return max(NARROWEST, shutil.get_terminal_size((WIDEST_ASSUMED, 24)).columns)


def duration(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def table(rows: Sequence[Sequence[object]], *, right: Iterable[int] = ()) -> list[str]:
    """The rows in columns; `right` are those of numbers."""
    texts = [[printable(cell) for cell in row] for row in rows]
    if not texts:
        return []
    numbers = set(right)
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    return [
        "  ".join(
            cell.rjust(size) if column in numbers else cell.ljust(size)
            for column, (cell, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in texts
    ]


def wrapped(label: str, text: object, columns: int, indent: int = 0) -> list[str]:
    """A label and its text, which goes on below itself."""
    head = " " * indent + label
    return textwrap.wrap(
        printable(text) or "-",
        width=max(columns, len(head) + 20),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=True,
        break_on_hyphens=False,
    )


def pairs(rows: Iterable[tuple[str, object]], columns: int, indent: int = 0) -> list[str]:
    """Names, and what they are, below each other; those that are None are left out."""
    shown = [(name, value) for name, value in rows if value is not None]
    size = max((len(name) for name, _value in shown), default=0)
    return [line for name, value in shown for line in wrapped(f"{name.ljust(size)}  ", value, columns, indent)]
