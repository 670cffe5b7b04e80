"""calico_route on a host of the lab, started as an operator would start it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from demo.lab import Host, Process, wait_for


class Agent:
    """`python -m calico_route` in the namespace of a host; state and socket lie in the lab's own folder.

    `addresses`: whether the host's own are given by flags, before which what the Node says counts for nothing.
    """

    addresses = True

    def __init__(self, host: Host, etcd_url: str, *flags: str) -> None:
        self.host, self.flags = host, flags
        self.source = ["--peer-from-etcd", etcd_url]
        folder = host.lab.directory
        self.socket = str(folder / f"{host.name}.sock")
        self.state = str(folder / f"{host.name}-state")
        self.env: dict[str, str] = {}
        self.process: Process | None = None

    def command(self, module: str = "calico_route") -> list[str]:
        words = [sys.executable, "-m", module, *self.source]
        words += ["--node-name", self.host.name]
        if self.addresses:
            words += ["--ip", self.host.address]
        if self.addresses and self.host.address_v6:
            words += ["--ip6", self.host.address_v6]
        return [*words, "--socket", self.socket, "--state-dir", self.state, *self.flags]

    def start(self, module: str = "calico_route") -> Process:
        self.process = self.host.start(f"calico_route-{self.host.name}", *self.command(module), env=self.env)
        return self.process

    def start_cut_short(self, seen: Callable[[], object]) -> None:
        """Start it, and end it by SIGKILL when its first session stands and nothing was said in it yet. `seen`: whether
        the neighbour has the session too; a connection that is reset before it has read all is none to it."""
        process = self.start("demo.cut_short")
        wait_for("the agent is about to send its first UPDATE", lambda: process.state == "T", 120)
        wait_for("its neighbour has the session", seen, 120)
        self.kill()

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send the signal and wait for the end; returns the exit status."""
        assert self.process is not None, "the agent was not started"
        return self.process.kill(number)

    def process_text(self) -> str:
        """All that it has logged."""
        return self.process.text() if self.process is not None else ""

    def status(self) -> dict[str, Any]:
        """`calico_route status --json`; empty while the agent does not answer."""
        words = [sys.executable, "-m", "calico_route", "status", "--json", "--socket", self.socket]
        text = self.host.run(*words, check=False)
        try:
            answer = json.loads(text)
        except ValueError:
            return {}
        return answer if isinstance(answer, dict) else {}

    def status_text(self) -> str:
        return self.host.run(sys.executable, "-m", "calico_route", "status", "--socket", self.socket, check=False)
