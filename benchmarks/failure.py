"""J6: a node of a mesh is lost; how long its routes stay in the kernels of the others.

    python -m benchmarks.failure [--peers pybgp,bird2,frr] [--how kill,cut] [--nodes 8] [--rounds 5] [--json]

The mesh of `benchmarks.mesh`, 64 routes a node, graceful restart off. `kill`: SIGKILL to all processes of one node, so
that its connections end; clock from before the signal until the last of the other kernels has told of the last
deletion. `cut`: its port leaves the bridge, and nobody is told; the hold time of 9 s has to run out. `quitting_ms`, of
a `kill`: until the kernel had taken the process down, without which no connection ends.
"""

from __future__ import annotations

import signal
import socket
import sys
import time

from benchmarks import command
from benchmarks.mesh import EACH, MESHES, Member, address, check, prefixes_of, stop, wait, workloads
from benchmarks.route_events import RouteEvents, all_gone
from benchmarks.table import Row, markdown
from demo.lab import Host, Lab, LabError

HOLD = 9
PATIENCE = {"kill": 30.0, "cut": 3.0 * HOLD}


def once(lab: Lab, kind: type[Member], how: str) -> dict[str, float]:
    hosts = [one for one in lab.namespaces if isinstance(one, Host)]
    addresses = [host.address for host in hosts]
    alone = prefixes_of(hosts[0])
    speakers: list[Member] = []
    watched: dict[str, RouteEvents] = {}
    victim = hosts[-1]
    try:
        for host in hosts:
            speakers.append(kind(host))
            speakers[-1].join(
                host.address,
                [one for one in addresses if one != host.address],
                hold=90 if how == "kill" else HOLD,
                graceful=False,
            )
        wait({one.processes[0].pid: alone + EACH * (len(hosts) - 1) for one in speakers})
        time.sleep(1.0)  # at rest
        watched = {host.name: RouteEvents(host) for host in hosts[:-1]}
        lost = {socket.inet_aton(destination) for destination in routes_of(victim)}
        if len(lost) != EACH:
            raise LabError(f"{victim.name} has {len(lost)} routes of its own, and it should have {EACH}")
        began = time.monotonic()
        ended = began
        if how == "kill":
            for process in speakers[-1].processes:
                process.popen.send_signal(signal.SIGKILL)
            for process in speakers[-1].processes:
                process.popen.wait()
            ended = time.monotonic()
        else:
            plug(lab, victim, "nomaster")
        gone = all_gone(watched, lost, PATIENCE[how])
        return {"gone": gone - began, "quitting_ms": 1000 * (ended - began)}
    finally:
        for events in watched.values():
            events.close()
        if how == "cut":
            plug(lab, victim, "master", "br0")
        for one in speakers:
            stop(one, one.host)


def plug(lab: Lab, host: Host, *words: str) -> None:
    """Its port of the bridge, in silence."""
    assert lab.switch is not None
    lab.switch.run("ip", "link", "set", host.port, *words)


def routes_of(host: Host) -> list[str]:
    """The destinations of its own workloads."""
    return [line.split()[0] for line in host.run("ip", "route", "show", "dev", "cali0").splitlines()]


def measure(names: list[str], ways: list[str], size: int, rounds: int) -> list[Row]:
    rows: list[Row] = []
    with Lab("fail") as lab:
        for number in range(size):
            workloads(lab.host(f"n{number}", f"{address(number)}/16"), number)
        for how in ways:
            own = {name: Row(how, name, size) for name in names}
            rows += own.values()
            for turn in range(rounds):
                for name in names:
                    text = f"\r{how}: round {turn + 1} of {rounds}, {name:9}"
                    print(text, end="", file=sys.stderr, flush=True)
                    own[name].add(**once(lab, MESHES[name], how))
            print(file=sys.stderr)
    return rows


def main() -> int:
    parser = command.arguments(__doc__)
    parser.add_argument("--how", type=command.names, default=["kill"], help="kill, cut (default: kill)")
    parser.add_argument("--nodes", type=int, default=8)
    options = parser.parse_args()

    def rows() -> list[Row]:
        check(options.peers)
        command.unknown(options.how, list(PATIENCE), "--how")
        return measure(options.peers, options.how, options.nodes, options.rounds)

    return command.run(options, rows, lambda found: markdown(found, ("gone",), "bird2", ("quitting_ms",)))


if __name__ == "__main__":
    sys.exit(main())
