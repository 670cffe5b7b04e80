"""Nodes wired as a full mesh, or around route reflectors; when they have converged, and whether rightly.

In a reflected cluster every node has two reflectors, which share a cluster ID and have up to `group` clients; all
reflectors are in a mesh. Of the first group everything is there: both reflectors and `whole` of its nodes are whole,
its other nodes are leaves. Every reflector of another group is a leaf that says what it would say, and counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from benchmarks.simulation.clock import Clock
from benchmarks.simulation.leaf import Announcement, Leaf, Reader
from benchmarks.simulation.node import Costs, Node
from benchmarks.simulation.routes import FIRST_NODE, FIRST_REFLECTOR, MODULUS, Routes, text
from benchmarks.simulation.wires import Net
from pybgp import NLRI, PathAttributes, parse_nlri

ASN = 64512
EXTRA = parse_nlri("10.255.255.255/32")[1]


class Wrong(Exception):
    """The cluster did not converge, or not to what was announced."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to build. Seconds, and one way for latencies."""

    nodes: int
    reflected: bool = False
    each: int = 30
    whole: int = 4  # of a reflected cluster; of a mesh all are
    group: int = 2000  # clients of a pair of reflectors
    seed: int = 1
    latency: tuple[float, float] = (0.0001, 0.0005)
    loss: float = 0.0
    spread: float = 1.0  # all nodes start within
    hold_time: int = 90
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        if self.nodes < 2 or not 1 <= self.whole <= self.group:
            raise ValueError(
                f"{self.nodes} nodes, {self.whole} whole ones, groups of {self.group}: too few or too many"
            )

    @property
    def groups(self) -> int:
        return -(-self.nodes // self.group) if self.reflected else 0

    def members(self, group: int) -> range:
        return range(group * self.group, min((group + 1) * self.group, self.nodes))


class Cluster:
    """Built by a plan, not yet started. Hosts are found by address in `net.hosts`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = Clock()
        self.net = Net(self.clock, plan.seed, plan.latency, plan.loss)
        self.routes = Routes(plan.nodes, plan.each)
        if self.routes.owner(EXTRA) >= 0:
            raise ValueError("10.0.0.0/8 is full: no room for one more route")
        self.reader = Reader(self.routes)
        self.present = set(range(plan.nodes))
        self.extra: list[NLRI] = []
        self.settled = 0.0  # when the last host got what it was to get
        self._waiting: set[Any] = set()
        self.reflectors: list[Node] = []
        self.ever: list[Node] = []  # whole nodes, those that are gone too
        self.build()

    def build(self) -> None:
        for number in range(self.plan.nodes):
            self.make(number)

    # what differs between a mesh and a reflected cluster

    def make(self, number: int) -> Node | Leaf:
        """A node that is not started, in place of what stood at its address."""
        node = self.new_node(number)
        for other in range(self.plan.nodes):
            if other != number:
                # Of two the one with the lower address dials; the other one, too, until they have met.
                node.add(address(other), until_met=other < number, **self.settings)
        return node

    def expect(self) -> None:
        """Tell all hosts how many routes are there now."""
        total = self.total
        for node in self.whole:
            node.want(total)

    # for both

    @cached_property
    def settings(self) -> dict[str, Any]:
        return {"hold_time": self.plan.hold_time, "graceful_restart": False}

    def new_node(self, number: int) -> Node:
        node = self._new(address(number))
        node.announce(self.routes.of(number))
        return node

    def _new(self, name: str) -> Node:
        self.ever.append(Node(self.net, name, ASN, self.plan.costs, told=self.told))
        return self.ever[-1]

    @property
    def hosts(self) -> list[Node | Leaf]:
        return [host for host in self.net.hosts.values() if isinstance(host, Node | Leaf) and host.alive]

    @property
    def whole(self) -> list[Node]:
        return [host for host in self.hosts if isinstance(host, Node)]

    @property
    def leaves(self) -> list[Leaf]:
        return [host for host in self.hosts if isinstance(host, Leaf)]

    @property
    def total(self) -> int:
        return len(self.present) * self.plan.each + len(self.extra)

    def host(self, number: int) -> Node | Leaf:
        found = self.net.hosts[address(number)]
        assert isinstance(found, Node | Leaf)
        return found

    def start(self) -> None:
        for host in self.hosts:
            self.clock.at(self.net.random.uniform(0, self.plan.spread), host.start)

    def told(self, host: Any, when: float) -> None:
        """A host has got all, or no longer has."""
        if host.done:
            self._waiting.discard(host)
            self.settled = max(self.settled, when)
        else:
            self._waiting.add(host)

    def converge(self, patience: float) -> float:
        """Run until all hosts have what they should have, and see that it is right; how long that took. Raises
        Wrong."""
        began = self.clock.now
        self.settled = began
        self.expect()
        self._waiting = {host for host in self.hosts if not host.done}
        if not self.clock.run(began + patience, lambda: not self._waiting):
            some = sorted(host.address for host in self._waiting)[:3]
            raise Wrong(f"after {patience:g} s {len(self._waiting)} hosts have not what they should have: {some}")
        self.check()
        return self.settled - began

    def check(self) -> None:
        """Compare every table, and every sum of a leaf. Raises Wrong."""
        for host in self.hosts:
            if isinstance(host, Node):
                wrong = host.wrong(self.routes, self.present, self.extra)
            else:
                wrong = host.wrong(self.sum_for(host))
            if wrong:
                raise Wrong(wrong)

    def sum_for(self, leaf: Leaf) -> int:
        """Of all that a leaf is to be told."""
        raise NotImplementedError("a mesh has no leaves")

    def run(self, seconds: float) -> None:
        self.clock.run(self.clock.now + seconds)


class Reflected(Cluster):
    """See the module."""

    def build(self) -> None:
        plan = self.plan
        everywhere = [reflector(number) for number in range(2 * plan.groups)]
        for name in everywhere[:2]:
            self.make_reflector(name)
        for number in plan.members(0):
            self.make(number)
        for group in range(1, plan.groups):
            for name in everywhere[2 * group : 2 * group + 2]:
                announced = [
                    Announcement(self.routes.of(number), reflected_attributes(number, group))
                    for number in plan.members(group)
                ]
                self._add_leaf(name, announced)

    def make_reflector(self, name: str) -> Node:
        """One of the first group that is not started, in place of what stood at its address."""
        everywhere = [reflector(number) for number in range(2 * self.plan.groups)]
        node = self._new(name)
        common = {**self.settings, "cluster_id": cluster_id(0)}
        for other in everywhere:
            if other != name:
                node.add(other, passive=other > everywhere[1], until_met=other < name, **common)
        for number in self.plan.members(0):
            node.add(address(number), passive=True, route_reflector_client=True, **common)
        self.reflectors = [*(one for one in self.reflectors if one.address != name), node]
        return node

    def make(self, number: int) -> Node | Leaf:
        if number >= self.plan.whole:
            attributes = PathAttributes.build(local_pref=100, next_hop=address(number))
            return self._add_leaf(address(number), [Announcement(self.routes.of(number), attributes)])
        node = self.new_node(number)
        for name in self._ours:
            node.add(name, **self.settings)
        return node

    def _add_leaf(self, name: str, announced: list[Announcement]) -> Leaf:
        leaf = Leaf(
            self.net, name, ASN, self.plan.costs, self.reader, self.told, announced, hold_time=self.plan.hold_time
        )
        for one in self._ours:
            leaf.add(one)
        return leaf

    @property
    def _ours(self) -> list[str]:
        """The reflectors that are there whole."""
        return [reflector(0), reflector(1)]

    def expect(self) -> None:
        super().expect()
        for leaf in self.leaves:
            for name in leaf.talks:
                leaf.want(name, len(self._theirs(leaf)) * self.plan.each + len(self._extra_for(leaf)))

    def sum_for(self, leaf: Leaf) -> int:
        own = self.routes.sum_over(self._extra_for(leaf))
        return (self.routes.sum_of(self._theirs(leaf)) + own) % MODULUS

    def _theirs(self, leaf: Leaf) -> set[int]:
        """The nodes whose routes a leaf is told of: a client all others', a reflector those of our clients."""
        number = number_of(leaf)
        if number is None:
            return self._here
        return self.present - {number}

    @property
    def _here(self) -> set[int]:
        return self.present.intersection(self.plan.members(0))

    def _extra_for(self, leaf: Leaf) -> list[NLRI]:
        said = {nlri for one in leaf.announcements for nlri in one.nlri}
        return [nlri for nlri in self.extra if nlri not in said]


def build(plan: Plan) -> Cluster:
    return Reflected(plan) if plan.reflected else Cluster(plan)


def address(number: int) -> str:
    return text(FIRST_NODE + number)


def number_of(leaf: Leaf) -> int | None:
    """Of a client; None: it stands for a reflector."""
    value = int.from_bytes(bytes(map(int, leaf.address.split("."))), "big")
    return None if value >= FIRST_REFLECTOR else value - FIRST_NODE


def reflector(number: int) -> str:
    return text(FIRST_REFLECTOR + number)


def cluster_id(group: int) -> int:
    return FIRST_REFLECTOR + 2 * group


def reflected_attributes(number: int, group: int) -> PathAttributes:
    """As a reflector of that group says the routes of one of its clients."""
    name = address(number)
    return PathAttributes.build(
        local_pref=100, next_hop=name, originator_id=name, cluster_list=[text(cluster_id(group))]
    )
