"""The speakers that are measured, each in a network namespace of its own; their configurations lie beside this file.

All of them: iBGP in one AS, hold time 90 s, everything accepted, no log, passive (the neighbours dial).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import ClassVar

from demo.lab import Host, LabError, Process, wait_for

HERE = Path(__file__).parent
PLACES = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/frr"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """`own` is the speaker's address; `clients` says whether the neighbours are route reflector clients.

    The neighbours dial, but for `dialled`, which are among them.
    """

    own: str
    neighbours: Sequence[str]
    asn: int = 65000
    clients: bool = True
    kernel: bool = False
    dialled: Sequence[str] = ()


@dataclass
class Speaker(ABC):
    """One speaker in one host of the lab."""

    host: Host
    processes: list[Process] = field(default_factory=list)
    name: ClassVar[str]
    binary: ClassVar[str]
    package: ClassVar[str]
    installs: ClassVar[bool] = True  # whether it puts routes into the kernel
    forwards: ClassVar[bool] = True  # whether it tells routes onward

    @classmethod
    def path(cls, binary: str = "") -> str:
        found = shutil.which(binary or cls.binary, path=PLACES)
        if found is None:
            raise LabError(f"{cls.name} is missing: apt-get install {cls.package}")
        return found

    @classmethod
    def version(cls) -> str:
        """As its package says."""
        status = Path("/var/lib/dpkg/status").read_text(errors="replace")
        start = status.find(f"\nPackage: {cls.package}\n")
        if start < 0:
            return "not a package"
        line = next(one for one in status[start:].splitlines() if one.startswith("Version: "))
        return line.removeprefix("Version: ").partition("-")[0]

    @property
    def folder(self) -> Path:
        folder = self.host.lab.directory / f"{self.host.name}-{self.name}"
        folder.mkdir(exist_ok=True)
        return folder

    def write(self, name: str, **words: object) -> Path:
        text = Template((HERE / name).read_text()).substitute({key: str(value) for key, value in words.items()})
        file = self.folder / name
        file.write_text(text)
        return file

    def run(self, *words: str, env: dict[str, str] | None = None) -> None:
        self.processes.append(self.host.start(f"{self.host.name}-{self.name}{len(self.processes)}", *words, env=env))

    @abstractmethod
    def start(self, setup: Setup) -> None:
        """Returns before it is ready: the neighbours dial until it answers."""

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()

    def pids(self) -> list[int]:
        """Its processes, with their children."""
        found = [process.pid for process in self.processes]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(word) for word in task.read_text().split()]
        return found

    def resident(self) -> int:
        """Octets of memory, all its processes together."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


class Bird2(Speaker):
    name, binary, package = "bird2", "bird", "bird2"
    kernel = "protocol kernel { learn; scan time 60; ipv4 { import all; export where source = RTS_BGP; }; }"

    def start(self, setup: Setup) -> None:
        file = self.write(
            f"{self.name}.conf",
            own=setup.own,
            asn=setup.asn,
            kernel=self.kernel if setup.kernel else "",
            client="rr client;" if setup.clients else "",
            neighbours="\n".join(
                f"protocol bgp p{number} from peers {{ neighbor {address} as {setup.asn}; "
                f"passive {'no' if address in setup.dialled else 'yes'}; }}"
                for number, address in enumerate(setup.neighbours)
            ),
        )
        self.run(self.path(), "-f", "-c", str(file), "-s", str(self.folder / "bird.ctl"))


class Bird1(Bird2):
    """Calico's line. Debian's packages of 1 and 2 conflict, so that it is unpacked aside, in `.bench/bird1`."""

    name, package = "bird1", "bird"
    kernel = "protocol kernel { learn; scan time 60; import all; export where source = RTS_BGP; }"
    place = Path(".bench/bird1/usr/sbin/bird")

    @classmethod
    def path(cls, binary: str = "") -> str:
        if not cls.place.exists():
            raise LabError(
                "bird1 is missing: mkdir -p .bench && cd .bench && apt-get download bird && dpkg -x bird_1* bird1"
            )
        return str(cls.place.resolve())


class Frr(Speaker):
    name, binary, package = "frr", "bgpd", "frr"

    @classmethod
    def path(cls, binary: str = "") -> str:
        found = shutil.which(binary or cls.binary, path="/usr/lib/frr")
        if found is None:
            raise LabError("frr is missing: apt-get install frr")
        return found

    def start(self, setup: Setup) -> None:
        peers = setup.neighbours
        lines = [f" neighbor {one} remote-as {setup.asn}" for one in peers]
        lines += [f" neighbor {one} passive" for one in peers if one not in setup.dialled]
        active = [f"  neighbor {one} activate" for one in peers]
        if setup.clients:
            active += [f"  neighbor {one} route-reflector-client" for one in peers]
        file = self.write(
            "frr.conf", own=setup.own, asn=setup.asn, neighbours="\n".join(lines), activate="\n".join(active)
        )
        self.run_with_zebra(file, setup.own, kernel=setup.kernel)

    def run_with_zebra(self, file: Path, own: str, *, kernel: bool = True) -> None:
        """bgpd with this file, and zebra before it where it is to install routes."""
        common = ["-u", "root", "-g", "frrvty", "--vty_socket", str(self.folder), "-P", "0"]
        zserv = self.folder / "zserv.api"
        if kernel:
            (self.folder / "zebra.conf").write_text("hostname zebra\n")
            self.run(
                *(self.path("zebra"), *common, "-z", str(zserv)),
                *("-i", str(self.folder / "zebra.pid"), "-f", str(self.folder / "zebra.conf")),
            )
            wait_for("the socket of zebra", zserv.exists)  # else bgpd tries again after 10 s
        self.run(
            *(self.path(), *common, "-z", str(zserv), "-l", own, *([] if kernel else ["-n"])),
            *("-i", str(self.folder / "bgpd.pid"), "-f", str(file)),
        )


class GoBgp(Speaker):
    name, binary, package = "gobgp", "gobgpd", "gobgpd"
    installs = False

    def start(self, setup: Setup) -> None:
        parts = []
        for one in setup.neighbours:
            parts += ["[[neighbors]]", "[neighbors.config]", f'neighbor-address = "{one}"', f"peer-as = {setup.asn}"]
            parts += ["[neighbors.transport.config]", f"passive-mode = {str(one not in setup.dialled).lower()}"]
            if one in setup.dialled:  # without, it waits for 10 s and more
                parts += ["[neighbors.timers.config]", "connect-retry = 1", "idle-hold-time-after-reset = 1"]
            if setup.clients:
                parts += ["[neighbors.route-reflector.config]", "route-reflector-client = true"]
                parts += [f'route-reflector-cluster-id = "{setup.own}"']
        file = self.write("gobgp.toml", own=setup.own, asn=setup.asn, neighbours="\n".join(parts))
        self.run(self.path(), "-f", str(file), "--pprof-disable", "--api-hosts", "127.0.0.1:50051", "-p", "-l", "error")


class OpenBgpd(Speaker):
    name, binary, package = "openbgpd", "bgpd", "openbgpd"
    installs = False

    @classmethod
    def path(cls, binary: str = "") -> str:
        return shutil.which("bgpd", path="/usr/sbin") or super().path(binary)

    def start(self, setup: Setup) -> None:
        client = "route-reflector" if setup.clients else ""
        parts = [
            f"neighbor {one} {{\n remote-as {setup.asn}\n {'' if one in setup.dialled else 'passive'}\n {client}\n}}"
            for one in setup.neighbours
        ]
        file = self.write(
            "openbgpd.conf", own=setup.own, asn=setup.asn, fib="no", folder=self.folder, neighbours="\n".join(parts)
        )
        file.chmod(0o600)
        self.run(self.path(), "-d", "-f", str(file))


class ExaBgp(Speaker):
    name, binary, package = "exabgp", "exabgp", "exabgp"
    installs = forwards = False

    def start(self, setup: Setup) -> None:
        api = "api { processes [ count ]; receive { parsed; update; } }"
        parts = [
            f"neighbor {one} {{ router-id {setup.own}; local-address {setup.own}; local-as {setup.asn};"
            f" peer-as {setup.asn}; passive true; listen 179; hold-time 90; family {{ ipv4 unicast; }} {api} }}"
            for one in setup.neighbours
        ]
        file = self.write(
            "exabgp.conf", counter=HERE / "exabgp_counter.py", folder=self.folder, neighbours="\n".join(parts)
        )
        quiet = {"exabgp.daemon.user": "root", "exabgp.daemon.daemonize": "false", "exabgp.daemon.drop": "false"}
        quiet |= {
            "exabgp.log.destination": "stdout",
            "exabgp.log.level": "INFO",
            "exabgp.api.cli": "false",
            "exabgp.api.ack": "false",
        }
        self.run(self.path(), str(file), env={**quiet, "exabgp.tcp.bind": setup.own, "exabgp.tcp.port": "179"})

    def counted(self, count: int, patience: float) -> float:
        """When its API had told of exactly so many prefixes. Raises LabError."""
        file, end = self.folder / "counted", time.monotonic() + patience
        while time.monotonic() < end:
            if file.exists():
                told = json.loads(file.read_text())
                if told["held"] == count:
                    return float(told["at"])
            time.sleep(0.1)
        raise LabError(f"exabgp did not tell of {count} prefixes within {patience:g} s")


class PyBgp(Speaker):
    name, binary, package = "pybgp", "python3", "python3"

    @classmethod
    def version(cls) -> str:
        import pybgp

        return f"{pybgp.__version__}, Python {sys.version.split()[0]}"

    def start(self, setup: Setup) -> None:
        client = "route_reflector_client = true\n" if setup.clients else ""
        if setup.kernel:
            self.agent(setup.own, setup.neighbours, setup.asn)
            return
        parts = [
            f'[[peer]]\naddress = "{one}"\npeer_as = {setup.asn}\nlocal_address = "{setup.own}"\n'
            f"passive = {str(one not in setup.dialled).lower()}\n{client}"
            for one in setup.neighbours
        ]
        file = self.write("pybgp.toml", own=setup.own, asn=setup.asn, folder=self.folder, neighbours="\n".join(parts))
        self.run(sys.executable, "-m", "pybgp", "run", str(file), "--log-level", "error")

    def agent(self, own: str, neighbours: Sequence[str], asn: int, *, hold: int = 90, graceful: bool = True) -> None:
        """With the kernel it is calico_route, in a mesh of the neighbours, from a file and not from etcd."""
        nodes = "\n---\n".join(
            json.dumps(
                {
                    "apiVersion": "projectcalico.org/v3",
                    "kind": "Node",
                    "metadata": {"name": address},
                    "spec": {"bgp": {"ipv4Address": f"{address}/16", "asNumber": asn}},
                }
            )
            for address in (own, *neighbours)
        )
        pool = {
            "apiVersion": "projectcalico.org/v3",
            "kind": "IPPool",
            "metadata": {"name": "all"},
            "spec": {"cidr": "11.0.0.0/8", "ipipMode": "Never"},
        }
        configuration = {
            "apiVersion": "projectcalico.org/v3",
            "kind": "BGPConfiguration",
            "metadata": {"name": "default"},
            "spec": {"nodeMeshMaxRestartTime": "120s" if graceful else "0s"},
        }
        file = self.folder / "nodes.yaml"
        file.write_text(f"{nodes}\n---\n{json.dumps(pool)}\n---\n{json.dumps(configuration)}\n")
        self.run(
            *(sys.executable, "-m", "calico_route", "--peer-from-file", str(file), "--node-name", own),
            *("--ip", f"{own}/16", "--as", str(asn), "--workloads-from", "kernel", "--log-level", "error"),
            *("--hold-time", str(hold), "--state-dir", str(self.folder), "--socket", str(self.folder / "agent.sock")),
        )


SPEAKERS: dict[str, type[Speaker]] = {one.name: one for one in (PyBgp, Bird2, Bird1, Frr, GoBgp, OpenBgpd, ExaBgp)}


def chosen(names: Sequence[str], *, installing: bool = False) -> list[type[Speaker]]:
    """Those that a flag names. Raises LabError for an unknown one or what is not installed."""
    found = []
    for name in names:
        if name not in SPEAKERS:
            raise LabError(f"--peers: there is no {name!r}; choose from {', '.join(SPEAKERS)}")
        kind = SPEAKERS[name]
        kind.path()
        if installing and not kind.installs:
            raise LabError(f"--peers: {name} puts nothing into the kernel")
        found.append(kind)
    return found


def answers(host: Host, address: str) -> bool:
    """Whether somebody listens on port 179."""
    with host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((address, 179)) == 0
