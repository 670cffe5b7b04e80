"""What the datastore rules about routes, on real kernels and beside BIRD: blocks, tunnels, filters, secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.lab import Lab, wait_for
from tests.e2e.bird import Bird
from tests.e2e.mesh import RESOURCES, Mesh

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

TOR = """
log stderr all;
router id {own};
ipv4 table master4;
protocol device {{ scan time 2; }}
protocol static {{ ipv4; route 172.16.0.0/12 blackhole; route 10.50.0.0/16 blackhole; }}
protocol bgp node {{
    local {own} as 65001;
    neighbor {node} as 64512;
    password "{password}";
    connect retry time 1; error wait time 1,2; connect delay time 1;
    ipv4 {{ import all; export all; }};
}}
"""


def put(mesh: Mesh, kind: str, plural: str, name: str, **spec: Any) -> None:
    value = {"kind": kind, "apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec}
    mesh.etcd.put(f"{RESOURCES}/{plural}/{name}", json.dumps(value))


def version(mesh: Mesh, text: str) -> None:
    put(mesh, "ClusterInformation", "clusterinformations", "default", calicoVersion=text, datastoreReady=True)


def proto_bird(mesh: Mesh, number: int) -> list[str]:
    """Sorted, without what the kernel adds to the end of a line."""
    host = mesh.hosts[number]
    return sorted(line.strip() for line in host.routes("proto", "bird"))


def test_blocks_and_borrowed_addresses_metrics_and_tunnels(lab: Lab) -> None:
    mesh = Mesh(lab, 2, "--announce", "blocks", "--workloads-from", "both")
    first, second = mesh.hosts
    mesh.etcd.start()
    version(mesh, "v3.32.0")
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    mesh.etcd.put("/calico/ipam/v2/host/host1/ipv4/block/192.168.221.64-26", '{"state":"confirmed","deleted":false}')
    mesh.workload(first, "c1", "192.168.221.65")
    mesh.workload(first, "c2", "192.168.99.5")
    other = mesh.workload(second, "c3", "192.168.50.1")
    for agent in mesh.agents:
        agent.start()
    via, dev = f"via {first.address}", f"dev {second.interface}"
    wait_for(
        "the block and the borrowed address",
        lambda: (
            proto_bird(mesh, 1)
            == [f"192.168.221.64/26 {via} {dev} metric 1024", f"192.168.99.5 {via} {dev} metric 1024"]
        ),
    )
    back = f"192.168.50.1 via {second.address} dev {first.interface} metric 1024"
    wait_for("the block ends where it is", lambda: proto_bird(mesh, 0) == [back, "blackhole 192.168.221.64/26"])
    for address in ("192.168.221.65", "192.168.99.5"):
        assert "1 received" in other.run("ping", "-c", "1", "-W", "2", address)
    assert "1 received" not in other.run("ping", "-c", "1", "-W", "1", "192.168.221.66", check=False)

    # An older Calico, and IPIP: there is no such module here, so that a veth takes the tunnel's name.
    second.run("ip", "link", "add", "tunl0", "type", "veth", "peer", "name", "tunl0-end")
    for name in ("tunl0", "tunl0-end"):
        second.run("ip", "link", "set", name, "up")
    version(mesh, "v3.31.0")
    wait_for("no metric any more", lambda: not any("metric" in line for line in proto_bird(mesh, 1)))
    put(mesh, "IPPool", "ippools", "default-ipv4-ippool", cidr="192.168.0.0/16", ipipMode="Always")
    wait_for(
        "the tunnel",
        lambda: (
            proto_bird(mesh, 1) == [f"192.168.221.64/26 {via} dev tunl0 onlink", f"192.168.99.5 {via} dev tunl0 onlink"]
        ),
    )
    put(mesh, "IPPool", "ippools", "default-ipv4-ippool", cidr="192.168.0.0/16", ipipMode="CrossSubnet")
    wait_for("plainly within a subnet", lambda: all(dev in line for line in proto_bird(mesh, 1)))
    put(mesh, "IPPool", "ippools", "default-ipv4-ippool", cidr="192.168.0.0/16", vxlanMode="Always")
    wait_for("VXLAN is somebody else's", lambda: proto_bird(mesh, 1) == [])
    assert mesh.established(mesh.agents[0]) == 1


def test_a_router_with_filters_communities_and_a_password_in_a_secret(lab: Lab) -> None:
    secrets = lab.directory / "secrets"
    (secrets / "bgp").mkdir(parents=True)
    (secrets / "bgp" / "tor").write_text("wrong")
    mesh = Mesh(lab, 1, "--secrets-dir", str(secrets))
    host = mesh.hosts[0]
    router = lab.host("tor", "192.168.78.254/24")
    bird = Bird(router, TOR.format(own=router.address, node=host.address, password="hunter2"))
    mesh.etcd.start()
    mesh.workload(host, "c1", "192.168.7.1")
    mesh.workload(host, "c2", "192.168.8.1")
    put(
        mesh,
        *("BGPConfiguration", "bgpconfigurations", "default"),
        prefixAdvertisements=[{"cidr": "192.168.7.0/24", "communities": ["64512:7", "64512:7:8"]}],
    )
    put(
        mesh,
        *("BGPFilter", "bgpfilters", "f"),
        exportV4=[{"cidr": "192.168.8.0/24", "matchOperator": "In", "action": "Reject"}],
        importV4=[
            {
                "cidr": "172.16.0.0/12",
                "matchOperator": "Equal",
                "action": "Accept",
                "operations": [{"addCommunity": {"value": "64512:9"}}],
            },
            {"action": "Reject"},
        ],
    )
    put(
        mesh,
        *("BGPPeer", "bgppeers", "tor"),
        peerIP=router.address,
        asNumber=65001,
        filters=["f"],
        password={"secretKeyRef": {"name": "bgp", "key": "tor"}},
    )
    bird.start()
    agent = mesh.agents[0]
    agent.start()
    wait_for("an attempt", lambda: "tor" in agent.process_text() and bird.established() == 0)
    (secrets / "bgp" / "tor").write_text("hunter2")
    wait_for("the session, once the secret has changed", lambda: bird.established() == 1, 40.0)
    wait_for("the one workload", lambda: "192.168.7.1/32" in bird.prefixes())
    assert bird.prefixes() == {"192.168.7.1/32", "172.16.0.0/12", "10.50.0.0/16"}
    told = bird.ctl("show", "route", "192.168.7.1/32", "all")
    assert "(64512,7)" in told
    assert "(64512, 7, 8)" in told
    wait_for(
        "what the filter lets in",
        lambda: proto_bird(mesh, 0) == [f"172.16.0.0/12 via {router.address} dev {host.interface}"],
    )
    assert "hunter2" not in agent.process_text() + json.dumps(agent.status())


def test_a_router_behind_a_gateway(lab: Lab) -> None:
    """`reachableBy`: a route to the router itself, without which there would be no session."""
    mesh = Mesh(lab, 1)
    host = mesh.hosts[0]
    router = lab.host("tor", "192.168.78.254/24")
    router.run("ip", "address", "add", "198.51.100.1/32", "dev", "lo")
    text = TOR.format(own="198.51.100.1", node=host.address, password="x").replace(
        '    password "x";\n', "    multihop;\n"
    )
    bird = Bird(router, text)
    mesh.etcd.start()
    mesh.workload(host, "c1", "192.168.7.1")
    peer = {"peerIP": "198.51.100.1", "asNumber": 65001, "reachableBy": router.address}
    put(mesh, "BGPPeer", "bgppeers", "tor", **peer)
    bird.start()
    mesh.agents[0].start()
    wait_for("the session", lambda: bird.established() == 1)
    gateway = f"198.51.100.1 via {router.address} dev {host.interface}"
    learned = [f"{net} via {router.address} dev {host.interface}" for net in ("10.50.0.0/16", "172.16.0.0/12")]
    wait_for("its routes", lambda: proto_bird(mesh, 0) == [learned[0], learned[1], gateway])
    mesh.etcd.delete(f"{RESOURCES}/bgppeers/tor")
    wait_for("nothing of it is left", lambda: proto_bird(mesh, 0) == [])
