"""A batch of prefixes gets the answers that its prefixes get one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import (
    Condition,
    PrefixSet,
    Rule,
    accept,
    add_communities,
    all_of,
    always,
    any_of,
    as_path_length,
    chain,
    community,
    match,
    next_hop_in,
    prefix_in,
    prepare,
    reject,
    rules,
    set_local_pref,
    set_med,
    where,
)
from pybgp.prefix import NLRI, Prefix
from pybgp.rib import Route
from pybgp.rib.filter import Reason
from tests.rib.make import attributes, nlri, peer

PEER = peer(1, asn=65001)
PREFIXES = [nlri(f"10.{n}.0.0/{length}") for n in range(0, 8, 2) for length in (15, 16)] + [nlri("0.0.0.0/0")]
GIVEN = attributes(1, as_path=[65001], communities=["65000:1"])

SIMPLE: list[Condition] = [
    prefix_in("10.0.0.0/13", le=15),
    prefix_in("10.2.0.0/16", "10.4.0.0/16"),
    prefix_in(PrefixSet("10.0.0.0/14 ge 16"), "0.0.0.0/0"),
    where(lambda route: route.nlri[0] % 2 == 0, "even"),
    community("65000:*"),
    community("65000:2"),
    as_path_length(ge=2),
    always(),
]
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda both: both[0] & both[1]),
        st.tuples(inner, inner).map(lambda both: both[0] | both[1]),
        inner.map(lambda one: ~one),
    ),
    max_leaves=4,
)
ACTIONS = st.sampled_from(
    [(accept(),), (reject("no"),), (set_med(1),), (add_communities("65000:2"),), (set_local_pref(7), accept())]
)


def _rule(conditions: list[Condition], actions: tuple[object, ...]) -> Rule:
    made = match(*conditions)
    for action in actions:
        made = made >> action  # type: ignore[operator]
    return made


RULES = st.lists(st.builds(_rule, st.lists(CONDITIONS, max_size=2), ACTIONS), max_size=4)


def answers(parts: list[tuple[PathAttributes | str, list[NLRI]]]) -> dict[NLRI, PathAttributes | str]:
    found = {one: answer for answer, part in parts for one in part}
    assert len(found) == sum(len(part) for _answer, part in parts), "a prefix has one answer"
    return found


@settings(max_examples=200, deadline=None)
@given(RULES, st.sampled_from([accept(), reject()]), st.lists(st.sampled_from(PREFIXES), unique=True, min_size=1))
def test_a_batch_gets_the_answers_of_its_prefixes(parts: list[Rule], default: object, batch: list[NLRI]) -> None:
    policy = rules(*parts, default=default)  # type: ignore[arg-type]
    for asked in (policy, chain(policy, rules(match(SIMPLE[0]) >> reject(), default=accept(), name="second"))):
        filter_ = prepare(asked, "import", external=True)
        given_batch = list(batch)
        found = answers(filter_.judge_each(IPV4_UNICAST, given_batch, GIVEN, PEER))
        assert given_batch == batch, "the list of the caller is left alone"
        for one in batch:
            route = Route.of(IPV4_UNICAST, one, GIVEN, PEER)
            alone = asked.decide(route)  # type: ignore[attr-defined]
            trace = asked.trace(route)  # type: ignore[attr-defined]
            if isinstance(alone, Route):
                assert found[one] == alone.attributes
                assert trace.route is not None and trace.route.attributes == alone.attributes  # noqa: PT018
                assert asked(route) == alone
            else:
                assert found[one] == f"rejected by import policy {asked.__name__}: {alone}"  # type: ignore[attr-defined]
                assert trace.route is None
                assert asked(route) is None
                told = filter_.explain(IPV4_UNICAST, one, GIVEN, PEER)
                assert (told.accepted, told.rules) == (False, trace.matched)


def test_conditions_about_the_path_are_asked_once_and_edits_are_made_once() -> None:
    asked: list[int] = []

    def count(route: Route) -> bool:
        asked.append(1)
        return True

    policy = rules(
        match(where(count, per_path=True), prefix_in("10.0.0.0/8", le=32)) >> set_med(5) >> accept(), default=reject()
    )
    parts = prepare(policy, "import", external=True).judge_each(IPV4_UNICAST, PREFIXES, GIVEN, PEER)
    assert len(asked) == 1
    assert sorted(len(part) for _answer, part in parts) == [1, len(PREFIXES) - 1]
    assert len({id(answer) for answer, _part in parts}) == 2


def test_a_failure_costs_only_the_prefix_that_it_is_for(caplog: pytest.LogCaptureFixture) -> None:
    def fails(route: Route) -> bool:
        return bool(1 // (route.nlri[0] - 15))

    policy = rules(match(where(fails)) >> accept(), default=accept(), name="fragile")
    found = answers(prepare(policy, "import", external=True).judge_each(IPV4_UNICAST, PREFIXES, GIVEN, PEER))
    for one, answer in found.items():
        assert isinstance(answer, str) is (one[0] == 15), one
    assert "fragile failed" in caplog.text


def test_who_rejects_is_told_with_the_reason() -> None:
    policy = rules(match(prefix_in("10.0.0.0/15"), name="bogon") >> reject("never"), default=accept(), name="edge")
    ((answer, _part),) = prepare(policy, "export", external=True).judge_each(IPV4_UNICAST, [PREFIXES[0]], GIVEN, PEER)
    assert isinstance(answer, Reason)
    assert answer == "rejected by export policy edge: rule bogon: never"
    assert (answer.check, answer.policy, answer.rule) == ("export policy", "edge", "bogon")


def slow(entries: list[str], ge: int | None, le: int | None) -> Callable[[Prefix], bool]:
    """A prefix list by the book, on numbers."""

    def inside(prefix: Prefix) -> bool:
        for entry in map(Prefix, entries):
            low = entry.length if ge is None else ge
            high = le if le is not None else entry.length if ge is None else (32 if ":" not in str(entry) else 128)
            if prefix.family == entry.family and prefix in entry and low <= prefix.length <= high:
                return True
        return False

    return inside


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_prefix_set_is_a_prefix_list(data: st.DataObject) -> None:
    def prefix(bits: int) -> st.SearchStrategy[Prefix]:
        made = st.tuples(st.integers(0, bits), st.sampled_from([0, 1, 5 << bits - 4, (1 << bits) - 1, 6 << bits - 4]))
        family: Family = IPV4_UNICAST if bits == 32 else IPV6_UNICAST

        def of(pair: tuple[int, int]) -> Prefix:
            length, number = pair
            octets = (length + 7) // 8
            raw = (number >> bits - length << bits - length).to_bytes(bits // 8, "big")
            return Prefix.of(family, bytes((length,)) + raw[:octets])

        return made.map(of)

    some = st.one_of(prefix(32), prefix(128))
    entries = data.draw(st.lists(prefix(32), min_size=1, max_size=4))
    longest = max(entry.length for entry in entries)
    ge = data.draw(st.one_of(st.none(), st.integers(longest, 32)))
    le = data.draw(st.one_of(st.none(), st.integers(longest if ge is None else ge, 32)))
    made = PrefixSet(*map(str, entries), ge=ge, le=le)
    inside = slow([str(entry) for entry in entries], ge, le)
    asked = data.draw(st.lists(some, min_size=1, max_size=12)) + entries
    for one in asked:
        assert made.has(one.family, one.nlri) is (one in made) is inside(one), (entries, ge, le, one)
    batch = [one.nlri for one in asked if one.family == IPV4_UNICAST]
    assert made.which(IPV4_UNICAST, batch) == [made.has(IPV4_UNICAST, one) for one in batch]


@pytest.mark.parametrize(
    ("entries", "yes", "no"),
    [
        (("10.0.0.0/8 le 24", "192.0.2.0/24"), ["10.1.0.0/16", "192.0.2.0/24"], ["10.0.0.0/25", "192.0.2.0/25"]),
        (("10.0.0.0/8+",), ["10.1.2.3/32", "10.0.0.0/8"], ["0.0.0.0/0"]),
        (("10.0.0.0/8 ge 9 le 10",), ["10.128.0.0/9"], ["10.0.0.0/8", "10.0.0.0/11"]),
        (("2001:db8::/32 ge 48", "::/0"), ["2001:db8:1::/48", "::/0", "2001:db8::1/128"], ["2001:db8::/47"]),
    ],
)
def test_entries_have_their_own_lengths(entries: tuple[str, ...], yes: list[str], no: list[str]) -> None:
    made = PrefixSet(*entries, name="blocks")
    assert all(prefix in made for prefix in yes)
    assert not any(prefix in made for prefix in no)
    assert str(made) == "blocks"


@pytest.mark.parametrize("entry", ["", "10.0.0.0/8 le", "10.0.0.0/8 le 9 up", "10.0.0.0/8 le 33", "10.0.0.0/8 ge 7"])
def test_what_is_no_entry(entry: str) -> None:
    with pytest.raises(ValueError, match=r"entry|range|prefix|address"):
        PrefixSet(entry)


def test_next_hops_in_prefixes() -> None:
    inside = next_hop_in("10.0.1.0/24", "2001:db8::/32 le 48")
    for next_hop, expected in (
        ("10.0.1.9", True),
        ("10.0.2.9", False),
        ("2001:db8:9::1", True),
        ("2001:db9::1", False),
    ):
        assert inside(Route(Prefix("10.9.0.0/16"), attributes(next_hop=next_hop), PEER)) is expected


def test_a_flowspec_is_no_prefix() -> None:
    assert PrefixSet("0.0.0.0/0 le 32").which(Family(1, 133), [b"\x05\x01\x08\x0a\x03"]) == [False]


def test_all_and_any_of() -> None:
    route = Route(Prefix("10.9.0.0/16"), GIVEN, PEER)
    assert all_of()(route)
    assert not all_of(always(), ~always())(route)
    assert any_of(~always(), always())(route)
    with pytest.raises(ValueError, match="at least one"):
        any_of()
