"""A mesh of calico_route agents around one etcd, each on a host of its own, for the end-to-end tests."""

from __future__ import annotations

import json
from functools import partial

from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Container, Host, Lab, Process, wait_for

PROBE = "203.0.113.1"  # a route that shows when `ip monitor` has begun to listen
RESOURCES = "/calico/resources/v3/projectcalico.org"


class Mesh:
    """Hosts 192.168.78.21 and up; etcd on a host of its own, .10, so that it can be killed alone."""

    def __init__(self, lab: Lab, size: int, *flags: str, v6: bool = False) -> None:
        self.lab, self.flags, self.v6 = lab, flags, v6
        self.etcd = Etcd(lab.host("store", "192.168.78.10/24"), lab.directory / "etcd")
        self.hosts: list[Host] = []
        self.agents: list[Agent] = []
        self.monitors: list[Process] = []
        for _ in range(size):
            self.add_host()

    def add_host(self) -> Host:
        number = len(self.hosts) + 1
        address_v6 = f"2001:db8:78::2{number}/64" if self.v6 else None
        host = self.lab.host(f"host{number}", f"192.168.78.{20 + number}/24", address_v6)
        self.hosts.append(host)
        self.agents.append(Agent(host, self.etcd.url, *self.flags))
        return host

    def start(self) -> None:
        self.etcd.start()
        for agent in self.agents:
            agent.start()

    def workload(self, host: Host, name: str, address: str) -> Container:
        """A container with its interface on the host, and its endpoint in etcd."""
        container = self.lab.container(host, name, address)
        self.etcd.put(*container.endpoint())
        return container

    def node(self, host: Host) -> None:
        """The Node object of a host which runs no agent, as Calico's own start-up writes it."""
        self.node_at(host.name, host.address, host.address_v6)

    def node_at(self, name: str, address: str, address_v6: str | None = None) -> None:
        """The Node object of somebody who need not be there."""
        bgp = {"ipv4Address": f"{address}/24"}
        if address_v6:
            bgp["ipv6Address"] = f"{address_v6}/64"
        value = {
            "kind": "Node",
            "apiVersion": "projectcalico.org/v3",
            "metadata": {"name": name},
            "spec": {"bgp": bgp},
        }
        self.etcd.put(f"{RESOURCES}/nodes/{name}", json.dumps(value))

    def pool(self, name: str, cidr: str) -> None:
        value = {
            "kind": "IPPool",
            "apiVersion": "projectcalico.org/v3",
            "metadata": {"name": name},
            "spec": {"cidr": cidr, "ipipMode": "Never", "vxlanMode": "Never"},
        }
        self.etcd.put(f"{RESOURCES}/ippools/{name}", json.dumps(value))

    def watch_kernels(self) -> None:
        """`ip monitor route` on every host, from now on."""
        for host in self.hosts:
            monitor = host.start(f"monitor-{host.name}", "ip", "monitor", "route")
            self.monitors.append(monitor)
        for host, monitor in zip(self.hosts, self.monitors, strict=True):
            wait_for("ip monitor is listening", partial(self.listening, host, monitor))

    @staticmethod
    def listening(host: Host, monitor: Process) -> bool:
        """Whether a route that comes and goes shows up whole."""
        host.run("ip", "route", "add", "blackhole", PROBE)
        host.run("ip", "route", "del", "blackhole", PROBE)
        return "Deleted blackhole " + PROBE in monitor.text()

    def deleted(self) -> list[str]:
        """Every route deletion seen since watch_kernels, but for its own probe."""
        return [
            f"{monitor.name}: {line}"
            for monitor in self.monitors
            for line in monitor.text().splitlines()
            if line.startswith("Deleted") and PROBE not in line
        ]

    def established(self, agent: Agent) -> int:
        return sum(peer.get("state") == "Established" for peer in agent.status().get("peers", []))


def link_local_addresses(lab: Lab) -> dict[str, str]:
    """Whose they are: the other address of each host, by the link-local one."""
    found = {}
    for host in lab.namespaces:
        if isinstance(host, Host) and host.address_v6:
            for line in host.run(
                "ip", "-6", "-o", "address", "show", "dev", host.interface, "scope", "link"
            ).splitlines():
                found[line.split()[3].partition("/")[0]] = host.address_v6
    return found


def bird_routes(host: Host, family: int = 4) -> set[str]:
    """The destinations that the kernel holds as `proto bird`, each with its next hop. A link-local one stands for the
    other address of that host (RFC 2545): which of the two a route has depends on who was up first."""
    found = set()
    names = link_local_addresses(host.lab) if family == 6 else {}
    for line in host.routes("proto", "bird", family=family):
        words = line.split()
        via = words[words.index("via") + 1] if "via" in words else ""
        found.add(f"{words[0]} via {names.get(via, via)}" if via else words[0])
    return found


def wait_routes(host: Host, wanted: set[str], family: int = 4, timeout: float = 20.0) -> float:
    """Until the kernel holds exactly these `proto bird` routes."""
    return wait_for(
        f"{host.name} has {sorted(wanted)} (it has {sorted(bird_routes(host, family))} as the wait began)",
        lambda: bird_routes(host, family) == wanted,
        timeout,
    )
