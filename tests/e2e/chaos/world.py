"""The machines of a chaos run, what can be done to them, and whether they are as they should be."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections import Counter
from collections.abc import Collection
from typing import Any

from demo.agent import Agent
from demo.lab import Host, Lab, LabError, wait_for
from tests.e2e.bird1 import Bird1

from .etcd import DEADLINE, EtcdCluster, Member
from .oracle import Route, Site, State, documents, expected, held, interface_of

SETTLED = 180.0  # seconds until everything is as it should be after a round; some five on an idle machine
NOWHERE = "02:00:00:00:00:ff"  # an Ethernet address that nobody has
POOL, OTHER_POOL = "10.65.0.0/16", "10.77.0.0/16"
MISTAKES = re.compile(r"Traceback|this should not happen|cannot reach what is wanted|never retrieved|never awaited")

SITES = {
    site.name: site
    for site in (
        Site("host1", "192.168.78.21"),
        Site("host2", "192.168.78.22"),
        Site("host3", "192.168.78.23", "10.65.3.64/26"),
        Site("host4", "192.168.78.24"),
        Site("stock", "192.168.78.30", "10.65.10.64/26"),
    )
}
AGENTS = ("host1", "host2", "host3", "host4")
FLAGS = {
    "host1": ("--etcd-driver", "aioetcd3"),
    "host2": ("--etcd-driver", "http"),
    "host3": ("--announce", "blocks", "--workloads-from", "both"),
    "host4": (),
}
FOREIGN = (
    Route("203.0.113.0/24", "blackhole", protocol="static"),
    Route("198.51.100.7", "unreachable", protocol="static", metric=77),
    Route("10.65.2.200", "blackhole", protocol="bird", table="100"),
)


class World:
    """host1 to host4 with calico_route, host4 not always a node; `stock` with BIRD 1.6; etcd on three more hosts."""

    def __init__(self, lab: Lab, patience: float = SETTLED) -> None:
        self.lab, self.patience = lab, patience
        self.etcd = EtcdCluster(lab)
        self.hosts: dict[str, Host] = {}
        self.agents: dict[str, Agent] = {}
        self.state = State({"host1", "host2", "host3", "stock"}, {POOL: True, OTHER_POOL: True})
        self.built: dict[str, set[str]] = {name: set() for name in SITES}
        self.round_kinds: set[str] = set()
        self.found: list[str] = []  # what was wrong and is over: told at the end of the round
        self._workloads = 0
        self._cuts: Counter[tuple[str, str]] = Counter()
        self._log_read: dict[str, int] = {}
        for name, site in SITES.items():
            host = self.hosts[name] = lab.host(name, f"{site.address}/24")
            for route in FOREIGN:
                words = [route.kind, route.destination, "proto", route.protocol, "table", route.table]
                host.run("ip", "route", "add", *words, *(("metric", str(route.metric)) if route.metric else ()))
        for name in AGENTS:
            self.agents[name] = Agent(self.hosts[name], self.etcd.url, "--hold-time", "9", *FLAGS[name])
        self.stock = Bird1(self.hosts["stock"], self.etcd.url)

    def start(self) -> None:
        self.etcd.start()
        for name in SITES:
            for _ in range(2):
                self.add_workload(name)
        self.write()
        for name in sorted(self.state.nodes & set(AGENTS)):
            self.start_agent(name)
        self.stock.start()

    # --- the datastore and the workloads ---

    def write(self) -> None:
        """Tell etcd of the state; while nobody can write there, the next time."""
        self.etcd.write(documents(self.state, SITES))

    def add_workload(self, name: str, pool: str = POOL, *, borrowed: bool = False) -> str:
        """An address with its interface and its endpoint. `borrowed`: from outside of the node's block."""
        self._workloads += 1
        third = (
            99 if borrowed else int(SITES[name].address.rpartition(".")[2]) % 20
        )  # its block lies there, if it has one
        used = set().union(*self.built.values())
        free = (f"{pool.rpartition('.0.0/')[0]}.{third}.{last}" for last in range(70, 120))
        address = next(one for one in free if one not in used)
        host, interface = self.hosts[name], interface_of(address)
        # The far end of a real one is in a container; nobody looks at it here.
        host.run("ip", "link", "add", interface, "type", "veth", "peer", "name", f"in{self._workloads}")
        host.run("ip", "link", "set", f"in{self._workloads}", "up")
        host.run("ip", "link", "set", interface, "up")
        host.run("ip", "route", "add", address, "dev", interface, "scope", "link")
        self.built[name].add(address)
        self.state.endpoints.setdefault(name, set()).add(address)
        self.write()
        return address

    def remove_workload(self, name: str, address: str) -> None:
        self.hosts[name].run("ip", "link", "del", interface_of(address))
        self.built[name].discard(address)
        self.state.endpoints.get(name, set()).discard(address)
        self.write()

    # --- agents ---

    def start_agent(self, name: str) -> None:
        process = self.agents[name].process
        if process is None or not process.running:
            self.agents[name].start()

    def kill_agent(self, name: str, how: int = signal.SIGKILL) -> None:
        process = self.agents[name].process
        if process is None or not process.running:
            return
        status = process.kill(how, wait=60)
        # SIGTERM before the handlers are there ends a process as it ends any other.
        allowed = (-how, 0) if how == signal.SIGTERM else (-how,)
        if status not in allowed:
            self.found.append(f"{name}: exit status {status} after signal {how}")

    def nodes_with_agents(self) -> list[str]:
        return sorted(self.state.nodes & set(AGENTS))

    def check_processes(self) -> None:
        """What an agent has logged since the last look, and whether it is there."""
        for name in AGENTS:
            process = self.agents[name].process
            if process is None:
                continue
            if name in self.state.nodes and not process.running:
                self.found.append(f"{name}: ended by itself with status {process.popen.poll()}")
            text = process.text()
            news = text[self._log_read.get(name, 0) :]
            self._log_read[name] = len(text)
            mistake = MISTAKES.search(news)
            if mistake:
                self.found.append(f"{name} logged: {news[max(0, mistake.start() - 300) : mistake.end() + 2000]}")

    # --- the network ---

    def cut(self, one: str, other: str) -> None:
        """Nothing gets from one machine to the other, nor back; both only notice the silence."""
        pair = (min(one, other), max(one, other))
        self._cuts[pair] += 1
        if self._cuts[pair] == 1:
            self._misdirect(pair)

    def mend(self, one: str, other: str) -> None:
        pair = (min(one, other), max(one, other))
        self._cuts[pair] -= 1
        if not self._cuts[pair]:
            for here, there in (pair, pair[::-1]):
                self._host(here).run("ip", "neigh", "del", self._host(there).address, "dev", self._host(here).interface)

    def cuts_again(self) -> None:
        """A kernel forgets its neighbours when an interface goes down; what is cut stays so."""
        for pair, times in self._cuts.items():
            if times:
                self._misdirect(pair)

    def _misdirect(self, pair: tuple[str, str]) -> None:
        for here, there in (pair, pair[::-1]):
            words = ("lladdr", NOWHERE, "nud", "permanent", "dev", self._host(here).interface)
            self._host(here).run("ip", "neigh", "replace", self._host(there).address, *words)

    def heal(self) -> None:
        """What is the same after every round: etcd is told all, every node's daemon runs, confd has rendered."""
        self.write()
        for name in self.nodes_with_agents():
            self.start_agent(name)
        self.stock.reconfigure()

    def _host(self, name: str) -> Host:
        return self.hosts[name] if name in self.hosts else self.member(name).host

    def member(self, name: str) -> Member:
        return next(member for member in self.etcd.members if member.name == name)

    # --- how it stands ---

    def status(self, name: str) -> dict[str, Any]:
        """The agent's own; empty while it does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(self.agents[name].socket)
                connection.sendall(b'{"id": 1, "request": "status"}\n')
                with connection.makefile("rb") as answers:
                    found = json.loads(answers.readline() or b"{}").get("status", {})
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def kernel(self, name: str) -> set[Route]:
        return held(self.hosts[name].run("ip", "-json", "-4", "route", "show", "table", "all"))

    def wanted(self, name: str) -> set[Route]:
        return expected(SITES[name], SITES, self.state, self.built, FOREIGN)

    def differences(self, name: str) -> list[str]:
        wanted, there = self.wanted(name), self.kernel(name)
        return [f"{name} lacks {route}" for route in sorted(wanted - there)] + [
            f"{name} should not have {route}" for route in sorted(there - wanted)
        ]

    def unsettled(self) -> list[str]:
        """Who is not as far as it should come by itself, and why."""
        others = len(self.state.nodes) - 1
        found = []
        for name in self.nodes_with_agents():
            status = self.status(name)
            if not status:
                found.append(f"{name}: does not answer")
                continue
            sessions, kernel, datastore = status["sessions"], status["kernel"], status["datastore"]
            if sessions != {"wanted": others, "established": others, "complete": others}:
                words = [(one["node"], one["state"], one["why_not"]) for one in status["peers"]]
                found.append(f"{name}: sessions {sessions}, should be {others}: {words}")
            if not datastore["connected"] or datastore["from_disk"] or status["held_back"] or status["problems"]:
                found.append(f"{name}: {datastore}, held back {status['held_back']}, problems {status['problems']}")
            if kernel["pending"] or kernel["stale"]:  # what was put back is among the problems for a while
                found.append(f"{name}: kernel {kernel}")
        if self.stock.established() != others:
            found.append(f"stock: {self.stock.established()} sessions, should be {others}")
        for name in sorted(self.state.nodes):
            found += self.differences(name)
        return found

    def settle(self) -> tuple[int, list[str]]:
        """Wait until everything is as it should be, then look once more: routes compared, differences."""
        last: list[str] = []

        def quiet() -> bool:
            self.etcd.look_again(documents(self.state, SITES))
            last[:] = self.unsettled()
            return not last

        try:
            wait_for("everything is as it should be", quiet, self.patience, pause=0.2)
        except LabError:
            self.found += last
            for name in self.nodes_with_agents():
                status = self.status(name)
                self.found.append(f"{name}: {[status.get(key) for key in ('datastore', 'announced', 'not_announced')]}")
        nodes = sorted(self.state.nodes)
        count = sum(len(self.wanted(name)) for name in nodes)
        differences = [line for name in nodes for line in self.differences(name)]
        return count, differences

    def wait_held_back(self, names: Collection[str]) -> None:
        """Until every one of these agents that has read the wiped etcd says that it does not believe it."""

        def held_back() -> bool:
            return all(self._held_back(name) for name in names)

        wait_for(f"{', '.join(names)} hold the deletion back", held_back, DEADLINE, pause=0.2)

    def _held_back(self, name: str) -> bool:
        status = self.status(name)
        return bool(status and status["held_back"])
