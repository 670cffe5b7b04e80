"""A host of the lab with etcd and the workloads process on it, and containers that are namespaces."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

from demo.etcd import Etcd
from demo.lab import Lab, Namespace, Process, wait_for

WORKLOADS = "/calico/resources/v3/projectcalico.org/workloadendpoints/"


class Box(Namespace):
    """A container without a network."""

    @property
    def path(self) -> str:
        return f"/run/netns/{self.netns}"


class WorkloadHost:
    """`start()` the process, `ask()` it, look what is `left()`."""

    def __init__(self, lab: Lab, name: str = "host1", address: str = "192.168.78.21/24", etcd: Etcd | None = None):
        self.lab = lab
        self.host = lab.host(name, address, "2001:db8:78::21/64" if etcd is None else None)
        self.etcd = etcd or Etcd(self.host, lab.directory / "etcd")
        if etcd is None:
            self.etcd.start()
        self.state = lab.directory / f"{name}-state"
        self.socket = lab.directory / f"{name}-workloads.sock"
        self.process: Process | None = None

    def start(self, die_after: str = "") -> Process:
        words = [sys.executable, "-m", "tests.calico_route.workload.process"]
        words += [self.etcd.url, self.host.name, str(self.state), str(self.socket)]
        self.process = self.host.start(f"workloads-{self.host.name}", *words, "--die-after", die_after)
        wait_for("the workload socket", lambda: self.answers() or not self.process.running, 30)  # type: ignore[union-attr]
        return self.process

    def answers(self) -> bool:
        try:
            return "ready" in self.ask({"request": "ready"})
        except (OSError, ValueError):
            return False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """OSError or ValueError where the agent dies over it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(str(self.socket))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
        assert isinstance(answer, dict)
        return answer

    def add(self, container: str, box: Box, **members: Any) -> dict[str, Any]:
        request = {"request": "add", "container": container, "netns": box.path, "profiles": ["db"], **members}
        answer = self.ask(request)
        assert "workload" in answer, answer
        found = answer["workload"]
        assert isinstance(found, dict)
        return found

    def box(self, name: str) -> Box:
        made = Box(self.lab, name, f"{self.lab.tag}-{name}")
        self.lab.add(made)
        return made

    def links(self) -> list[str]:
        lines = self.host.run("ip", "-o", "link", "show").splitlines()
        names = [line.split(": ")[1].partition("@")[0] for line in lines]
        return sorted(name for name in names if name.startswith(("cali", "tmp")))

    def left(self) -> dict[str, Any]:
        """All that may be there of workloads, by place; nothing: {}."""
        places = {
            "interfaces": self.links(),
            "routes": [line for line in self.host.routes() + self.host.routes(family=6) if "cali" in line],
            "neighbours": self.host.run("ip", "neigh", "show", "nud", "permanent").splitlines(),
            "endpoints": self.etcd.ctl("get", "--prefix", "--keys-only", WORKLOADS).split(),
            "addresses": self.etcd.ctl("get", "--prefix", "--keys-only", "/test/").split(),
            "rules": self._names(self.state / "rules"),
            "journal": self._names(self.state / f"{self.host.name}.workloads"),
        }
        return {place: what for place, what in places.items() if what}

    @staticmethod
    def _names(directory: Path) -> list[str]:
        return sorted(path.name for path in directory.glob("*"))
