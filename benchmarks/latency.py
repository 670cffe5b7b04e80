"""J5: how long one change takes to get from one node into another.

    python -m benchmarks.latency [--jobs kernel,bgp,etcd] [--peers pybgp,bird2] [--events 100] [--rounds 3] [--json]

`kernel`: a mesh of four; a host route on a `cali…` interface of the first node appears or goes, until the kernel of the
second tells of the route. `bgp`: an UPDATE into the first node, which tells the second, until the second's other
neighbour has the UPDATE: two speakers' hops, no kernel. `etcd`: `put` of an endpoint into a real etcd, until the kernel
of the other node tells of the route; calico_route alone, since the others read no etcd. One change at a time, the
speakers in alternation; the clock starts before the change is written.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import command
from benchmarks.daemons import SPEAKERS, Setup, Speaker, answers
from benchmarks.feed import CONTEXT
from benchmarks.mesh import ASN, EACH, MESHES, Member, address, prefixes_of, stop, wait, workloads
from benchmarks.neighbour import Neighbour
from benchmarks.route_events import DELROUTE, NEWROUTE, RouteEvents
from benchmarks.table import Row, percentiles
from calico_route.kernel.netlink import ADD, DELETE, RTM_DELROUTE, RTM_NEWROUTE
from calico_route.kernel.packer import RoutePacker
from calico_route.kernel.route import IPV4, MAIN_TABLE, NextHop, RouteSpec
from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Host, Lab, LabError, wait_for
from pybgp import IPV4_UNICAST, PathAttributes
from pybgp.messages.update_writer import encode_reach, encode_unreach

NODES = 4
BOOT = 3  # the protocol of routes that `ip` makes
PAUSE = 0.002  # seconds at most between two changes: not always at the same point of somebody's timer
REST = 0.5


class Workload:
    """A host route on the `cali…` interface of a node, made and removed by one netlink message each."""

    def __init__(self, host: Host, destination: str) -> None:
        self.destination = socket.inet_aton(destination)
        index = json.loads(host.run("ip", "-j", "link", "show", "cali0"))[0]["ifindex"]
        packer, spec = RoutePacker(MAIN_TABLE, BOOT), RouteSpec((NextHop(b"", index),))
        nlri = [b"\x20" + self.destination]
        self._messages = (
            packer.pack(RTM_NEWROUTE, ADD, IPV4, spec, nlri),
            packer.pack(RTM_DELROUTE, DELETE, IPV4, spec, nlri),
        )
        self._socket = host.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def change(self, *, there: bool) -> float:
        """When it began."""
        began = time.monotonic()
        self._socket.send(self._messages[0 if there else 1])
        return began

    def close(self) -> None:
        self._socket.close()


def pause() -> None:
    time.sleep(PAUSE * random.random())


def by_kernel(hosts: list[Host], kind: type[Member], events: int) -> Iterator[tuple[str, float]]:
    addresses = [host.address for host in hosts]
    alone = prefixes_of(hosts[0])
    speakers: list[Member] = []
    workload, watched = Workload(hosts[0], "11.0.0.200"), RouteEvents(hosts[1])
    try:
        for host in hosts:
            speakers.append(kind(host))
            speakers[-1].join(host.address, [one for one in addresses if one != host.address])
        wait({one.processes[0].pid: alone + EACH * (len(hosts) - 1) for one in speakers})
        time.sleep(REST)
        for _ in range(events):
            for there, what, message in ((True, "add", NEWROUTE), (False, "delete", DELROUTE)):
                pause()
                began = workload.change(there=there)
                yield what, watched.wait(message, workload.destination) - began
    finally:
        workload.close()
        watched.close()
        for one in speakers:
            stop(one, one.host)


def by_update(hosts: list[Host], kind: type[Speaker], events: int) -> Iterator[tuple[str, float]]:
    first, second, before, behind = (host.address for host in hosts)
    speakers = [kind(host) for host in hosts[:2]]
    neighbours: list[Neighbour] = []
    nlri = [b"\x20" + socket.inet_aton("11.0.0.1")]
    announce = b"".join(
        encode_reach(IPV4_UNICAST, nlri, PathAttributes.build(next_hop=before, local_pref=100), CONTEXT)
    )
    withdraw = b"".join(encode_unreach(IPV4_UNICAST, nlri, CONTEXT))
    try:
        speakers[0].start(Setup(own=first, neighbours=(second, before), asn=ASN))
        wait_for(f"{kind.name} listens", lambda: answers(hosts[3], first))  # who finds nobody may rest for a minute
        speakers[1].start(Setup(own=second, neighbours=(first, behind), asn=ASN, dialled=(first,)))
        source, sink = (session(host, to) for host, to in ((hosts[2], first), (hosts[3], second)))
        neighbours += [source, sink]
        source.send(announce)
        sink.next_change(patience=60.0)  # the two speakers have found each other
        source.send(withdraw)
        sink.next_change()
        time.sleep(REST)
        for _ in range(events):
            for octets, what in ((announce, "add"), (withdraw, "delete")):
                pause()
                began = source.send(octets)["began"]
                yield what, sink.next_change() - began
    except (TimeoutError, ConnectionError) as error:
        raise LabError(f"{kind.name}: {error}") from None
    finally:
        for one in neighbours:
            one.close()
        for speaker in speakers:
            speaker.stop()


def session(host: Host, remote: str) -> Neighbour:
    """With a speaker, from within a host."""

    def connect() -> socket.socket:
        sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(5)
        try:
            sock.connect((remote, 179))
        except OSError:
            sock.close()
            raise
        return sock

    return Neighbour(host.address, remote, ASN, connect=connect)


class Gateway(http.client.HTTPConnection):
    """etcd's JSON gateway through a socket that lives in the host's namespace."""

    def __init__(self, host: Host) -> None:
        super().__init__(host.address, 2379)
        self.namespace = host

    def connect(self) -> None:
        self.sock = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.connect((self.host, self.port))

    def call(self, what: str, **fields: str) -> None:
        body = {name: base64.b64encode(value.encode()).decode() for name, value in fields.items()}
        self.request("POST", f"/v3/kv/{what}", json.dumps(body))
        answer = self.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise LabError(f"etcd refused {what}: {text[:200]!r}")


def by_etcd(events: int) -> Iterator[tuple[str, float]]:
    with Lab("etcd") as lab:
        hosts = [lab.host(f"host{n}", f"192.168.78.2{n}/24") for n in (1, 2)]
        etcd = Etcd(hosts[0], lab.directory / "etcd")
        etcd.start()
        for host in hosts:
            Agent(host, etcd.url).start()
        container = lab.container(hosts[0], "container1", "192.168.0.1")
        key, value = container.endpoint()
        gateway, watched = Gateway(hosts[0]), RouteEvents(hosts[1])
        destination = socket.inet_aton(container.address)
        gateway.call("put", key=key, value=value)
        wait_for("the mesh is up", lambda: any("192.168.0.1 " in line for line in hosts[1].routes()))
        gateway.call("deleterange", key=key)
        watched.wait(DELROUTE, destination)
        for _ in range(events):
            pause()
            began = time.monotonic()
            gateway.call("put", key=key, value=value)
            yield "add", watched.wait(NEWROUTE, destination) - began
            pause()
            began = time.monotonic()
            gateway.call("deleterange", key=key)
            yield "delete", watched.wait(DELROUTE, destination) - began


@contextmanager
def mesh(size: int) -> Iterator[list[Host]]:
    with Lab("lat") as lab:
        hosts = [lab.host(f"n{number}", f"{address(number)}/16") for number in range(size)]
        for number, host in enumerate(hosts):
            workloads(host, number)
        yield hosts


def measure(jobs: list[str], names: list[str], events: int, rounds: int) -> list[Row]:
    rows: list[Row] = []
    for job in jobs:
        able: list[str] = ["pybgp"]
        if job == "kernel":
            able = [name for name in names if name in MESHES]
        elif job == "bgp":
            able = [name for name in names if SPEAKERS[name].forwards]
        own = {name: Row(job, name, 2 if job != "kernel" else NODES) for name in able}
        rows += own.values()
        with mesh(NODES) as hosts:
            for turn in range(rounds):
                for name in able:
                    print(f"\r{job}: round {turn + 1} of {rounds}, {name:9}", end="", file=sys.stderr, flush=True)
                    if job == "etcd":
                        told = by_etcd(events)
                    elif job == "kernel":
                        told = by_kernel(hosts, MESHES[name], events)
                    else:
                        told = by_update(hosts, SPEAKERS[name], events)
                    for what, seconds in told:
                        own[name].add(**{what: seconds})
        print(file=sys.stderr)
    return rows


def main() -> int:
    parser = command.arguments(__doc__, rounds=3)
    jobs = ["kernel", "bgp", "etcd"]
    parser.add_argument("--jobs", type=command.names, default=jobs, help=f"which (default: {','.join(jobs)})")
    parser.add_argument("--events", type=int, default=100, help="changes each way in a round (default: %(default)s)")
    options = parser.parse_args()

    def rows() -> list[Row]:
        command.unknown(options.jobs, jobs, "--jobs")
        command.unknown(options.peers, list(SPEAKERS), "--peers")
        for name in options.peers:
            SPEAKERS[name].path()
        return measure(options.jobs, options.peers, options.events, options.rounds)

    return command.run(options, rows, lambda found: percentiles(found, ("add", "delete"), "bird2"))


if __name__ == "__main__":
    sys.exit(main())
