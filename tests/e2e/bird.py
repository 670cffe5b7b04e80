"""BIRD 2 of Debian as a Calico node or a plain peer, in a host of the lab."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pytest

from demo.lab import Host, Lab, LabError, Process, wait_for
from tests.e2e.mesh import Mesh

BASE = """
log stderr all;
router id {router_id};
graceful restart wait 10;
ipv4 table master4;
ipv6 table master6;
protocol device {{ scan time 2; }}
protocol direct {{ interface -"cali*", "*"; ipv4 {{ table master4; }}; ipv6 {{ table master6; }}; }}
protocol kernel kernel4 {{
    learn; persist; scan time 2; merge paths on; graceful restart;
    ipv4 {{ table master4; import all; export where source = RTS_BGP; }};
}}
protocol kernel kernel6 {{
    learn; persist; scan time 2; merge paths on; graceful restart;
    ipv6 {{ table master6; import all; export where source = RTS_BGP; }};
}}
"""

MESH_PEER = """
protocol bgp {name} {{
    local {local} as 64512;
    neighbor {peer} as 64512;
    multihop;
    {passive}
    connect delay time 1; connect retry time 2; error wait time 1,5;
    graceful restart on;
    {options}
    {channel} {{ import all; export filter {{ if net ~ {pool} then accept; reject; }}; {channel_options} }};
}}
"""


class Bird:
    """One `bird` with its own configuration, control socket and process."""

    def __init__(self, host: Host, configuration: str, name: str = "") -> None:
        """`name` tells several on one host apart."""
        found = shutil.which("bird", path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin")
        if found is None:
            pytest.skip("BIRD is missing: apt-get install bird2")
        self.binary, self.host, self.name = found, host, name or host.name
        folder = host.lab.directory
        self.socket = str(folder / f"{self.name}-bird.ctl")
        self.file = folder / f"{self.name}-bird.conf"
        self.file.write_text(configuration)
        self.process: Process | None = None

    def start(self, *flags: str) -> None:
        words = [self.binary, "-f", "-c", str(self.file), "-s", self.socket, *flags]
        self.process = self.host.start(f"bird-{self.name}", *words)
        wait_for("bird answers", lambda: "up and running" in self.ctl("show", "status"))

    def reconfigure(self, configuration: str) -> None:
        """With another configuration, as `birdc configure` does it."""
        self.file.write_text(configuration)
        answer = self.host.run(self.binary + "c", "-s", self.socket, "configure")
        if "Reconfigured" not in answer and "Reconfiguration in progress" not in answer:
            raise LabError(f"bird does not take it: {answer}")

    def ctl(self, *words: str) -> str:
        if self.process is not None and not self.process.running:
            raise LabError(f"bird ended: {self.process.text()[-800:]}")
        return self.host.run(self.binary + "c", "-r", "-s", self.socket, *words, check=False)

    def established(self) -> int:
        """How many BGP sessions are up."""
        return sum(" BGP " in line and "Established" in line for line in self.ctl("show", "protocols").splitlines())

    def prefixes(self, table: str = "master4", *filters: str) -> set[str]:
        """The prefixes of a table."""
        lines = self.ctl("show", "route", "table", table, *filters).splitlines()
        return {line.split()[0] for line in lines if line[:1].isalnum() and "/" in line.split()[0]}


def mesh_configuration(host: Host, peers: Sequence[str], pool: str = "[ 192.168.0.0/16+ ]", options: str = "") -> str:
    """What a Calico node's BIRD has for a full mesh; the passive side is the greater string, as in Calico."""
    text = BASE.format(router_id=host.address)
    for peer in peers:
        v6 = ":" in peer
        local = host.address_v6 if v6 else host.address
        assert local is not None, f"{host.name} has no IPv6 address"
        text += MESH_PEER.format(
            name="Mesh_" + peer.replace(".", "_").replace(":", "_"),
            local=local,
            peer=peer,
            passive="passive on;" if peer > local else "",
            options=options,
            channel="ipv6" if v6 else "ipv4",
            pool="[ fd80::/16+ ]" if v6 else pool,
            channel_options="add paths on;" if not v6 else "",
        )
    return text


def neighbours(lab: Lab) -> tuple[Mesh, Bird]:
    """An agent that is not started yet, with a workload; and a BIRD with another one."""
    mesh = Mesh(lab, 2)
    first, second = mesh.hosts
    mesh.etcd.start()
    mesh.node(second)
    bird = Bird(second, mesh_configuration(second, [first.address], "[ 192.168.8.0/24+ ]"))
    bird.start()
    mesh.workload(first, "c1", "192.168.7.1")
    mesh.workload(second, "c2", "192.168.8.1")
    return mesh, bird
