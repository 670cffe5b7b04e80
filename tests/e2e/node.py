"""`calico-route node` on a host of the lab, with its workload socket, and containers that are namespaces."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

from demo.agent import Agent
from demo.lab import Host, Namespace, Process, wait_for


class Node(Agent):
    """The agent of demo/, with containers beside it."""

    def __init__(self, host: Host, etcd_url: str, *flags: str) -> None:
        super().__init__(host, etcd_url, *flags)
        self.workloads = host.lab.directory / f"{host.name}-workloads.sock"

    def command(self, module: str = "calico_route") -> list[str]:
        python, _, module, *words = super().command(module)
        return [python, "-m", module, "node", *words, "--workload-socket", str(self.workloads), "--metrics", "none"]

    def start(self, module: str = "calico_route") -> Process:
        process = super().start(module)
        wait_for("the workload socket", lambda: self.workloads.exists() or not process.running, 60)
        wait_for("the node is ready", lambda: not process.running or self.ready(), 60)
        assert process.running, process.text()
        return process

    def ready(self) -> bool:
        try:
            return self.ask({"request": "ready"}).get("ready", "") is None
        except OSError:
            return False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(60)
            connection.connect(str(self.workloads))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
        assert isinstance(answer, dict)
        return answer

    def network(self, **keys: Any) -> dict[str, Any]:
        """A network configuration of CNI."""
        return {
            "cniVersion": "1.1.0",
            "name": "calico",
            "type": "calico-route-cni",
            "socket": str(self.workloads),
            **keys,
        }

    def cni(self, command: str, container: str, box: Box | None, network: dict[str, Any], **env: str) -> dict[str, Any]:
        """Call the plug-in; its result, or its error object."""
        environ = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": container,
            "CNI_IFNAME": "eth1",
            "CNI_PATH": "/opt/cni/bin",
        }
        environ |= {"CNI_NETNS": "" if box is None else box.path, **env}
        words = ["env", *(f"{name}={value}" for name, value in environ.items())]
        text = self.host.run(*words, sys.executable, "-m", "calico_route.cni", stdin=json.dumps(network), check=False)
        found = json.loads(text) if text.strip() else {}
        assert isinstance(found, dict)
        return found


class Box(Namespace):
    """A container without a network."""

    @property
    def path(self) -> str:
        return f"/run/netns/{self.netns}"


def box(host: Host, name: str) -> Box:
    made = Box(host.lab, name, f"{host.lab.tag}-{name}")
    host.lab.add(made)
    return made


def cali(host: Host) -> list[str]:
    """The interfaces and routes of workloads that a host has."""
    links = [line.split(": ")[1].partition("@")[0] for line in host.run("ip", "-o", "link").splitlines()]
    return [name for name in links if name.startswith(("cali", "tmp"))] + [
        line for line in host.routes() if " dev cali" in line
    ]


def journal(node: Node) -> list[str]:
    return sorted(path.name for path in Path(node.state, f"{node.host.name}.workloads").glob("*.json"))
