"""BIRD 1.6 as Calico runs it, with the configuration that confd would have rendered."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest

from demo.lab import Host, Process, wait_for

FOLDER = Path(".bench/bird1/usr/sbin").absolute()


class Bird1:
    """`bird -R` of one node. `-R` waits for others' routes before it deletes stale ones, as Calico's does."""

    def __init__(self, host: Host, etcd_url: str, *, quick: bool = True) -> None:
        if not (FOLDER / "bird").exists():
            pytest.skip("BIRD 1.6 is missing: apt-get download bird, and dpkg -x of it to .bench/bird1")
        self.host, self.etcd_url, self.quick = host, etcd_url, quick
        folder = host.lab.directory
        self.file, self.socket = folder / f"{host.name}-bird1.conf", str(folder / f"{host.name}-bird1.ctl")
        self.process: Process | None = None

    def configuration(self) -> str:
        """As the agent's command prints it. `quick`: the times to wait are made shorter, so that a test need not."""
        words = [sys.executable, "-m", "calico_route", "--peer-from-etcd", self.etcd_url, "--print-bird-config"]
        text = self.host.run(*words, "--node-name", self.host.name, "--ip", self.host.address)
        if self.quick:
            text = re.sub(r"connect delay time 2;\s+connect retry time 5;\s+error wait time 5,30;", QUICK, text)
        return text.replace("router id", "log stderr all;\nrouter id", 1)

    def start(self) -> None:
        self.file.write_text(self.configuration())
        words = [str(FOLDER / "bird"), "-R", "-d", "-c", str(self.file), "-s", self.socket]
        self.process = self.host.start(f"bird1-{self.host.name}", *words)
        wait_for("bird answers", lambda: "BIRD 1.6" in self.ctl("show", "status"))

    def reconfigure(self) -> None:
        """What confd does when the datastore has changed: render, and have BIRD read it."""
        text = self.configuration()
        if text != self.file.read_text():
            self.file.write_text(text)
            self.host.run(str(FOLDER / "birdc"), "-s", self.socket, "configure")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """As a container of Calico's ends: its BIRD is not asked, and others keep its routes. By SIGTERM it is."""
        assert self.process is not None
        self.process.kill(number)
        Path(self.socket).unlink(missing_ok=True)

    def ctl(self, *words: str) -> str:
        return self.host.run(str(FOLDER / "birdc"), "-r", "-s", self.socket, *words, check=False)

    def established(self) -> int:
        return sum(" BGP " in line and "Established" in line for line in self.ctl("show", "protocols").splitlines())


QUICK = "connect delay time 1; connect retry time 1; error wait time 1,2;"
