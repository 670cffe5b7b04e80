"""Simulate clusters of many sizes, each in a process of its own, and say what they cost.

    python -m benchmarks.simulation [--mesh 25,50,100] [--reflected 125,250,500] [--grouped 1000,2000] [--page]

`--mesh`: everybody with everybody. `--reflected`: two reflectors for all nodes. `--grouped`: two for each `--group`
nodes; of the first group everything is there, reflectors of the other groups are leaves. `--full` adds the sizes of
docs/scale.md that take an hour and 14 GB. Results are added to docs/scale.jsonl, in place of those of the same plan;
`--page` writes docs/scale.md and its plots from that file. Every table is checked, every sum of a leaf is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import machine
from benchmarks.simulation import pages

RESULTS = pages.DOCS / "scale.jsonl"
FULL = {
    "mesh": [25, 50, 100, 150, 200, 300],
    "reflected": [125, 250, 500, 1000, 2000],
    "grouped": [1000, 2000, 5000],
}
SHAPE = ("nodes", "reflected", "each", "whole", "group", "seed", "loss")


def read(path: Path) -> list[pages.Result]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(path: Path, new: pages.Result) -> None:
    """Add a result, in place of an older one of the same plan."""
    shape = [new[name] for name in SHAPE]
    kept = [one for one in read(path) if [one[name] for name in SHAPE] != shape]
    path.write_text("".join(json.dumps(one) + "\n" for one in [*kept, new]))


def simulate(plan: dict[str, object]) -> pages.Result | None:
    """In another process: its memory is that of this plan alone. None where it failed, and why was printed."""
    command = [sys.executable, "-m", "benchmarks.simulation.trials", json.dumps(plan)]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return None
    result: pages.Result = json.loads(done.stdout)
    return result


def sizes(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def plans(options: argparse.Namespace) -> list[dict[str, object]]:
    common: dict[str, object] = {"each": options.each, "seed": options.seed, "loss": options.loss}
    common["memory_limit"] = options.memory << 30
    wanted = {name: getattr(options, name) or (FULL[name] if options.full else []) for name in FULL}
    made: list[dict[str, object]] = [{**common, "nodes": nodes} for nodes in wanted["mesh"]]
    around = {**common, "reflected": True}
    for nodes in wanted["reflected"]:
        made.append({**around, "nodes": nodes, "group": max(nodes, 4), "reflector_back": nodes <= options.back})
    for nodes in wanted["grouped"]:
        made.append({**around, "nodes": nodes, "group": options.group})
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in FULL:
        parser.add_argument(f"--{name}", type=sizes, default=[], metavar="N,N")
    parser.add_argument("--group", type=int, default=500, help="clients of two reflectors, for --grouped")
    parser.add_argument("--each", type=int, default=30, help="routes of each node")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loss", type=float, default=0.0, help="share of segments that are lost")
    parser.add_argument("--back", type=int, default=1000, help="up to so many nodes a lost reflector comes back, too")
    parser.add_argument("--memory", type=int, default=18, help="GiB that a simulation may take")
    parser.add_argument("--full", action="store_true", help="all sizes of docs/scale.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true", help="write docs/scale.md")
    options = parser.parse_args(arguments)
    failed = 0
    for plan in plans(options):
        result = simulate(plan)
        if result is None:
            print(f"FAILED: {json.dumps(plan)}", file=sys.stderr)
            failed += 1
        else:
            keep(options.results, result)
            print(pages.costs([result]), flush=True)
    if options.page:
        pages.write(read(options.results), machine())
        print(f"written: {pages.PAGE.relative_to(pages.DOCS.parent)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
