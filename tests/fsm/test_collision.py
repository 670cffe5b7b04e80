"""Connection collision, RFC 4271 section 6.8 and RFC 6286: both ends must keep the same connection."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.fsm.collision import Side, collision_loser
from pybgp.fsm.states import State


def loser(outgoing: State, incoming: State, local: tuple[int, int] = (1, 1), peer: tuple[int, int] = (2, 1)) -> object:
    return collision_loser(
        local_id=local[0],
        local_as=local[1],
        peer_id=peer[0],
        peer_as=peer[1],
        outgoing=outgoing,
        incoming=incoming,
    )


@pytest.mark.parametrize(
    ("local", "peer", "expected"),
    [
        ((1, 1), (2, 1), Side.OUTGOING),  # the higher identifier's connection stays: theirs came in
        ((2, 1), (1, 1), Side.INCOMING),
        ((0xC0000201, 1), (0x0A000001, 1), Side.INCOMING),  # unsigned, as four-octet numbers
        ((7, 65001), (7, 65002), Side.OUTGOING),  # RFC 6286: the higher AS
        ((7, 65002), (7, 65001), Side.INCOMING),
        ((1, 65002), (2, 65001), Side.OUTGOING),  # the identifier comes first
    ],
)
@pytest.mark.parametrize("states", [(State.OPEN_CONFIRM, State.OPEN_SENT), (State.OPEN_SENT, State.OPEN_CONFIRM)])
def test_the_higher_side_keeps_what_it_made(
    local: tuple[int, int], peer: tuple[int, int], expected: Side, states: tuple[State, State]
) -> None:
    assert loser(*states, local, peer) is expected


@pytest.mark.parametrize("peer", [(1, 1), (3, 1)])
@pytest.mark.parametrize("other", [state for state in State if state is not State.ESTABLISHED])
@pytest.mark.rfc("4271", "6.8", "pybgp.fsm.collision:collision_loser", "an established connection stays")
def test_an_established_connection_stays(peer: tuple[int, int], other: State) -> None:
    assert loser(State.ESTABLISHED, other, (2, 1), peer) is Side.INCOMING
    assert loser(other, State.ESTABLISHED, (2, 1), peer) is Side.OUTGOING


@pytest.mark.parametrize(("outgoing", "incoming"), list(product(list(State)[:5], repeat=2)))
def test_nothing_is_decided_before_both_are_open_and_one_has_spoken(outgoing: State, incoming: State) -> None:
    decided = min(outgoing, incoming) >= State.OPEN_SENT and max(outgoing, incoming) >= State.OPEN_CONFIRM
    assert (loser(outgoing, incoming) is not None) == decided


def test_without_an_identifier_nothing_is_decided() -> None:
    found = collision_loser(
        local_id=1, peer_id=None, local_as=1, peer_as=1, outgoing=State.OPEN_SENT, incoming=State.OPEN_CONFIRM
    )
    assert found is None


SIDES = ("a", "b")


@settings(deadline=None, max_examples=200)
@given(order=st.permutations([(end, made_by) for end in SIDES for made_by in SIDES]), data=st.data())
@pytest.mark.rfc(
    "4271", "6.8", "pybgp.fsm.collision:collision_loser", "of two crossing connections the right one stays"
)
@pytest.mark.rfc("6286", "2.3", "pybgp.fsm.collision:collision_loser", "equal identifiers: the higher AS")
def test_two_crossing_connections_leave_one_and_the_right_one(
    order: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Two ends, two connections, the four OPENs in any order, each Cease delivered at any later time."""
    ids = data.draw(st.sampled_from([{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": 5, "b": 5}]))
    ases = data.draw(st.sampled_from([{"a": 10, "b": 20}, {"a": 20, "b": 10}]))
    # state of each connection (named by who made it) at each end
    state = {(end, made_by): State.OPEN_SENT for end in SIDES for made_by in SIDES}
    ceases: list[tuple[str, str]] = []

    def close(end: str, made_by: str) -> None:
        state[end, made_by] = State.IDLE
        ceases.append((SIDES[end == "a"], made_by))

    def settle_one_cease() -> None:
        end, made_by = ceases.pop(data.draw(st.integers(0, len(ceases) - 1)))
        state[end, made_by] = State.IDLE

    for end, made_by in order:
        for _ in range(data.draw(st.integers(0, len(ceases)))):
            settle_one_cease()
        if state[end, made_by] is State.IDLE:
            continue
        state[end, made_by] = State.OPEN_CONFIRM
        other = SIDES[end == "a"]
        lost = collision_loser(
            local_id=ids[end],
            peer_id=ids[other],
            local_as=ases[end],
            peer_as=ases[other],
            outgoing=state[end, end],
            incoming=state[end, other],
        )
        if lost is not None:
            close(end, end if lost is Side.OUTGOING else other)
    while ceases:
        settle_one_cease()

    winner = max(SIDES, key=lambda side: (ids[side], ases[side]))
    assert {key for key, value in state.items() if value is not State.IDLE} == {("a", winner), ("b", winner)}
