"""Containers of one node, through CNI: how long one takes when a thousand are there, and what the rules cost.

    python -m benchmarks.workloads [--count 1000] [--profiles 200] [--members 5000] [--json]

A node with etcd of its own, `--profiles` profiles and `--members` endpoints of other nodes that carry their tags. Then
`calico-route-cni` adds one container after the other, as a runtime calls it: a process for each. Measured: the bare
interpreter beside it in the same run; each ADD from the start of its process to its end, when all of it is in the kernel
and in etcd; a rule of a profile from the request to etcd until the kernel has it; the memory of the agent, and the lines
of the ruleset; a DEL.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import arguments, run
from benchmarks.table import Row, markdown, percentile
from benchmarks.watch_load import ROOT, Writer, document, resident
from demo.cluster import NodeAgent
from demo.etcd import Etcd
from demo.lab import Host, Lab, LabError, Namespace, wait_for

TOGETHER = 100  # puts in one transaction
CNI = {"cniVersion": "1.0.0", "name": "calico", "type": "calico-route-cni"}


def profile(number: int, ports: Sequence[int]) -> tuple[str, str]:
    name = f"p{number}"
    allow = {"action": "Allow", "protocol": "TCP", "source": {"selector": f"p{(number + 1)} == ''"}}
    own = {"action": "Allow", "source": {"selector": f"{name} == ''"}, "destination": {}}
    ingress = [own, *({**allow, "destination": {"ports": [port]}} for port in ports)]
    egress = [{"action": "Allow", "source": {}, "destination": {}}]
    spec = {"ingress": ingress, "egress": egress, "labelsToApply": {name: ""}}
    return f"{ROOT}/profiles/{name}", document("Profile", name, spec)


def member(number: int, profiles: int) -> tuple[str, str]:
    """A workload of another node."""
    address = f"192.168.{128 + (number >> 8)}.{number & 255}"
    spec = {
        "orchestrator": "cni",
        "node": "elsewhere",
        "containerID": f"{number:08x}",
        "endpoint": "eth1",
        "ipNetworks": [f"{address}/32"],
        "profiles": [f"p{number % profiles}"],
        "interfaceName": f"cali{number:011x}",
    }
    name = f"elsewhere-cni-{number:08x}-eth1"
    labels = {"projectcalico.org/namespace": "default", "projectcalico.org/orchestrator": "cni"}
    key = f"{ROOT}/workloadendpoints/default/{name}"
    return key, document("WorkloadEndpoint", name, spec, namespace="default", labels=labels)


class Plugin:
    """`calico-route-cni`, called as a runtime calls it."""

    def __init__(self, host: Host, socket: str) -> None:
        self.host, self.socket = host, socket

    def __call__(self, command: str, container: str, netns: str, profiles: Sequence[str]) -> float:
        config = {**CNI, "socket": self.socket, "profiles": list(profiles)}
        environ = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_NETNS": f"/run/netns/{netns}",
            "CNI_IFNAME": "eth1",
            "CNI_PATH": "/opt/cni/bin",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        words = [sys.executable, "-m", "calico_route.cni"]
        began = time.perf_counter()
        done = subprocess.run(words, input=json.dumps(config), env=environ, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode:
            raise LabError(f"{command} of {container}: {done.stdout}{done.stderr}")
        return took


def bare() -> float:
    """The interpreter's start and end, as the plug-in's process has them at the least."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", ""], check=True, capture_output=True)
    return time.perf_counter() - began


def nft(host: Host, *words: str) -> str:
    return host.run("nft", *words)


def rule_in_force(host: Host, writer: Writer, port: int) -> float:
    """From the request to etcd until the kernel has the rule."""
    began = time.perf_counter()
    writer.put_many([profile(7, (443, port))])
    wait_for("the rule", lambda: f"{port}" in nft(host, "list", "table", "inet", "calico_route"), pause=0.005)
    return time.perf_counter() - began


def measure(count: int, profiles: int, members: int) -> list[Row]:
    row = Row("workloads", "pybgp", count)
    with Lab("wl") as lab:
        host = lab.host("host1", "192.168.78.21/24")
        etcd = Etcd(host, lab.directory / "etcd")
        etcd.start()
        writer = Writer(host)
        values = [profile(number, (80, 443)) for number in range(profiles)]
        values += [member(number, profiles) for number in range(members)]
        for at in range(0, len(values), TOGETHER):
            writer.put_many(values[at : at + TOGETHER])
        agent = NodeAgent(host, etcd.url, None)
        agent.start()
        wait_for("the agent is ready", Path(agent.workload_socket).exists, 60)
        assert agent.process is not None
        plugin = Plugin(host, agent.workload_socket)
        containers = []
        for number in range(count):
            inside = Namespace(lab, f"c{number}", f"{lab.tag}-c{number}")
            lab.add(inside)
            containers.append(inside)
        for number, inside in enumerate(containers):
            took = plugin("ADD", f"{number:064x}", inside.netns, [f"p{number % profiles}"])
            row.add(add=took)
            if number >= count - 100:
                row.add(add_last_100=took)
            if number % 10 == 0:
                row.add(bare=bare())
        for port in range(10_001, 10_011):
            row.add(rule=rule_in_force(host, writer, port))
        row.add(resident_MB=resident(agent.process.pid))
        text = nft(host, "list", "table", "inet", "calico_route")
        row.add(rules_in_kernel=float(text.count("\n")))
        for number, inside in enumerate(containers[:100]):
            row.add(delete=plugin("DEL", f"{number:064x}", inside.netns, ()))
        beyond = [value - (row.median("bare") or 0.0) for value in row.values["add"]]
        row.add(beyond_p50=percentile(beyond, 50), beyond_p99=percentile(beyond, 99))
    return [row]


def show(rows: list[Row]) -> str:
    names = ["bare", "add", "add_last_100", "beyond_p50", "beyond_p99", "rule", "delete"]
    return markdown(rows, names, "bird2", ["resident_MB", "rules_in_kernel"])


def main() -> int:
    parser = arguments(__doc__, peers="")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--profiles", type=int, default=200)
    parser.add_argument("--members", type=int, default=5000)
    options = parser.parse_args()
    return run(options, lambda: measure(options.count, options.profiles, options.members), show)


if __name__ == "__main__":
    sys.exit(main())
