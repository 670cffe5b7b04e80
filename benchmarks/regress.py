"""Costs that do not depend on the machine's mood, against committed budgets; CI runs it.

    python -m benchmarks.regress [--write]

For a fixed feed through the whole library (`benchmarks.chain`): calls of functions, Python's and C's, a route, which a
profiler counts, and octets a route that tracemalloc finds after the announcement. More than 3 % above its budget is an
error; far below it, `--write` makes the budgets anew. Another minor version of Python counts otherwise, mostly less.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import sys
import tracemalloc
from pathlib import Path

from benchmarks.chain import MIXES, Bench, streams

BUDGETS = Path(__file__).with_name("budgets.json")
ROUTES = 20_000
TOLERANCE = 1.03


def calls(bench: Bench, stream: bytes) -> float:
    """Function calls a route."""
    profile = cProfile.Profile()
    profile.enable()
    bench.feed(stream)
    profile.disable()
    return float(pstats.Stats(profile).total_calls) / ROUTES  # type: ignore[attr-defined]


def measure(mix: str) -> dict[str, float]:
    announce, withdraw = streams(mix, ROUTES)
    bench = Bench(1)
    found = {"announce": calls(bench, announce), "again": calls(bench, announce), "withdraw": calls(bench, withdraw)}
    bench = Bench(1)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    bench.feed(announce)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {**found, "octets": (after - before) / ROUTES}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="make the budgets what is measured now")
    options = parser.parse_args()
    found = {mix: {name: round(value, 3) for name, value in measure(mix).items()} for mix in MIXES}
    if options.write:
        BUDGETS.write_text(json.dumps(found, indent=2) + "\n")
        print(f"written: {BUDGETS.name}")
        return 0
    budgets = json.loads(BUDGETS.read_text())
    worse = 0
    for mix, values in found.items():
        for name, value in values.items():
            budget = budgets[mix][name]
            bad = value > budget * TOLERANCE
            worse += bad
            unit = "octets" if name == "octets" else "calls"
            print(f"{mix:9} {name:9} {value:9.3f} {unit} a route, budget {budget:9.3f}{'  TOO MUCH' if bad else ''}")
    if worse:
        print(f"{worse} above their budgets; if that is meant: python -m benchmarks.regress --write, and say why")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
