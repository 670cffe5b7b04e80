"""The views that people get, and what tells paths apart."""

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.prefix import Prefix
from pybgp.rib import Change, Delta, Path, Route, Source, best_of, paths_of
from tests.rib.make import attributes, nlri, own, path, peer

A, B = nlri("10.0.0.0/24"), nlri("10.0.1.0/24")


def test_route_is_a_value() -> None:
    source = peer(1)
    route = Route(Prefix("10.0.0.0/24"), attributes(1), source)
    same = Route.of(IPV4_UNICAST, A, attributes(1), source)
    assert route == same
    assert hash(route) == hash(same)
    assert route != Route.of(IPV4_UNICAST, B, attributes(1), source)
    assert route != Route.of(IPV4_UNICAST, A, attributes(1), peer(1))
    assert str(route.prefix) == "10.0.0.0/24"
    assert repr(route) == "<Route 10.0.0.0/24 via 10.0.1.1 from 10.0.0.1>"
    assert route != "10.0.0.0/24"


def test_edits_make_new_routes() -> None:
    route = Route.of(IPV4_UNICAST, A, attributes(1), peer(1))
    edited = route.with_(LOCAL_PREF, 200).with_next_hop("10.9.9.9")
    assert (edited.attributes.local_pref, edited.next_hop) == (200, bytes((10, 9, 9, 9)))
    assert edited.without(LOCAL_PREF).with_next_hop(route.next_hop) == route
    assert route.attributes.local_pref is None
    with pytest.raises(ValueError, match="address"):
        route.with_next_hop("nowhere")


def test_a_route_for_any_prefix_has_none() -> None:
    route = Route.of(IPV4_UNICAST, None, attributes(1), peer(1))
    with pytest.raises(ValueError, match="per_path"):
        _ = route.prefix
    assert "any prefix" in repr(route)


def test_changes_of_a_delta() -> None:
    one, two = path(peer(1), 1), path(peer(2), 2)
    first, second = Change.each(Delta(IPV4_UNICAST, [A, B], one, (two, one)))
    assert (str(first.prefix), str(second.prefix)) == ("10.0.0.0/24", "10.0.1.0/24")
    assert first.old == Route.of(IPV4_UNICAST, A, one.attributes, one.source)
    assert second.new == Route.of(IPV4_UNICAST, B, two.attributes, two.source)
    assert [route.peer.name for route in first.new_paths] == ["10.0.0.2", "10.0.0.1"]
    assert first.old_paths == (first.old,)
    assert repr(first) == "<Change 10.0.0.0/24 via 10.0.1.2 from 10.0.0.2 and 1 more>"
    (gone,) = Change.each(Delta(IPV4_UNICAST, [A], one, None))
    assert gone.new is None
    assert gone.new_paths == ()
    assert repr(gone) == "<Change 10.0.0.0/24 gone>"
    assert first == next(Change.each(Delta(IPV4_UNICAST, [A], one, (two, one))))
    assert first != gone
    assert len({first, gone}) == 2


def test_selections_taken_apart() -> None:
    one, two = path(peer(1)), path(peer(2))
    assert (paths_of(None), paths_of(one), paths_of((two, one))) == ((), (one,), (two, one))
    assert (best_of(None), best_of(one), best_of((two, one))) == (None, one, two)


def test_what_readers_and_the_decision_can_tell_apart() -> None:
    source = peer(1)
    one = path(source, 1)
    assert one.same_route(path(source, 1))
    assert not one.same_route(path(source, 2))
    assert not one.same_route(path(source, 1, path_id=1))
    assert not one.same_route(path(peer(1), 1))
    rejected = path(source, 1, rejected="no")
    assert one.same_route(rejected)
    assert not one.same_verdict(rejected)
    assert not one.same_verdict(Path(source, one.received, cost=1))
    edited = Path(source, attributes(9), attributes=one.attributes)
    assert one.same_route(edited)
    assert not one.same_verdict(edited)


def test_raising_the_generation_makes_all_paths_stale() -> None:
    source = peer(1)
    old = path(source)
    source.generation += 1
    assert old.stale
    assert not path(source).stale
    assert "stale" in repr(old)
    assert "rejected: no" in repr(path(source, rejected="no", path_id=3))


def test_sources() -> None:
    assert peer(1, asn=7).external
    assert not peer(1).external
    assert own().local
    assert not own().external
    assert str(Source("rack1")) == "rack1"
