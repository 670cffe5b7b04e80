"""Two hundred sessions on one speaker: what they cost at rest, and whether one that gets a full table disturbs them.

    python -m benchmarks.sessions [--sessions 200] [--routes 500000] [--hold 9] [--seconds 15] [--json]

The speaker is the library in a program of its own (benchmarks/watched.py). `idle`: processor time while all sessions
are established and nothing happens. `dump`: one neighbour has announced all routes to it, which it tells to route
reflector clients alone; then another comes up, a client, and gets them all at once. Meanwhile the others note when
their KEEPALIVEs come: `latest` is by how much the latest of all missed its time, as a part of the keepalive time (a
third of the hold time). `stalls` are the longest times for which the event loop did not come round, with what it was at
for most of each, while the routes came in and while they went out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from benchmarks import feed
from benchmarks.ingest import Remote, fed
from demo.lab import Host, Lab, LabError, why_impossible

OWN, SOURCE, SINK = "10.90.0.1", "10.90.0.2", "10.90.0.3"


class Program:
    """A module of this folder in a host, that answers a line with a line."""

    def __init__(self, host: Host, module: str, *words: str) -> None:
        command = host.command(sys.executable, "-m", f"benchmarks.{module}", *words)
        self.process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise LabError("a program of the benchmark ended before it answered")
        return json.loads(answer)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@dataclass
class Result:
    """`idle_cpu` as a part of one processor; `latest` as a part of the keepalive time; times in seconds."""

    idle_cpu: float
    load_latest: float
    load_stalls: list[tuple[float, str]]
    dump: float
    dump_latest: float
    dump_stalls: list[tuple[float, str]]
    keepalives: int


def say(text: str) -> None:
    print(f"\r{text:60}", end="", file=sys.stderr, flush=True)


def measure(sessions: int, routes: int, hold: int, seconds: float) -> Result:
    stream = feed.host(routes, SOURCE)
    others = [f"10.90.{1 + number // 250}.{1 + number % 250}" for number in range(sessions - 2)]
    programs: list[Program | Remote] = []
    with Lab("sess") as lab:
        speaker_host, source_host, sink_host, idle_host = (
            lab.host(name, f"{address}/16")
            for name, address in (("speaker", OWN), ("source", SOURCE), ("sink", SINK), ("idle", others[0]))
        )
        batch = "".join(f"address add {one}/16 dev {idle_host.interface}\n" for one in others[1:])
        idle_host.run("ip", "-batch", "-", stdin=batch)
        file, gone = lab.directory / "announce", lab.directory / "withdraw"
        file.write_bytes(stream.announce)
        gone.write_bytes(stream.withdraw)
        try:
            speaker = Program(
                speaker_host,
                "watched",
                *("--own", OWN, "--source", SOURCE, "--client", SINK, "--idle", ",".join(others), "--hold", str(hold)),
            )
            programs.append(speaker)
            idle = Program(idle_host, "idle", "--remote", OWN, "--locals", ",".join(others), "--hold", str(hold))
            programs.append(idle)
            say(f"{sessions} sessions come up")
            source = Remote(source_host)
            programs.append(source)
            source.answer()
            settle(speaker, sessions - 1)
            say("at rest")
            began, used = time.monotonic(), speaker.cpu()
            time.sleep(seconds)
            idle_cpu = (speaker.cpu() - used) / (time.monotonic() - began)
            say(f"{routes:,} routes come in")
            speaker.ask('{"watch": true}')
            idle.ask("begin")
            source.order(send=str(file))
            source.answer()
            time.sleep(hold / 3)
            load_told, load_stalls = idle.ask("report"), speaker.ask('{"stalls": true}')
            say(f"{routes:,} routes go out")
            speaker.ask('{"watch": true}')
            idle.ask("begin")
            sink = Remote(sink_host)
            programs.append(sink)
            came = sink.answer()["established"]
            sink.order(**{"await": routes, "patience": 120.0})
            told = sink.answer()
            if told["held"] != routes:
                raise LabError(f"{told['held']} prefixes arrived, and it should have been {routes}")
            time.sleep(hold / 3)
            dump_told, dump_stalls = idle.ask("report"), speaker.ask('{"stalls": true}')
            fed(source, sink, gone, 0, 120.0)  # nothing is left
            settle(speaker, sessions)
        finally:
            for program in programs:
                program.close()
    say("")
    print(file=sys.stderr)
    ended = [*load_told["ended"], *dump_told["ended"]]
    if ended:
        raise LabError(f"sessions ended: {', '.join(ended[:5])}")
    return Result(
        idle_cpu,
        max(0.0, load_told["latest"]),
        load_stalls,
        told["at"] - came,
        max(0.0, dump_told["latest"]),
        dump_stalls,
        load_told["keepalives"] + dump_told["keepalives"],
    )


def settle(speaker: Program, sessions: int) -> None:
    """Until so many sessions are established. Raises LabError."""
    end = time.monotonic() + 60
    while (now := speaker.ask('{"count": true}')) != sessions:
        if time.monotonic() > end:
            raise LabError(f"{now} sessions are established, and it should be {sessions}")
        time.sleep(0.2)


def table(result: Result, sessions: int, routes: int, hold: int) -> str:
    lines = [
        "| what | measured | target |",
        "| --- | --- | --- |",
        f"| processor time with {sessions} sessions at rest, hold time {hold} s | {result.idle_cpu:.1%} | < 2 % |",
        f"| {routes:,} routes to one of them | {result.dump:.2f} s | |",
        f"| latest of {result.keepalives:,} KEEPALIVEs, while they came in | {result.load_latest:.1%} late | < 10 % |",
        f"| … and while they went out | {result.dump_latest:.1%} late | < 10 % |",
    ]
    for name, stalls in (("came in", result.load_stalls), ("went out", result.dump_stalls)):
        for seconds, cause in stalls[:2]:
            lines.append(f"| stall while they {name}: {cause} | {1000 * seconds:.0f} ms | < 50 ms |")
        if not stalls:
            lines.append(f"| stalls while they {name} | none over 10 ms | < 50 ms |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--routes", type=int, default=500_000)
    parser.add_argument("--hold", type=int, default=9, help="seconds; a third of it is the keepalive time")
    parser.add_argument("--seconds", type=float, default=15.0, help="of rest (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    impossible = why_impossible()
    if impossible:
        print(impossible, file=sys.stderr)
        return 1
    try:
        result = measure(options.sessions, options.routes, options.hold, options.seconds)
    except (LabError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(vars(result)))
    else:
        print(table(result, options.sessions, options.routes, options.hold))
    return 0


if __name__ == "__main__":
    sys.exit(main())
