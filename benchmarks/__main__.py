"""`make bench`: the benchmarks of this folder in a short form; docs/performance.md is what they print.

python -m benchmarks [NAME …]     only these, and the page stays as it is
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
JOBS: dict[str, tuple[str, list[list[str]]]] = {
    "stages": ("Where the time of a route goes", [[]]),
    "ingest": (
        "J1 and J3: from one neighbour to another, and memory",
        [["--rounds", "5"], ["--peers", "frr,openbgpd,gobgp,exabgp,bird2", "--rounds", "1"]],
    ),
    "kernel": ("J2: into the kernel, and out again", [["--rounds", "5"]]),
    "mesh": ("J4: a mesh comes up, a node joins", [["--rounds", "2"]]),
    "start": ("From the start of calico_route to its first OPEN", [["--rounds", "9"]]),
    "latency": ("J5: from etcd to the kernel of another node", [["--rounds", "100"]]),
    "chain": ("The library without sockets", [["--routes", "100000"]]),
    "fib": ("The kernel's side alone, against a bare loop", [["--rounds", "3"]]),
    "codec": ("The codec", [[]]),
    "rib": ("The tables", [[]]),
    "lines": ("`pybgp decode`", [["--lines", "10000"]]),
}
HEAD = """# Performance

Written by `make bench` on the machine at hand: {machine}.
Absolute times are this machine's; what counts are the ratios, taken in alternation in one run: medians and spread.
Every job checks what came out (exactly N prefixes, none left after the withdrawal): a wrong answer ends it. The
configurations of the other speakers are in `benchmarks/daemons/`, what is measured and how stands at the head of each
file of `benchmarks/`.
"""


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(models, platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def main(names: list[str]) -> int:
    unknown = set(names) - JOBS.keys()
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}", file=sys.stderr)
        return 2
    parts, failed = [HEAD.format(machine=machine())], []
    for name in names or JOBS:
        title, runs = JOBS[name]
        print(f"\n== {title}", flush=True)
        parts.append(f"## {title}")
        for arguments in runs:
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
            print(done.stdout, flush=True)
            if done.returncode:
                failed.append(name)
            shown = done.stdout.strip()
            parts.append(shown if shown.startswith("|") else f"```\n{shown}\n```")
            parts.append(f"`python -m benchmarks.{name} {' '.join(arguments)}`".replace(" `", "`"))
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
        return 1
    if not names:
        PAGE.write_text("\n\n".join(parts) + "\n")
        print(f"\nwritten: {PAGE.relative_to(PAGE.parents[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
