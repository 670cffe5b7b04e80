"""10,000 routes of a neighbour get another next hop, and what `ip monitor` sees of it; part of `benchmarks.restart`."""

from __future__ import annotations

import re
import time
from datetime import datetime

from benchmarks import feed
from benchmarks.ingest import Remote
from demo.lab import Lab, LabError, wait_for
from tests.e2e.bird1 import Bird1
from tests.e2e.mesh import Mesh

COUNT = 10_000
ASN = 64512
FROM, TO = "192.168.78.90", "192.168.78.91"
BUFFER = str(1 << 26)  # octets, of `ip monitor`: it must miss nothing
QUIET = 1.0  # seconds
_LINE = re.compile(r"^\[(\S+)\] (Deleted )?(11\.\S+) via (\S+)", re.MULTILINE)


def changed(name: str, count: int = COUNT) -> dict[str, float]:
    """`deleted` routes, and for how many seconds at most one was not there (`hole`)."""
    with Lab("hops") as lab:
        mesh = Mesh(lab, 1, "--workloads-from", "kernel", "--hold-time", "240")
        home, source = mesh.hosts[0], lab.host("source", f"{FROM}/24")
        mesh.etcd.start()
        mesh.pool("default-ipv4-ippool", "11.0.0.0/8")
        for host in (home, source):
            mesh.node(host)
        files = {next_hop: lab.directory / next_hop for next_hop in (FROM, TO)}
        for next_hop, file in files.items():
            file.write_bytes(feed.host(count, next_hop).announce)
        monitor = home.start("monitor", "ip", "-rcvbuf", BUFFER, "-ts", "monitor", "route")
        wait_for("ip monitor is listening", lambda: mesh.listening(home, monitor))
        daemon = mesh.agents[0] if name == "calico_route" else Bird1(home, mesh.etcd.url, quick=False)
        daemon.start()
        neighbour = Remote(source, home.address, ASN)
        try:
            neighbour.answer()
            for next_hop, file in files.items():
                before = len(monitor.text())
                neighbour.order(send=str(file))
                neighbour.answer()
                wait_for(f"all routes are via {next_hop}", lambda one=next_hop: put(monitor.text(), one) == count, 60)  # type: ignore[misc]
                time.sleep(QUIET)
            text = monitor.text()[before:]
            there = sum(line.startswith("11.") and f"via {TO} " in line for line in home.routes("proto", "bird"))
        finally:
            neighbour.close()
        if there != count or "No buffer space" in text:
            raise LabError(f"{there} of {count} routes are there, or ip monitor has missed some")
        return judged(text)


def put(text: str, next_hop: str) -> int:
    """How many destinations were given this next hop."""
    return len({prefix for _, deleted, prefix, via in _LINE.findall(text) if not deleted and via == next_hop})


def judged(text: str) -> dict[str, float]:
    deleted, hole = 0, 0.0
    gone: dict[str, datetime] = {}
    for when, is_deleted, prefix, _ in _LINE.findall(text):
        now = datetime.fromisoformat(when)
        if is_deleted:
            deleted += 1
            gone[prefix] = now
        elif prefix in gone:
            hole = max(hole, (now - gone.pop(prefix)).total_seconds())
    return {"deleted": deleted, "hole": hole}
