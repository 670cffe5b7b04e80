"""What is done to a cluster, and what it costs.

    python -m benchmarks.simulation.trials '{"nodes": 50}'

runs one plan (the fields of `cluster.Plan`) in this process and prints one JSON object. A mesh and a reflected cluster
go through the same: `start` (all nodes within a second, until all have all routes), `rest` (a minute in which nothing
happens), `appears` and `vanishes` (one more /32 on one node), `killed` (the process of a node, whose kernel closes its
connections), `back` (it starts again). Then in a mesh: `machine lost` (nobody says anything: hold timers), `link cut`
and `link healed` (between two nodes); with reflectors: `reflector killed` (no route may be missing anywhere), and on
request `reflector back`.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulation.cluster import EXTRA, Cluster, Plan, Reflected, Wrong, address, build, number_of
from benchmarks.simulation.node import Node
from pybgp import PathAttributes, gc_for_full_tables

PATIENCE = 3600.0  # virtual seconds
MINUTE = 60.0


@dataclass(frozen=True)
class Step:
    """One trial: virtual seconds until all was as it should be, what was said, and CPU seconds that it took here:
    of everything, of the whole nodes' routers, and of the one of them that had most to do."""

    name: str
    seconds: float
    messages: int
    updates: int
    octets: int
    cpu: float
    routers: float
    busiest: float
    modelled: float


def resident() -> int:
    """Octets of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Trials:
    """All of them on one cluster, in their order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.steps: list[Step] = []
        before = resident()
        self.cluster: Cluster = build(plan)
        self._do("start", self._start)
        gc.collect()
        self.memory = resident() - before

    def run(self, *, reflector_back: bool = False) -> dict[str, Any]:
        cluster = self.cluster
        last = cluster.plan.nodes - 1 if not self.plan.reflected else self.plan.members(0)[-1]
        self._do("rest", self._rest)
        self._do("appears", lambda: self._extra(last, there=True))
        self._do("vanishes", lambda: self._extra(last, there=False))
        self._do("killed", lambda: self._kill(last, quietly=False))
        self._do("back", lambda: self._back(last))
        if isinstance(cluster, Reflected):
            self._do("reflector killed", lambda: self._lose_reflector(cluster))
            if reflector_back:
                self._do("reflector back", lambda: self._reflector_back(cluster))
        else:
            self._do("machine lost", lambda: self._kill(last, quietly=True))
            self._do("link cut", self._cut)
            self._do("link healed", self._heal)
        return self.report()

    def report(self) -> dict[str, Any]:
        whole = self.cluster.whole
        shape = asdict(self.plan)
        del shape["costs"]
        leaves = self.cluster.leaves
        return {
            **shape,
            "whole_nodes": len(whole),
            "leaves": sum(number_of(leaf) is not None for leaf in leaves),
            "stand_ins": sum(number_of(leaf) is None for leaf in leaves),
            "routes": self.cluster.total,
            "memory": self.memory,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "told": sum(leaf.prefixes for leaf in leaves),
            "steps": [asdict(step) for step in self.steps],
        }

    # one by one; each returns how many virtual seconds it took

    def _do(self, name: str, what: Callable[[], float]) -> None:
        cluster = self.cluster
        traffic = cluster.net.traffic.copy()
        known = {node: (node.cpu, node.busy) for node in cluster.ever}
        began = time.process_time()
        seconds = what()
        cpu = time.process_time() - began
        said = cluster.net.traffic.since(traffic)
        zero = (0.0, 0.0)
        spent = [node.cpu - known.get(node, zero)[0] for node in cluster.ever]
        modelled = [node.busy - known.get(node, zero)[1] for node in cluster.ever]
        step = Step(name, seconds, said.messages, said.updates, said.octets, cpu, sum(spent), max(spent), sum(modelled))
        self.steps.append(step)
        text = f"{said.messages:,} messages, {said.octets / 1e6:,.1f} MB, {cpu:.1f} CPU s"
        print(f"  {self.plan.nodes} nodes, {name}: {seconds:.4f} s, {text}", file=sys.stderr, flush=True)

    def _start(self) -> float:
        self.cluster.start()
        return self.cluster.converge(PATIENCE)

    def _rest(self) -> float:
        self.cluster.run(MINUTE)
        self.cluster.check()
        return MINUTE

    def _extra(self, number: int, *, there: bool) -> float:
        cluster = self.cluster
        host = cluster.host(number)
        if not there:
            cluster.extra.remove(EXTRA)
            host.withdraw([EXTRA])
        elif isinstance(host, Node):
            cluster.extra.append(EXTRA)
            host.announce([EXTRA])
        else:
            cluster.extra.append(EXTRA)
            host.announce([EXTRA], PathAttributes.build(local_pref=100, next_hop=host.address))
        cluster.reader.extra[EXTRA] = cluster.routes.next_hop(number)
        return cluster.converge(PATIENCE)

    def _kill(self, number: int, *, quietly: bool) -> float:
        self.cluster.host(number).kill(quietly=quietly)
        self.cluster.present.discard(number)
        return self.cluster.converge(PATIENCE)

    def _back(self, number: int) -> float:
        self.cluster.present.add(number)
        self.cluster.make(number).start()
        return self.cluster.converge(PATIENCE)

    def _cut(self) -> float:
        """Until the two have given each other up. Nobody else notices."""
        cluster = self.cluster
        began = cluster.clock.now
        pair = [node for node in (cluster.host(0), cluster.host(1)) if isinstance(node, Node)]
        cluster.net.cut(address(0), address(1))
        for node in pair:
            node.want(cluster.total - self.plan.each)
        if not cluster.clock.run(began + PATIENCE, lambda: all(node.done for node in pair)):
            raise Wrong("two nodes have not given each other up, though their link is cut")
        return cluster.clock.now - began

    def _heal(self) -> float:
        self.cluster.net.heal(address(0), address(1))
        return self.cluster.converge(PATIENCE)

    def _lose_reflector(self, cluster: Reflected) -> float:
        """The second of the pair: for a minute nothing may be missing at whoever is left."""
        gone = cluster.reflectors[1]
        left = [node for node in cluster.whole if node is not gone]
        for node in left:
            node.least = len(node)
        for leaf in cluster.leaves:
            leaf.insists = False
        gone.kill(quietly=False)
        cluster.run(MINUTE)
        cluster.check()
        some = [node.address for node in left if node.least < cluster.total]
        if some:
            raise Wrong(f"the other reflector was there, and routes were missing at {some[:3]}")
        return 0.0

    def _reflector_back(self, cluster: Reflected) -> float:
        for leaf in cluster.leaves:
            leaf.insists = True
        cluster.make_reflector(cluster.reflectors[1].address).start()
        return cluster.converge(PATIENCE)


def main(text: str) -> None:
    fields = json.loads(text)
    most = int(fields.pop("memory_limit", 0))
    if most:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))  # a MemoryError here is better than the kernel's choice
    reflector_back = fields.pop("reflector_back", False)
    with gc_for_full_tables():
        print(json.dumps(Trials(Plan(**fields)).run(reflector_back=reflector_back)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "{}")
