"""Network namespaces of the tests' own, each removed with everything in it."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_numbers = itertools.count()


def raw(text: str) -> bytes:
    """An address as octets."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def nlri(text: str) -> bytes:
    """A destination in wire form: length octet, significant octets."""
    address, _, length = text.partition("/")
    octets = raw(address)
    bits = int(length) if length else 8 * len(octets)
    return bytes((bits,)) + octets[: (bits + 7) // 8]


async def eventually(holds: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds; fail, with what it gave last, if it never does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (last := holds()):
        assert loop.time() < deadline, f"never came true: {last!r}"
        await asyncio.sleep(0.005)


class Monitor:
    """`ip monitor route` of a namespace, read back on demand."""

    def __init__(self, namespace: Namespace, family: str) -> None:
        self._namespace = namespace
        self._family = family
        self._file = Path(f"/tmp/{namespace.name}.monitor{next(_numbers)}")
        with self._file.open("wb") as output:
            self._process = subprocess.Popen(
                ["ip", "-rcvbuf", str(1 << 26), "-n", namespace.name, family, "-o", "monitor", "route"], stdout=output
            )
        self._mark()

    def _mark(self) -> str:
        """Make a route of another protocol come and go until the monitor has told: then it is listening."""
        mark = "198.18.0.1" if self._family == "-4" else "2001:2:0:1::1"
        for _ in range(400):
            self._namespace.ip(self._family, "route", "add", "blackhole", mark, "proto", "static")
            self._namespace.ip(self._family, "route", "del", "blackhole", mark, "proto", "static")
            text = self._file.read_text()
            if f"Deleted blackhole {mark}" in text.rpartition("\n")[0] + "\n":
                return text
            try:
                self._process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError("ip monitor has ended")
        raise AssertionError("ip monitor tells nothing")

    def lines(self) -> list[str]:
        """What it has told of routes of protocol bird so far."""
        before = len(self._file.read_text())
        for _ in range(400):
            self._mark()
            text = self._file.read_text()
            if "Deleted blackhole" in text[before:]:
                return [line for line in text.splitlines() if "proto bird" in line]
        raise AssertionError("ip monitor tells nothing")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._file.unlink()


class Namespace:
    """eth0 and eth1 are veth pairs whose other ends stay in the namespace; add addresses as needed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._monitors: list[Monitor] = []

    def ip(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(["ip", "-n", self.name, *words], check=False, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
        return done.stdout

    def batch(self, lines: list[str], *, family: str | None = None) -> None:
        """Many commands in one process. With a family (-4, -6) those that are refused are passed over."""
        options = [] if family is None else [family, "-force"]
        command = ["ip", "-n", self.name, *options, "-batch", "-"]
        text = "\n".join([*lines, ""])
        subprocess.run(command, input=text, check=family is None, text=True, capture_output=True)

    def sysctl(self, key: str, value: str) -> None:
        subprocess.run(
            [
                "ip",
                "netns",
                "exec",
                self.name,
                "sh",
                "-c",
                'echo "$1" > "$0"',
                "/proc/sys/" + key.replace(".", "/"),
                value,
            ],
            check=True,
            capture_output=True,
        )

    def bird(self, family: str = "-4") -> list[str]:
        """The routes of protocol bird, one line each, without trailing blanks."""
        return [line.rstrip() for line in self.ip(family, "-o", "route", "show", "proto", "bird").splitlines()]

    def monitor(self, family: str = "-4") -> Monitor:
        monitor = Monitor(self, family)
        self._monitors.append(monitor)
        return monitor

    def close(self) -> None:
        for monitor in self._monitors:
            monitor.stop()


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    name = f"kern{os.getpid()}x{next(_numbers)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    made = Namespace(name)
    try:
        made.ip("link", "set", "lo", "up")
        for number in range(2):
            made.ip("link", "add", f"eth{number}", "type", "veth", "peer", "name", f"far{number}")
            for link in (f"eth{number}", f"far{number}"):
                made.ip("link", "set", link, "up")
        made.ip("addr", "add", "192.168.78.21/24", "dev", "eth0")
        made.ip("addr", "add", "10.0.0.1/24", "dev", "eth1")
        made.ip("-6", "addr", "add", "2001:db8:0:78::21/64", "dev", "eth0", "nodad")
        made.ip("-6", "addr", "add", "2001:db8:0:1::1/64", "dev", "eth1", "nodad")
        yield made
    finally:
        made.close()
        subprocess.run(["ip", "netns", "del", name], check=False)
