"""Two hosts, a container each, one etcd: what the article on Calico shows, step by step, on this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Container, Host, Lab, LabError, wait_for

Say = Callable[[str], None]


def lost_packets(ping_output: str) -> int:
    """How many packets `ping` lost by its own summary. Raises LabError when it printed none."""
    found = re.search(r"(\d+) packets transmitted, (\d+) received", ping_output)
    if found is None:
        raise LabError(f"ping printed no summary: {ping_output.strip()[-200:]}")
    return int(found[1]) - int(found[2])


class Article:
    """The demo; each step prints what a person would see at the shell, raises LabError when it failed."""

    def __init__(self, lab: Lab, say: Say) -> None:
        self.lab, self.say = lab, say
        self.hosts: list[Host] = []
        self.containers: list[Container] = []
        self.agents: list[Agent] = []

    def show(self, where: str, host: Host | Container, *words: str) -> str:
        """Run a command on a host and print it with its output, as in a terminal."""
        self.say(f"\n{where}$ {' '.join(words)}")
        text = host.run(*words, check=False)
        self.say(text.rstrip())
        return text

    def hosts_and_containers(self) -> None:
        for number in (1, 2):
            host = self.lab.host(f"host{number}", f"192.168.78.2{number}/24")
            self.hosts.append(host)
            self.containers.append(self.lab.container(host, f"container{number}", f"192.168.0.{number}"))

    def etcd(self) -> None:
        self.store = Etcd(self.hosts[0], self.lab.directory / "etcd")
        self.store.start()

    def nodes(self) -> None:
        """One agent a host; each registers its Node, the first one makes the pool 192.168.0.0/16."""
        for host in self.hosts:
            agent = Agent(host, self.store.url)
            agent.start()
            self.agents.append(agent)
            self.say(f"{host.name}$ {' '.join(['python', *agent.command()[1:9]])}")

    def endpoints(self) -> None:
        for container in self.containers:
            key, value = container.endpoint()
            self.store.put(key, value)
            self.say(f"etcdctl put …/{key.rpartition('/')[2]}   ({container.address}/32 on {container.host.name})")

    def converge(self) -> None:
        begin = time.monotonic()
        for here, there in ((0, 1), (1, 0)):
            wanted = self.route(there, self.hosts[here])
            host = self.hosts[here]
            wait_for(f"{host.name}: {wanted}", partial(self.has, host, wanted))
        self.say(f"both routes are in the kernels {time.monotonic() - begin:.2f} s after the endpoints")

    @staticmethod
    def has(host: Host, route: str) -> bool:
        return route in host.routes()

    def route(self, to: int, at: Host) -> str:
        return f"192.168.0.{to + 1} via {self.hosts[to].address} dev {at.interface} proto bird"

    def tables(self) -> None:
        text = self.show(
            "host1", self.hosts[0], "ss", "-tnp", "state", "established", "( sport = :179 or dport = :179 )"
        )
        if ":179" not in text:
            raise LabError("no TCP session on port 179")
        for here, there in ((0, 1), (1, 0)):
            self.show(self.hosts[here].name, self.hosts[here], "ip", "route")
            if self.route(there, self.hosts[here]) not in self.hosts[here].routes():
                raise LabError(f"{self.hosts[here].name} has no route to container{there + 1}")

    def pings(self) -> None:
        for here, there in ((0, 1), (1, 0)):
            text = self.show(
                f"container{here + 1}",
                self.containers[here],
                "ping",
                "-c",
                "3",
                "-i",
                "0.2",
                f"192.168.0.{there + 1}",
            )
            if lost_packets(text):
                raise LabError(f"container{here + 1} lost packets to container{there + 1}")

    def status(self) -> None:
        self.say("\nhost1$ python -m calico_route status")
        self.say(self.agents[0].status_text().rstrip())

    def crash(self) -> None:
        """Kill one agent the hard way, start it again; the ping must not notice."""
        count = 40
        monitor = self.hosts[0].start("monitor", "ip", "monitor", "route")
        ping = self.containers[0].start("ping", "ping", "-i", "0.1", "-c", str(count), "192.168.0.2")
        time.sleep(0.5)
        victim = self.agents[1]
        assert victim.process is not None
        self.say(f"\nhost2$ kill -9 {victim.process.pid}      # calico_route, while container1 pings container2")
        victim.kill()
        time.sleep(1.0)
        self.say("host2$ ip route")
        self.say("\n".join(self.hosts[1].routes()))
        self.say("host2$ python -m calico_route …    # and again")
        victim.start()
        wait_for("host2 has its session again", self.established_again, 15)
        ping.popen.wait(30)
        self.say(f"\ncontainer1$ ping -i 0.1 -c {count} 192.168.0.2\n{ping.text().rstrip().splitlines()[-2]}")
        monitor.stop()
        if lost_packets(ping.text()):
            raise LabError("packets were lost while the agent was away")
        if "Deleted" in monitor.text():
            raise LabError(f"host1 deleted a route: {monitor.text()}")
        self.say("host1's `ip monitor route` saw no Deleted line")

    def established_again(self) -> bool:
        peers = self.agents[1].status().get("peers", [])
        return any(peer.get("state") == "Established" for peer in peers)

    def run(self) -> None:
        steps: list[tuple[str, Callable[[], None]]] = [
            (
                "Two hosts on 192.168.78.0/24, a container on each (network namespaces)",
                self.hosts_and_containers,
            ),
            ("etcd on host1", self.etcd),
            ("calico_route on both hosts", self.nodes),
            ("The containers' endpoints go into etcd", self.endpoints),
            ("Routes", self.converge),
            ("What the hosts see", self.tables),
            ("Pings across", self.pings),
            ("Status", self.status),
            ("One agent dies", self.crash),
        ]
        for number, (title, step) in enumerate(steps, 1):
            self.say(f"\n== {number}. {title}")
            step()
