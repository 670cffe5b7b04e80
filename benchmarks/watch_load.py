"""An agent in a large cluster: a real etcd with thousands of Nodes and many more WorkloadEndpoints.

    python -m benchmarks.watch_load [--nodes 5000] [--endpoints 150000] [--changes 100] [--seconds 20] [--json]

The mesh is off, two nodes reflect (BGPPeers with selectors). One of the two is there, a neighbour of octets; the agent
is one of the other nodes. Measured: from the start of the agent until the reflector has its OPEN, until it has all
routes of this node, and until the agent has read all of etcd; the agent's memory; its processor time a minute at rest
and with so many changes of endpoints a second, most of them on other nodes; and how long a change of its own takes
meanwhile, from before the request to etcd until the reflector has the UPDATE.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.latency import Gateway
from benchmarks.neighbour import Neighbour
from benchmarks.sessions import say
from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Host, Lab, LabError, wait_for, why_impossible

ASN = 64512
ROOT = "/calico/resources/v3/projectcalico.org"
TOGETHER = 100  # puts in one transaction
OWN = 30  # routes of the node itself


def document(kind: str, name: str, spec: dict[str, object], **metadata: object) -> str:
    head = {"kind": kind, "apiVersion": "projectcalico.org/v3"}
    return json.dumps({**head, "metadata": {"name": name, **metadata}, "spec": spec})


def node(name: str, address: str, labels: dict[str, str] | None = None, **bgp: object) -> tuple[str, str]:
    spec = {"bgp": {"ipv4Address": f"{address}/8", **bgp}, "orchRefs": [{"nodeName": name, "orchestrator": "k8s"}]}
    return f"{ROOT}/nodes/{name}", document("Node", name, spec, labels={"kubernetes.io/os": "linux", **(labels or {})})


def endpoint(number: int, host: str, address: str, generation: int = 0) -> tuple[str, str]:
    """As Calico's CNI plug-in would write it, with the labels that a pod has."""
    pod = f"shop-{number:06d}"
    name = f"{host.replace('-', '--')}-k8s-{pod.replace('-', '--')}-eth0"
    labels = {
        "app": "shop",
        "pod-template-hash": f"{number:08x}",
        "projectcalico.org/namespace": "default",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "default",
        "generation": str(generation),
    }
    spec = {
        "orchestrator": "k8s",
        "node": host,
        "pod": pod,
        "containerID": f"{number:064x}",
        "endpoint": "eth0",
        "ipNetworks": [f"{address}/32"],
        "profiles": ["kns.default", "ksa.default.default"],
        "interfaceName": f"cali{number:011x}",
        "mac": "ee:ee:ee:ee:ee:ee",
    }
    key = f"{ROOT}/workloadendpoints/default/{name}"
    return key, document("WorkloadEndpoint", name, spec, namespace="default", labels=labels)


def address_of(number: int) -> str:
    """Of an endpoint, in 192.160.0.0/11."""
    return f"192.{160 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def resources(nodes: int, endpoints: int, own: Host, reflector: Host) -> Iterator[tuple[str, str]]:
    selector = "route-reflector == 'true'"
    yield node(own.name, own.address)
    yield node(reflector.name, reflector.address, {"route-reflector": "true"}, routeReflectorClusterID="244.0.0.1")
    for number in range(nodes - 2):
        yield node(f"node-{number:05d}", f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}")
    configuration = {"nodeToNodeMeshEnabled": False, "asNumber": ASN}
    yield f"{ROOT}/bgpconfigurations/default", document("BGPConfiguration", "default", configuration)
    peer = {"nodeSelector": f"!({selector})", "peerSelector": selector}
    yield f"{ROOT}/bgppeers/reflectors", document("BGPPeer", "reflectors", peer)
    yield f"{ROOT}/ippools/all", document("IPPool", "all", {"cidr": "192.160.0.0/11"})
    for number in range(endpoints):
        yield endpoint(number, own.name if number < OWN else f"node-{number % (nodes - 2):05d}", address_of(number))


class Writer(Gateway):
    def put_many(self, some: list[tuple[str, str]]) -> None:
        puts = []
        for key, value in some:
            encoded = {"key": key, "value": value}
            puts.append({"request_put": {k: base64.b64encode(v.encode()).decode() for k, v in encoded.items()}})
        self.request("POST", "/v3/kv/txn", json.dumps({"success": puts}))
        answer = self.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise LabError(f"etcd refused: {text[:200]!r}")


class Reflector(Neighbour):
    """Waits to be dialled."""

    def __init__(self, host: Host, agent: str) -> None:
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host.address, 179))
            listener.listen()
            listener.settimeout(120)
            super().__init__(host.address, agent, ASN, 120.0, connect=lambda: listener.accept()[0])
        self.opened = time.monotonic()


def resident(pid: int) -> float:
    """MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(nodes: int, endpoints: int, changes: int, seconds: float) -> dict[str, float]:
    found: dict[str, float] = {}
    with Lab("watch") as lab:
        own, reflector = lab.host("node-own", "10.0.0.1/8"), lab.host("reflector", "10.0.0.2/8")
        etcd = Etcd(reflector, lab.directory / "etcd")
        etcd.start()
        writer = Writer(reflector)
        batch: list[tuple[str, str]] = []
        for number, one in enumerate(resources(nodes, endpoints, own, reflector)):
            batch.append(one)
            if len(batch) == TOGETHER:
                writer.put_many(batch)
                batch.clear()
                if number % 5000 < TOGETHER:
                    say(f"{number + 1:,} keys written")
        writer.put_many(batch)
        agent = Agent(own, etcd.url, "--announce-unchecked")
        say("the agent starts")
        began = time.monotonic()
        agent.start()
        assert agent.process is not None
        pid = agent.process.pid
        session = Reflector(reflector, own.address)
        at = session.opened
        found["open"] = at - began
        while len(session.held) < OWN:
            at = session.next_change(60.0)
        found["announced"] = at - began
        if len(session.held) != OWN:
            raise LabError(f"{len(session.held)} routes were announced, and it should have been {OWN}")
        wait_for("the agent has read etcd", lambda: agent.status()["datastore"]["connected"], timeout=60)
        say("at rest")
        time.sleep(3.0)
        found["resident_MB"] = resident(pid)
        used = cpu(pid)
        time.sleep(seconds / 2)
        found["cpu_a_minute_at_rest"] = (cpu(pid) - used) * 120 / seconds
        used, begun, latencies, numbers = cpu(pid), time.monotonic(), [], random.Random(4271)
        for number in range(int(changes * seconds)):
            time.sleep(max(0.0, begun + number / changes - time.monotonic()))
            if number % changes == changes // 2:  # one a second is our own
                there = len(session.held) > OWN
                key, value = endpoint(endpoints, own.name, address_of(endpoints))
                started = time.monotonic()
                writer.call("deleterange", key=key) if there else writer.call("put", key=key, value=value)
                latencies.append(session.next_change(10.0) - started)
                continue
            which = numbers.randrange(OWN, endpoints)
            name = f"node-{which % (nodes - 2):05d}"
            key, value = endpoint(which, name, address_of(which), number)
            writer.call("put", key=key, value=value)
            if number % changes == 0:
                say(f"changes: {number:,} of {int(changes * seconds):,}")
        took = time.monotonic() - begun
        found["changes_a_second"] = changes * seconds / took
        found["cpu_a_minute"] = (cpu(pid) - used) * 60 / took
        found["latency_p50_ms"] = 1000 * statistics.median(latencies)
        found["latency_max_ms"] = 1000 * max(latencies)
        found["resident_after_MB"] = resident(pid)
        session.close()
    say("")
    print(file=sys.stderr)
    return found


WORDS = {
    "open": "until its first OPEN, s",
    "announced": "until all its routes were announced, s",
    "resident_MB": "resident, MB",
    "resident_after_MB": "resident after the changes, MB",
    "cpu_a_minute_at_rest": "processor time a minute at rest, s",
    "changes_a_second": "changes a second",
    "cpu_a_minute": "processor time a minute meanwhile, s",
    "latency_p50_ms": "own change to UPDATE, median, ms",
    "latency_max_ms": "own change to UPDATE, worst, ms",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--endpoints", type=int, default=150_000)
    parser.add_argument("--changes", type=int, default=100, help="a second (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    impossible = why_impossible()
    if impossible:
        print(impossible, file=sys.stderr)
        return 1
    try:
        found = measure(options.nodes, options.endpoints, options.changes, options.seconds)
    except (LabError, TimeoutError, ConnectionError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"| an agent among {options.nodes:,} nodes and {options.endpoints:,} endpoints | |\n| --- | --- |")
    for name, words in WORDS.items():
        print(f"| {words} | {found[name]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
