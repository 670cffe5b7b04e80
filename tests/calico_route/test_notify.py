"""What systemd is told, and that its unit is a good one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calico_route import notify
from calico_route.notify import Notifier

UNIT = Path(__file__).parents[2] / "deploy" / "calico-route.service"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Its end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def environment(listener: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": listener.getsockname(), **more}


def heard(listener: socket.socket) -> list[str]:
    listener.setblocking(False)
    found = []
    while True:
        try:
            found += listener.recv(4096).decode().splitlines()
        except BlockingIOError:
            return found


async def test_ready_once_and_alive_again_and_again(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "EVERY", 0.01)
    notifier = Notifier(environment(systemd, WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid())))
    assert notifier.watchdog == 30.0
    ready, lines = False, iter(["waiting", "waiting", "1 of 1"])
    now = "waiting"

    def status() -> str:
        nonlocal now
        now = next(lines, now)
        return now

    task = asyncio.create_task(notifier.follow(lambda: ready, status))
    await asyncio.sleep(0.1)
    assert "READY=1" not in heard(systemd)
    ready = True
    await asyncio.sleep(0.1)
    found = heard(systemd)
    task.cancel()
    assert found.count("READY=1") == 1
    assert found.count("WATCHDOG=1") > 2
    notifier.tell(STOPPING="1")
    assert heard(systemd)[-1:] == ["STOPPING=1"]


async def test_status_is_told_when_it_changes(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "EVERY", 0.01)
    words = iter(["a", "a", "b"])
    task = asyncio.create_task(Notifier(environment(systemd)).follow(lambda: False, lambda: next(words, "b")))
    await asyncio.sleep(0.2)
    task.cancel()
    assert heard(systemd) == ["STATUS=a", "STATUS=b"]


async def test_nothing_happens_without_systemd() -> None:
    notifier = Notifier({})
    assert (notifier.wanted, notifier.watchdog) == (False, None)
    notifier.tell(READY="1")
    async with asyncio.timeout(5):
        await notifier.follow(lambda: True, lambda: "x")


def test_a_watchdog_for_somebody_else_or_none_at_all() -> None:
    for more in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}):
        assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000", **more}).watchdog is None
    assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5000000"}).watchdog == 5.0


def test_a_socket_in_the_abstract_namespace() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        name = f"calico-route-{os.getpid()}"
        listener.bind("\0" + name)
        Notifier({"NOTIFY_SOCKET": "@" + name}).tell(READY="1")
        assert heard(listener) == ["READY=1"]


def test_a_socket_that_is_gone_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": "/does/not/exist"}).tell(READY="1")
    assert "systemd was not told READY" in caplog.text


def test_the_unit_is_what_systemd_understands(tmp_path: Path) -> None:
    """Verified with an executable that is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    text = UNIT.read_text().replace("/usr/bin/calico-route", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_unit_gives_two_capabilities_and_no_more() -> None:
    lines = UNIT.read_text().splitlines()
    wanted = "CAP_NET_ADMIN CAP_NET_BIND_SERVICE"
    assert f"AmbientCapabilities={wanted}" in lines
    assert f"CapabilityBoundingSet={wanted}" in lines
    assert "Type=notify" in lines
