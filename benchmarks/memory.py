"""J3: what a route costs in memory, with one neighbour that announces and one that is told.

    python -m benchmarks.memory [--peers pybgp,bird2] [--jobs host,inet] [--routes 100000] [--rounds 1] [--json]

`octets a route`: how much more all processes of a speaker have resident after the announcement than before it, as the
runs of `benchmarks.ingest` measure it. Below that, for pybgp, where they are: by the line that asked for them
(tracemalloc, a `Router` without sockets with the same feed), which leaves out what the allocator wastes.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from pathlib import Path

from benchmarks import command, feed
from benchmarks.chain import Bench
from benchmarks.daemons import chosen
from benchmarks.ingest import SOURCE, measure
from benchmarks.table import Row

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
    parser = command.arguments(__doc__, rounds=1)
    command.feeds(parser, "host,inet")
    options = parser.parse_args()
    return command.run(
        options,
        lambda: measure(chosen(options.peers), options.jobs, options.routes, options.rounds, options.mrt),
        show,
    )


def show(rows: list[Row]) -> str:
    lines = ["| job | N | speaker | octets a route | resident MB |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        each, resident = row.median("octets_a_route"), row.median("resident_MB")
        shown = "-" if resident is None else f"{resident:.0f}"
        lines.append(f"| {row.job} | {row.count:,} | {row.speaker} | {each:.0f} | {shown} |")
    for kind in dict.fromkeys(row.job for row in rows if row.job in ("host", "inet")):
        some = places(kind)
        lines += [f"\n{kind}, pybgp's own objects:\n", "| octets a route | asked for in |", "| --- | --- |"]
        lines += [f"| {size:.1f} | {place} |" for size, place in some[:SHOWN]]
        lines.append(f"| {sum(size for size, _ in some[SHOWN:]):.1f} | elsewhere |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
