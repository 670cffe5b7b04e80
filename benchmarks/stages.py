"""Where the time of a route goes, stage by stage: the chain of `benchmarks.chain` under Python's profiler.

    python -m benchmarks.stages [--routes 100000]

Own time of each Python function, with what it calls in C, by the part of the library that it is in. The profiler makes
functions dearer than loops in C, so the parts of a whole are what counts: they are scaled to the time without it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats

from benchmarks.chain import MIXES, Bench, streams
from pybgp import gc_for_full_tables

STAGES: dict[str, tuple[str, ...]] = {
    "octets to UPDATE": (
        "messages/framing",
        "messages/update.py",
        "messages/attributes",
        "messages/nlri",
        "session.py",
    ),
    "Adj-RIB-In": (
        "rib/adj_rib_in",
        "rib/eligibility",
        "rib/martians",
        "policy/",
        "peer.py",
        "exchanges.py",
        "exchange.py",
    ),
    "decision": ("rib/loc_rib", "rib/decision", "rib/route", "tables.py"),
    "Adj-RIB-Out": ("rib/adj_rib_out", "rib/export", "rib/as_numbers", "rib/many_paths"),
    "UPDATE to octets": ("messages/update_writer",),
}
REST = "turns, and the rest"


def stage_of(file: str) -> str:
    return next((stage for stage, parts in STAGES.items() if any(f"pybgp/{part}" in file for part in parts)), REST)


def measure(mix: str, count: int) -> dict[str, float]:
    """Microseconds a route of each stage."""
    announce, _ = streams(mix, count)
    with gc_for_full_tables():
        plain = Bench(1).feed(announce)
        bench = Bench(1)
        profile = cProfile.Profile(builtins=False)
        profile.enable()
        bench.feed(announce)
        profile.disable()
    own = dict.fromkeys((*STAGES, REST), 0.0)
    for (file, _, _), (_, _, time, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        own[stage_of(file)] += time
    scale = plain / sum(own.values()) / count * 1e6
    return {stage: time * scale for stage, time in own.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--routes", type=int, default=100_000)
    options = parser.parse_args()
    found = {mix: measure(mix, options.routes) for mix in MIXES}
    print(f"| microseconds a route | {' | '.join(found)} |")
    print(f"|---|{'---|' * len(found)}")
    for stage in (*STAGES, REST):
        print(f"| {stage} | {' | '.join(f'{times[stage]:.3f}' for times in found.values())} |")
    print(f"| all | {' | '.join(f'{sum(times.values()):.3f}' for times in found.values())} |")


if __name__ == "__main__":
    main()
