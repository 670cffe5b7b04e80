"""What confd would have rendered: each part of it, and BIRD 1.6 itself takes every configuration."""

from __future__ import annotations

import asyncio
import io
import logging
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from calico_route.bird.configuration import bird_configuration
from calico_route.bird.printing import print_configuration
from calico_route.datastore import Update
from calico_route.file import FileDatastore
from calico_route.identity import Identity
from calico_route.model import HostAddress, Resource, SecretReference
from calico_route.sessions import Options
from tests.calico_route.resources import bgp_filter, bgp_peer, block, configuration, node, pool, view
from tests.calico_route.resources import cluster as cluster_information

BIRD1 = Path(".bench/bird1/usr/sbin").absolute()
CLUSTER = (
    node("a", "10.0.0.9/24", "fd00::9/64"),
    node("b", "10.0.0.10/24", "fd00::a/64", asNumber=65010),
    pool("p", "192.168.0.0/16"),
    pool("q", "10.9.0.0/16", disableBGPExport=True),
    pool("six", "fd80::/48"),
    block("a", "192.168.221.64/26"),
    block("a", "192.168.50.7/32"),
    block("a", "192.168.7.0/26", state="pending"),
    block("a", "192.168.8.0/26", state="pendingDeletion"),
    block("b", "192.168.1.0/26"),
)
FILTER = bgp_filter(
    "my-filter.1",
    exportV4=[
        {"action": "Reject", "cidr": "10.1.0.0/16", "matchOperator": "In", "prefixLength": {"min": 20, "max": 24}},
        {"action": "Reject", "cidr": "10.2.0.0/16", "matchOperator": "NotIn", "interface": "eth*", "peerType": "eBGP"},
        {"action": "Accept", "cidr": "10.3.0.0/16", "matchOperator": "Equal", "source": "RemotePeers"},
        {"action": "Accept", "cidr": "10.4.0.0/16", "matchOperator": "NotEqual", "prefixLength": {"min": 8}},
        {"action": "Accept", "cidr": "10.5.0.0/16", "matchOperator": "Equal", "prefixLength": {"min": 20}},
        {
            "action": "Accept",
            "communities": {"values": ["64512:5"]},
            "asPathPrefix": [65001, 65002],
            "operations": [
                {"addCommunity": {"value": "64512:6"}},
                {"addCommunity": {"value": "64512:6:7"}},
                {"prependASPath": {"prefix": [65100, 65101]}},
                {"setPriority": {"value": 512}},
            ],
        },
    ],
    importV4=[{"action": "Reject", "priority": 100}, {"action": "Accept", "communities": {"values": ["64512:5:6"]}}],
    importV6=[{"action": "Accept", "cidr": "fd00::/8", "matchOperator": "In"}],
)


def rendered(*resources: Resource, version: int = 4, identity: Identity | None = None, **options: object) -> str:
    made = bird_configuration(
        view(*resources),
        identity or Identity(name="a"),
        Options(**options),  # type: ignore[arg-type]
        version=version,
    )
    return accepted(made, version)


def accepted(text: str, version: int) -> str:
    """The same, after BIRD has taken it, where it is there."""
    binary = BIRD1 / ("bird" if version == 4 else "bird6")
    if binary.exists():
        command = [str(binary), "-p", "-c", "/dev/stdin"]
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, timeout=10)
        assert done.returncode == 0, done.stderr + text
    return text


def test_bird_1_is_there() -> None:
    if not (BIRD1 / "bird").exists():
        pytest.skip("BIRD 1.6 is missing: apt-get download bird, and dpkg -x of it to .bench/bird1")
    assert subprocess.run([str(BIRD1 / "bird"), "-p", "-c", "/dev/null"], check=False).returncode in (0, 1)


def test_a_mesh_with_blocks() -> None:
    text = rendered(*CLUSTER)
    assert "router id 10.0.0.9;" in text
    assert "protocol bgp Mesh_10_0_0_10 from bgp_template {" in text
    assert "neighbor 10.0.0.10 as 65010;\n  source address 10.0.0.9;\n  export filter" in text  # the lower text dials
    assert "passive" not in text
    assert "if (net = 192.168.221.64/26) then { accept; }\n  if (net ~ 192.168.221.64/26) then { reject; }" in text
    assert "if (net ~ 10.9.0.0/16) then { reject; }  # pool q" in text
    assert "if (net ~ 192.168.0.0/16) then { accept; }" in text
    statics = [line.strip() for line in text.splitlines() if "blackhole" in line]
    assert statics == ["route 192.168.8.0/26 blackhole;", "route 192.168.221.64/26 blackhole;"]
    assert "192.168.8.0/26) then" not in text  # on its way out: no longer announced as a whole
    assert 'interface -"cali*", -"kube-ipvs*", "*";' in text
    assert "metric" not in text
    assert "listen" not in text


def test_the_other_side_is_passive_and_ipv6_is_another_file() -> None:
    text = rendered(*CLUSTER, identity=Identity(name="b"))
    assert "neighbor 10.0.0.9 as 65010" in text  # whose Node has no number: it has the AS of whoever looks
    assert "  passive on;" in text
    assert "local as 65010;" in text
    six = rendered(*CLUSTER, version=6)
    assert "protocol bgp Mesh_fd00__a from bgp_template {" in six
    assert "router id 10.0.0.9;" in six
    assert "if (net ~ fd80::/48) then { accept; }" in six
    assert "192.168" not in six


def test_filters_are_functions_that_the_sessions_call() -> None:
    peer = bgp_peer("tor", peerIP="10.0.0.254", asNumber=65001, filters=["my-filter.1"])
    text = rendered(*CLUSTER, FILTER, peer)
    assert "if ((net ~ [ 10.1.0.0/16{20,24} ])) then { reject; }" in text
    assert '(! internal_peer) && (net !~ 10.2.0.0/16) && ((defined(ifname)) && (ifname ~ "eth*"))' in text
    assert "if ((net = 10.3.0.0/16) && (source = RTS_BGP)) then { accept; }" in text
    assert "(! (net ~ [ 10.4.0.0/16{16,16} ]))" in text
    assert "if ((false)) then { accept; }" in text
    assert "((64512, 5) ~ bgp_community) && (bgp_path ~ [= 65001 65002 * =])" in text
    added = "bgp_community.add((64512, 6)); bgp_large_community.add((64512, 6, 7));"
    assert f"{added} bgp_path.prepend(65101); bgp_path.prepend(65100); bgp_local_pref = 2147483135; accept;" in text
    assert "(bgp_local_pref = 2147483547)" in text
    assert "((64512, 5, 6) ~ bgp_large_community)" in text
    assert "import filter { 'bgp_my-filter.1_importFilterV4'(false); accept; };" in text
    assert (
        "export filter { 'bgp_my-filter.1_exportFilterV4'(false); calico_export_to_bgp_peers(false); reject; };" in text
    )
    six = bgp_peer("six", peerIP="fd00::ff", asNumber=64512, filters=["my-filter.1"])
    assert "'bgp_my-filter.1_importFilterV6'(true)" in rendered(*CLUSTER, FILTER, six, version=6)


def test_every_setting_of_a_session() -> None:
    peer = bgp_peer(
        "tor",
        peerIP="172.16.0.1:1790",
        asNumber=65001,
        localASNumber=65200,
        sourceAddress="None",
        ttlSecurity=3,
        maxRestartTime="90s",
        keepaliveTime="20s",
        nextHopMode="Keep",
        numAllowedLocalASNumbers=2,
        reachableBy="10.0.0.1",
        password={"secretKeyRef": {"name": "bgp", "key": "tor"}},
    )
    reference = SecretReference("bgp", "tor")
    text = rendered(*CLUSTER, peer, secrets={reference: "hunter2"})
    assert "hunter2" not in text
    part = text[text.index("protocol bgp Global_172_16_0_1_port_1790") :].partition("}\n\n")[0]
    for line in (
        "local as 65200;",
        "neighbor 172.16.0.1 port 1790 as 65001;",
        "ttl security on; multihop 3;",
        'password "(not printed)";',
        "graceful restart time 90;",
        "keepalive time 20;",
        "next hop keep;",
        "allow local as 2;",
    ):
        assert line in part
    assert "source address" not in part
    assert "route 172.16.0.1/32 via 10.0.0.1;" in text


def test_a_reflector_with_a_port_and_an_address_of_its_own() -> None:
    own = node("a", "10.0.0.9/24", routeReflectorClusterID="244.0.0.1")
    peer = bgp_peer("all", nodeSelector="all()", peerSelector="has(rr)", nextHopMode="Self")
    other = node("c", "10.0.0.11/24", labels={"rr": "1"})
    settings = configuration(listenPort=1179, bindMode="NodeIP", ignoredInterfaces=["docker*"])
    text = rendered(own, other, pool("p", "192.168.0.0/16"), peer, settings)
    assert "listen bgp address 10.0.0.9 port 1179;" in text
    assert "protocol bgp Node_10_0_0_11 from" in text
    assert "rr client; rr cluster id 244.0.0.1;" in text
    assert "next hop self;" in text
    assert "neighbor 10.0.0.11 port 1179 as 64512;" in text
    assert 'interface -"docker*", -"cali*"' in text


def test_what_the_version_of_calico_changes() -> None:
    services = configuration(
        serviceClusterIPs=[{"cidr": "10.96.0.0/12"}],
        prefixAdvertisements=[{"cidr": "192.168.0.0/16", "communities": ["64512:7", "64512:7:8"]}],
    )
    tunnels = pool("t", "10.7.0.0/16", ipipMode="Always"), pool("v", "10.8.0.0/16", vxlanMode="Always")
    text = rendered(*CLUSTER, *tunnels, services, cluster_information(calicoVersion="v3.32.1"))
    assert "bgp_local_pref = 2147482623;" in text
    assert "krt_metric = 2147483647 - bgp_local_pref;" in text
    assert 'if (net ~ 10.7.0.0/16) then { accept; }  # krt_tunnel = "tunl0"' in text
    assert "if (net ~ 10.8.0.0/16) then { reject; }" in text
    assert "if (net ~ 10.96.0.0/12) then { reject; }" in text
    assert "if (net ~ 10.96.0.0/12) then { accept; }  # services" in text
    assert "route 10.96.0.0/12 blackhole;" in text
    assert "bgp_community.add((64512, 7)); bgp_large_community.add((64512, 7, 8));" in text


def test_a_node_that_takes_no_part_and_problems_are_comments() -> None:
    text = rendered(*CLUSTER, identity=Identity(name="nobody"))
    assert "# no address is known for node nobody: give --ip" in text
    given = Identity(name="new", ipv4=HostAddress("10.0.0.30", 24))
    bad = bgp_peer("bad", peerIP="10.0.0.254")
    assert "# BGPPeer bad: peerIP 10.0.0.254 has no asNumber" in rendered(*CLUSTER, bad, identity=given)


class SilentDatastore(FileDatastore):
    async def follow(self) -> AsyncIterator[Update]:
        await asyncio.sleep(60)
        raise AssertionError
        yield


async def test_a_datastore_that_does_not_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    silent = SilentDatastore(tmp_path / "cluster.yaml")
    with caplog.at_level(logging.ERROR):
        code = await print_configuration(silent, Identity(name="a"), Options(), lambda: None, 4, out, patience=0.05)
    assert (code, out.getvalue()) == (1, "")
    assert "no answer in 0.05 s" in caplog.text
