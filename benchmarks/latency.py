"""How long an endpoint takes from `put` into etcd to the kernel of the other node, and its deletion too.

Two hosts, a real etcd, one calico_route each. Clock: from before the request to etcd is written until the kernel of
the other host announces the route on its netlink socket. One change at a time.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import socket
import statistics
import struct
import sys
import time

from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Host, Lab, wait_for, why_impossible

RTMGRP_IPV4_ROUTE = 0x40
NEWROUTE, DELROUTE = 24, 25


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
            raise RuntimeError(f"etcd refused {what}: {text[:200]!r}")


class RouteEvents:
    """The kernel's route notifications of one host."""

    def __init__(self, host: Host) -> None:
        self.socket = host.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, RTMGRP_IPV4_ROUTE))
        self.socket.settimeout(20)

    def wait(self, kind: int, destination: bytes) -> float:
        """Monotonic time at which a message of this kind for this /32 arrived."""
        while True:
            data = self.socket.recv(65536)
            now = time.monotonic()
            offset = 0
            while offset + 16 <= len(data):
                length, message = struct.unpack_from("=IH", data, offset)
                if message == kind and destination in data[offset : offset + length]:
                    return now
                offset += (length + 3) & ~3


def measure(rounds: int) -> dict[str, list[float]]:
    """Milliseconds from etcd to the remote kernel: `added` and `removed`, one value a round."""
    result: dict[str, list[float]] = {"added": [], "removed": []}
    with Lab("lat") as lab:
        hosts = [lab.host(f"host{n}", f"192.168.78.2{n}/24") for n in (1, 2)]
        etcd = Etcd(hosts[0], lab.directory / "etcd")
        etcd.start()
        for host in hosts:
            Agent(host, etcd.url).start()
        container = lab.container(hosts[0], "container1", "192.168.0.1")
        key, value = container.endpoint()
        gateway, events = Gateway(hosts[0]), RouteEvents(hosts[1])
        destination = socket.inet_aton(container.address)
        gateway.call("put", key=key, value=value)
        wait_for("the mesh is up", lambda: any("192.168.0.1 " in line for line in hosts[1].routes()))
        gateway.call("deleterange", key=key)
        events.wait(DELROUTE, destination)
        for number in range(rounds):
            begin = time.monotonic()
            gateway.call("put", key=key, value=value)
            result["added"].append(1000 * (events.wait(NEWROUTE, destination) - begin))
            begin = time.monotonic()
            gateway.call("deleterange", key=key)
            result["removed"].append(1000 * (events.wait(DELROUTE, destination) - begin))
            if sys.stderr.isatty():
                print(f"\r{number + 1}/{rounds}", end="", file=sys.stderr, flush=True)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="changes each way (default 200)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    arguments = parser.parse_args()
    impossible = why_impossible()
    if impossible:
        print(f"cannot measure: {impossible}", file=sys.stderr)
        return 1
    rows = []
    for what, values in measure(arguments.rounds).items():
        ordered = sorted(values)
        rows.append(
            {
                "change": what,
                "rounds": len(values),
                "p50_ms": round(statistics.median(values), 3),
                "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 3),
                "max_ms": round(ordered[-1], 3),
            }
        )
    if arguments.json:
        print(json.dumps({"benchmark": "latency", "rows": rows}))
        return 0
    print(f"{'etcd -> remote kernel':24}{'rounds':>8}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}")
    for row in rows:
        print(f"{row['change']:24}{row['rounds']:>8}{row['p50_ms']:>10}{row['p99_ms']:>10}{row['max_ms']:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
