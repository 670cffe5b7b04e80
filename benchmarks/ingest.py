"""J1 and J3: routes from one neighbour, told to a second one; how long it takes, and what a route costs in memory.

    python -m benchmarks.ingest [--peers pybgp,bird2,…] [--jobs host,inet] [--routes 100000] [--rounds 5] [--json]

Clock: from the first octet of the prepared stream until the second neighbour has got exactly N distinct prefixes, and
from the first octet of the withdrawal until it has none. The second neighbour is a route reflector client. The octets
that it got are decoded when it is quiet again; a wrong count ends the run. Memory is what all processes of the speaker
have resident after the announcement, less what they had before it, a route.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from subprocess import PIPE, Popen

from benchmarks import command, feed
from benchmarks.daemons import ExaBgp, Setup, Speaker, chosen
from benchmarks.table import Row, markdown
from demo.lab import Host, Lab, LabError

SPEAKER, SOURCE, SINK = "10.90.0.1", "10.90.0.2", "10.90.0.3"
ASN = 65000
SETTLED = 1.5  # seconds for what a speaker does when a session is new; FRR waits for one before it tells anything


class Remote:
    """A `benchmarks.neighbour` in a host of its own."""

    def __init__(self, host: Host, remote: str = SPEAKER, asn: int = ASN) -> None:
        words = host.command(
            *(sys.executable, "-m", "benchmarks.neighbour"),
            *("--local", host.address, "--remote", remote, "--as", str(asn)),
        )
        self.process = Popen(words, stdin=PIPE, stdout=PIPE, text=True)

    def order(self, **what: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise LabError("a neighbour ended before it answered")
        found: dict[str, float] = json.loads(line)
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def fed(source: Remote, sink: Remote, file: Path, count: int, patience: float) -> float:
    """Seconds until the sink has `count` prefixes. Raises LabError where it does not get there."""
    sink.order(**{"await": count, "patience": patience})
    source.order(send=str(file))
    began = source.answer()["began"]
    told = sink.answer()
    if told["held"] != count or told["at"] < 0:
        raise LabError(f"{told['held']} prefixes arrived, and it should have been {count}; {told['ended']}")
    return told["at"] - began


def once(
    lab: Lab, kind: type[Speaker], stream: feed.Feed, files: tuple[Path, Path], patience: float
) -> dict[str, float]:
    """One run of one speaker, started anew."""
    hosts = {host.address: host for host in lab.namespaces if isinstance(host, Host)}
    speaker = kind(hosts[SPEAKER])
    remotes: list[Remote] = []
    try:
        speaker.start(Setup(own=SPEAKER, neighbours=(SOURCE, SINK), asn=ASN))
        for address in (SINK, SOURCE):
            remotes.append(Remote(hosts[address]))
            remotes[-1].answer()
        sink, source = remotes
        time.sleep(SETTLED)
        before, cpu = speaker.resident(), speaker.cpu()
        if isinstance(speaker, ExaBgp):
            source.order(send=str(files[0]))
            announce = speaker.counted(stream.routes, patience) - source.answer()["began"]
            return {"announce": announce, "octets_a_route": (speaker.resident() - before) / stream.routes}
        announce = fed(source, sink, files[0], stream.routes, patience)
        resident, used = speaker.resident(), speaker.cpu() - cpu
        withdraw = fed(source, sink, files[1], 0, patience)
        return {
            "announce": announce,
            "withdraw": withdraw,
            "cpu_seconds": used,
            "octets_a_route": (resident - before) / stream.routes,
            "resident_MB": resident / 1e6,
        }
    finally:
        for remote in remotes:
            remote.close()
        speaker.stop()


def measure(kinds: list[type[Speaker]], jobs: list[str], count: int, rounds: int, mrt: Path | None) -> list[Row]:
    rows: list[Row] = []
    with Lab("bench") as lab:
        for name, address in (("speaker", SPEAKER), ("source", SOURCE), ("sink", SINK)):
            lab.host(name, f"{address}/16")
        for job in jobs:
            stream = feed.make(job, count, SOURCE, mrt)
            files = (lab.directory / f"{job}.announce", lab.directory / f"{job}.withdraw")
            files[0].write_bytes(stream.announce)
            files[1].write_bytes(stream.withdraw)
            own = {kind.name: Row(stream.name, kind.name, stream.routes) for kind in kinds}
            rows += own.values()
            for number in range(rounds):
                for kind in kinds:
                    print(
                        f"\r{stream.name} {stream.routes:,}: round {number + 1} of {rounds}, {kind.name:9}",
                        end="",
                        file=sys.stderr,
                    )
                    own[kind.name].add(**once(lab, kind, stream, files, 300.0))
            print(file=sys.stderr)
    return rows


def main() -> int:
    parser = command.arguments(__doc__)
    command.feeds(parser, "host,inet")
    options = parser.parse_args()
    extra = ("cpu_seconds", "octets_a_route", "resident_MB")
    return command.run(
        options,
        lambda: measure(chosen(options.peers), options.jobs, options.routes, options.rounds, options.mrt),
        lambda rows: markdown(rows, ("announce", "withdraw"), "bird2", extra),
    )


if __name__ == "__main__":
    sys.exit(main())
