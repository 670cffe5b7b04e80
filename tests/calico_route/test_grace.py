"""Stale routes go after the last End-of-RIB, and one dead node does not keep everybody waiting."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.grace import Grace, PeerProgress

AWAY = PeerProgress(established=False, complete=False)
DONE = PeerProgress(established=True, complete=True, uptime=1.0)


def speaking(uptime: float) -> PeerProgress:
    return PeerProgress(established=True, complete=False, uptime=uptime)


def begun(at: float = 100.0) -> Grace:
    grace = Grace(30.0)
    grace.begin(at)
    return grace


def test_nothing_before_the_peers_are_known() -> None:
    grace = Grace(30.0)
    assert grace.ready([DONE], 1e9) == ""
    assert grace.next_deadline([DONE], 1e9) is None


def test_who_has_ended_all_sessions_waits_for_nobody() -> None:
    """At a first start the datastore may not have said everything yet."""
    grace = begun()
    assert grace.ready([], 101.0) == ""
    grace.again()
    assert grace.ready([], 102.0) == ""
    grace.begin(103.0)
    assert grace.ready([AWAY], 103.0) == ""
    assert grace.ready([], 103.0)


def test_all_nodes_have_sent_everything() -> None:
    assert begun().ready([DONE, DONE], 101.0)


def test_one_early_end_of_rib_is_not_enough() -> None:
    """The others may be about to confirm what is stale."""
    grace = begun()
    assert grace.ready([DONE, AWAY], 110.0) == ""
    assert grace.next_deadline([DONE, AWAY], 110.0) == 130.0
    assert grace.ready([DONE, DONE], 111.0)


def test_a_dead_node_is_waited_for_until_the_timer_only() -> None:
    assert begun().ready([DONE, AWAY], 129.9) == ""
    assert "1 of 2 nodes are away" in begun().ready([DONE, AWAY], 130.0)


def test_one_that_came_late_may_finish() -> None:
    grace = begun()
    assert grace.ready([speaking(2.0), AWAY], 131.0) == ""
    assert grace.next_deadline([speaking(2.0), AWAY], 131.0) == 131.0 + 28.0
    assert grace.ready([DONE, AWAY], 132.0)


def test_one_without_graceful_restart_never_says_that_it_is_complete() -> None:
    assert begun().ready([speaking(30.0), DONE], 131.0)


def test_alone_the_timer_decides() -> None:
    assert begun().ready([], 101.0) == ""
    assert begun().ready([], 130.0)


def test_the_timer_begins_once_and_ends_once() -> None:
    grace = begun()
    grace.begin(1000.0)
    assert grace.ready([], 130.0)
    grace.finish()
    assert grace.ready([], 131.0) == ""
    assert grace.next_deadline([AWAY], 131.0) is None


def test_again_after_the_speaker_was_exchanged() -> None:
    grace = begun()
    grace.finish()
    grace.again()
    assert grace.ready([DONE], 200.0) == ""
    grace.begin(200.0)
    assert grace.ready([DONE, AWAY], 229.0) == ""
    assert grace.ready([DONE, AWAY], 230.0)


peers = st.lists(st.one_of(st.just(AWAY), st.just(DONE), st.floats(0, 60, allow_nan=False).map(speaking)), max_size=6)


@given(peers, st.floats(100, 200, allow_nan=False))
@settings(max_examples=200, deadline=None)
def test_there_is_always_a_next_time_to_ask(found: list[PeerProgress], now: float) -> None:
    """Whatever the peers do, the wait ends: either it is time, or there is a deadline ahead."""
    grace = begun()
    if not grace.ready(found, now):
        deadline = grace.next_deadline(found, now)
        assert deadline is not None
        assert now <= deadline <= now + 30.0
