"""Loc-RIB: what single calls give; the long runs are in test_loc_rib_model.py."""

import pytest

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.rib import Delta, LocRib, Path, Step
from pybgp.rib.route import Removed
from tests.rib.make import attributes, nlri, own, path, peer

A, B, C = (nlri(f"10.0.{number}.0/24") for number in range(3))


@pytest.fixture
def rib() -> LocRib:
    return LocRib(IPV4_UNICAST)


def delta(prefixes: list[bytes], old: object, new: object) -> Delta:
    return Delta(IPV4_UNICAST, prefixes, old, new)  # type: ignore[arg-type]


def test_first_announcement_is_one_delta_for_all(rib: LocRib) -> None:
    one = path(peer(1))
    assert rib.announce([A, B, C], one) == [delta([A, B, C], None, one)]
    assert len(rib) == 3
    assert rib.count(one.source) == 3
    assert rib.entry(B) is one


def test_duplicates_in_one_list_count_once(rib: LocRib) -> None:
    source = peer(1)
    one, two = path(source), path(source, 2)
    assert rib.announce([A, A, B], one) == [delta([A, B], None, one)]
    assert rib.announce([B, C, C], two) == [delta([B], one, two), delta([C], None, two)]
    assert rib.count(one.source) == 3
    assert rib.withdraw([C, C], one.source) == [delta([C], two, None)]
    assert rib.count(one.source) == 2


def test_announcing_nothing_is_nothing(rib: LocRib) -> None:
    assert rib.announce([], path(peer(1))) == []
    assert rib.withdraw([], peer(1)) == []
    assert len(rib) == 0


def test_the_same_again_is_no_delta(rib: LocRib) -> None:
    source = peer(1)
    one = path(source)
    rib.announce([A], one)
    assert rib.announce([A], one) == []
    assert rib.announce([A], path(source)) == []
    assert rib.entry(A) is one  # what is equal is not stored anew
    assert rib.count(source) == 1


def test_announced_again_after_a_restart_is_fresh_without_a_delta(rib: LocRib) -> None:
    source = peer(1)
    rib.announce([A, B], path(source))
    source.generation += 1
    assert rib.best(A).stale  # type: ignore[union-attr]
    assert rib.announce([A], path(source)) == []
    assert not rib.best(A).stale  # type: ignore[union-attr]
    assert rib.count(source) == 2
    swept = [one for part in rib.remove(source, stale_only=True) for one in part]
    assert [one.nlri for one in swept] == [[B]]
    assert rib.count(source) == 1


def test_stale_paths_lose_no_preference(rib: LocRib) -> None:
    """RFC 4724 section 4.2: a stale route is treated as the others are."""
    stale, other = path(peer(1)), path(peer(2))
    rib.announce([A], stale)
    stale.source.generation += 1
    assert rib.announce([A], other) == []
    assert rib.best(A) is stale


def test_a_worse_path_changes_nothing_and_takes_over_later(rib: LocRib) -> None:
    good, bad = path(peer(1)), path(peer(2))
    rib.announce([A], good)
    assert rib.announce([A], bad) == []
    assert rib.entry(A) == (good, bad)
    assert rib.withdraw([A], good.source) == [delta([A], good, bad)]
    assert rib.entry(A) is bad
    assert rib.withdraw([A], good.source) == []
    assert rib.withdraw([A], bad.source) == [delta([A], bad, None)]
    assert len(rib) == 0


def test_candidates_are_shared_whatever_the_order(rib: LocRib) -> None:
    one, two = path(peer(1)), path(peer(2))
    rib.announce([A], one)
    rib.announce([A, B], two)
    rib.announce([B], one)
    assert rib.entry(A) == (one, two)
    assert rib.entry(A) is rib.entry(B)


def test_deltas_are_grouped_by_what_was_there(rib: LocRib) -> None:
    one, two, best = path(peer(1), 1), path(peer(1), 2), path(peer(2), 3, local_pref=200)
    rib.announce([A, C], one)
    rib.announce([B], two)
    assert rib.announce([A, B, C], best) == [delta([A, C], one, best), delta([B], two, best)]


def test_several_paths_of_one_source(rib: LocRib) -> None:
    source = peer(1)
    one, two = path(source, 1, path_id=1), path(source, 2, path_id=2)
    rib.announce([A], two)
    assert rib.announce([A], one) == [delta([A], two, one)]
    assert rib.count(source) == 2
    assert rib.withdraw([A], source) == []  # path identifier 0 is another path
    assert rib.withdraw([A], source, 1) == [delta([A], one, two)]
    assert [part for part in rib.remove(source) if part] == [[delta([A], two, None)]]
    assert rib.count(source) == 0


def test_ineligible_paths_stay_and_select_nothing(rib: LocRib) -> None:
    no, yes = path(peer(1), rejected="a test says no"), path(peer(2))
    assert rib.announce([A], no) == []
    assert rib.selected(A) is None
    assert A in rib
    assert rib.announce([A], yes) == [delta([A], None, yes)]
    assert rib.entry(A) == (yes, no)
    assert [(one.path, one.step, one.selected, one.reason) for one in rib.explain(A)] == [
        (yes, None, True, "best path"),
        (no, Step.INELIGIBLE, False, "a test says no"),
    ]
    assert rib.withdraw([A], yes.source) == [delta([A], yes, None)]
    assert list(rib.snapshot()) == [[]]
    assert list(rib.walk()) == [[]]
    assert rib.explain(B) == []


def test_multipath_selects_equals_up_to_the_limit() -> None:
    rib = LocRib(IPV4_UNICAST, multipath=2)
    one, two, three = (path(peer(number)) for number in (1, 2, 3))
    far = Path(peer(4), attributes(local_pref=100), cost=5)
    assert rib.announce([A], two) == [delta([A], None, two)]
    assert rib.announce([A], far) == []
    assert rib.announce([A], one) == [delta([A], two, (one, two))]
    assert rib.announce([A], three) == []
    assert rib.selected(A) == (one, two)
    assert rib.entry(A) == (one, two, three, far)
    texts = [(one.selected, one.reason) for one in rib.explain(A)]
    assert texts == [
        (True, "best path"),
        (True, "multipath with the best path; BGP Identifier 0.0.0.2 is higher than 0.0.0.1"),
        (False, "BGP Identifier 0.0.0.3 is higher than 0.0.0.1"),
        (False, "interior cost 5 is higher than 0"),
    ]
    assert rib.withdraw([A], one.source) == [delta([A], (one, two), (two, three))]
    assert rib.withdraw([A], two.source) == [delta([A], (two, three), three)]
    with pytest.raises(ValueError, match="multipath"):
        LocRib(IPV4_UNICAST, multipath=0)


def test_an_own_route_is_selected_before_an_equal_learned_one(rib: LocRib) -> None:
    ours, theirs = path(own()), path(peer(1))
    rib.announce([A], theirs)
    assert rib.announce([A], ours) == [delta([A], theirs, ours)]


def test_remove_goes_in_slices_and_spares_what_comes_meanwhile(rib: LocRib) -> None:
    source, other = peer(1), peer(2)
    many = [nlri(f"10.9.{number}.0/24") for number in range(10)]
    rib.announce(many, path(source))
    rib.announce(many[:2], path(other))
    work = rib.remove(source, chunk=4)
    new = path(source, 7)
    assert [len(one.nlri) for one in next(work)] == [2, 2]  # two fall back to the other peer, two are gone
    rib.announce(many[5:6], new)
    rest = [one for part in work for one in part]
    assert sorted(key for one in rest for key in one.nlri) == [key for key in many[4:] if key != many[5]]
    assert rib.entry(many[5]) is new
    assert rib.count(source) == 1
    assert rib.count(other) == 2
    assert len(rib) == 3


def test_remove_of_a_source_without_paths_yields_nothing(rib: LocRib) -> None:
    rib.announce([A], path(peer(1)))
    assert list(rib.remove(peer(2))) == []


def test_remove_ends_when_the_last_path_is_gone(rib: LocRib) -> None:
    source = peer(1)
    rib.announce([A], path(source))
    rib.announce([nlri(f"10.8.{number}.0/24") for number in range(100)], path(peer(2)))
    assert len(list(rib.remove(source, chunk=10))) == 1


def test_work_begun_before_the_table_is_emptied_ends_well(rib: LocRib) -> None:
    source = peer(1)
    rib.announce([A, B, C], path(source))
    works = [rib.snapshot(1), rib.walk(1), rib.paths_from(source, 1), rib.remove(source, chunk=1)]
    for work in works:
        next(work)  # type: ignore[call-overload]
    rib.withdraw([A, B, C], source)
    assert [[part for part in work if part] for work in works] == [[], [], [], []]  # type: ignore[attr-defined]


def test_snapshot_groups_by_selection(rib: LocRib) -> None:
    one, two = path(peer(1)), path(peer(2))
    rib.announce([A, C], one)
    rib.announce([B], two)
    assert list(rib.snapshot()) == [[delta([A, C], None, one), delta([B], None, two)]]
    assert list(rib.walk()) == [[(A, one), (C, one), (B, two)]]
    assert list(rib.paths_from(two.source, 2)) == [[], [(B, two)]]


def test_lookup_finds_the_longest_selected_prefix(rib: LocRib) -> None:
    wide, narrow, no = path(peer(1)), path(peer(2)), path(peer(3), rejected="no")
    rib.announce([nlri("0.0.0.0/0")], path(own()))
    rib.announce([nlri("10.0.0.0/8")], wide)
    rib.announce([nlri("10.1.2.128/25")], narrow)
    rib.announce([nlri("10.1.2.200/32")], no)
    assert rib.lookup(bytes((10, 1, 2, 200))) == (nlri("10.1.2.128/25"), narrow)
    assert rib.lookup(bytes((10, 1, 2, 127))) == (nlri("10.0.0.0/8"), wide)
    assert rib.lookup(bytes((11, 0, 0, 0)))[0] == nlri("0.0.0.0/0")  # type: ignore[index]
    with pytest.raises(ValueError, match="octets"):
        rib.lookup(b"abc")
    six = LocRib(IPV6_UNICAST)
    six.announce([nlri("2001:db8::/33")], wide)
    assert six.lookup(bytes.fromhex("20010db8" + "7f" + "00" * 11)) == (nlri("2001:db8::/33"), wide)
    assert six.lookup(bytes.fromhex("20010db8" + "80" + "00" * 11)) is None


def test_reconsider_replaces_and_yields_only_real_changes(rib: LocRib) -> None:
    source = peer(1)
    one, other = path(source, 1), path(peer(2), 2)
    rib.announce([A, B], one)
    rib.announce([B, C], other)
    worse = Path(source, one.received, attributes=attributes(1, local_pref=50))

    def replace(old: Path, prefixes: list[bytes]) -> list[tuple[Path, list[bytes]]]:
        return [(worse if A not in prefixes else old, prefixes)]

    changes = [change for part in rib.reconsider(replace, where=lambda old: old.source is source) for change in part]
    assert changes == [delta([B], one, other)]
    assert rib.entry(B) == (other, worse)
    assert rib.entry(A) is one


def test_memory_of_decisions_is_bounded(rib: LocRib, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybgp.rib.loc_rib.MEMO_LIMIT", 8)
    rib.multipath = 2
    others = [path(peer(2), number) for number in range(50)]
    rib.announce([A], path(peer(1)))
    for one in others:
        rib.announce([A], one)
        assert rib.selected(A) is not None
    assert all(len(memo) <= 8 for memo in (rib._joined, rib._tuples, rib._selections))


def test_prefixes_that_are_left_with_nothing_share_a_delta() -> None:
    """Where nobody asks what was selected before; not where another path is left, or one was not usable."""
    rib = LocRib(IPV4_UNICAST)
    one, two = peer(1), peer(2)
    keys = [nlri(f"10.{number}.0.0/16") for number in range(4)]
    held = [path(one, number + 1) for number in range(len(keys))]
    for key, its in zip(keys, held, strict=True):
        rib.announce([key], its)
    assert rib.withdraw(keys[:2], one, together=True) == [
        Delta(IPV4_UNICAST, keys[:2], None, None, Removed(frozenset(held[:2]), held[:2]))
    ]
    assert (len(rib), rib.count(one), rib.accepted(one)) == (2, 2, 2)
    rib.announce([keys[3]], path(two, 9))
    deltas = rib.withdraw([*keys[2:], keys[0]], one, together=True)
    assert [key for delta in deltas if delta.new is None for key in delta.nlri] == [keys[2]]
    assert rib.best(keys[3]) is not None
    assert rib.count(one) == 0
    assert rib.withdraw(keys, two, together=True)[0].nlri == [keys[3]]
    assert len(rib) == 0
