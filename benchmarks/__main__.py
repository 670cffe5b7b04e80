"""`make bench`: the benchmarks of this folder in a short form; docs/performance.md is what they print.

python -m benchmarks [NAME …]     only these, and the page stays as it is
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
NOTES = Path(__file__).with_name("notes.md")
JOBS: dict[str, tuple[str, list[list[str]]]] = {
    "stages": ("Where the time of a route goes", [[]]),
    "fib": ("The kernel's side of a route, against a bare loop", [["--rounds", "5"]]),
    "ingest": (
        "J1: from one neighbour to another",
        [["--rounds", "5"], ["--peers", "frr,openbgpd,gobgp,exabgp,bird2", "--rounds", "1"]],
    ),
    "kernel": ("J2: into the kernel, and out again", [["--rounds", "5"]]),
    "memory": ("J3: memory", [["--routes", "1000000"]]),
    "mesh": ("J4: a mesh comes up, a node joins", [["--rounds", "2"]]),
    "latency": (
        "J5: one change",
        [
            ["--rounds", "2"],
            ["--peers", "frr,gobgp,openbgpd,bird2", "--jobs", "kernel,bgp", "--rounds", "1", "--events", "30"],
        ],
    ),
    "failure": ("J6: a node is lost", [["--rounds", "5"]]),
    "restart": ("Restarts, another writer and other next hops, beside Calico's BIRD (the worst of all rounds)", [[]]),
    "codec": ("The codec", [[]]),
    "libraries": ("The codec beside other libraries", [["--turns", "1"]]),
    "sessions": ("Two hundred sessions", [["--seconds", "10"]]),
    "start": ("From the start of calico_route to its first OPEN", [["--rounds", "9"]]),
    "watch_load": ("A large cluster", [["--nodes", "1000", "--endpoints", "30000", "--seconds", "10"]]),
    "workloads": ("A thousand workloads on one node: ADD and DEL through the CNI plug-in", [["--adds", "100"]]),
    "policy": ("Policy: one change in force", [[], ["--workloads", "200"]]),
    "chain": ("The library without sockets", [["--routes", "100000"]]),
    "rib": ("The tables", [[]]),
    "lines": ("`pybgp decode`", [["--lines", "10000"]]),
}
BESIDE = ("chain", "rib", "lines")  # for those who work on these parts: not on the page
KEEP_ROWS = ("ingest", "kernel", "memory", "mesh", "latency", "failure", "restart", "start", "libraries")
HEAD = """# Performance

Written by `make bench` on the machine at hand: {machine}.
Absolute times are this machine's; what counts are the ratios, taken in alternation in one run: medians and spread.
Every job checks what came out (exactly N prefixes, none left after the withdrawal): a wrong answer ends it. The
configurations of the other speakers are in `benchmarks/daemons/`, what is measured and how stands at the head of each
file of `benchmarks/`.
"""


class Target(NamedTuple):
    """What a row should be at most, in words and as the ratio of one value of ours to that of `to`."""

    words: str
    module: str
    job: str
    count: int
    value: str
    most: float
    to: str = "bird2"
    part: str = "median"


TARGETS = (
    Target("J2: 100,000 /32 into the kernel", "kernel", "host", 100_000, "in", 0.6),
    Target("J2: out again", "kernel", "host", 100_000, "out", 0.75),
    Target("J2: in, against the bare loop", "kernel", "host", 100_000, "in", 1.4, "python netlink"),
    Target("J2: out, against the bare loop", "kernel", "host", 100_000, "out", 1.4, "python netlink"),
    Target("J1: 100,000 /32 reflected", "ingest", "host", 100_000, "announce", 1.2),
    Target("J1: withdrawn again", "ingest", "host", 100_000, "withdraw", 3),
    Target("J1: 100,000 with Internet-like attributes", "ingest", "inet", 100_000, "announce", 2.5),
    Target("J1: withdrawn again", "ingest", "inet", 100_000, "withdraw", 3),
    Target("J1: 1,000,000 /32 (1 run)", "memory", "host", 1_000_000, "announce", 1.2),
    Target("J1: withdrawn again", "memory", "host", 1_000_000, "withdraw", 3),
    Target("J1: 1,000,000 with Internet-like attributes (1 run)", "memory", "inet", 1_000_000, "announce", 2.5),
    Target("J1: withdrawn again", "memory", "inet", 1_000_000, "withdraw", 3),
    Target("J3: octets a route, /32", "memory", "host", 1_000_000, "octets_a_route", 180, ""),
    Target("J3: octets a route, Internet-like", "memory", "inet", 1_000_000, "octets_a_route", 300, ""),
    Target("J4a: mesh of 8", "mesh", "mesh", 8, "start", 0.6),
    Target("J4a: mesh of 16", "mesh", "mesh", 16, "start", 1.0),
    Target("J4b: a 16th node joins", "mesh", "mesh", 16, "join", 0.3),
    Target("J5: kernel to kernel, p50", "latency", "kernel", 4, "add", 1.5),
    Target("J5: kernel to kernel, p99", "latency", "kernel", 4, "add", 1.5, part="p99"),
    Target("J5: UPDATE to UPDATE, p50", "latency", "bgp", 2, "add", 1.5),
    Target("J5: etcd to kernel, p50, seconds", "latency", "etcd", 2, "add", 0.01, ""),
    Target("J6: kill -9 of one of 8", "failure", "kill", 8, "gone", 2),
    Target("packets lost by SIGTERM and start", "restart", "sigterm", 3, "lost", 0, ""),
    Target("packets lost by SIGKILL and start", "restart", "kill", 3, "lost", 0, ""),
    Target("packets lost by two restarts, the second before End-of-RIB", "restart", "between", 3, "lost", 0, ""),
    Target("a dead node: End-of-RIB to kernel, seconds", "restart", "dead", 3, "time", 2, ""),
    Target("another writer is noticed, seconds", "restart", "writer", 3, "time", 1, ""),
    Target(
        "start to the first OPEN, seconds above `import asyncio`", "start", "start", 1, "time", 0.25, "import asyncio"
    ),
)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def found(rows: Sequence[Mapping[str, Any]], target: Target, speakers: Sequence[str]) -> float | None:
    for row in rows:
        if (row["module"], row["job"], row["count"]) == target[1:4] and row["speaker"] in speakers:
            values = sorted(row["values"].get(target.value, ()))
            if values:
                at = len(values) // 2 if target.part == "median" else int(0.99 * (len(values) - 1))
                return float(values[at])
    return None


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each target, what it is here, and whether that is enough."""
    lines = ["| job | target | here | |", "| --- | --- | --- | --- |"]
    for target in TARGETS:
        ours, theirs = found(rows, target, ("pybgp", "calico_route")), found(rows, target, (target.to,))
        if ours is None or (target.to and not theirs):
            continue
        value = ours
        if target.module == "start":
            value -= theirs or 0.0
        elif theirs:
            value /= theirs
        shown = f"{value:.0f}" if value >= 50 else f"{value:.4f}" if value < 0.05 else f"{value:.2f}"
        unit = f" x {target.to}" if target.to and target.module != "start" else ""
        verdict = "reached" if value <= target.most else "**not reached**"
        lines.append(f"| {target.words} | <= {target.most:g}{unit} | {shown} | {verdict} |")
    return "\n".join(lines)


def main(names: list[str]) -> int:
    unknown = set(names) - JOBS.keys()
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}", file=sys.stderr)
        return 2
    parts: list[str] = []
    failed: list[str] = []
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "rows"
        for name in names or (one for one in JOBS if one not in BESIDE):
            title, runs = JOBS[name]
            print(f"\n== {title}", flush=True)
            parts.append(f"## {title}")
            for arguments in runs:
                command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
                words = [*command, "--rows", str(kept)] if name in KEEP_ROWS else command
                done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)
                print(done.stdout, flush=True)
                if done.returncode:
                    failed.append(name)
                elif name in KEEP_ROWS:
                    rows += [{**json.loads(line), "module": name} for line in kept.read_text().splitlines()]
                shown = done.stdout.strip()
                parts.append(shown if shown.startswith("|") else f"```\n{shown}\n```")
                parts.append(f"`python -m benchmarks.{name} {' '.join(arguments)}`".replace(" `", "`"))
    print(summary(rows))
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
        return 1
    if not names:
        head = [HEAD.format(machine=machine()), "## The targets", summary(rows), NOTES.read_text().strip()]
        PAGE.write_text("\n\n".join([*head, *parts]) + "\n")
        print(f"\nwritten: {PAGE.relative_to(PAGE.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
