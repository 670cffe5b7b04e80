"""J4: a full mesh comes up, and a node joins one that stands.

    python -m benchmarks.mesh [--peers pybgp,bird2] [--nodes 8,16] [--rounds 5] [--json]

Each node is a network namespace with 64 host routes on a `cali…` interface; no etcd: BIRD learns them from its kernel,
and so does calico_route (`--workloads-from kernel`), whose nodes come from a file. Timers are the defaults. `start`:
all are started at once; clock from the last start until the kernel of every node has the routes of all. `join`: the
last node starts when the others are done; until it has all, and all have its routes. `starting`: how long that took.
"""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from collections.abc import Sequence

from benchmarks import command
from benchmarks.daemons import Bird2, Frr, PyBgp, Speaker
from benchmarks.kernel import prefixes
from benchmarks.table import Row, markdown
from demo.lab import Host, Lab, LabError

EACH = 64
ASN = 65000


def address(number: int) -> str:
    return f"10.90.{number >> 8}.{(number & 0xFF) + 1}"


def workloads(host: Host, number: int) -> None:
    """Host routes to a `cali…` interface, as workloads have them."""
    host.run("ip", "link", "add", "cali0", "type", "veth", "peer", "name", "inside0")
    for name in ("cali0", "inside0"):
        host.run("ip", "link", "set", name, "up")
    lines = (f"route add 11.{number >> 8}.{number & 0xFF}.{one}/32 dev cali0" for one in range(EACH))
    host.run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")


class Member(Speaker):
    """A speaker that can be in a mesh."""

    @abstractmethod
    def join(self, own: str, others: Sequence[str], *, hold: int = 90, graceful: bool = True) -> None:
        """Start it; all have the default timers but for `hold`, seconds."""


class MeshBird(Bird2, Member):
    def join(self, own: str, others: Sequence[str], *, hold: int = 90, graceful: bool = True) -> None:
        peers = (
            f"protocol bgp p{number} from peers {{ neighbor {one} as {ASN}; }}" for number, one in enumerate(others)
        )
        file = self.write(
            "bird2_mesh.conf",
            own=own,
            asn=ASN,
            neighbours="\n".join(peers),
            hold=hold,
            graceful="" if graceful else "graceful restart off;",
        )
        self.run(self.path(), "-f", "-c", str(file), "-s", str(self.folder / "bird.ctl"))


class MeshFrr(Frr, Member):
    def join(self, own: str, others: Sequence[str], *, hold: int = 90, graceful: bool = True) -> None:
        file = self.write(
            "frr_mesh.conf",
            own=own,
            asn=ASN,
            hold=hold,
            keepalive=hold // 3,
            graceful="" if graceful else "bgp graceful-restart-disable",
            neighbours="\n".join(f" neighbor {one} remote-as {ASN}" for one in others),
            activate="\n".join(f"  neighbor {one} activate\n  neighbor {one} next-hop-self" for one in others),
        )
        self.run_with_zebra(file, own)


class MeshPyBgp(PyBgp, Member):
    def join(self, own: str, others: Sequence[str], *, hold: int = 90, graceful: bool = True) -> None:
        self.agent(own, others, ASN, hold=hold, graceful=graceful)


MESHES: dict[str, type[Member]] = {"pybgp": MeshPyBgp, "bird2": MeshBird, "frr": MeshFrr}


def wait(pids: dict[int, int], patience: float = 60.0) -> float:
    """Until each process's namespace has so many prefixes; when that was."""
    end = time.monotonic() + patience
    left = dict(pids)
    while left:
        left = {pid: count for pid, count in left.items() if prefixes(pid) != count}
        if time.monotonic() > end:
            found = {pid: prefixes(pid) for pid in left}
            raise LabError(f"not all kernels have all routes after {patience:g} s: {found}, wanted {left}")
        time.sleep(0.01)
    return time.monotonic()


def once(lab: Lab, kind: type[Member]) -> dict[str, float]:
    hosts = [one for one in lab.namespaces if isinstance(one, Host)]
    addresses = [host.address for host in hosts]
    alone = prefixes_of(hosts[0])
    speakers: list[Member] = []

    def start(some: Sequence[Host]) -> None:
        for host in some:
            speakers.append(kind(host))
            speakers[-1].join(host.address, [one for one in addresses if one != host.address])

    def wanted() -> dict[int, int]:
        return {one.processes[0].pid: alone + EACH * (len(speakers) - 1) for one in speakers}

    def stop_all() -> None:
        for one in speakers:
            stop(one, one.host)
        speakers.clear()

    try:
        began = time.monotonic()
        start(hosts)
        last = time.monotonic()
        up = wait(wanted()) - last
        cpu = sum(one.cpu() for one in speakers)
        resident = sum(one.resident() for one in speakers) / len(speakers) / 1e6
        stop_all()
        start(hosts[:-1])
        wait(wanted())
        time.sleep(1.0)  # the others are at rest
        again = time.monotonic()
        start(hosts[-1:])
        join = wait(wanted()) - again
    finally:
        stop_all()
    return {"start": up, "join": join, "starting": last - began, "cpu_seconds": cpu, "MB_a_node": resident}


def stop(speaker: Speaker, host: Host) -> None:
    """End it, and take out what it has left in the kernel."""
    speaker.stop()
    host.run("ip", "route", "flush", "proto", "bird", check=False)
    host.run("ip", "nexthop", "flush", check=False)  # and with them the routes of zebra


def prefixes_of(host: Host) -> int:
    """In the main table of a host where no speaker runs."""
    text = host.run("cat", "/proc/net/fib_triestat")
    _, _, main = text.partition("Main:")
    return next(int(line.split()[1]) for line in main.splitlines() if line.strip().startswith("Prefixes:"))


def measure(names: list[str], sizes: list[int], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for size in sizes:
        own = {name: Row("mesh", name, size) for name in names}
        rows += own.values()
        with Lab("mesh") as lab:
            for number in range(size):
                workloads(lab.host(f"n{number}", f"{address(number)}/16"), number)
            for turn in range(rounds):
                for name in names:
                    text = f"\r{size} nodes: round {turn + 1} of {rounds}, {name:9}"
                    print(text, end="", file=sys.stderr, flush=True)
                    own[name].add(**once(lab, MESHES[name]))
        print(file=sys.stderr)
    return rows


def main() -> int:
    parser = command.arguments(__doc__)
    parser.add_argument("--nodes", default="8,16", help="sizes of the mesh (default: %(default)s)")
    options = parser.parse_args()

    def rows() -> list[Row]:
        check(options.peers)
        return measure(options.peers, [int(one) for one in options.nodes.split(",")], options.rounds)

    extra = ("starting", "cpu_seconds", "MB_a_node")
    return command.run(options, rows, lambda found: markdown(found, ("start", "join"), "bird2", extra))


def check(peers: list[str]) -> None:
    """Raises ValueError for one who cannot be in a mesh, LabError for one who is not installed."""
    command.unknown(peers, list(MESHES), "--peers")
    for name in peers:
        MESHES[name].path()


if __name__ == "__main__":
    sys.exit(main())
