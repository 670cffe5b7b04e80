"""How long a container waits for its network: ADD and DEL through the CNI plug-in, on a node that has many already.

    python -m benchmarks.workloads --standing 1000 --adds 200

Each call is a process of its own, as a runtime starts it. Beside it: the bare interpreter's start, the same request on
an open connection (the agent alone), and a plug-in that answers VERSION (the start with its imports).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from demo.etcd import Etcd
from demo.lab import Lab, wait_for
from demo.node import Box, Node, box


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


def figures(seconds: list[float]) -> str:
    ordered = sorted(1e3 * one for one in seconds)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return f"p50 {statistics.median(ordered):6.1f} ms   p99 {p99:6.1f} ms   max {ordered[-1]:6.1f} ms"


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
    """Seconds of processor time that it has had: the one figure that does not depend on who else runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """Megabytes that are in its memory alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--standing", type=int, default=1000, help="workloads that are there already")
    parser.add_argument("--adds", type=int, default=200)
    parser.add_argument("--plugin", default=str(Path(sys.executable).with_name("calico-route-cni")))
    flags = parser.parse_args()
    with Lab("bench") as lab:
        host = lab.host("host1", "192.168.78.21/24")
        etcd = Etcd(host, lab.directory / "etcd")
        etcd.start()
        node = Node(host, etcd.url)
        process = node.start()
        print(f"without workloads: {memory(process.pid):.1f} MB")
        boxes = [box(host, f"s{number}") for number in range(flags.standing)]
        connection = Connection(node.workloads)
        quarter = max(1, len(boxes) // 4)
        for first in range(0, len(boxes), quarter):
            before, taken = processor(process.pid), []
            part = boxes[first : first + quarter]
            for inside in part:
                ask = partial(connection.ask, request="add", container=inside.name, netns=inside.path)
                taken.append(timed(partial(ask, profiles=[f"p{len(inside.name)}"])))
            work = 1e3 * (processor(process.pid) - before) / len(part)
            print(
                f"in the agent, add {first:4} to {first + len(part):4}      {figures(taken)}   processor {work:.1f} ms"
            )
        wait_for("rest", node.ready)
        print(f"with {flags.standing}: {memory(process.pid):.1f} MB")
        network = node.network(profiles=["p1"])
        bare, version, adds, deletes = [], [], [], []
        for number in range(flags.adds):
            inside = box(host, f"a{number}")
            bare.append(timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)))
            ask = {**os.environ, "CNI_COMMAND": "VERSION"}
            version.append(
                timed(
                    lambda ask=ask: subprocess.run([flags.plugin], check=True, input=b"", env=ask, capture_output=True)
                )
            )
            adds.append(timed(lambda inside=inside: plugin("ADD", inside.name, inside, network, flags.plugin)))
            deletes.append(timed(lambda inside=inside: plugin("DEL", inside.name, inside, network, flags.plugin)))
        print(f"bare interpreter             {figures(bare)}")
        print(f"plug-in, VERSION             {figures(version)}")
        print(f"plug-in, ADD                 {figures(adds)}")
        print(f"plug-in, DEL                 {figures(deletes)}")
        connection = Connection(node.workloads)  # the agent ends one that was silent for half a minute
        removed = [
            timed(lambda inside=inside: connection.ask(request="remove", container=inside.name)) for inside in boxes
        ]
        print(f"in the agent, remove         {figures(removed)}")


if __name__ == "__main__":
    main()
