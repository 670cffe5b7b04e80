"""J3: what a route costs in memory, with one neighbour that announces and one that is told.

    python -m benchmarks.memory [--peers pybgp,bird2] [--jobs host,inet] [--routes 100000] [--rounds 1] [--json]

`octets a route`: how much more all processes of a speaker have resident after the announcement than before it, as the
runs of `benchmarks.ingest` measure it. Below that, for pybgp, where they are: by the line that asked for them
(tracemalloc, a `Router` without sockets with the same feed), which leaves out what the allocator wastes.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from pathlib import Path

from benchmarks import feed
from benchmarks.chain import Bench
from benchmarks.daemons import chosen
from benchmarks.ingest import SOURCE, measure
from benchmarks.table import as_json
from demo.lab import LabError, why_impossible

TRACED = 50_000
SHOWN = 6


def places(job: str) -> list[tuple[float, str]]:
    """Octets a route, and who asked for them."""
    stream = feed.make(job, TRACED, SOURCE)
    bench = Bench(1)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    bench.feed(stream.announce)
    gc.collect()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    root = str(Path(__file__).resolve().parents[1]) + "/"
    found = []
    for one in after.compare_to(before, "lineno"):
        frame = one.traceback[0]
        found.append((one.size_diff / TRACED, f"{frame.filename.removeprefix(root)}:{frame.lineno}"))
    return sorted(found, reverse=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="pybgp,bird2", help="which speakers (default: %(default)s)")
    parser.add_argument("--jobs", default="host,inet", help="host, inet and mrt (default: %(default)s)")
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--mrt", type=Path, help="a table dump for the job mrt")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    impossible = why_impossible()
    if impossible:
        print(impossible, file=sys.stderr)
        return 1
    jobs = options.jobs.split(",")
    try:
        rows = measure(chosen(options.peers), jobs, options.routes, options.rounds, options.mrt)
    except (LabError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if options.json:
        print(as_json(rows, "bird2"))
        return 0
    print("| job | N | speaker | octets a route | resident MB |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        each, resident = row.median("octets_a_route"), row.median("resident_MB")
        shown = "-" if resident is None else f"{resident:.0f}"
        print(f"| {row.job} | {row.count:,} | {row.speaker} | {each:.0f} | {shown} |")
    for job in jobs if "mrt" not in jobs else ():
        print(f"\n{job}, pybgp's own objects, octets a route:\n")
        some = places(job)
        print("| octets | asked for in |\n| --- | --- |")
        for size, place in some[:SHOWN]:
            print(f"| {size:.1f} | {place} |")
        print(f"| {sum(size for size, _ in some[SHOWN:]):.1f} | elsewhere |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
