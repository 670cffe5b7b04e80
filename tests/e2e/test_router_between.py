"""TTL security (RFC 5082) between hosts that have a router in the middle."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo.lab import Host, Lab, Process, wait_for

pytestmark = pytest.mark.netns
LEFT, RIGHT, NEAR, FAR = "192.0.2.1", "192.0.2.129", "192.0.2.2", "192.0.2.130"

FILE = """
[speaker]
local_as = {asn}
bgp_identifier = "{own}"
listen = ["{own}"]
port = {port}
import_policy = "accept"
export_policy = "accept"
socket = "{folder}/{name}.socket"
[[peer]]
address = "{other}"
peer_as = {peer_as}
port = {port}
local_address = "{own}"
connect_timeout = 1
connect_retry_max = 1
ttl_security = {hops}
"""


def start(host: Host, folder: Path, own: str, other: str, hops: int) -> Process:
    """A speaker with a port for each number of hops, so that both pairs try at the same time."""
    asn, peer_as = (64512, 64513) if own == LEFT else (64513, 64512)
    name = f"{host.name}{hops}"
    text = FILE.format(
        asn=asn, peer_as=peer_as, own=own, other=other, hops=hops, port=1790 + hops, folder=folder, name=name
    )
    (folder / f"{name}.toml").write_text(text)
    return host.start(name, sys.executable, "-m", "pybgp", "run", str(folder / f"{name}.toml"))


def test_a_router_in_between_counts_as_a_hop(lab: Lab, tmp_path: Path) -> None:
    """With a distance of 1 nothing gets through it, with a distance of 2 the session comes up."""
    left, right = lab.host("left", f"{LEFT}/25"), lab.host("right", f"{RIGHT}/25")
    router = lab.host("router", f"{NEAR}/25")
    router.run("ip", "address", "add", f"{FAR}/25", "dev", router.interface)
    router.sysctl("ipv4/ip_forward", "1")
    for way in ("all", router.interface):
        router.sysctl(f"ipv4/conf/{way}/send_redirects", "0")
    left.run("ip", "route", "add", "192.0.2.128/25", "via", NEAR)
    right.run("ip", "route", "add", "192.0.2.0/25", "via", FAR)
    refused = [start(left, tmp_path, LEFT, RIGHT, 1), start(right, tmp_path, RIGHT, LEFT, 1)]
    allowed = [start(left, tmp_path, LEFT, RIGHT, 2), start(right, tmp_path, RIGHT, LEFT, 2)]
    for process in allowed:
        wait_for("the session two hops away", lambda log=process: " up" in log.text())  # type: ignore[misc]
    for process in refused:
        wait_for("an attempt without an answer", lambda log=process: "no answer" in log.text())  # type: ignore[misc]
        assert " up" not in process.text()
