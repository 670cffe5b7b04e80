"""`make bench`: every benchmark of this folder in its short form, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PARTS = ("table", "feed", "neighbour")  # of the others
SHORT: dict[str, list[str]] = {
    "latency": ["--rounds", "100"],
    "lines": ["--lines", "10000"],
    "ingest": ["--rounds", "3"],
    "kernel": ["--rounds", "3"],
}


def main() -> int:
    failed = []
    files = [file for file in sorted(Path(__file__).parent.glob("[a-z]*.py")) if file.stem not in PARTS]
    for file in files:
        print(f"\n== {file.stem}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{file.stem}", *SHORT.get(file.stem, [])]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(file.stem)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
