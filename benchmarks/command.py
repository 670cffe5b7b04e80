"""What the command lines of the jobs beside other speakers have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.table import Row, as_json
from demo.lab import LabError, why_impossible


def arguments(doc: str | None, *, peers: str = "pybgp,bird2", rounds: int = 5) -> argparse.ArgumentParser:
    """With the flags that all of them take; `peers` "": there is nobody to choose."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if peers:
        parser.add_argument("--peers", type=names, default=names(peers), help=f"which speakers (default: {peers})")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", action="store_true", help="one JSON object a line in place of the table")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="the same objects into a file, beside the table")
    return parser


def feeds(parser: argparse.ArgumentParser, jobs: str) -> None:
    """The flags of jobs that are fed with routes."""
    parser.add_argument("--jobs", type=names, default=names(jobs), help=f"host, inet and mrt (default: {jobs})")
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--mrt", type=Path, help="a table dump for the job mrt")


def names(text: str) -> list[str]:
    return text.split(",")


def unknown(given: Sequence[str], known: Sequence[str], flag: str) -> None:
    """Raises ValueError for the first that is not known."""
    for name in given:
        if name not in known:
            raise ValueError(f"{flag}: there is no {name!r}; choose from {', '.join(known)}")


def run(
    options: argparse.Namespace, measure: Callable[[], list[Row]], show: Callable[[list[Row]], str], to: str = "bird2"
) -> int:
    """Measure, and print as asked. 1: it could not be measured, or the answer was wrong; why was said."""
    impossible = why_impossible()
    if impossible:
        print(impossible, file=sys.stderr)
        return 1
    try:
        rows = measure()
    except (LabError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if options.rows is not None:
        options.rows.write_text(as_json(rows, to) + "\n")
    print(as_json(rows, to) if options.json else show(rows))
    return 0
