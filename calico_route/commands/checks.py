"""What a host must have: each check looks at one thing, and knows what to do where it is missing."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from calico_route.config import find_node_name, socket_path
from calico_route.flags import SOCKET_DIRECTORY, STATE_DIRECTORY

from .runtimes import DOCKER_SOCKET, NAMED

BGP_PORT = 179
SYSCTL = Path("/proc/sys")
PATIENCE = 10.0
FULLEST = 0.9
"""Of the table of connections."""
_RULES = b"""
table inet calico_route_check {
    chain c {
        type filter hook forward priority 0; policy accept;
        ct state established accept
    }
}
"""
_CAPABILITIES: Mapping[str, tuple[int, str]] = {
    "CAP_NET_BIND_SERVICE": (10, "to listen on the BGP port"),
    "CAP_NET_ADMIN": (12, "for routes, interfaces and rules"),
    "CAP_SYS_PTRACE": (19, "to find the namespaces of containers"),
    "CAP_SYS_ADMIN": (21, "to enter them"),
}


class Verdict(StrEnum):
    """WARN: the agent runs, and something will be missed."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """`what` to do where the verdict is not OK; `fix` does it."""

    name: str
    verdict: Verdict
    finding: str
    what: str = ""
    fix: Callable[[], None] | None = None


def sysctl(name: str, path: str, verdict: Verdict, why: str, root: Path = SYSCTL) -> Check:
    """A switch of the kernel that must be 1."""
    file = root / path
    key = path.replace("/", ".")
    try:
        value = file.read_text().strip()
    except OSError as error:
        return Check(name, verdict, f"{key} cannot be read: {error.strerror}", f"the kernel lacks it: {why}")
    if value == "1":
        return Check(name, Verdict.OK, f"{key} is 1")
    what = f"sysctl -w {key}=1, and {key} = 1 into /etc/sysctl.d/90-calico-route.conf, so that it stays ({why})"
    return Check(name, verdict, f"{key} is {value}", what, lambda: _write(file, "1\n"))


def forwarding(root: Path = SYSCTL) -> list[Check]:
    """Packets to and from workloads pass through this host."""
    return [
        sysctl("IPv4 forwarding", "net/ipv4/ip_forward", Verdict.FAIL, "workloads reach nobody without", root),
        sysctl("IPv6 forwarding", "net/ipv6/conf/all/forwarding", Verdict.WARN, "needed for IPv6 workloads", root),
    ]


def nftables() -> Check:
    """The kernel's, with connection tracking, and a way to speak to it; nothing is changed by trying."""
    name, what = "nftables", "install nftables and libnftables1; without them --policy off is all that works"
    try:
        ctypes.CDLL("libnftables.so.1")
        way = "libnftables"
    except OSError:
        way = "nft (libnftables.so.1 is not here: each change takes longer)"
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        verdict = Verdict.WARN if way == "libnftables" else Verdict.FAIL
        return Check(name, verdict, "there is no program nft", what)
    try:
        done = subprocess.run(
            [program, "--check", "-f", "-"], input=_RULES, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(name, Verdict.FAIL, f"nft cannot be run: {error}", what)
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[:1]
        return Check(
            name,
            Verdict.FAIL,
            f"the kernel takes no rules: {words[0] if words else done.returncode}",
            "be root; else: modprobe nf_tables nft_ct nf_conntrack",
            lambda: _modprobe("nf_tables", "nft_ct", "nf_conntrack"),
        )
    return Check(name, Verdict.OK, f"rules with connection tracking are taken, through {way}")


def conntrack(root: Path = SYSCTL) -> Check:
    """The table of connections, which drops new ones when it is full."""
    name, where = "connection tracking", root / "net/netfilter"
    try:
        used = int((where / "nf_conntrack_count").read_text())
        most = int((where / "nf_conntrack_max").read_text())
    except (OSError, ValueError):
        what = "modprobe nf_conntrack; it comes by itself with the first rule that asks for it"
        return Check(name, Verdict.WARN, "nf_conntrack is not loaded", what, lambda: _modprobe("nf_conntrack"))
    if most and used > FULLEST * most:
        what = f"sysctl -w net.netfilter.nf_conntrack_max={2 * most}: new connections are dropped when it is full"
        fix = (where / "nf_conntrack_max", f"{2 * most}\n")
        return Check(name, Verdict.FAIL, f"{used} of {most} connections in use", what, lambda: _write(*fix))
    return Check(name, Verdict.OK, f"{used} of {most or 'any number of'} connections in use")


def namespaces() -> Check:
    """Network namespaces, and where the named ones are."""
    if not Path("/proc/self/ns/net").exists():
        return Check("namespaces", Verdict.FAIL, "the kernel has none (CONFIG_NET_NS)", "take a kernel that has")
    named = f"{len(list(NAMED.iterdir()))} named ones in {NAMED}" if NAMED.is_dir() else f"no {NAMED} yet"
    return Check("namespaces", Verdict.OK, f"the kernel has network namespaces; {named}")


def capabilities(status: Path = Path("/proc/self/status")) -> Check:
    """What this user may do; the agent needs the same."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status.read_text(), re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    missing = {name: why for name, (bit, why) in _CAPABILITIES.items() if not mask >> bit & 1}
    if missing:
        words = ", ".join(f"{name} ({why})" for name, why in missing.items())
        return Check("capabilities", Verdict.FAIL, f"missing: {words}", "run the agent, and this, as root")
    return Check("capabilities", Verdict.OK, ", ".join(_CAPABILITIES))


def bgp_port(environ: Mapping[str, str], port: int = BGP_PORT) -> Check:
    """Free for the agent, or held by it."""
    name = f"BGP port {port}"
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
                probe.listen(1)
        except PermissionError:
            return Check(name, Verdict.WARN, "may not be tried", "be root")
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # no IPv6 here: nothing can be in its way
            holder = _holder(port)
            if socket_path(None, find_node_name(None, environ)[0]).exists() and "python" in holder:
                return Check(name, Verdict.OK, f"held by {holder}: an agent runs here")
            what = "stop it (is it BIRD of calico/node? then the node is to run one of the two)"
            return Check(name, Verdict.FAIL, f"held by {holder or 'another program'}", what)
    return Check(name, Verdict.OK, "free")


def directories(paths: Iterable[Path] = (STATE_DIRECTORY, SOCKET_DIRECTORY)) -> Check:
    """Where the agent keeps its state and its sockets."""
    for path in paths:
        nearest = next(one for one in (path, *path.parents) if one.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            return Check("directories", Verdict.FAIL, f"{nearest} cannot be written", f"let the agent write {path}")
    return Check("directories", Verdict.OK, ", ".join(map(str, paths)))


def node_name(environ: Mapping[str, str]) -> Check:
    """Two nodes of one name take each other's routes."""
    name, origin = find_node_name(None, environ)
    if name in ("localhost", "localhost.localdomain", "", "(none)"):
        what = "give each host a name of its own (hostnamectl), or NODENAME"
        return Check("node name", Verdict.FAIL, f"{name!r} (from {origin}) is that of many hosts", what)
    return Check("node name", Verdict.OK, f"{name} (from {origin})")


def runtimes(environ: Mapping[str, str]) -> Check:
    """Programs that run containers: none of them is a must."""
    host = environ.get("DOCKER_HOST", "").strip() or DOCKER_SOCKET
    found = []
    if not host.startswith("unix://") or Path(host.removeprefix("unix://")).exists():
        found.append(f"docker at {host}")
    found += [name for name in ("podman",) if shutil.which(name)]
    if not found:
        what = "named network namespaces, paths and PIDs work without; else start dockerd or install podman"
        return Check("container runtimes", Verdict.WARN, "neither docker nor podman", what)
    return Check("container runtimes", Verdict.OK, ", ".join(found))


def local(environ: Mapping[str, str]) -> list[Check]:
    """All that can be seen without etcd."""
    return [
        *forwarding(),
        nftables(),
        conntrack(),
        namespaces(),
        capabilities(),
        bgp_port(environ),
        directories(),
        node_name(environ),
        runtimes(environ),
    ]


def _holder(port: int) -> str:
    """The name and pid of the program that listens on a TCP port, "" where that cannot be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue  # no IPv6
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(file) in inodes for file in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # it is gone, or another user's
    return ""


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _modprobe(*modules: str) -> None:
    for module in modules:
        command: Sequence[str] = ("modprobe", module)
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        if done.returncode:
            raise OSError(0, done.stderr.decode("utf-8", "replace").strip() or f"modprobe {module} failed")
