"""From any state to any other, in an order that hurts nobody."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.reconcile import (
    AddPeer,
    AnnounceRoutes,
    BgpState,
    ChangePeer,
    RemovePeer,
    WithdrawRoutes,
    apply,
    reconcile,
)
from calico_route.sessions import MeshPeer
from pybgp import Prefix


def peer(number: int, port: int = 179) -> MeshPeer:
    address = f"192.0.2.{number}"
    return MeshPeer(
        node=f"n{number}", address=address, peer_as=64512, own_as=64512, port=port, passive=False,
        local_address="192.0.2.200", restart_time=120, hold_time=90,
    )  # fmt: skip


peers = st.dictionaries(st.integers(1, 6), st.sampled_from([179, 1790])).map(
    lambda found: {f"192.0.2.{number}": peer(number, port) for number, port in found.items()}
)
prefixes = st.frozensets(st.integers(1, 8).map(lambda number: Prefix(f"10.0.0.{number}/32")))
local_prefs = st.sampled_from([(), ((1, 2147482623), (2, 2147482623)), ((1, 100),)])
states = st.builds(BgpState, peers, prefixes, local_prefs)


@given(states, states)
@settings(max_examples=200, deadline=None)
def test_the_steps_lead_to_what_is_wanted(wanted: BgpState, actual: BgpState) -> None:
    assert apply(reconcile(wanted, actual), actual) == wanted


@given(states)
@settings(max_examples=100, deadline=None)
def test_between_equal_states_there_is_nothing_to_do(state: BgpState) -> None:
    assert reconcile(state, state) == []


@given(states, states)
@settings(max_examples=200, deadline=None)
def test_nothing_is_touched_that_stays(wanted: BgpState, actual: BgpState) -> None:
    for operation in reconcile(wanted, actual):
        match operation:
            case AddPeer(new) | ChangePeer(new):
                assert actual.peers.get(new.address) != new
            case RemovePeer(address):
                assert address not in wanted.peers
            case WithdrawRoutes(prefixes):
                assert not wanted.announcements & set(prefixes)
            case AnnounceRoutes(prefixes, local_prefs):
                assert local_prefs == wanted.local_prefs
                assert local_prefs != actual.local_prefs or not actual.announcements & set(prefixes)


@given(states, states)
@settings(max_examples=100, deadline=None)
def test_routes_are_there_before_a_new_peer_asks(wanted: BgpState, actual: BgpState) -> None:
    operations = reconcile(wanted, actual)
    kinds = [type(operation) for operation in operations]
    if AddPeer in kinds and AnnounceRoutes in kinds:
        assert kinds.index(AnnounceRoutes) < kinds.index(AddPeer)


def test_a_changed_peer_is_changed_and_not_replaced() -> None:
    old, new = peer(1), peer(1, 1790)
    steps = reconcile(BgpState({old.address: new}), BgpState({old.address: old}))
    assert steps == [ChangePeer(new, old)]
