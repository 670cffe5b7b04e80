"""What stays until others have taken over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calico_route.handover import LINGER, LOOK, PATIENCE, Handover
from calico_route.sessions import MeshPeer

NODES = {f"192.0.2.{number}": f"n{number}" for number in range(10)}


def peer(number: int, *, client: bool = False) -> MeshPeer:
    return MeshPeer(
        node=f"n{number}", address=f"192.0.2.{number}", peer_as=64512, own_as=64512, port=179, passive=False,
        local_address="192.0.2.200", restart_time=120, hold_time=90, client=client, cluster_id=7 if client else None,
    )  # fmt: skip


def peers(*numbers: int, client: bool = False) -> dict[str, MeshPeer]:
    return {f"192.0.2.{number}": peer(number, client=client) for number in numbers}


def test_a_session_stays_until_the_others_have_all_and_some_time_more() -> None:
    handover = Handover()
    actual = peers(1, 2, 3)
    wanted = peers(1)
    kept = handover.keep(wanted, NODES, actual, lambda: {"192.0.2.2"}, 100.0)
    assert kept.keys() == actual.keys()
    assert kept["192.0.2.2"] == replace(actual["192.0.2.2"], leaving=True)
    assert handover.next_deadline(100.0) == 100.0 + LINGER
    # The wanted one is not complete yet.
    assert handover.keep(wanted, NODES, kept, set, 100.0 + LINGER).keys() == actual.keys()
    assert handover.next_deadline(100.0 + LINGER) == 100.0 + LINGER + LOOK
    assert handover.keep(wanted, NODES, kept, wanted.keys, 100.0 + LINGER + LOOK) == wanted
    assert handover.next_deadline(200.0) is None
    assert not handover.under_way


def test_complete_at_once_is_no_reason_to_let_go_at_once() -> None:
    handover = Handover()
    assert handover.keep(peers(1), NODES, peers(1, 2), peers(1).keys, 0.0).keys() == peers(1, 2).keys()
    assert handover.keep(peers(1), NODES, peers(1, 2), peers(1).keys, LINGER - 0.1).keys() == peers(1, 2).keys()
    assert handover.keep(peers(1), NODES, peers(1, 2), peers(1).keys, LINGER) == peers(1)


def test_a_dead_node_keeps_nobody_waiting_for_ever() -> None:
    handover = Handover()
    handover.keep(peers(1), NODES, peers(1, 2), set, 0.0)
    assert handover.keep(peers(1), NODES, peers(1, 2), set, PATIENCE - 1).keys() == peers(1, 2).keys()
    assert handover.keep(peers(1), NODES, peers(1, 2), set, PATIENCE) == peers(1)


@pytest.mark.parametrize("nodes", [{}, {"192.0.2.2": "another"}])
def test_a_node_that_is_gone_goes_at_once(nodes: dict[str, str]) -> None:
    assert Handover().keep(peers(1), nodes, peers(1, 2), set, 0.0) == peers(1)


def test_a_router_and_the_last_session_go_at_once() -> None:
    router = replace(peer(2), node="", origin="tor")
    assert Handover().keep(peers(1), NODES, {**peers(1), "192.0.2.2": router}, set, 0.0) == peers(1)
    assert Handover().keep({}, NODES, peers(1, 2), set, 0.0) == {}


def test_a_reflector_reflects_on_meanwhile() -> None:
    handover = Handover()
    wanted = peers(1, 2)
    kept = handover.keep(wanted, NODES, peers(1, 2, client=True), set, 0.0)
    assert all(one.client and one.cluster_id == 7 and one.leaving for one in kept.values())
    assert handover.keep(wanted, NODES, kept, wanted.keys, LINGER) == wanted


def test_what_is_wanted_again_is_no_longer_leaving() -> None:
    handover = Handover()
    kept = handover.keep(peers(1), NODES, peers(1, 2), set, 0.0)
    assert handover.keep(peers(1, 2), NODES, kept, set, 1.0) == peers(1, 2)
    assert not handover.under_way
    handover.keep(peers(1), NODES, peers(1, 2), peers(1).keys, 50.0)
    assert handover.next_deadline(50.0) == 50.0 + LINGER, "counted anew"


def test_a_new_start_keeps_nothing() -> None:
    handover = Handover()
    handover.keep(peers(1), NODES, peers(1, 2), set, 0.0)
    handover.again()
    assert handover.next_deadline(0.0) is None
