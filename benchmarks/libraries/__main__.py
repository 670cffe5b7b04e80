"""The codec beside other libraries: full decoding, and encoding from values, in prefixes a second on one core.

    python -m benchmarks.libraries [--install] [--libraries os-ken,yabgp] [--routes 100000] [--mrt FILE] [--json]

Each library runs in an environment of its own, in `.bench/` of the working directory, which `--install` makes (ExaBGP 4
and GoBGP are Debian's: exabgp, golang-go and golang-github-osrg-gobgp-dev). All read the same messages from a file, in
alternation with ours; what they understood is compared by a digest of prefixes and AS paths, and a wrong answer is
named as such. `pybgp` decodes as a speaker does: all is checked (RFC 7606), values are made when somebody asks for
them. `pybgp, all values` asks for every one of them, and for every prefix as text, as the other Python libraries give
them unasked.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks import feed
from benchmarks.table import Row, as_json

HERE = Path(__file__).parent
PLACE = Path(".bench")
OURS = "pybgp"
ALL = "pybgp, all values"
PYPI = {
    "os-ken": "os_ken",
    "yabgp": "yabgp",
    "exabgp5": "exabgp",
    "scapy": "scapy",
    "libbgp": "libbgp",
    "pbgpp": "pbgpp",
}
OLD = {"yabgp", "pbgpp"}  # their setup.py wants setuptools of before 58
ALONE = {"pbgpp"}  # its captures need libpcap's headers, its decoder does not
GO_SOURCE = Path("/usr/share/gocode/src/github.com/osrg/gobgp")
LIBRARIES = (*PYPI, "exabgp4", "gobgp")


def install(name: str) -> str:
    """Make its environment; "" or why that did not work."""
    folder = PLACE / name
    if name == "exabgp4":
        return ""
    if name == "gobgp":
        return build_go(folder)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "install", "-q"]
    steps = [[*pip, "setuptools<58", "wheel", "pbr"]] if name in OLD else []
    words = ["--no-build-isolation"] if name in OLD else []
    words += ["--no-deps"] if name in ALONE else []
    steps.append([*pip, *words, "exabgp>=5" if name == "exabgp5" else name])
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True)
        if done.returncode:
            return last_line(done.stderr)
    return ""


def build_go(folder: Path) -> str:
    if shutil.which("go") is None or not GO_SOURCE.exists():
        return "apt-get install golang-go golang-github-osrg-gobgp-dev"
    source = folder.resolve() / "src/github.com/osrg/gobgp"
    source.mkdir(parents=True, exist_ok=True)
    if not (source / "v3").exists():  # Debian's path lacks the version that its imports name
        (source / "v3").symlink_to(GO_SOURCE)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": f"{folder.resolve()}:/usr/share/gocode"}
    words = ["go", "build", "-o", str(folder.resolve() / "codec"), str(HERE / "gobgp_codec.go")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
    return last_line(done.stderr) if done.returncode else ""


def command(name: str) -> list[str]:
    """Raises FileNotFoundError where it is not installed."""
    if name in (OURS, ALL):
        return [sys.executable, str(HERE / "pybgp_codec.py")]
    if name == "exabgp4":
        if shutil.which("exabgp", path="/usr/sbin:/usr/bin") is None:
            raise FileNotFoundError("apt-get install exabgp")
        return ["/usr/bin/python3", str(HERE / "exabgp_codec.py")]
    words = [str(PLACE / name / "codec")]
    if name != "gobgp":
        words = [str(PLACE / name / "bin" / "python"), str(HERE / f"{PYPI[name]}_codec.py")]
    if not Path(words[0]).exists():
        raise FileNotFoundError("not installed: --install")
    return words


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "WARNING" not in line]
    return lines[-1] if lines else "no word"


def measure(
    names: Sequence[str], streams: Sequence[feed.Feed], rounds: int, turns: int
) -> tuple[list[Row], dict[str, str]]:
    """Rows of seconds, and why others have none."""
    rows: list[Row] = []
    failed: dict[str, str] = {}
    root = str(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as folder:
        for stream in streams:
            file = Path(folder) / stream.name
            file.write_bytes(stream.announce)
            own = {name: Row(stream.name, name, stream.routes) for name in (OURS, ALL, *names)}
            digest = ""
            for turn in range(turns):
                for name, row in own.items():
                    if name in failed:
                        continue
                    print(f"\r{stream.name}: turn {turn + 1} of {turns}, {name:20}", end="", file=sys.stderr)
                    try:
                        words = [*command(name), str(file), str(rounds), *(["all"] if name == ALL else [])]
                    except FileNotFoundError as error:
                        failed[name] = str(error)
                        continue
                    environment = {**os.environ, "PYTHONPATH": root} if name in (OURS, ALL) else None
                    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
                    if done.returncode:
                        failed[name] = last_line(done.stderr)
                        continue
                    told = json.loads(done.stdout.splitlines()[-1])
                    digest = digest or told["digest"]
                    if (told["digest"], told["prefixes"]) != (digest, stream.routes):
                        failed[name] = f"wrong: {told['prefixes']} prefixes, digest {told['digest']}, not {digest}"
                        continue
                    row.add(**{what: told[what] for what in ("decode", "encode") if what in told})
            rows += [row for row in own.values() if row.values]
            print(file=sys.stderr)
    return rows, failed


def table(rows: Sequence[Row], failed: dict[str, str]) -> str:
    lines = [
        "| feed | prefixes | library | decode, 1000/s | ours is | encode, 1000/s | ours is |",
        "| - | - | - | - | - | - | - |",
    ]
    for row in rows:
        ours = next(one for one in rows if (one.job, one.speaker) == (row.job, OURS))
        cells = [row.job, f"{row.count:,}", row.speaker]
        for what in ("decode", "encode"):
            seconds, reference = row.median(what), ours.median(what)
            if seconds is None or reference is None:
                cells += ["-", "-"]
            else:
                cells += [f"{row.count / seconds / 1000:,.0f}", f"{seconds / reference:.1f} times as fast"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\n{name}: {why}" for name, why in failed.items()]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", default=",".join(LIBRARIES), help="default: %(default)s")
    parser.add_argument("--install", action="store_true", help="make their environments first")
    parser.add_argument("--routes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts, in each of the turns")
    parser.add_argument("--turns", type=int, default=3, help="whose median counts")
    parser.add_argument("--mrt", type=Path, help="a table dump (RFC 6396) beside the generated feeds")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="the same objects into a file, beside the table")
    options = parser.parse_args()
    names = [name for name in options.libraries.split(",") if name]
    unknown = set(names) - set(LIBRARIES)
    if unknown:
        print(f"--libraries: there is no {', '.join(unknown)}; choose from {', '.join(LIBRARIES)}", file=sys.stderr)
        return 1
    for name in names if options.install else ():
        why = install(name)
        print(f"{name}: {why or 'installed'}", file=sys.stderr)
    streams = [feed.make(kind, options.routes, "192.0.2.1") for kind in ("host", "inet")]
    if options.mrt:
        streams.append(feed.make("mrt", options.routes, "192.0.2.1", options.mrt))
    rows, failed = measure(names, streams, options.rounds, options.turns)
    if options.rows is not None:
        options.rows.write_text(as_json(rows, OURS) + "\n")
    print(as_json(rows, OURS) if options.json else table(rows, failed))
    return 1 if OURS in failed or ALL in failed else 0


if __name__ == "__main__":
    sys.exit(main())
