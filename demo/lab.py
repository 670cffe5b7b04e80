"""Hosts, containers and daemons on one machine: network namespaces which the lab makes and removes.

Everything is done with `ip` from iproute2, as a person at a shell would. A lab only ever removes what it made
itself and only ends processes that it started, by their process id.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

GATEWAY = "169.254.1.1"
GATEWAY_V6 = "fe80::1:1"
CLONE_NEWNET = 0x40000000
HOST_MAC = "ee:ee:ee:ee:ee:ee"


class LabError(Exception):
    """A step of the lab did not work; the text says which command and what it printed."""


def why_impossible() -> str | None:
    """None where network namespaces can be made here, otherwise one line saying what is missing."""
    if shutil.which("ip") is None:
        return "`ip` is missing: apt-get install iproute2"
    name = f"lab{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here ({made.stderr.strip() or 'ip netns add failed'}): run as root"
    entered = subprocess.run(["ip", "netns", "exec", name, "true"], check=False, capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    if entered.returncode != 0:
        return f"no command runs in a network namespace here ({entered.stderr.strip()})"
    return None


class Process:
    """One program of the lab; its output goes to a file."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.popen, self.log = name, popen, log

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    @property
    def state(self) -> str:
        """The kernel's letter for it, such as S (sleeping), T (stopped) or Z (ended)."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self, number: int = signal.SIGKILL, wait: float = 10.0) -> int:
        """Send the signal and wait for the end; returns the exit status."""
        if self.running:
            self.popen.send_signal(number)
        return self.popen.wait(wait)

    def stop(self) -> None:
        """End it politely, then not."""
        if not self.running:
            return
        self.popen.send_signal(signal.SIGCONT)
        self.popen.terminate()
        try:
            self.popen.wait(6)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


class Namespace:
    """One network namespace: a host, a container or the switch between them."""

    def __init__(self, lab: Lab, name: str, path_name: str) -> None:
        self.lab, self.name, self.netns = lab, name, path_name

    def command(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *words]

    def run(self, *words: str, check: bool = True, timeout: float = 30.0, stdin: str | None = None) -> str:
        """Run a command inside to its end; its standard output. Raises LabError with all it printed."""
        return self.lab.run(*self.command(*words), check=check, timeout=timeout, stdin=stdin)

    def start(self, name: str, *words: str, env: dict[str, str] | None = None) -> Process:
        return self.lab.start(name, self.command(*words), env=env)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives in this namespace and is used from the caller's own.

        A thread enters the namespace, makes the socket and ends; the caller's threads stay where they are.
        """
        made: list[socket.socket] = []
        errors: list[OSError] = []

        def enter() -> None:
            libc = ctypes.CDLL(None, use_errno=True)
            handle = os.open(f"/run/netns/{self.netns}", os.O_RDONLY)
            try:
                if libc.setns(handle, CLONE_NEWNET) != 0:
                    errors.append(OSError(ctypes.get_errno(), "setns", self.netns))
                    return
                made.append(socket.socket(family, kind, protocol))
            finally:
                os.close(handle)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return made[0]

    def sysctl(self, key: str, value: str) -> None:
        """Set a value under /proc/sys/net of this namespace."""
        self.run("sh", "-c", 'echo "$1" > "/proc/sys/net/$2"', "sysctl", value, key)

    def routes(self, *words: str, family: int = 4) -> list[str]:
        lines = self.run("ip", f"-{family}", "route", "show", *words).splitlines()
        return [" ".join(line.split()) for line in lines]


class Host(Namespace):
    """A namespace with an address on the lab's network and room for containers."""

    address: str
    address_v6: str | None = None
    interface: str
    port: str  # of the lab's bridge, in its namespace


class Container(Namespace):
    """A namespace with `eth1` behind a `cali…` interface of its host."""

    address: str
    host: Host
    interface: str

    def endpoint(self, node: str | None = None) -> tuple[str, str]:
        """Key and value of its WorkloadEndpoint as Calico's CNI plug-in would write them."""
        node_name = node or self.host.name

        def escape(part: str) -> str:
            return part.replace("-", "--")

        name = f"{escape(node_name)}-cni-{escape(self.name)}-eth1"
        bits = 128 if ":" in self.address else 32
        value = {
            "kind": "WorkloadEndpoint",
            "apiVersion": "projectcalico.org/v3",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "orchestrator": "cni",
                "node": node_name,
                "containerID": self.name,
                "endpoint": "eth1",
                "ipNetworks": [f"{self.address}/{bits}"],
                "interfaceName": self.interface,
                "mac": HOST_MAC,
            },
        }
        key = f"/calico/resources/v3/projectcalico.org/workloadendpoints/default/{name}"
        return key, json.dumps(value, separators=(",", ":"))


class Lab:
    """Makes namespaces and processes, and removes them all at the end (use it as a context manager).

    keep: leave everything running at the end.
    """

    def __init__(self, tag: str = "cr", keep: bool = False) -> None:
        self.tag = f"{tag}{os.getpid() % 100000}"
        self.keep = keep
        self.namespaces: list[Namespace] = []
        self.processes: list[Process] = []
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.switch: Namespace | None = None
        self._ports = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.keep:
            self.close()

    def close(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        for namespace in reversed(self.namespaces):
            with contextlib.suppress(LabError):
                self.run("ip", "netns", "del", namespace.netns)
        self.processes.clear()
        self.namespaces.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *words: str, check: bool = True, timeout: float = 30.0, stdin: str | None = None) -> str:
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=timeout, input=stdin)
        if check and done.returncode != 0:
            raise LabError(f"`{' '.join(words)}` exit status {done.returncode}: {done.stdout}{done.stderr}".strip())
        return done.stdout

    def start(self, name: str, words: Sequence[str], env: dict[str, str] | None = None) -> Process:
        log = self.directory / f"{name}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
            )
        process = Process(name, popen, log)
        self.processes.append(process)
        return process

    def add(self, namespace: Namespace) -> None:
        """Make it, with its loopback interface up; removed at the end."""
        self.run("ip", "netns", "add", namespace.netns)
        self.namespaces.append(namespace)
        namespace.run("ip", "link", "set", "lo", "up")

    def _netns_name(self, name: str) -> str:
        return f"{self.tag}-{name}"

    def host(self, name: str, address: str, address_v6: str | None = None, interface: str = "enp0s8") -> Host:
        """A host on the lab's network. `address` with its prefix length, such as 192.168.78.21/24."""
        if self.switch is None:
            self.switch = Namespace(self, "switch", self._netns_name("switch"))
            self.add(self.switch)
            self.switch.run("ip", "link", "add", "br0", "type", "bridge")
            self.switch.run("ip", "link", "set", "br0", "up")
        host = Host(self, name, self._netns_name(name))
        host.address, host.interface = address.partition("/")[0], interface
        self.add(host)
        self._ports += 1
        host.port = port = f"p{self._ports}"
        self.switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", interface, "netns", host.netns)
        self.switch.run("ip", "link", "set", port, "master", "br0", "up")
        host.run("ip", "address", "add", address, "dev", interface)
        if address_v6:
            host.address_v6 = address_v6.partition("/")[0]
            host.run("ip", "address", "add", address_v6, "dev", interface, "nodad")
        host.run("ip", "link", "set", interface, "up")
        host.sysctl("ipv4/ip_forward", "1")
        host.sysctl("ipv6/conf/all/forwarding", "1")
        return host

    def container(self, host: Host, name: str, address: str) -> Container:
        """A container of `host`: eth1 with address/32 (or /128) inside, `cali…` and a host route outside."""
        container = Container(self, name, self._netns_name(name))
        digest = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
        container.address, container.host, container.interface = address, host, f"cali{digest[:11]}"
        self.add(container)
        cali = container.interface
        host.run("ip", "link", "add", cali, "type", "veth", "peer", "name", "eth1", "netns", container.netns)
        host.run("ip", "link", "set", cali, "address", HOST_MAC, "up")
        v6 = ":" in address
        family, bits, gateway = ("-6", 128, GATEWAY_V6) if v6 else ("-4", 32, GATEWAY)
        extra = ["nodad"] if v6 else []
        container.run("ip", "address", "add", f"{address}/{bits}", "dev", "eth1", *extra)
        container.run("ip", "link", "set", "eth1", "up")
        if not v6:
            container.run("ip", "route", "add", gateway, "dev", "eth1", "scope", "link")
        container.run("ip", family, "neigh", "replace", gateway, "lladdr", HOST_MAC, "dev", "eth1", "nud", "permanent")
        container.run("ip", family, "route", "add", "default", "via", gateway, "dev", "eth1")
        scope = [] if v6 else ["scope", "link"]
        host.run("ip", family, "route", "add", f"{address}/{bits}", "dev", cali, *scope)
        return container


def wait_for(what: str, condition: Callable[[], object], timeout: float = 15.0, pause: float = 0.05) -> float:
    """Poll until the condition holds; returns the seconds it took. Raises LabError naming what failed."""
    begin = time.monotonic()
    while True:
        if condition():
            return time.monotonic() - begin
        if time.monotonic() - begin > timeout:
            raise LabError(f"not seen within {timeout:g} s: {what}")
        time.sleep(pause)
