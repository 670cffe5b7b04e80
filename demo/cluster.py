"""The article's cluster, whole: nodes, profiles, containers with addresses of their own, and rules that are enforced.

On host1 containers are started by docker, as the article does it (`CALICO_IP`, `CALICO_PROFILE`, port 2377), on host2
by podman with the CNI plug-in; the tiers are on both. Where neither can be had they are network namespaces.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial

from demo.article import lost_packets
from demo.etcd import Etcd
from demo.lab import Host, Lab, LabError, wait_for
from demo.node import Node
from demo.runtimes import IMAGE, Bare, Docker, Podman, Runtime, missing
from demo.tiers import OPENED, PORTS, document, listening, matrix
from demo.tiers import PROFILES as TIERS

Say = Callable[[str], None]


class Cluster:
    """The demo; each step prints what a person would see at the shell, raises LabError when it failed."""

    def __init__(self, lab: Lab, say: Say, *, namespaces: bool = False) -> None:
        self.lab, self.say, self.namespaces = lab, say, namespaces
        self.hosts: list[Host] = []
        self.agents: list[Node] = []
        self.runtimes: list[Runtime] = []
        self.where: dict[str, Runtime] = {}  # by container
        self.addresses: dict[str, str] = {}
        self.profile_of: dict[str, str] = {}

    def close(self) -> None:
        for runtime in reversed(self.runtimes):
            runtime.close()

    # --- the shell ---

    def calico(self, host: Host, *words: str, stdin: str | None = None, shown: str = "") -> str:
        """Run `calico-route …` on a host, and print it with its output."""
        self.say(f"\n{host.name}$ calico-route {' '.join(words)}{shown}")
        environ = f"ETCD_ENDPOINTS={self.store.url}"
        flags: list[str] = []
        if words[0] == "container":  # of two hosts on one machine the sockets are not where they are looked for
            flags = ["--workload-socket", str(self.agents[self.hosts.index(host)].workloads)]
        command = ["env", environ, f"NODENAME={host.name}", sys.executable, "-m", "calico_route", *words, *flags]
        text = self.lab.run("nsenter", f"--net=/run/netns/{host.netns}", *command, stdin=stdin)
        if text.strip():
            self.say(text.rstrip())
        return text

    def routes(self, host: Host) -> list[str]:
        self.say(f"\n{host.name}$ ip route")
        found = host.routes()
        self.say("\n".join(found))
        return found

    # --- the steps ---

    def hosts_and_etcd(self) -> None:
        self.hosts = [self.lab.host(f"host{number}", f"192.168.78.2{number}/24") for number in (1, 2)]
        self.outside = self.lab.host("outside", "192.168.78.30/24")
        self.store = Etcd(self.hosts[0], self.lab.directory / "etcd")
        self.store.start()

    def nodes(self) -> None:
        """The agents; then the runtimes, whose plug-ins are the agents."""
        without = [name for name in ("dockerd", "docker", "podman", "runc", "busybox", "nsenter") if missing(name)]
        if without and os.environ.get("CI"):
            raise LabError(f"{', '.join(without)} missing: the article's cluster needs them")
        plugins = self.lab.directory / "host1-plugins"
        docker = None if without or self.namespaces else Docker(self.hosts[0], plugins)
        for host in self.hosts:
            flags = [] if docker is None or docker.host is not host else docker.flags()
            agent = Node(host, self.store.url, *flags)
            self.agents.append(agent)
            self.start(agent)
        if docker is None:
            self.runtimes = [Bare(host) for host in self.hosts]
            why = f"{', '.join(without)} missing" if without else "as asked for"
            self.say(f"{why}: network namespaces take the place of containers")
        else:
            self.runtimes = [docker, Podman(self.hosts[1], str(self.agents[1].workloads))]
        for runtime in self.runtimes:
            runtime.start()
        self.say("containers are made by " + ", ".join(f"{one.name} on {one.host.name}" for one in self.runtimes))

    def start(self, agent: Node, remark: str = "") -> None:
        self.say(f"{agent.host.name}$ calico-route node --ip {agent.host.address}{remark}")
        agent.start()

    def first_containers(self) -> None:
        self.calico(self.hosts[0], "profile", "add", "db")
        self.container(0, "container1", "db", ["sleep", "3600"])
        self.container(1, "container2", "db", ["sleep", "3600"])
        for name, wanted in (("container1", "192.168.0.1"), ("container2", "192.168.0.2")):
            if self.addresses[name] != wanted:
                raise LabError(f"{name} has {self.addresses[name]}, not {wanted}")
        self.calico(self.hosts[0], "endpoint", "show")

    def container(self, at: int, name: str, profile: str, command: list[str]) -> None:
        """Start one with an address that is found for it. Without a profile of ours its own is `stranger`."""
        runtime, host = self.runtimes[at], self.hosts[at]
        if isinstance(runtime, Docker):
            words = ["run", "-d", "--name", name, "-e", "CALICO_IP=auto", "-e", f"CALICO_PROFILE={profile}", IMAGE]
            self.say(f"\n{host.name}$ export DOCKER_HOST=localhost:2377\n{host.name}$ docker {' '.join(words)} …")
            runtime.run(*words, *command)
        elif isinstance(runtime, Podman):
            runtime.network(profile, [profile])
            words = ["run", "-d", "--name", name, "--network", profile, IMAGE]
            self.say(f"\n{host.name}$ podman {' '.join(words)} …")
            runtime.run(*words, *command)
        elif isinstance(runtime, Bare):
            inside = runtime.container(name)
            if profile not in TIERS:
                self.calico(host, "profile", "add", profile)
            self.calico(host, "container", "add", inside.netns, "auto", "--profile", profile)
            inside.start(f"in-{name}", "busybox", *command)
        self.where[name] = runtime
        text = runtime.exec(name, "ip", "-4", "-o", "addr", "show", "scope", "global", check=True)
        found = re.search(r"inet (\S+)/32", text)
        if found is None:
            raise LabError(f"{name} has no /32: {text}")
        self.addresses[name] = found[1]
        self.say(f"{name} has {found[1]}")

    def ping(self) -> None:
        for name, other in (("container1", "container2"), ("container2", "container1")):
            wait_for(f"{name} reaches {other}", partial(self.reaches, name, other), 15)
            words = ["ping", "-c", "3", self.addresses[other]]
            self.say(f"\n{name}$ {' '.join(words)}")
            text = self.where[name].exec(name, *words)
            self.say(text.rstrip())
            if lost_packets(text.replace("packets received", "received")):
                raise LabError(f"{name} lost packets to {other}")

    def reaches(self, name: str, other: str) -> bool:
        return " 0% packet loss" in self.where[name].exec(name, "ping", "-c", "1", "-W", "1", self.addresses[other])

    def tables(self) -> None:
        wanted = (
            (0, f"{self.addresses['container2']} via 192.168.78.22 dev enp0s8 proto bird"),
            (1, f"{self.addresses['container1']} via 192.168.78.21 dev enp0s8 proto bird"),
        )
        for at, route in wanted:
            found = self.routes(self.hosts[at])
            if route not in found:
                raise LabError(f"{self.hosts[at].name} has no route {route!r}")
            own = self.addresses[f"container{at + 1}"]
            if not any(re.fullmatch(rf"{re.escape(own)} dev cali\w+ scope link", line) for line in found):
                raise LabError(f"{self.hosts[at].name} has no route to its own container {own}")

    def tiers(self) -> None:
        """WEB, APP and DB with the article's rules, on both hosts."""
        for name in TIERS:
            if name != "db":
                self.calico(self.hosts[0], "profile", "add", name)
        for name in TIERS:
            update = ("profile", name, "rule", "update")
            self.calico(self.hosts[0], *update, stdin=document(name), shown=f" <{name}.json")
        self.calico(self.hosts[0], "profile", "db", "rule", "json")
        places = {"web1": (0, "web"), "app1": (1, "app"), "db1": (0, "db"), "db2": (1, "db"), "stranger": (1, "other")}
        for name, (at, profile) in places.items():
            self.container(at, name, profile, listening())
            self.profile_of[name] = profile

    def probe(self, *, opened: bool = False) -> None:
        """Who can reach whom on which port, tried with real connections."""
        targets = {name: self.addresses[name] for name in self.profile_of if self.profile_of[name] in TIERS}
        sources: dict[str, Callable[[list[str]], str]] = {name: partial(self._inside, name) for name in self.profile_of}
        sources["outside"] = self._outside
        table, wrong = matrix(targets, sources, self.profile_of, opened=opened)
        self.say(f"ports that were tried: {' '.join(map(str, PORTS))}\n{table}")
        if wrong:
            raise LabError(f"{wrong} connections were not as the rules say")

    def _inside(self, name: str, command: list[str]) -> str:
        return self.where[name].exec(name, *command)

    def _outside(self, command: list[str]) -> str:
        """A machine that is no node; it has been told the way."""
        for name, address in self.addresses.items():
            via = self.where[name].host.address
            self.outside.run("ip", "route", "replace", f"{address}/32", "via", via)
        return self.outside.run("busybox", *command, check=False)

    def both_agents_die(self) -> None:
        for agent in self.agents:
            assert agent.process is not None
            self.say(f"\n{agent.host.name}$ kill -9 {agent.process.pid}")
            agent.kill()
        self.say("\nwhile no agent runs:")
        self.probe()
        self.say("")
        for agent in self.agents:
            self.start(agent, "    # and again")
        wait_for("the session stands again", self.established, 30)
        self.say("\nand after both were started again:")
        self.probe()

    def established(self) -> bool:
        return all(
            any(peer.get("state") == "Established" for peer in agent.status().get("peers", [])) for agent in self.agents
        )

    def update(self) -> None:
        words = ("profile", "db", "rule", "update")
        self.calico(self.hosts[1], *words, stdin=json.dumps(OPENED), shown=" <db-8080.json    # port 8080, too")
        time.sleep(1.0)  # what is promised: within a second
        self.probe(opened=True)

    def removal(self) -> None:
        """What is removed gives back its address, interface, routes and endpoint."""
        address, runtime = self.addresses["container1"], self.where["container1"]
        if isinstance(runtime, Bare):
            self.calico(self.hosts[0], "container", "remove", runtime.inside["container1"].netns)
        else:
            self.say("\nhost1$ docker rm -f container1")
        runtime.remove("container1")
        wait_for(f"{address} is gone everywhere", partial(self.gone, address), 15)
        self.say(f"{address} is gone from both hosts")
        self.calico(self.hosts[0], "ipam", "check")

    def gone(self, address: str) -> bool:
        return not any(line.split()[0] == address for host in self.hosts for line in host.routes())

    def run(self) -> None:
        steps: list[tuple[str, Callable[[], None]]] = [
            ("Two hosts on 192.168.78.0/24, and etcd on the first", self.hosts_and_etcd),
            ("A node on each", self.nodes),
            ("A profile, and a container on each host", self.first_containers),
            ("Pings across", self.ping),
            ("What the hosts see", self.tables),
            ("Three tiers: WEB, APP and DB", self.tiers),
            ("Who reaches whom", self.probe),
            ("Both agents die, and the rules stay", self.both_agents_die),
            ("A rule is changed", self.update),
            ("A container goes", self.removal),
        ]
        for number, (title, step) in enumerate(steps, 1):
            self.say(f"\n== {number}. {title}")
            step()
