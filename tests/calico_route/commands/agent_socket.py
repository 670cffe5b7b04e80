"""A workload socket that keeps its workloads in memory, with the agent's answers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class AgentSocket:
    """Answers add, remove and list; `refuse` is what the next adds are refused with: code and words. `raw`: what it
    says instead of any answer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.workloads: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse: list[tuple[str, str] | None] = []
        self.raw: bytes | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                for line in stream:
                    reply = self.raw if self.raw is not None else json.dumps(self._answer(json.loads(line))).encode()
                    connection.sendall(reply)
                    if self.raw is None:
                        connection.sendall(b"\n")
                    else:
                        break

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        number = request["id"]
        if request["request"] == "list":
            return {"id": number, "workloads": list(self.workloads.values())}
        key = (request["container"], request["interface"])
        if request["request"] == "remove":
            gone = self.workloads.pop(key, None)
            return {"id": number, "removed": [] if gone is None else [gone]}
        assert request["request"] == "add"
        if self.refuse and (refusal := self.refuse.pop(0)) is not None:
            return {"id": number, "error": refusal[1], "code": refusal[0]}
        addresses = request["addresses"]
        self.workloads[key] = {
            "container": request["container"],
            "interface": request["interface"],
            "host_interface": "cali1e2d3c4b5a6",
            "mac": "02:00:00:00:00:01",
            "addresses": ["192.168.0.1"] if isinstance(addresses, str) else addresses,
            "endpoint": f"host1-cni-{request['container'].replace('-', '--')}-{request['interface']}",
            "profiles": request["profiles"],
            **{name: request[name] for name in ("name", "network", "orchestrator", "namespace", "labels")},
        }
        return {"id": number, "workload": self.workloads[key]}


@contextlib.contextmanager
def agent_at(path: Path) -> Iterator[AgentSocket]:
    """One that listens while the context lasts."""
    agent = AgentSocket(path)
    try:
        yield agent
    finally:
        agent.close()
