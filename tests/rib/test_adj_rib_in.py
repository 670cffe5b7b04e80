"""Adj-RIB-In: eligibility and import policy before the table, and judging again without a refresh."""

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.policy import accept_all, per_path, prepare
from pybgp.rib import Delta, LocRib, Path, Route
from tests.rib.make import LOCAL_AS, adj_rib_in, attributes, nlri, peer

A, B, C = (nlri(f"10.0.{number}.0/24") for number in range(3))
ROUTE = attributes(1, as_path=[65001])


def all_of(slices: object) -> list[Delta]:
    return [one for part in slices for one in part]  # type: ignore[attr-defined]


@pytest.fixture
def rib() -> LocRib:
    return LocRib(IPV4_UNICAST)


def best(rib: LocRib, one: bytes) -> Path:
    path = rib.best(one)
    assert path is not None
    return path


def test_one_path_for_all_prefixes_with_the_same_attributes(rib: LocRib) -> None:
    ins = adj_rib_in(peer(1, asn=65001), rib)
    ins.announce([A], ROUTE)
    ins.announce([B], attributes(1, as_path=[65001]))
    assert rib.best(A) is rib.best(B) is ins.path(ROUTE)
    assert ins.path(ROUTE, 7).path_id == 7
    assert len(ins) == 2


def test_path_identifiers_are_separate_paths(rib: LocRib) -> None:
    ins = adj_rib_in(peer(1, asn=65001), rib)
    ins.announce([A, B, A], ROUTE, [1, 1, 2])
    assert len(ins) == 3
    assert [(key, one.path_id) for part in ins.routes() for key, one in part] == [(A, 1), (A, 2), (B, 1)]
    assert ins.withdraw([A, B], [1, 2]) != []
    assert [(key, one.path_id) for part in ins.routes() for key, one in part] == [(A, 2), (B, 1)]


@pytest.mark.rfc("4271", "9.1.1", "pybgp.rib.adj_rib_in:AdjRibIn._one", "import policy sets the preference")
def test_policy_edits_and_what_was_received_stays(rib: LocRib) -> None:
    calls: list[Route] = []

    @per_path
    def prefer(route: Route) -> Route | None:
        calls.append(route)
        return route.with_(LOCAL_PREF, 300)

    ins = adj_rib_in(peer(1, asn=65001), rib, prefer)
    ins.announce([A, B], ROUTE)
    ins.announce([C], ROUTE)
    assert len(calls) == 1
    assert best(rib, C).received is ROUTE
    assert best(rib, C).attributes.local_pref == 300


def test_policy_that_looks_at_prefixes_is_asked_for_each(rib: LocRib) -> None:
    def pick(route: Route) -> Route | None:
        if route.nlri == A:
            return None
        return route.with_(COMMUNITIES, (7,)) if route.nlri == B else route

    ins = adj_rib_in(peer(1, asn=65001), rib, pick)
    deltas = ins.announce([A, B, C], ROUTE)
    assert [one.nlri for one in deltas] == [[B], [C]]
    assert best(rib, B).attributes.communities == {7}
    assert rib.selected(A) is None
    assert [one.reason for one in rib.explain(A)] == ["rejected by import policy pick"]
    assert ins.announce([A, B, C], ROUTE) == []
    with pytest.raises(ValueError, match="prefixes"):
        ins.path(ROUTE)


def test_an_external_peer_without_policy_is_rejected_loudly(rib: LocRib) -> None:
    ins = adj_rib_in(peer(1, asn=65001), rib, None)
    assert ins.announce([A], ROUTE) == []
    (verdict,) = rib.explain(A)
    assert "RFC 8212" in verdict.reason
    assert len(ins) == 1
    assert [one.nlri for one in adj_rib_in(peer(2), rib, None).announce([A], attributes(2))] == [[A]]


def test_changed_policy_needs_no_refresh(rib: LocRib) -> None:
    source = peer(1, asn=65001)
    ins = adj_rib_in(source, rib, None)
    ins.announce([A, B], ROUTE)
    assert [one.nlri for one in all_of(ins.change_policy(prepare(accept_all, "import", external=True)))] == [[A, B]]
    assert all_of(ins.change_policy(prepare(accept_all, "import", external=True))) == []

    def only_a(route: Route) -> Route | None:
        return route if route.nlri == A else None

    (gone,) = all_of(ins.change_policy(prepare(only_a, "import", external=True)))
    assert (gone.nlri, gone.new) == ([B], None)
    assert ins.announce([C], ROUTE) == []  # what arrives meets the new policy too
    assert len(ins) == 3


def test_judging_again_keeps_stale_paths_stale(rib: LocRib) -> None:
    ins = adj_rib_in(peer(1, asn=65001), rib)
    ins.announce([A, B], ROUTE)
    ins.mark_stale()
    ins.announce([B], ROUTE)

    @per_path
    def prefer(route: Route) -> Route | None:
        return route.with_(LOCAL_PREF, 300)

    all_of(ins.change_policy(prepare(prefer, "import", external=True)))
    assert best(rib, A).stale
    assert not best(rib, B).stale
    assert [one.nlri for one in all_of(ins.sweep())] == [[A]]
    assert len(ins) == 1


def test_sweep_leaves_what_grows_stale_later(rib: LocRib) -> None:
    """A sweep that is under way when the session is lost again takes only what was stale when it began."""
    ins = adj_rib_in(peer(1, asn=65001), rib)
    ins.announce([A, B], ROUTE)
    ins.mark_stale()
    ins.announce([B], ROUTE)
    work = ins.sweep(chunk=1)
    next(work)
    ins.mark_stale()
    assert all_of(work) == []
    assert rib.selected(A) is None
    assert best(rib, B).stale


def test_peer_down_then_up_keeps_only_the_new(rib: LocRib) -> None:
    ins = adj_rib_in(peer(1, asn=65001), rib)
    ins.announce([A, B], ROUTE)
    work = ins.remove()
    assert ins.announce([A], ROUTE) == []  # no flap for what comes back in time
    assert [one.nlri for one in all_of(work)] == [[B]]
    assert len(ins) == 1
    assert not best(rib, A).stale


def test_next_hop_that_comes_and_goes(rib: LocRib) -> None:
    from pybgp.rib.adj_rib_in import next_hops_changed

    costs: dict[bytes, int] = {bytes((10, 0, 1, 1)): 5, bytes((10, 0, 1, 2)): 7}
    first = adj_rib_in(peer(1), rib, None, resolve=costs.get)
    second = adj_rib_in(peer(2), rib, None, resolve=costs.get)
    ins = {one.source: one for one in (first, second)}
    first.announce([A], attributes(1))
    second.announce([A, B], attributes(2))
    second.announce([C], attributes(3))
    assert (best(rib, A).source, best(rib, A).cost) == (first.source, 5)
    assert rib.explain(C)[0].reason == "next hop 10.0.1.3 is unreachable"

    del costs[bytes((10, 0, 1, 1))]
    (change,) = all_of(next_hops_changed(rib, ins, {bytes((10, 0, 1, 1))}))
    assert change.nlri == [A]
    assert best(rib, A).source is second.source

    costs[bytes((10, 0, 1, 1))], costs[bytes((10, 0, 1, 3))] = 9, 1
    assert [one.nlri for one in all_of(next_hops_changed(rib, ins))] == [[C]]
    assert rib.explain(A)[1].reason == "interior cost 9 is higher than 7"


def test_ineligible_is_not_shown_to_policy(rib: LocRib) -> None:
    def never(route: Route) -> Route | None:
        raise AssertionError("asked")

    ins = adj_rib_in(peer(1, asn=65001), rib, never)
    assert ins.announce([A], attributes(1, as_path=[65001, LOCAL_AS])) == []
    assert "AS loop" in rib.explain(A)[0].reason


def test_remembered_answers_are_bounded(rib: LocRib, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybgp.rib.adj_rib_in.CACHE_LIMIT", 4)
    every = adj_rib_in(peer(1, asn=65001), rib)
    each = adj_rib_in(peer(2, asn=65001), rib, lambda route: route)
    for number in range(10):
        for ins in (every, each):
            ins.announce([A], attributes(number, as_path=[65001]))
            assert best(rib, A) is not None
    assert len(every._paths) <= 4
    assert len(each._variants) <= 4
