"""Labelled unicast and flow specifications in sessions: negotiated, kept, reflected, withdrawn."""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.family import IPV4_UNICAST, Family
from pybgp.fsm.states import State
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.nlri import CODEC_OF
from pybgp.messages.nlri.labels import pack_labels
from pybgp.prefix import Prefix, pack_address
from tests.network import Net, Node

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
LABELLED = Family.parse("ipv4-labeled-unicast")
FLOWSPEC = [Family.parse("ipv4-flowspec"), Family.parse("ipv6-flowspec")]


def reflecting(*families: Family) -> tuple[Net, Node, Node, Node]:
    """Two clients of a route reflector."""
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    for client in (a, c):
        client.add(b, families=families)
        b.add(client, families=families, route_reflector_client=True)
    return net, a, b, c


def originate(node: Node, family: Family, text: str, label: int | None = None, **attributes: Any) -> None:
    made = PathAttributes.build(**attributes)
    if label is not None:
        made = LabelledAttributes.of(made, pack_labels(label))
    node.router.announce(family, [Prefix.read(family, text).nlri], made)


def held(node: Node, family: Family) -> dict[str, PathAttributes]:
    rib = node.router.tables.loc_rib(family)
    return {str(Prefix.of(family, nlri)): path.attributes for part in rib.walk() for nlri, path in part}  # type: ignore[union-attr]


def labels(node: Node) -> dict[str, tuple[int, ...]]:
    found = held(node, LABELLED)
    assert all(isinstance(attributes, LabelledAttributes) for attributes in found.values())
    return {prefix: attributes.labels for prefix, attributes in found.items()}  # type: ignore[attr-defined]


def test_labels_are_reflected_and_replaced() -> None:
    """RFC 8277 section 2.4: a new label for a prefix takes the place of the old one, in one UPDATE."""
    net, a, b, c = reflecting(IPV4_UNICAST, LABELLED)
    for number in range(20):
        originate(a, LABELLED, f"10.65.{number}.0/24", 100 + number)
    a.announce("10.65.0.0/24")
    net.run(5)
    expected = {f"10.65.{number}.0/24": (100 + number,) for number in range(20)}
    assert labels(b) == expected
    assert labels(c) == expected
    path = held(c, LABELLED)["10.65.0.0/24"]
    assert path.next_hop_text == A
    assert path.originator_id == int.from_bytes(pack_address(A), "big")
    assert c.path("10.65.0.0/24").next_hop_text == A
    originate(a, LABELLED, "10.65.0.0/24", 999)
    net.run(1)
    assert labels(c) == expected | {"10.65.0.0/24": (999,)}
    a.router.withdraw(LABELLED, [Prefix("10.65.0.0/24").nlri])
    net.run(1)
    assert labels(b) == labels(c) == {prefix: stack for prefix, stack in expected.items() if prefix != "10.65.0.0/24"}
    assert c.path("10.65.0.0/24").next_hop_text == A  # the route of the other family stays


def test_a_label_does_not_go_with_another_next_hop() -> None:
    """RFC 8277 section 3.1: who puts itself as the next hop has to assign a label, which this speaker does not."""
    net = Net()
    a, b, c = net.node(A, 64601), net.node(B, 64602), net.node(C, 64603)
    for one, other in ((a, b), (b, a), (b, c), (c, b)):
        one.add(other, families=(LABELLED,))
    originate(a, LABELLED, "10.65.0.0/24", 100)
    net.run(5)
    assert labels(b) == {"10.65.0.0/24": (100,)}
    assert held(c, LABELLED) == {}
    (path,) = [path for part in b.router.tables.loc_rib(LABELLED).walk() for _, path in part]
    exchange = b.peer(c).exchanges[LABELLED]
    assert exchange.adj_rib_out is not None
    assert "label" in str(exchange.adj_rib_out.export.reason(path))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FLOWSPEC, ids=str)
def test_flow_specifications_are_reflected(family: Family) -> None:
    """RFC 8955 section 4: without a next hop, and none is asked for."""
    net, a, b, c = reflecting(family)
    network = "192.0.2.0/24" if family.afi == 1 else "2001:db8::/32"
    texts = [f"destination {network} protocol =6 port >=80&<=90", f"destination {network}", "port =80"]
    for text in texts:
        originate(a, family, text, extended_communities=["traffic-rate:64512:0"])
    net.run(5)
    assert all(peer.state is State.ESTABLISHED for peer in b.router.peers.values())
    for node in (b, c):
        assert held(node, family).keys() == set(texts)
        assert all(attributes.next_hop == b"" for attributes in held(node, family).values())
    a.router.withdraw(family, [Prefix.read(family, "port =80").nlri])
    net.run(1)
    assert held(c, family).keys() == set(texts[:2])
    net.kill(a)
    net.run(500)
    assert held(c, family) == {}


def test_flow_specifications_between_ases() -> None:
    net = Net()
    a, b = net.node(A, 64601), net.node(B, 64602)
    a.add(b, families=(FLOWSPEC[0],))
    b.add(a, families=(FLOWSPEC[0],))
    originate(a, FLOWSPEC[0], "all")
    net.run(5)
    assert str(held(b, FLOWSPEC[0])["all"].as_path) == "64601"


def test_every_family_that_the_codec_knows_can_be_negotiated() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, families=tuple(CODEC_OF))
    b.add(a, families=tuple(CODEC_OF))
    net.run(5)
    assert a.peer(b).exchanges.initial_table_received
    assert all(exchange.end_of_rib_received for exchange in a.peer(b).exchanges.values())
