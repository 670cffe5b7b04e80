"""A neighbour becomes a route reflector client, or ceases to be one, within its session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.snapshot import snapshot
from tests.network import Net, Node

CENTRE, A, B = "10.0.0.1", "10.0.0.2", "10.0.0.3"
OF_A, OF_B = "10.65.0.1/32", "10.65.0.2/32"


def change(node: Node, other: Node, **settings: Any) -> None:
    peer = node.peer(other)
    node.router.change_peer(peer, replace(peer.config, **settings), now=node.net.now)
    node.net.run(1)


def star(ones: Mapping[str, Any], others: Mapping[str, Any]) -> tuple[Node, Node, Node]:
    """A and B know only the centre; the centre's settings for each of them."""
    net = Net()
    centre, a, b = net.node(CENTRE), net.node(A), net.node(B)
    for node, settings in ((a, ones), (b, others)):
        node.add(centre)
        centre.add(node, **settings)
    a.announce(OF_A)
    b.announce(OF_B)
    net.run(5)
    return centre, a, b


def updates(node: Node, other: Node) -> int:
    """How many UPDATEs it has sent to the other."""
    return snapshot(node.peer(other), node.net.now).updates_sent


@pytest.mark.parametrize("add_path", [False, True])
def test_both_hear_of_each_other_from_the_first_client_on_and_until_the_last(*, add_path: bool) -> None:
    """RFC 4456 section 6: from a client to everybody, from the others to clients."""
    paths: dict[str, Any] = {"add_path_send": (IPV4_UNICAST,)} if add_path else {}
    centre, a, b = star({}, paths)
    if add_path:
        b.router.remove_peer(b.peer(centre), b.net.now)
        b.add(centre, add_path_receive=(IPV4_UNICAST,))
        b.net.run(10)
    assert (set(a.table()), set(b.table())) == ({OF_A}, {OF_B})
    before = len(centre.told("up"))
    change(centre, a, route_reflector_client=True)
    assert a.table() == {OF_A: "local", OF_B: CENTRE}
    assert b.table() == {OF_B: "local", OF_A: CENTRE}
    change(centre, b, route_reflector_client=True)
    change(centre, a, route_reflector_client=False)
    assert a.table() == {OF_A: "local", OF_B: CENTRE}
    assert b.table() == {OF_B: "local", OF_A: CENTRE}
    change(centre, b, route_reflector_client=False)
    assert (set(a.table()), set(b.table())) == ({OF_A}, {OF_B})
    assert len(centre.told("up")) == before, "the sessions have stood throughout"


def test_what_is_told_already_is_not_told_again() -> None:
    centre, a, b = star({"route_reflector_client": True}, {})
    sent = updates(centre, b)
    change(centre, b, route_reflector_client=True)
    assert updates(centre, b) == sent
    assert a.table().keys() == b.table().keys() == {OF_A, OF_B}


def test_another_cluster_id_takes_effect_in_both_directions() -> None:
    centre, _, b = star({"route_reflector_client": True}, {"route_reflector_client": True})
    assert b.path(OF_A).cluster_list == (0x0A000001,)
    change(centre, b, cluster_id=7)
    assert b.path(OF_A).cluster_list == (7,)
    change(b, centre, cluster_id=7)
    assert b.table().keys() == {OF_B}, "a loop, to whoever has this cluster id"
    change(b, centre, cluster_id=None)
    assert b.table().keys() == {OF_A, OF_B}
    assert len(centre.told("up")) == 2


@pytest.mark.parametrize("silent", [False, True])
def test_who_is_let_go_without_a_cease_keeps_the_routes_until_it_lets_go_too(*, silent: bool) -> None:
    """RFC 4724 section 4.2: a connection that just ends."""
    centre, a, _ = star({"route_reflector_client": True}, {})
    centre.router.remove_peer(centre.peer(a), centre.net.now, silent=silent)
    a.net.run(1)
    assert (OF_B in a.table()) is silent
    assert OF_A not in centre.table()
    a.router.remove_peer(a.peer(centre), a.net.now)
    a.net.run(1)
    assert a.table().keys() == {OF_A}
