"""How long a container waits for its network: ADD and DEL through the CNI plug-in, on a node that has many already.

    python -m benchmarks.workloads --standing 1000 --adds 200

Each call is a process of its own, as a runtime starts it, by the file that `calico-route-cni --install` writes. Beside
it: the start of the interpreter alone with the same flags (`python -IS -c pass`), the same request on an open
connection (the agent alone), and a plug-in that answers VERSION (the start with its imports). Times are milliseconds,
the median and the 99th percentile; `processor` is what the agent's threads have of the processor for one add, with all
that follows from it. The node runs with its policy, its addresses and its etcd, as an operator starts it.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from demo.etcd import Etcd
from demo.lab import Lab, wait_for
from demo.node import Box, Node, box

BARE = [os.path.realpath(sys.executable), "-IS", "-c", "pass"]
PROFILES = 20
QUIET = 1.0  # seconds


class Connection:
    """Requests to the agent, one after the other."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rb")

    def ask(self, **request: object) -> None:
        self._socket.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
        answer = json.loads(self._stream.readline())
        assert "error" not in answer, answer


def timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def plugin(command: str, container: str, inside: Box, network: dict[str, object], name: str) -> None:
    environ = {**os.environ, "CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_IFNAME": "eth1"}
    environ |= {"CNI_NETNS": inside.path, "CNI_PATH": "/opt/cni/bin"}
    done = subprocess.run([name], input=json.dumps(network).encode(), env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def processor(pid: int) -> float:
    """Milliseconds of processor time that its threads have had, which depend less than the time on who else runs."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e6


def memory(pid: int) -> float:
    """Megabytes that are in its memory alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def part(seconds: Sequence[float], share: float) -> float:
    """Milliseconds that this share of them took at most."""
    ordered = sorted(seconds)
    return 1e3 * ordered[round(share * (len(ordered) - 1))]


class Bench:
    """A node with workloads, and what is measured on it."""

    def __init__(self, lab: Lab) -> None:
        self.host = lab.host("host1", "192.168.78.21/24")
        etcd = Etcd(self.host, lab.directory / "etcd")
        etcd.start()
        self.node = Node(self.host, etcd.url)
        self.process = self.node.start()
        self.plugin = str(lab.directory / "calico-route-cni")
        subprocess.run(
            [sys.executable, "-m", "calico_route.cni", "--install", self.plugin], check=True, stdout=subprocess.PIPE
        )
        self.boxes: list[Box] = []

    def grow(self, number: int) -> tuple[list[float], float]:
        """Add so many over one connection: seconds of each, and milliseconds of the agent's processor time a piece,
        with all that it does about them afterwards."""
        boxes = [box(self.host, f"s{len(self.boxes) + one}") for one in range(number)]
        time.sleep(QUIET)
        connection, before, taken = Connection(self.node.workloads), processor(self.process.pid), []
        for one, inside in enumerate(boxes):
            ask = partial(connection.ask, request="add", container=inside.name, netns=inside.path)
            taken.append(timed(partial(ask, profiles=[f"p{one % PROFILES}"])))
        time.sleep(QUIET)
        self.boxes += boxes
        return taken, (processor(self.process.pid) - before) / number

    def calls(self, number: int) -> dict[str, list[float]]:
        """The plug-in as a runtime calls it, in turns with the interpreter alone."""
        network = self.node.network(profiles=["p1"])
        asked = {**os.environ, "CNI_COMMAND": "VERSION"}
        words = partial(subprocess.run, [self.plugin], check=True, input=b"", env=asked, capture_output=True)
        found: dict[str, list[float]] = {"bare": [], "version": [], "add": [], "del": []}
        for one in range(number):
            inside = box(self.host, f"a{len(self.boxes)}x{one}")
            found["bare"].append(timed(partial(subprocess.run, BARE, check=True)))
            found["version"].append(timed(words))
            for name in ("add", "del"):
                found[name].append(timed(partial(plugin, name.upper(), inside.name, inside, network, self.plugin)))
        return found

    def check(self) -> dict[str, Any]:
        """That just these stand; what the agent says of its policy."""
        wait_for("rest", self.node.ready)
        status = self.node.status()
        count, policy = status["workloads"]["count"], status["policy"]
        if count != len(self.boxes) or len(policy["interfaces"]) != count or policy["problems"]:
            raise SystemExit(f"{len(self.boxes)} workloads were added: {status}")
        assert isinstance(policy, dict)
        return policy


def row(standing: int, alone: Sequence[float], work: float, calls: dict[str, list[float]], megabytes: float) -> str:
    bare = part(calls["bare"], 0.5)
    cells = [f"{standing:,}", f"{bare:.0f}"]
    cells += [f"{part(calls[name], 0.5):.0f} / {part(calls[name], 0.99):.0f}" for name in ("version", "add", "del")]
    cells.append(f"+{part(calls['add'], 0.5) - bare:.0f} / +{part(calls['add'], 0.99) - bare:.0f}")
    cells.append(f"{part(alone, 0.5):.0f} / {part(alone, 0.99):.0f}")
    return f"| {' | '.join([*cells, f'{work:.1f}', f'{megabytes:.0f}'])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--standing", type=int, default=1000, help="workloads that are there already")
    parser.add_argument("--adds", type=int, default=200)
    flags = parser.parse_args()
    few, batch = 10, min(100, flags.standing // 3)
    with Lab("bench") as lab:
        bench = Bench(lab)
        empty = memory(bench.process.pid)
        bench.grow(few)
        rows = []
        for standing in (few, flags.standing - batch):
            if standing > len(bench.boxes):
                bench.grow(standing - len(bench.boxes))
            before = len(bench.boxes)
            alone, work = bench.grow(batch)
            calls = bench.calls(flags.adds)
            rows.append(row(before, alone, work, calls, memory(bench.process.pid)))
            policy = bench.check()
        connection = Connection(bench.node.workloads)
        before_cpu = processor(bench.process.pid)
        removed = [timed(partial(connection.ask, request="remove", container=one.name)) for one in bench.boxes]
        work = (processor(bench.process.pid) - before_cpu) / len(removed)
    columns = "on the node | bare interpreter | VERSION | ADD | DEL | ADD less the interpreter | in the agent"
    print(f"| {columns} | processor | MB |\n|{'---|' * 9}")
    print("\n".join(rows))
    counts = ", ".join(f"{policy[name]:,} {name}" for name in ("chains", "rules", "sets", "elements"))
    print(f"\nIn nftables with {len(removed):,} workloads of {PROFILES} profiles: {counts}. Without any the agent has")
    print(f"{empty:.0f} MB. Removed in the agent: {part(removed, 0.5):.0f} / {part(removed, 0.99):.0f} ms,", end=" ")
    print(f"processor {work:.1f} ms. Load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors.")


if __name__ == "__main__":
    main()
