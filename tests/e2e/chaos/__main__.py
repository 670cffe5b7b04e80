"""`python -m tests.e2e.chaos [--seed N] [--rounds N] [--logs DIR]`: exit code 0 where nothing was wrong, 1 where
something was, 2 where it cannot be run here."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import pytest

from demo.lab import Lab, LabError, why_impossible

from .run import chaos
from .world import SETTLED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same faults again (default: another one each time)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--logs", metavar="DIR", type=Path, help="keep all that the processes have logged here")
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=SETTLED,
        help="until all is well after a round (%(default)g)",
    )
    words = parser.parse_args()
    reason = why_impossible()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 2
    seed = int(time.time()) if words.seed is None else words.seed
    with Lab("chaos") as lab:
        try:
            summary = chaos(lab, seed, words.rounds, lambda text: print(text, flush=True), words.patience)
        except (LabError, pytest.skip.Exception) as error:  # before the first round: a program is missing, say
            print(error, file=sys.stderr)
            return 2
        finally:
            if words.logs is not None:
                words.logs.mkdir(parents=True, exist_ok=True)
                for process in lab.processes:
                    if process.log.exists():
                        shutil.copy(process.log, words.logs)
    print(*summary.lines(), sep="\n")
    return 0 if summary.good else 1


if __name__ == "__main__":
    sys.exit(main())
