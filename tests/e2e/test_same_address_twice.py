"""Two neighbours with one link-local address, each on an interface of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo.lab import Host, Lab, Process, wait_for

pytestmark = pytest.mark.netns

HEAD = """
[speaker]
local_as = {asn}
bgp_identifier = "192.0.2.{number}"
listen = ["::"]
port = 1790
import_policy = "accept"
export_policy = "accept"
socket = "{folder}/{number}.socket"
"""
PEER = """
[[peer]]
address = "fe80::{theirs}%{interface}"
peer_as = {peer_as}
port = 1790
families = ["ipv6-unicast"]
connect_retry_max = 1
passive = {passive}
"""
ROUTE = """
[[route]]
prefix = "2001:db8:{number}::/48"
"""


def start(host: Host, folder: Path, number: int, text: str) -> Process:
    file = folder / f"{number}.toml"
    file.write_text(HEAD.format(asn=64510 + number, number=number, folder=folder) + text)
    return host.start(f"pybgp{number}", sys.executable, "-m", "pybgp", "run", str(file))


@pytest.mark.parametrize("passive", ["true", "false"])
def test_the_interface_tells_them_apart(lab: Lab, tmp_path: Path, passive: str) -> None:
    """Whoever connects, what comes by an interface is of the neighbour there."""
    hub, left, right = (
        lab.host(name, f"192.0.2.{number}/24") for number, name in enumerate(("hub", "left", "right"), 1)
    )
    for host, name in ((left, "toleft"), (right, "toright")):
        hub.run("ip", "link", "add", name, "type", "veth", "peer", "name", "wire", "netns", host.netns)
        for end, interface, address in ((hub, name, "fe80::1"), (host, "wire", "fe80::2")):
            end.run("ip", "link", "set", interface, "addrgenmode", "none", "up")
            end.run("ip", "address", "add", f"{address}/64", "dev", interface, "nodad")
    peers = (
        PEER.format(theirs=2, interface=name, peer_as=asn, passive=passive)
        for name, asn in (("toleft", 64512), ("toright", 64513))
    )
    middle = start(hub, tmp_path, 1, "".join(peers))
    other = "false" if passive == "true" else "true"
    for number, host in ((2, left), (3, right)):
        text = PEER.format(theirs=1, interface="wire", peer_as=64511, passive=other) + ROUTE.format(number=number)
        start(host, tmp_path, number, text)
    for name in ("toleft", "toright"):
        wait_for(f"the session by {name}", lambda of=name: f"fe80::2%{of} up" in middle.text())  # type: ignore[misc]

    def routes() -> str:
        words = (sys.executable, "-m", "pybgp", "show", "routes", "--socket", str(tmp_path / "1.socket"))
        return hub.run(*words, check=False)

    for number, name in ((2, "toleft"), (3, "toright")):
        wait_for(
            f"the route of the neighbour on {name}",
            lambda of=name, net=number: any(  # type: ignore[misc]
                f"2001:db8:{net}::/48" in line and f"fe80::2%{of}" in line for line in routes().splitlines()
            ),
        )
