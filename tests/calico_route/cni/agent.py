"""An agent's workload socket that notes what it is asked and answers what it is told to, in a thread."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORKLOAD = {
    "container": "c1",
    "interface": "eth1",
    "host_interface": "cali0123456789a",
    "mac": "02:00:00:00:00:01",
    "addresses": ["192.168.0.1", "fd80::1"],
    "gateway": "169.254.1.1",
    "gateway6": "fe80::ecee:eeff:feee:eeee",
    "endpoint": "host1-cni-c1-eth1",
    "profiles": ["calico"],
}


class FakeAgent:
    """`asked`: the requests; `answers`: one for each, the last one for all that follow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = [{"workload": WORKLOAD}]
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                line = stream.readline()
                if not line:
                    continue
                request = json.loads(line)
                self.asked.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                reply = json.dumps({"id": request["id"], **answer}).encode() + b"\n"
                half = len(reply) // 2
                connection.sendall(reply[:half])
                connection.sendall(reply[half:])


@contextlib.contextmanager
def fake_agent(path: Path) -> Iterator[FakeAgent]:
    made = FakeAgent(path)
    thread = threading.Thread(target=made.serve)
    thread.start()
    try:
        yield made
    finally:
        made.listener.shutdown(socket.SHUT_RDWR)
        made.listener.close()
        thread.join()
