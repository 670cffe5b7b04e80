"""The declarative form: conditions, actions, and how rules follow each other."""

import pytest

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.policy import (
    Action,
    Condition,
    accept,
    add_communities,
    add_large_communities,
    as_path_has,
    as_path_length,
    community,
    external_route,
    family_is,
    internal_route,
    large_community,
    local_pref_in,
    local_route,
    match,
    neighbor_as,
    next_hop_is,
    origin_as,
    origin_is,
    peer_as,
    peer_is,
    prefix_in,
    prepare,
    prepend,
    reject,
    remove_attribute,
    remove_communities,
    rules,
    set_attribute,
    set_communities,
    set_local_pref,
    set_med,
    set_next_hop,
    where,
)
from pybgp.prefix import Prefix
from pybgp.rib import Route, Source
from tests.rib.make import attributes, own, peer

EXTERNAL, INTERNAL, OWN = peer(1, asn=65001), peer(2), own()


def route(prefix: str = "10.1.2.0/24", source: Source = EXTERNAL, **values: object) -> Route:
    return Route(Prefix(prefix), attributes(1, **values), source)


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        (prefix_in("10.1.2.0/24"), "10.1.2.0/24", "10.1.2.0/25"),
        (prefix_in("10.1.2.0/24"), "10.1.2.0/24", "10.1.0.0/16"),
        (prefix_in("10.0.0.0/8", le=24), "10.0.0.0/8", "10.1.2.0/25"),
        (prefix_in("10.0.0.0/8", le=24), "10.255.255.0/24", "11.0.0.0/8"),
        (prefix_in("10.0.0.0/8", ge=24), "10.9.9.9/32", "10.9.0.0/23"),
        (prefix_in("10.64.0.0/10", ge=11, le=12), "10.112.0.0/12", "10.64.0.0/10"),
        (prefix_in("10.64.0.0/10", le=32), "10.127.0.1/32", "10.128.0.1/32"),
        (prefix_in("10.0.0.0/8", "192.0.2.0/24", le=32), "192.0.2.7/32", "192.0.3.0/24"),
        (prefix_in("0.0.0.0/0"), "0.0.0.0/0", "10.0.0.0/8"),
        (prefix_in("0.0.0.0/0", le=32), "198.51.100.0/24", "2001:db8::/32"),
        (prefix_in("2001:db8::/33", le=64), "2001:db8:7fff::/48", "2001:db8:8000::/48"),
        (prefix_in("2001:db8::/32", le=128), "2001:db8::1/128", "32.1.13.184/32"),
    ],
)
def test_prefix_in(condition: Condition, yes: str, no: str) -> None:
    assert condition(route(yes))
    assert not condition(route(no))
    assert not condition.per_path


@pytest.mark.parametrize(
    ("prefixes", "lengths", "words"),
    [
        ((), {}, "at least one"),
        (("10.0.0.0/33",), {}, "10.0.0.0/33"),
        (("10.0.0.1/8",), {}, "host bits"),
        (("10.0.0.0/8",), {"le": 33}, "from 8 to 33"),
        (("10.0.0.0/8",), {"ge": 7}, "from 7 to 32"),
        (("10.0.0.0/8",), {"ge": 20, "le": 19}, "from 20 to 19"),
    ],
)
def test_prefix_in_refuses(prefixes: tuple[str, ...], lengths: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        prefix_in(*prefixes, **lengths)


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        (family_is(IPV6_UNICAST), route("2001:db8::/32"), route()),
        (family_is(IPV4_UNICAST), route(), route("2001:db8::/32")),
        (community("65000:1", 7), route(communities=[7, "65000:1", 8]), route(communities=["65000:1"])),
        (large_community("1:2:3"), route(large_communities=["1:2:3", "4:5:6"]), route(large_communities=["1:2:4"])),
        (as_path_has(7), route(as_path="1 {7,8}"), route(as_path="77 1")),
        (as_path_length(ge=2), route(as_path="1 2"), route(as_path="1")),
        (as_path_length(le=2), route(as_path="1 {2,3}"), route(as_path="1 2 3")),
        (neighbor_as(1, 2), route(as_path="2 9"), route(as_path="9 1")),
        (neighbor_as(0), route(), route(as_path="9")),
        (origin_as(1), route(as_path="2 1"), route(as_path="1 2")),
        (origin_is(Origin.EGP), route(origin="egp"), route(origin="igp")),
        (local_pref_in(ge=100), route(), route(local_pref=99)),
        (local_pref_in(le=99), route(local_pref=99), route()),
        (next_hop_is("10.0.1.1", "10.0.1.2"), route(), route(next_hop="10.0.1.3")),
        (next_hop_is("2001:db8::1"), route(next_hop="2001:db8::1"), route(next_hop="2001:db8::2")),
        (peer_is("10.0.0.1"), route(), route(source=INTERNAL)),
        (peer_is("rack1", "10.9.9.9"), route(source=Source("rack1")), route()),
        (peer_as(65001), route(), route(source=INTERNAL)),
        (peer_as(65000), route(source=INTERNAL), route(source=OWN)),
        (local_route(), route(source=OWN), route(source=INTERNAL)),
        (internal_route(), route(source=INTERNAL), route(source=EXTERNAL)),
        (external_route(), route(source=EXTERNAL), route(source=OWN)),
        (where(lambda one: one.attributes.med == 3, per_path=True), route(med=3), route(med=4)),
    ],
)  # fmt: skip
def test_conditions(condition: Condition, yes: Route, no: Route) -> None:
    assert condition(yes)
    assert not condition(no)
    assert condition.per_path
    assert not (~condition)(yes)
    assert (~condition)(no)
    assert str(condition)


def test_conditions_combine() -> None:
    low, ours = prefix_in("10.0.0.0/8", le=32), local_route()
    assert (low & ours)(route(source=OWN))
    assert not (low & ours)(route())
    assert (low | ours)(route())
    assert not (low | ours)(route("11.0.0.0/8"))
    assert not (low & ours).per_path
    assert not (ours | low).per_path
    assert not (~low).per_path
    assert (ours & ~external_route()).per_path
    assert str(low & ~ours) == "(prefix in 10.0.0.0/8 le 32 and not own route)"


@pytest.mark.parametrize(
    "make",
    [
        community,
        lambda: community("65000"),
        large_community,
        lambda: large_community("1:2"),
        lambda: as_path_length(ge=3, le=2),
        lambda: next_hop_is("nowhere"),
        lambda: set_local_pref(-1),
        lambda: set_local_pref(2**32),
        lambda: set_next_hop("10.0.0.300"),
        lambda: prepend(0),
        lambda: prepend(65001, 0),
        add_communities,
        lambda: add_communities("nonsense"),
        lambda: remove_attribute(AS_PATH),
        lambda: set_attribute(ORIGIN, "unheard of"),
    ],
)
def test_bad_values_are_refused_when_the_policy_is_written(make: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each has words of its own
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        (set_local_pref(200), {}, {"local_pref": 200}),
        (set_med(7), {"med": 1}, {"med": 7}),
        (set_med(None), {"med": 1}, {}),
        (set_next_hop("10.7.7.7"), {}, {"next_hop": "10.7.7.7"}),
        (prepend(9, 2), {"as_path": "1 2"}, {"as_path": "9 9 1 2"}),
        (add_communities("65000:1"), {"communities": ["65000:2"]}, {"communities": ["65000:1", "65000:2"]}),
        (remove_communities("65000:1"), {"communities": ["65000:1"]}, {}),
        (remove_communities("65000:1"), {"communities": ["65000:2"]}, {"communities": ["65000:2"]}),
        (set_communities("no-export"), {"communities": ["65000:2"]}, {"communities": ["no-export"]}),
        (set_communities(), {"communities": ["65000:2"]}, {}),
        (add_large_communities("1:2:3"), {}, {"large_communities": ["1:2:3"]}),
        (set_attribute(ORIGIN, "egp"), {}, {"origin": "egp"}),
        (remove_attribute(LOCAL_PREF), {"local_pref": 5}, {}),
    ],
)
def test_actions(action: Action, before: dict[str, object], after: dict[str, object]) -> None:
    policy = rules(match() >> action >> accept())
    assert policy(route(**before)) == route(**after)
    assert str(action)


def test_rules_are_asked_in_order_and_fall_through() -> None:
    policy = rules(
        match(community("65000:66")) >> reject("blackholed elsewhere"),
        match(external_route()) >> set_local_pref(80),
        match(local_pref_in(le=90), prefix_in("10.0.0.0/8", le=32)) >> add_communities("65000:1") >> accept(),
        match(internal_route()) >> accept(),
        default=reject("unknown"),
        name="edge",
    )
    assert policy(route(communities=["65000:66"])) is None
    assert policy.decide(route(communities=["65000:66"])) == "rule 1: blackholed elsewhere"
    assert policy(route()) == route(local_pref=80, communities=["65000:1"])
    assert policy.decide(route("11.0.0.0/8")) == "no rule matched: unknown"
    assert policy(route("11.0.0.0/8", INTERNAL)) == route("11.0.0.0/8", INTERNAL)
    assert str(policy).splitlines()[0] == "1. community 65000:66: blackholed elsewhere"
    assert str(policy).splitlines()[-1] == "otherwise: unknown"
    assert "edge" in repr(policy)


def test_what_falls_through_keeps_its_edits() -> None:
    assert rules(match() >> set_med(3), default=accept())(route()) == route(med=3)
    assert rules(default=accept())(route()) == route()
    assert rules()(route()) is None


def test_the_reason_reaches_the_table() -> None:
    policy = rules(match(prefix_in("10.0.0.0/8")) >> reject("too wide"), default=accept(), name="edge")
    prepared = prepare(policy, "import", external=True)
    assert not prepared.per_path
    wide, fine = Prefix("10.0.0.0/8").nlri, Prefix("10.1.0.0/16").nlri
    values = attributes(1)
    assert prepared.judge_each(IPV4_UNICAST, [wide, fine], values, EXTERNAL) == [
        ("rejected by import policy edge: rule 1: too wide", [wide]),
        (values, [fine]),
    ]


def test_rules_that_do_not_look_at_prefixes_are_asked_once_a_path() -> None:
    assert prepare(rules(match(local_route()) >> accept()), "export", external=True).per_path
    assert not prepare(rules(match(prefix_in("::/0")) >> accept()), "export", external=True).per_path


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="has no action"):
        rules(match(local_route()))
    with pytest.raises(ValueError, match="default"):
        rules(default=set_med(1))
    with pytest.raises(ValueError, match="nothing can follow"):
        _ = match() >> accept() >> set_med(1)
