"""Coverage-guided fuzzing of pybgp with atheris: `python -m tests.fuzz decode|session|reencode [--time 20]`.

Ends with status 0 after the time, or with the first input that breaks a promise, in hex, and how to run it again.
What was learned is kept in `.fuzz/` and is where the next run begins.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = {"decode": "decoding", "session": "session", "reencode": "reencoding"}
LONGEST = 4200  # octets of an input: a whole message and what goes before


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all when none is named")
    parser.add_argument("--time", type=int, default=20, help="seconds for each target (20)")
    parser.add_argument("--seed", type=int, default=0, help="of the fuzzer's random numbers; 0: another one each time")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"), help="where what was learned is kept (.fuzz)")
    parser.add_argument("--run", metavar="HEX", help="run one input, with a traceback, instead of fuzzing")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    targets = options.targets or list(TARGETS)
    for target in targets:
        if target not in TARGETS:
            parser.error(f"there is no target {target}; there are {', '.join(TARGETS)}")
    if options.run is not None:
        module = importlib.import_module(f"tests.fuzz.{TARGETS[targets[0]]}")
        module.check(bytes.fromhex(options.run))
        print("nothing wrong")
        return 0
    if options.inside:
        return inside(targets[0], options.time, options.seed, options.corpus / targets[0])
    return max(outside(target, options.time, options.seed, options.corpus) for target in targets)


def outside(target: str, seconds: int, seed: int, corpus: Path) -> int:
    """The fuzzer in a process of its own, since it ends its process; says in a line how it went."""
    (corpus / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "tests.fuzz", target, "--inside", "--time", str(seconds), "--seed", str(seed)]
        words += ["--corpus", str(corpus.resolve())]
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, env={**os.environ, "FUZZ_CRASHES": folder}
        )
        lines = (done.stdout + done.stderr).splitlines()
        if done.returncode == 0:
            stats = {
                words[0].removeprefix("stat::").rstrip(":"): words[1]
                for line in lines
                if line.startswith("stat::") and len(words := line.split()) == 2
            }
            runs, rate = stats.get("number_of_executed_units", "?"), stats.get("average_exec_per_sec", "?")
            kept = len(list((corpus / target).iterdir()))
            print(
                f"fuzz {target}: {runs} inputs in {seconds} s ({rate} a second), {kept} kept, nothing found", flush=True
            )
            return 0
        lines = [line for line in lines if not line.startswith(("INFO:", "#"))]
        start = next((at for at, line in enumerate(lines) if "Uncaught Python exception" in line), -40)
        print("\n".join(lines[start:][:40]))
        for crash in sorted(Path(folder).iterdir()):
            data = crash.read_bytes()
            print(
                f"\nfuzz {target}: {crash.name.partition('-')[0]}; again with\n"
                f"  python -m tests.fuzz {target} --run '{data.hex()}'"
            )
        print(f"fuzz {target}: FAILED (status {done.returncode})", flush=True)
        return 1


def inside(target: str, seconds: int, seed: int, corpus: Path) -> int:
    import atheris  # has no wheel for every Python: pyproject.toml says for which

    from tests.fuzz import mutation, seeds

    # Seeds first: what makes them need not be watched, what is fuzzed is.
    for data in getattr(seeds, target)():
        (corpus / f"seed-{hashlib.sha1(data).hexdigest()}").write_bytes(data[:LONGEST])
    for name in [name for name in sys.modules if name.partition(".")[0] == "pybgp" or name.startswith("tests.")]:
        del sys.modules[name]
    with atheris.instrument_imports(include=["pybgp"]):
        module = importlib.import_module(f"tests.fuzz.{TARGETS[target]}")
    crashes = os.environ.get("FUZZ_CRASHES", str(corpus))
    flags = [
        sys.argv[0],
        str(corpus),
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={crashes}/",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    if seed:
        flags.append(f"-seed={seed}")
    ahead = {"decode": 3, "reencode": 1}.get(target)

    def mutate(data: bytes, longest: int, number: int) -> bytes:
        """Every other time with a knowledge of UPDATEs."""
        numbers = random.Random(number)
        if ahead is None or len(data) < ahead or numbers.randrange(2):
            return bytes(atheris.Mutate(data, longest))
        return (data[:ahead] + mutation.mutated_body(data[ahead:], numbers))[:longest]

    atheris.Setup(flags, module.check, custom_mutator=mutate)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
