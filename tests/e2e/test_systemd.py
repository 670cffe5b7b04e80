"""What systemd would hear of the unit's process, on a socket of its own: ready, alive, stuck, leaving."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from demo.lab import Lab, wait_for
from tests.e2e.mesh import Mesh

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

WATCHDOG = 1.5  # seconds


class Systemd:
    """Its end of NOTIFY_SOCKET."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self._socket.setblocking(False)

    def hear(self) -> list[str]:
        """All lines so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines += self._socket.recv(65536).decode().splitlines()
        return self.lines

    def alive(self) -> int:
        return self.hear().count("WATCHDOG=1")

    def status(self) -> str:
        return next((line for line in reversed(self.hear()) if line.startswith("STATUS=")), "")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(lab: Lab) -> Iterator[Systemd]:
    made = Systemd(str(lab.directory / "notify"))
    yield made
    made.close()


def test_ready_alive_stuck_and_leaving(lab: Lab, systemd: Systemd) -> None:
    mesh = Mesh(lab, 2)
    host, agent = mesh.hosts[0], mesh.agents[0]
    environment = {"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
    agent.process = host.start("agent", *agent.command(), env=environment)
    wait_for("it is alive", lambda: systemd.alive() > 2)
    assert "READY=1" not in systemd.hear(), "there is no datastore, and no snapshot of it"
    assert systemd.status().startswith("STATUS=waiting for the datastore: ")

    mesh.etcd.start()
    wait_for("it is ready", lambda: "READY=1" in systemd.hear(), 40)
    mesh.agents[1].start()
    wait_for("how it stands", lambda: systemd.status().startswith("STATUS=1 of 1 sessions converged"), 40)
    assert systemd.hear().count("READY=1") == 1

    # A process that stands still says nothing, which is all that systemd needs to end it.
    agent.process.popen.send_signal(signal.SIGSTOP)
    wait_for("it has stopped", lambda: agent.process is not None and _state(agent.process.pid) == "T")
    before = systemd.alive()
    time.sleep(2 * WATCHDOG)
    assert systemd.alive() == before
    agent.process.popen.send_signal(signal.SIGCONT)
    wait_for("it goes on", lambda: systemd.alive() > before)

    assert agent.kill(signal.SIGTERM) == 0
    assert systemd.hear()[-1] == "STOPPING=1"


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
