"""Restarts and changed next hops: what traffic and kernels notice of them, with calico_route and with Calico's BIRD.

    python -m benchmarks.restart [--peers calico_route,bird1] [--jobs …] [--rounds 1] [--whole] [--json]

A mesh of three nodes around one etcd, all with calico_route or all with BIRD 1.6 and the configuration that confd would
have rendered (`--print-bird-config`), each with a block of addresses and a workload. Between the workloads of node 1
and node 2 go 1,000 UDP packets a second each way, and `ip monitor route` runs on every node, while on node 2

`sigterm`   the daemon is asked to leave, and started again a second later;
`kill`      it is killed (SIGKILL), and started again a second later;
`again`     it is killed and started, and the same once more as soon as its End-of-RIB has reached both others;
`between`   it is killed and started, killed again when its session stands and nothing was said in it yet, and started.
            (Of BIRD that moment is too short to be met: there the one who comes and is killed again is calico_route,
            and BIRD is the helper.)
`dead`      it is killed, and a fourth node is in the datastore that does not run; node 1 has got a workload with a
            borrowed address when node 2 starts. Clock from the End-of-RIB of node 1 until that route is in the kernel
            of node 2. BIRD takes `graceful restart wait`, 240 s: without `--whole` it is given 30 s.
`writer`    somebody replaces the route to the block of node 1 by one of protocol static, and deletes that again. Clock
            until the daemon has a word about it in its log.
`next hops` 10,000 routes of a neighbour of node 1 get another next hop.

`lost`: packets, both ways; `hole`: the longest time of which none came. `deleted`: lines of `ip monitor route` that say
so, on all nodes. For `next hops`: `deleted` routes, and the longest time that one was not there. Shown is the worst of
all rounds.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks import command
from benchmarks.daemons import Bird1 as Bird1Package
from benchmarks.end_of_rib import EndsOfRib
from benchmarks.next_hops import COUNT, changed
from benchmarks.route_events import NEWROUTE, RouteEvents
from benchmarks.table import Row, seconds
from demo.agent import Agent
from demo.lab import Container, Lab, LabError, wait_for
from demo.traffic import Flow
from tests.e2e.bird1 import Bird1
from tests.e2e.mesh import Mesh, bird_routes

OURS, BIRD = "calico_route", "bird1"
NODES = 3
AWAY = 1.0  # seconds between end and start
BORROWED = "192.168.99.5"
DEAD = "192.168.78.99"
BOUND, WHOLE = 30.0, 300.0
WHOLE_OF_BIRD = 239.0  # seconds, as `--whole` has given
NOTICE = 10.0  # seconds
NOTICED = ("192.168.1.64/26: a route of protocol static", "File exists")
JOBS = ("sigterm", "kill", "again", "between", "dead", "writer", "next hops")
TITLES = {
    "sigterm": "SIGTERM and start",
    "kill": "SIGKILL and start",
    "again": "twice, the second time right after the End-of-RIB",
    "between": "twice, the second time before the End-of-RIB",
    "dead": "one more node is dead: from End-of-RIB to the kernel",
    "writer": "another writer takes a route: until the log says so",
    "next hops": f"another next hop for {COUNT:,} routes",
}


class Side:
    """The mesh, with one daemon on all nodes."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self.mesh = mesh = Mesh(lab, NODES, "--announce", "blocks", "--workloads-from", "kernel", "--hold-time", "240")
        mesh.etcd.start()
        mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
        self.workloads: list[Container] = []
        for number, host in enumerate(mesh.hosts, 1):
            mesh.node(host)
            mesh.etcd.put(
                f"/calico/ipam/v2/host/{host.name}/ipv4/block/192.168.{number}.64-26",
                '{"state":"confirmed","deleted":false}',
            )
            self.workloads.append(lab.container(host, f"w{number}", f"192.168.{number}.65"))
        birds = [Bird1(host, mesh.etcd.url, quick=False) for host in mesh.hosts]
        self.daemons: Sequence[Agent | Bird1] = mesh.agents if name == OURS else birds
        for daemon in self.daemons:
            daemon.start()
        self.settled()
        mesh.watch_kernels()

    def settled(self) -> None:
        """Until all sessions stand, all routes are there, and nobody is at the recovery from a restart any more."""
        wait_for("all sessions stand", lambda: all(self.sessions(one) == NODES - 1 for one in self.daemons), 90)
        wait_for("all routes are there", lambda: all(self.whole(number) for number in range(NODES)), 90)
        wait_for("no restart is under way", lambda: not any(self.recovering(one) for one in self.daemons), 90)

    def sessions(self, daemon: Agent | Bird1) -> int:
        return daemon.established() if isinstance(daemon, Bird1) else self.mesh.established(daemon)

    def recovering(self, daemon: Agent | Bird1) -> bool:
        if isinstance(daemon, Bird1):
            return "recovery in progress" in daemon.ctl("show", "status")
        return daemon.status()["sessions"]["complete"] < NODES - 1

    def whole(self, number: int) -> bool:
        wanted = {
            f"192.168.{other + 1}.64/26 via {host.address}"
            for other, host in enumerate(self.mesh.hosts)
            if other != number
        }
        return wanted <= bird_routes(self.mesh.hosts[number])

    def restart(self, how: int = signal.SIGKILL) -> None:
        self.daemons[1].kill(how)
        time.sleep(AWAY)
        self.daemons[1].start()

    def again(self) -> None:
        ends = [EndsOfRib(self.mesh.hosts[number]) for number in (0, 2)]
        try:
            began = time.monotonic()
            self.restart()
            for one in ends:
                one.wait(self.mesh.hosts[1].address, began)
            self.restart()
        finally:
            for one in ends:
                one.close()

    def between(self) -> None:
        self.daemons[1].kill()
        time.sleep(AWAY)
        helpers = [self.daemons[number] for number in (0, 2)]
        self.mesh.agents[1].start_cut_short(lambda: any(self.sessions(one) == NODES - 1 for one in helpers))
        time.sleep(AWAY)
        self.daemons[1].start()

    def noticed(self, act: Callable[[Side], None]) -> dict[str, float]:
        """What traffic and kernels notice of what is done."""
        before = len(self.mesh.deleted())
        flows = [Flow(*self.workloads[:2]), Flow(*self.workloads[1::-1])]
        for flow in flows:
            flow.start()
        time.sleep(0.5)
        act(self)
        self.settled()
        time.sleep(1.0)
        arrived = [flow.stop() for flow in flows]
        return {
            "lost": sum(one.lost for one in arrived),
            "hole": max(one.hole for one in arrived),
            "deleted": len(self.mesh.deleted()) - before,
        }

    def another_writer(self) -> dict[str, float]:
        """Seconds until the log of node 2 has the prefix, or BIRD's words for a route in the way; `given_up`: none."""
        host, daemon = self.mesh.hosts[1], self.daemons[1]
        route = ["192.168.1.64/26", "via", DEAD, "proto", "static"]
        before = len(log_of(daemon))
        began = time.monotonic()
        host.run("ip", "route", "replace", *route)
        try:
            wait_for("the log says so", lambda: any(one in log_of(daemon)[before:] for one in NOTICED), NOTICE, 0.002)
        except LabError:
            return {"given_up": NOTICE}
        finally:
            host.run("ip", "route", "del", *route)
        noticed = time.monotonic() - began
        self.settled()
        return {"time": noticed}

    def with_a_dead_node(self, lab: Lab, bound: float) -> dict[str, float]:
        """Seconds from node 1's End-of-RIB until its new route is in the kernel of node 2; `bound` if it is not."""
        mesh = self.mesh
        self.daemons[1].kill()
        mesh.node_at("dead", DEAD)
        lab.container(mesh.hosts[0], "borrower", BORROWED)
        ends, events = EndsOfRib(mesh.hosts[1]), RouteEvents(mesh.hosts[1])
        events.socket.settimeout(bound)
        try:
            began = time.monotonic()
            self.daemons[1].start()
            end_of_rib = ends.wait(mesh.hosts[0].address, began)
            try:
                there = events.wait(NEWROUTE, socket.inet_aton(BORROWED))
            except TimeoutError:
                return {"given_up": bound}
            return {"time": max(0.0, there - end_of_rib)}
        finally:
            ends.close()
            events.close()


def log_of(daemon: Agent | Bird1) -> str:
    return daemon.process.text() if daemon.process is not None else ""


ACTS: dict[str, Callable[[Side], None]] = {
    "sigterm": lambda side: side.restart(signal.SIGTERM),
    "kill": Side.restart,
    "again": Side.again,
    "between": Side.between,
}


def measure(names: Sequence[str], jobs: Sequence[str], rounds: int, whole: bool) -> list[Row]:
    rows = {(job, name): Row(job, name, COUNT if job == "next hops" else NODES) for job in jobs for name in names}
    for turn in range(rounds):
        for name in names:

            def say(job: str, name: str = name, turn: int = turn) -> None:
                print(f"\rround {turn + 1} of {rounds}, {name}: {job:40}", end="", file=sys.stderr, flush=True)

            say("the mesh comes up")
            with Lab("rst") as lab:
                side = Side(lab, name)
                for job in jobs:
                    if job in ACTS:
                        say(job)
                        rows[job, name].add(**side.noticed(ACTS[job]))
                if "writer" in jobs:
                    say("writer")
                    rows["writer", name].add(**side.another_writer())
                if "dead" in jobs:
                    say("dead")
                    bound = WHOLE if whole and name != OURS else BOUND
                    rows["dead", name].add(**side.with_a_dead_node(lab, bound))
            if "next hops" in jobs:
                say("next hops")
                rows["next hops", name].add(**changed(name))
    print(file=sys.stderr)
    return list(rows.values())


def words(row: Row) -> str:
    """The worst of all rounds."""
    worst = {name: max(values) for name, values in row.values.items()}
    if row.job in ("dead", "writer"):
        if row.job == "writer" and "given_up" in worst:
            return f"nothing in {NOTICE:g} s"
        if "given_up" in worst:
            return f"> {worst['given_up']:g} s" + (
                f" ({WHOLE_OF_BIRD:g} s with `--whole`)" if row.speaker == BIRD else ""
            )
        return seconds(worst["time"])
    if row.job == "next hops":
        return f"{worst['deleted']:,.0f} deleted" + (f", hole {1000 * worst['hole']:.1f} ms" if worst["hole"] else "")
    text = f"{worst['lost']:,.0f} lost" + (f", hole {worst['hole']:.2f} s" if worst["lost"] else "")
    return f"{text}; {worst['deleted']:,.0f} deleted"


def table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(row.speaker for row in rows))
    found = {(row.job, row.speaker): words(row) for row in rows if row.values}
    lines = [["", *names], ["---"] * (len(names) + 1)]
    for job in dict.fromkeys(row.job for row in rows):
        lines.append([TITLES[job], *(found.get((job, name), "-") for name in names)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    parser = command.arguments(__doc__, peers=f"{OURS},{BIRD}", rounds=1)
    parser.add_argument("--jobs", type=command.names, default=list(JOBS), help=f"of {', '.join(JOBS)} (default: all)")
    parser.add_argument("--whole", action="store_true", help="wait for BIRD as long as it takes, four minutes")
    options = parser.parse_args()

    def rows() -> list[Row]:
        command.unknown(options.peers, (OURS, BIRD), "--peers")
        command.unknown(options.jobs, JOBS, "--jobs")
        if BIRD in options.peers:
            Bird1Package.path()
        return measure(options.peers, options.jobs, options.rounds, options.whole)

    try:
        return command.run(options, rows, table, BIRD)
    except LabError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
