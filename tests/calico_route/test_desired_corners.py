"""Corners of what is announced and installed, where Calico's own order and versions decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calico_route.documents import read_document
from calico_route.model import Kind, Resource, ResourceKey
from calico_route.sessions import Options
from pybgp import Prefix, pack_address
from tests.calico_route.resources import bgp_filter, bgp_peer, block, configuration, node, pool
from tests.calico_route.test_desired import BLOCKS, OWN, POOL, announced, ask


def test_a_blackhole_goes_in_where_learned_routes_do() -> None:
    """Where Felix installs the routes of a pool it has a blackhole of its own."""
    some = (
        pool("vxlan", "10.1.0.0/16", vxlanMode="Always"),
        pool("ipip", "10.2.0.0/16", ipipMode="Always"),
        pool("plain", "10.3.0.0/16"),
        *(block("me", f"10.{number}.0.0/26") for number in (1, 2, 3)),
    )
    for version, blackholes in (("v3.32", ["10.2.0.0/26", "10.3.0.0/26"]), ("v3.33", ["10.3.0.0/26"])):
        wanted = ask(OWN, *some, options=replace(BLOCKS, compat=version))
        assert sorted(map(str, wanted.statics)) == blackholes
        assert announced(wanted) == {"10.1.0.0/26", "10.2.0.0/26", "10.3.0.0/26"}


def test_a_filter_lets_out_to_its_neighbour_what_pools_and_blocks_keep() -> None:
    """As Calico asks filters first: with them an operator announces single workloads, or a pool to one router."""
    some = (
        OWN,
        POOL,
        pool("secret", "10.9.0.0/16", disableBGPExport=True),
        block("me", "10.1.1.64/26"),
        node("a", "192.0.2.1"),
        bgp_peer("tor", peerIP="192.0.2.254", asNumber=65001, filters=["f"]),
    )
    kernel = ("10.1.1.65/32", "10.9.0.1/32", "10.2.0.1/32")
    rules = (
        {"action": "Reject", "cidr": "10.1.1.65/32", "matchOperator": "Equal"},
        {"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In", "peerType": "eBGP"},
    )
    wanted = ask(*some, options=BLOCKS, kernel=kernel)
    assert announced(wanted) == {"10.1.1.64/26", "10.2.0.1/32"}
    wanted = ask(*some, bgp_filter("f", exportV4=[rules[1]]), options=BLOCKS, kernel=kernel)
    assert announced(wanted) == {"10.1.1.64/26", *kernel}
    assert all(peer.export is not None for peer in wanted.peers.values()), "the mesh has to look now"
    wanted = ask(*some, bgp_filter("f", exportV4=list(rules)), options=BLOCKS, kernel=kernel)
    assert announced(wanted) == {"10.1.1.64/26", "10.2.0.1/32", "10.9.0.1/32"}
    assert wanted.withheld.keys() == {Prefix("10.1.1.65/32")}


def test_the_next_hops_behind_wireguard_are_felixs() -> None:
    def with_wireguard(name: str, ipv4: str, tunnel: str | None) -> Resource:
        spec = {"bgp": {"ipv4Address": ipv4}, "wireguard": {"interfaceIPv4Address": tunnel}}
        made = read_document(ResourceKey(Kind.NODE, "", name), {"spec": spec}).resource
        assert made is not None
        return made

    others = (with_wireguard("a", "192.0.2.1", "10.1.0.1"), with_wireguard("b", "192.0.2.2", None))
    mine = with_wireguard("me", "192.0.2.5", "10.1.0.5")
    encrypted = {pack_address("192.0.2.1")}
    assert ask(mine, POOL, *others, options=Options(compat="v3.33")).kernel.encrypted == encrypted
    assert ask(mine, POOL, *others, options=Options(compat="v3.32")).kernel.encrypted == set()
    assert ask(OWN, POOL, *others, options=Options(compat="v3.33")).kernel.encrypted == set()


@pytest.mark.parametrize(("version", "listen"), [("v3.31", ("192.0.2.5",)), ("v3.32", ("0.0.0.0",))])
def test_where_a_node_listens_was_once_its_own_affair(version: str, listen: tuple[str, ...]) -> None:
    wanted = ask(OWN, POOL, configuration("node.me", bindMode="NodeIP"), options=Options(compat=version))
    assert wanted.local is not None
    assert wanted.local.listen == listen
