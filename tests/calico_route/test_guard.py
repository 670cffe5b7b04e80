"""Mass deletions are held back, each class for itself, and believed in the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.guard import AFTERMATH, EVERYTHING, NODES, POOLS, WORKLOADS, Guard, Verdict
from calico_route.model import Resource
from calico_route.view import View
from tests.calico_route.resources import endpoint, node, pool, view

NODES_OF_FIVE = [node(f"n{number}", f"192.0.2.{number}") for number in range(1, 6)]
POOLS_OF_TWO = [pool("p", "10.0.0.0/8"), pool("q", "172.16.0.0/12")]
FULL = view(*NODES_OF_FIVE, *POOLS_OF_TWO, endpoint("w", "n1", "10.0.0.1/32"))


def guarded(first: View = FULL, hold_time: float = 300) -> Guard:
    guard = Guard(hold_time)
    assert guard.check(first, 0.0).view == first
    assert guard.holds == ()
    return guard


def names(seen: View) -> list[str]:
    return [one.name for one in seen.nodes]


def test_single_deletions_pass() -> None:
    guard = guarded()
    for left, now in ((4, 100.0), (3, 200.0), (2, 300.0), (1, 400.0)):
        seen = view(*NODES_OF_FIVE[:left], *POOLS_OF_TWO)
        assert guard.check(seen, now).view == seen
    last_pool = view(*NODES_OF_FIVE, POOLS_OF_TWO[0])
    assert guarded().check(last_pool, 1.0).view == last_pool


def test_most_nodes_at_once() -> None:
    guard = guarded()
    verdict = guard.check(view(*NODES_OF_FIVE[:2], *POOLS_OF_TWO), 10.0)
    assert [hold.what for hold in verdict.begun] == [NODES]
    assert names(verdict.view) == ["n1", "n2", "n3", "n4", "n5"]
    assert guard.next_deadline() == 310.0
    assert {key.name for key in guard.holds[0].missing} == {"n3", "n4", "n5"}


def test_three_of_seven_are_no_majority_and_two_of_two_are_too_few() -> None:
    seven = [node(f"n{number}", f"192.0.2.{number}") for number in range(7)]
    fewer = view(*seven[3:], *POOLS_OF_TWO)
    assert guarded(view(*seven, *POOLS_OF_TWO)).check(fewer, 1.0).view == fewer
    pair = view(*NODES_OF_FIVE[:2], *POOLS_OF_TWO)
    none = view(*POOLS_OF_TWO)
    assert guarded(pair).check(none, 1.0).view == none


def test_nodes_that_go_one_soon_after_the_other() -> None:
    guard = guarded()
    guard.check(view(*NODES_OF_FIVE[1:], *POOLS_OF_TWO), 1.0)
    guard.check(view(*NODES_OF_FIVE[2:], *POOLS_OF_TWO), 2.0)
    verdict = guard.check(view(*NODES_OF_FIVE[3:], *POOLS_OF_TWO), 3.0)
    assert [hold.what for hold in verdict.begun] == [NODES]
    assert names(verdict.view) == ["n3", "n4", "n5"], "the first two went before it was a pattern"


def test_all_pools() -> None:
    guard = guarded()
    verdict = guard.check(view(*NODES_OF_FIVE), 10.0)
    assert [hold.what for hold in verdict.begun] == [POOLS]
    assert verdict.view.pools == FULL.pools
    assert not verdict.view.workloads("n1"), "what is not held is believed"


def test_an_empty_datastore() -> None:
    guard = guarded()
    verdict = guard.check(View(99), 10.0)
    assert [hold.what for hold in verdict.begun] == [EVERYTHING]
    assert verdict.view.tables == FULL.tables


def test_a_datastore_that_is_written_anew_at_once() -> None:
    guard = guarded()
    new = endpoint("v", "n1", "10.0.0.2/32")
    verdict = guard.check(view(new), 10.0)
    assert [hold.what for hold in verdict.begun] == [EVERYTHING]
    assert verdict.view.nodes == FULL.nodes
    assert [one.name for one in verdict.view.workloads("n1")] == ["v", "w"]


def test_keys_that_come_back_end_the_hold_silently() -> None:
    guard = guarded()
    guard.check(View(), 10.0)
    partly = guard.check(view(*NODES_OF_FIVE), 20.0)
    assert partly.view.tables == FULL.tables, "half of the keys back: the other half is still disbelieved"
    verdict = guard.check(FULL, 30.0)
    assert [hold.what for hold in verdict.undone] == [EVERYTHING]
    assert verdict.view == FULL
    assert guard.holds == ()
    assert guard.next_deadline() is None


def test_in_the_end_it_is_believed() -> None:
    guard = guarded()
    guard.check(View(), 10.0)
    assert guard.check(View(), 309.9).view.tables == FULL.tables
    verdict = guard.check(View(), 310.0)
    assert [hold.what for hold in verdict.expired] == [EVERYTHING]
    assert verdict.view.empty
    assert guard.check(View(), 311.0).view.empty
    assert guard.holds == ()


LOADED = view(*NODES_OF_FIVE, *POOLS_OF_TWO, endpoint("w1", "n1", "10.0.0.1/32"), endpoint("w2", "n1", "10.0.0.2/32"))
ONE_SHORT = view(*NODES_OF_FIVE, *POOLS_OF_TWO, endpoint("w1", "n1", "10.0.0.1/32"))


def test_a_workload_that_a_backup_lacks_is_soon_believed_gone() -> None:
    """Not as long as others still come back, and not before nodes and pools are there."""
    guard = guarded(LOADED)
    guard.check(View(), 100)
    guard.check(view(*NODES_OF_FIVE), 110)
    assert guard.next_deadline() == 400
    guard.check(view(*NODES_OF_FIVE, *POOLS_OF_TWO), 120)
    assert guard.next_deadline() == 120 + AFTERMATH
    assert guard.check(ONE_SHORT, 140).view == LOADED
    assert guard.check(ONE_SHORT, 139 + AFTERMATH).view == LOADED
    verdict = guard.check(ONE_SHORT, 140 + AFTERMATH)
    assert verdict.view == ONE_SHORT
    assert [hold.what for hold in verdict.expired] == [EVERYTHING]
    assert guard.holds == ()


def test_who_puts_keys_back_by_hand_kind_by_kind_has_the_whole_time() -> None:
    workloads = [endpoint(f"w{number}", "n1", f"10.0.0.{number}/32") for number in range(1, 21)]
    guard = guarded(view(*NODES_OF_FIVE, *POOLS_OF_TWO, *workloads))
    guard.check(View(), 100)
    guard.check(view(*NODES_OF_FIVE, *POOLS_OF_TWO), 110)
    assert guard.next_deadline() == 400
    seen = view(*NODES_OF_FIVE, *POOLS_OF_TWO, *workloads[:10])
    guard.check(seen, 200)
    assert guard.next_deadline() == 200 + AFTERMATH


def test_workloads_whose_interfaces_are_here_still() -> None:
    workloads = [endpoint(f"w{number}", "n1", f"10.0.0.{number}/32") for number in range(1, 6)]
    rest = (*NODES_OF_FIVE, *POOLS_OF_TWO)
    full = view(*rest, *workloads)
    here = {one.name for one in workloads}
    guard = guarded(full)

    def check(seen: View, now: float) -> Verdict:
        return guard.check(seen, now, lambda one: one.name in here)

    assert check(view(*rest, *workloads[1:]), 100).view.tables == view(*rest, *workloads[1:]).tables, "one ended"
    check(full, 101)
    verdict = check(view(*rest), 110)
    assert [hold.what for hold in verdict.begun] == [WORKLOADS]
    assert verdict.view.tables == full.tables
    here.discard("w1")
    assert check(view(*rest), 120).view.tables == view(*rest, *workloads[1:]).tables, "it took its interface along"
    verdict = check(view(*rest, *workloads[1:]), 130)
    assert [hold.what for hold in verdict.undone] == [WORKLOADS]
    assert check(view(*rest), 140).view.tables == view(*rest, *workloads[1:]).tables
    assert check(view(*rest), 440).view.tables == view(*rest).tables, "nobody has put them back"


def test_workloads_that_end_together_are_gone_at_once() -> None:
    workloads = [endpoint(f"w{number}", "n1", f"10.0.0.{number}/32") for number in range(1, 6)]
    guard = guarded(view(*NODES_OF_FIVE, *POOLS_OF_TWO, *workloads))
    seen = view(*NODES_OF_FIVE, *POOLS_OF_TWO)
    assert guard.check(seen, 100, lambda _: False).view == seen


def test_coming_back_never_prolongs_a_hold() -> None:
    guard = guarded(LOADED)
    guard.check(View(), 100)
    guard.check(ONE_SHORT, 390)
    assert guard.next_deadline() == 400


def test_a_datastore_that_is_emptied_once_more_is_held_for_the_whole_time() -> None:
    guard = guarded(LOADED)
    guard.check(View(), 100)
    guard.check(ONE_SHORT, 110)
    guard.check(View(), 120)
    assert guard.next_deadline() == 420
    assert guard.check(View(), 419).view.tables == LOADED.tables
    assert guard.check(View(), 420).view == View()


def test_what_comes_anew_during_a_hold_counts() -> None:
    guard = guarded()
    guard.check(view(*POOLS_OF_TWO), 10.0)
    fresh = [node(f"m{number}", f"192.0.2.{number + 50}") for number in range(9)]
    verdict = guard.check(view(*POOLS_OF_TWO, *fresh), 20.0)
    assert len(verdict.view.nodes) == 14, "new nodes do not turn the majority: the old ones stay held"


def test_a_changed_resource_is_not_a_lost_one() -> None:
    changed = [node(one.name, f"198.51.100.{number}") for number, one in enumerate(NODES_OF_FIVE)]
    seen = view(*changed, *POOLS_OF_TWO)
    assert guarded().check(seen, 1.0).view == seen


def test_zero_believes_at_once() -> None:
    assert guarded(hold_time=0).check(View(), 1.0).view.empty


def test_what_an_earlier_run_believed_counts() -> None:
    guard = Guard(300, FULL)
    verdict = guard.check(View(), 0.0)
    assert [hold.what for hold in verdict.begun] == [EVERYTHING]


everything: list[Resource] = [*NODES_OF_FIVE, *POOLS_OF_TWO, endpoint("w", "n1", "10.0.0.1/32")]


@given(st.lists(st.tuples(st.frozensets(st.integers(0, len(everything) - 1)), st.integers(0, 200)), max_size=12))
@settings(max_examples=200, deadline=None)
def test_never_less_than_the_datastore_has_and_in_the_end_the_same(steps: list[tuple[frozenset[int], int]]) -> None:
    guard, now, seen = Guard(300), 0.0, View()
    for chosen, pause in steps:
        now += pause
        seen = view(*(everything[index] for index in chosen))
        shown = guard.check(seen, now).view
        for kind, table in seen.tables.items():
            assert table.items() <= shown.table(kind).items()
        if guard.holds:
            assert shown != seen
        else:
            assert shown == seen
    while (deadline := guard.next_deadline()) is not None:
        now = deadline
        guard.check(seen, now)
    assert guard.view == seen
