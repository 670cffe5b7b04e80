"""The decision process against RFC 4271 9.1.2.2 and RFC 4456 section 9, word by word."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.messages.attributes.as_path import SegmentType
from pybgp.rib.decision import Step, best_first, multipath, rank, reason
from pybgp.rib.route import Path
from tests.rib.make import attributes, own, path, peer


def as_numbers(one: Path) -> int:
    """ "counts as 1, no matter how many ASes are in the set"; confederation segments are not counted (RFC 5065)."""
    number = 0
    for kind, asns in one.attributes.as_path.segments:
        if kind == SegmentType.AS_SET:
            number += 1
        elif kind == SegmentType.AS_SEQUENCE:
            number += len(asns)
    return number


def neighbor(one: Path) -> int:
    segments = one.attributes.as_path.segments
    return segments[0].asns[0] if segments and segments[0].type == SegmentType.AS_SEQUENCE else 0


def oracle(candidates: list[Path], *, stop_before_f: bool = False) -> list[Path]:
    """The routes still under consideration after the steps, each step as the RFC says it, slowly."""
    routes = [one for one in candidates if one.rejected is None]

    def preference(one: Path) -> int:
        return 100 if one.attributes.local_pref is None else one.attributes.local_pref

    routes = [m for m in routes if not any(preference(n) > preference(m) for n in routes)]
    # a) remove all routes that are not tied for having the smallest number of AS numbers in AS_PATH
    routes = [m for m in routes if not any(as_numbers(n) < as_numbers(m) for n in routes)]
    # b) remove all routes that are not tied for having the lowest Origin number
    routes = [m for m in routes if not any(n.attributes.origin < m.attributes.origin for n in routes)]
    # c) for m, for n: if neighborAS(m) == neighborAS(n) and MED(n) < MED(m): remove m
    removed = set()
    for m in routes:
        for n in routes:
            if n not in removed and neighbor(m) == neighbor(n) and (n.attributes.med or 0) < (m.attributes.med or 0):
                removed.add(m)
    routes = [m for m in routes if m not in removed]
    # own routes are the speaker's first choice among the tied; then
    # d) if at least one was received via EBGP, remove all received via IBGP
    if any(m.source.local for m in routes):
        routes = [m for m in routes if m.source.local]
    if any(not m.source.internal for m in routes):
        routes = [m for m in routes if not m.source.internal]
    # e) remove any routes with less-preferred interior cost
    routes = [m for m in routes if not any(n.cost < m.cost for n in routes)]
    if stop_before_f:
        return routes

    # f) lowest BGP Identifier; RFC 4456: with ORIGINATOR_ID treated as the identifier, then the shorter CLUSTER_LIST
    def identifier(one: Path) -> int:
        originator = one.attributes.originator_id
        return one.source.bgp_identifier if originator is None else originator

    routes = [m for m in routes if not any(identifier(n) < identifier(m) for n in routes)]
    routes = [
        m for m in routes if not any(len(n.attributes.cluster_list) < len(m.attributes.cluster_list) for n in routes)
    ]
    # g) prefer the route received from the lowest peer address
    routes = [m for m in routes if not any(n.source.address < m.source.address for n in routes)]
    # (not of the RFC) two paths of one peer: the lower path identifier
    return [m for m in routes if not any(n.path_id < m.path_id for n in routes)]


SOURCES = [
    peer(1),
    peer(2, bgp_identifier=1),
    peer(3, asn=65001),
    peer(4, asn=65001, bgp_identifier=1),
    peer(5, asn=65002),
    own(),
]


@st.composite
def candidate(draw: st.DrawFn, source: object) -> Path:
    values: dict[str, object] = {
        "as_path": draw(st.sampled_from(["", "65001", "65002", "65001 65009", "65002 {65008,65009}", "{65001}"])),
        "origin": draw(st.sampled_from(["igp", "incomplete"])),
        "med": draw(st.sampled_from([None, 0, 5, 9])),
        "local_pref": draw(st.sampled_from([None, 100, 50])),
        "originator_id": draw(st.sampled_from([None, 1, 2])),
        "cluster_list": draw(st.sampled_from([None, [7], [7, 8]])),
    }
    return Path(
        source,  # type: ignore[arg-type]
        attributes(draw(st.integers(1, 3)), **values),
        path_id=draw(st.integers(0, 1)),
        rejected=draw(st.sampled_from([None, None, None, "rejected by a test"])),
        cost=draw(st.sampled_from([0, 0, 10])),
    )


@st.composite
def candidates(draw: st.DrawFn, most: int = 6) -> list[Path]:
    """Paths that differ in little, so that the late steps are reached too; identities are distinct."""
    chosen = draw(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=most))
    paths = [draw(candidate(source)) for source in chosen]
    return list({(one.source, one.path_id): one for one in paths}.values())


@settings(max_examples=200, deadline=None)
@given(candidates())
@pytest.mark.rfc("4456", "9", "pybgp.rib.decision:_tie_break", "originator and cluster list in the tie-break")
@pytest.mark.rfc("4271", "9.1.2.2", "pybgp.rib.decision:rank", "any paths against the steps of the RFC one by one")
def test_best_is_what_the_rfc_says(paths: list[Path]) -> None:
    expected = oracle(paths)
    first = best_first(paths)[0]
    if expected:
        assert len(expected) == 1
        assert first is expected[0]
    else:
        assert first.rejected is not None


@settings(max_examples=100, deadline=None)
@given(candidates(most=4))
def test_order_of_arrival_does_not_matter(paths: list[Path]) -> None:
    orders = {best_first(order) for order in permutations(paths)}
    assert len(orders) == 1
    (order,) = orders
    assert sorted(map(id, order)) == sorted(map(id, paths))


@settings(max_examples=200, deadline=None)
@given(candidates(), st.integers(1, 4))
def test_multipath_is_what_is_left_before_step_f(paths: list[Path], limit: int) -> None:
    equal = set(oracle(paths, stop_before_f=True))
    chosen = multipath(best_first(paths), limit)
    assert set(chosen) <= equal
    assert len(chosen) == min(limit, len(equal))
    if equal:
        assert chosen[0] is oracle(paths)[0]


@settings(max_examples=200, deadline=None)
@given(candidates())
def test_rank_tells_where_each_lost(paths: list[Path]) -> None:
    ranked = rank(paths)
    best = ranked[0][0]
    steps = [len(Step) if step is None else int(step) for _, step in ranked]
    assert steps == sorted(steps, reverse=True)
    assert steps.count(len(Step)) == (best.rejected is None)
    for one, step in ranked:
        assert (step is Step.INELIGIBLE) == (one.rejected is not None)
        assert reason(one, step, best)
    # Whoever lost at a step is gone from what the oracle leaves after it.
    left = set(oracle(paths, stop_before_f=True))
    for one, step in ranked:
        assert (one in left) == (step is None or step > Step.INTERIOR_COST)


def test_rank_equals_the_short_cut_for_two() -> None:
    """`best_first` of two candidates does not go through `rank`."""
    first, second = path(SOURCES[2], med=1, as_path=[65001]), path(SOURCES[3], med=0, as_path=[65001])
    for pair in ((first, second), (second, first)):
        assert best_first(pair) == tuple(one for one, _ in rank(pair)) == (second, first)


@settings(max_examples=200, deadline=None)
@given(candidates(most=2))
def test_short_cut_for_two_is_the_same_decision(paths: list[Path]) -> None:
    assert best_first(paths) == tuple(one for one, _ in rank(paths))


def test_med_is_not_a_total_order() -> None:
    """A beats B by MED, B beats C and C beats A by BGP Identifier: only the whole set has an answer."""
    a = path(peer(13, asn=65001), as_path=[65001], med=1)
    b = path(peer(11, asn=65001), as_path=[65001], med=2)
    c = path(peer(12, asn=65002), as_path=[65002], med=0)
    assert best_first((a, b))[0] is a
    assert best_first((b, c))[0] is b
    assert best_first((c, a))[0] is c
    for order in permutations((a, b, c)):
        assert best_first(order)[0] is c
    assert [step for _, step in rank((a, b, c))] == [None, Step.BGP_IDENTIFIER, Step.MED]


def test_a_multipath_candidate_can_fall_to_one_that_is_not_selected() -> None:
    """B is as good as C in everything that C has, but A, itself too far away, has put it out by MED."""
    a, b, c = (
        Path(peer(number, asn=asn), attributes(as_path=[asn], med=med), cost=cost)
        for number, asn, med, cost in ((1, 65001, 1, 20), (2, 65001, 2, 10), (3, 65002, 0, 10))
    )
    assert multipath((a, b, c), 4) == (c,)
    assert multipath((b, c), 4) == (b, c)


@pytest.mark.parametrize(
    ("better", "worse", "step", "words"),
    [
        ({"local_pref": 200, "as_path": [65001, 65002]}, {"as_path": [65001]}, Step.LOCAL_PREF, "LOCAL_PREF 100 is"),
        ({"as_path": [65001]}, {"as_path": [65001, 65002]}, Step.AS_PATH_LENGTH, "AS_PATH of 2 is longer than 1"),
        ({"origin": "igp"}, {"origin": "egp"}, Step.ORIGIN, "ORIGIN EGP loses to IGP"),
        ({"med": None}, {"med": 1}, Step.MED, "MED 1 is not the lowest of neighboring AS local"),
        ({"originator_id": 1}, {"originator_id": 2}, Step.BGP_IDENTIFIER, "0.0.0.2 is higher than 0.0.0.1"),
        ({"originator_id": 1}, {"originator_id": 1, "cluster_list": [3]}, Step.CLUSTER_LIST, "CLUSTER_LIST of 1"),
    ],
)  # fmt: skip
@pytest.mark.rfc("4271", "9.1.2.2", "pybgp.rib.decision:reason", "each step, with its reason")
def test_reason_of_each_step(better: dict[str, object], worse: dict[str, object], step: Step, words: str) -> None:
    # The worse one has the lower address and identifier: only the step itself can decide.
    first, second = path(peer(9), **better), path(peer(1), **worse)
    (_, none), (loser, lost) = rank((second, first))
    assert none is None
    assert loser is second
    assert lost is step
    assert words in reason(second, step, first)


def test_reasons_of_the_last_steps() -> None:
    internal, external, ours = path(peer(1)), path(peer(2, asn=65001)), path(own())
    ranked = rank((internal, external, ours))
    assert [one for one, _ in ranked] == [ours, external, internal]
    assert reason(internal, ranked[2][1], ours) == "learned by iBGP, the best is own route"
    near, far = (Path(peer(number), attributes(), cost=cost) for number, cost in ((2, 5), (1, 6)))
    assert reason(far, rank((far, near))[1][1], near) == "interior cost 6 is higher than 5"
    low, high = path(peer(1, bgp_identifier=7)), path(peer(2, bgp_identifier=7))
    assert rank((high, low))[1] == (high, Step.PEER_ADDRESS)
    assert reason(high, Step.PEER_ADDRESS, low) == "address of 10.0.0.2 is higher than that of 10.0.0.1"
    one, two = path(SOURCES[0], path_id=1), path(SOURCES[0], path_id=2)
    assert rank((two, one))[1] == (two, Step.PATH_ID)
    assert reason(two, Step.PATH_ID, one) == "path identifier 2 is higher than 1"
