"""`python -m pybgp decode` and `encode` on many lines: that all of them are answered and given back, and how fast.

    python -m benchmarks.lines [--lines N] [--seed N]

For each way to have negotiated, N valid messages and N lines of anything (mutated, random, no hex at all) go through
the processes. Exit status 1 where a line has no answer, where something is on standard error, where a valid message
has a fault, or where `encode` gives other octets than those that were decoded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from random import Random

from tests.app.corpus import KINDS, Kind, line, valid


def run(command: str, kind: Kind, lines: list[bytes]) -> tuple[float, list[bytes]]:
    """Seconds, and the answers."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pybgp", command, *kind.options],
        input=b"\n".join(lines) + b"\n",
        capture_output=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.stderr or done.returncode != 0:
        raise SystemExit(f"{command} {kind.options}: status {done.returncode}: {done.stderr.decode()[-2000:]}")
    answers = done.stdout.splitlines()
    if len(answers) != len(lines):
        raise SystemExit(f"{command} {kind.options}: {len(lines)} lines, {len(answers)} answers")
    return seconds, answers


def there_and_back(kind: Kind, lines: list[bytes], *, faultless: bool) -> dict[str, int]:
    """How many answers there are of each outcome."""
    decoding, answers = run("decode", kind, lines)
    counts: dict[str, int] = {}
    originals, messages = [], []
    for octets, answer in zip(lines, answers, strict=True):
        value = json.loads(answer)
        outcome = "error" if "error" in value else value.get("outcome", "ok")
        counts[outcome] = counts.get(outcome, 0) + 1
        if faultless and outcome != "ok":
            raise SystemExit(f"a valid message is not: {octets.decode()}: {answer.decode()}")
        if outcome != "error":
            originals.append(octets.strip().lower())
            messages.append(answer)
    encoding, again = run("encode", kind, messages)
    differ = sum(one != other for one, other in zip(originals, again, strict=True))
    if differ:
        raise SystemExit(f"{differ} of {len(messages)} messages come back as other octets")
    rates = f"decode {len(lines) / decoding:7,.0f} lines/s, encode {len(messages) / encoding:7,.0f} lines/s"
    print(f"{rates}  {' '.join(kind.options) or '(as4, ibgp)'}  {counts}", flush=True)
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000, help="of each sort, over all ways to negotiate")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = Random(arguments.seed)
    share = max(1, arguments.lines // len(KINDS))
    for title, make, faultless in (("valid messages", valid, True), ("lines of anything", line, False)):
        print(f"{share * len(KINDS):,} {title}")
        for kind in KINDS:
            octets = [make(chance, kind) for _ in range(share)]
            there_and_back(
                kind, [entry.hex().encode() for entry in octets] if faultless else octets, faultless=faultless
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
