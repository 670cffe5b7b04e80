"""J2: routes from one neighbour into the kernel's table, and out again.

    python -m benchmarks.kernel [--peers pybgp,bird2,frr] [--jobs host] [--routes 100000] [--rounds 5] [--json]

Clock: from the first octet of the prepared stream until the namespace of the speaker has N more prefixes in its tables
(`/proc/net/fib_triestat`), and from the first octet of the withdrawal until they are gone. pybgp with the kernel is
`calico_route`. The row "python netlink" is a bare loop in the same run: messages packed one by one, 500 in a send,
nothing else (`benchmarks.fib`). "bare" ratios are against it.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

from benchmarks import command, feed
from benchmarks.daemons import Setup, Speaker, chosen
from benchmarks.fib import Bare
from benchmarks.ingest import ASN, SETTLED, SOURCE, SPEAKER, Remote
from benchmarks.table import Row, markdown
from calico_route.kernel import IPV4
from calico_route.kernel.socket import in_namespace
from demo.lab import Host, Lab, LabError

BARE = "python netlink"


def prefixes(pid: int) -> int:
    """How many are in the main table of a process's namespace."""
    text = Path(f"/proc/{pid}/net/fib_triestat").read_text()
    _, _, main = text.partition("Main:")
    return next((int(line.split()[1]) for line in main.splitlines() if line.strip().startswith("Prefixes:")), 0)


def until(pid: int, count: int, patience: float) -> float:
    """Monotonic time at which there were exactly so many. Raises LabError."""
    end = time.monotonic() + patience
    first = prefixes(pid)
    while True:
        found, now = prefixes(pid), time.monotonic()
        if found == count:
            return now
        if now > end:
            raise LabError(f"{found} prefixes in the kernel, and it should have been {count}")
        # A look walks the whole table, 6 ms for 100,000, on a processor that the speaker could use: seldom, until the
        # end is near.
        time.sleep(0.02 if abs(count - found) > abs(count - first) / 10 else 0.003)


def once(lab: Lab, kind: type[Speaker], stream: feed.Feed, files: tuple[Path, Path]) -> dict[str, float]:
    hosts = {host.address: host for host in lab.namespaces if isinstance(host, Host)}
    speaker = kind(hosts[SPEAKER])
    source: Remote | None = None
    try:
        speaker.start(Setup(own=SPEAKER, neighbours=(SOURCE,), asn=ASN, clients=False, kernel=True))
        source = Remote(hosts[SOURCE])
        source.answer()
        time.sleep(SETTLED)
        pid = speaker.processes[0].pid
        empty, cpu = prefixes(pid), speaker.cpu()
        times = []
        for file, count in zip(files, (stream.routes, 0), strict=True):
            source.order(send=str(file))
            began = source.answer()["began"]
            times.append(until(pid, empty + count, 120.0) - began)
        return {"in": times[0], "out": times[1], "cpu_seconds": speaker.cpu() - cpu}
    finally:
        if source is not None:
            source.close()
        speaker.stop()


def bare(host: Host, count: int) -> dict[str, float]:
    """The loop, in the namespace of the speakers, while none runs."""
    keys = [b"\x20" + (0x0B000000 + number).to_bytes(4, "big") for number in range(count)]
    index = in_namespace(host.netns, lambda: socket.if_nametoindex(host.interface))
    loop = Bare(host.netns, IPV4, index)
    times = []
    try:
        for gateway in (bytes(map(int, SOURCE.split("."))), None):
            began = time.perf_counter()
            loop.run(keys, gateway)
            times.append(time.perf_counter() - began)
    finally:
        loop.close()
    return {"in": times[0], "out": times[1]}


def measure(kinds: list[type[Speaker]], jobs: list[str], count: int, rounds: int, mrt: Path | None) -> list[Row]:
    rows: list[Row] = []
    with Lab("bench") as lab:
        home = lab.host("speaker", f"{SPEAKER}/16")
        lab.host("source", f"{SOURCE}/16")
        for job in jobs:
            stream = feed.make(job, count, SOURCE, mrt)
            files = (lab.directory / f"{job}.announce", lab.directory / f"{job}.withdraw")
            files[0].write_bytes(stream.announce)
            files[1].write_bytes(stream.withdraw)
            own = {name: Row(stream.name, name, stream.routes) for name in (*(kind.name for kind in kinds), BARE)}
            rows += own.values()
            for number in range(rounds):
                for kind in kinds:
                    text = f"\r{stream.name} {stream.routes:,}: round {number + 1} of {rounds}, {kind.name:9}"
                    print(text, end="", file=sys.stderr, flush=True)
                    own[kind.name].add(**once(lab, kind, stream, files))
                if job == "host":
                    own[BARE].add(**bare(home, count))
            print(file=sys.stderr)
    return [row for row in rows if row.values]


def main() -> int:
    parser = command.arguments(__doc__)
    command.feeds(parser, "host")
    options = parser.parse_args()

    def rows() -> list[Row]:
        kinds = chosen(options.peers, installing=True)
        return measure(kinds, options.jobs, options.routes, options.rounds, options.mrt)

    return command.run(options, rows, lambda found: markdown(found, ("in", "out"), "bird2", ("cpu_seconds",)))


if __name__ == "__main__":
    sys.exit(main())
