"""Policies of a speaker's file: what they do to routes, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.app.policy_words import ACTIONS, CONDITIONS
from pybgp.app.reader import Problems
from pybgp.app.speaker_file import difference, parse
from pybgp.messages.attributes import ROW_NAMED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy, Rules
from pybgp.prefix import Prefix, pack_address
from pybgp.rib.route import Route, Source

HEAD = (
    '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n'
    '[prefix_set]\nblocks = ["10.1.0.0/16 le 24", "2001:db8::/32+"]\nhosts = "192.0.2.0/24"\n'
    '[as_set]\nfriends = [65001, "65100-65199"]\n[policy.p]\n'
)
FIRST = HEAD.count("\n") + 1
PEER = Source(
    name="192.0.2.2",
    address=pack_address("192.0.2.2"),
    bgp_identifier=2,
    asn=65001,
    local_as=64512,
    internal=False,
    local=False,
    role="customer",
    group="upstreams",
)


def policy(text: str) -> Policy:
    return parse(HEAD + text).policies["p"]


def route(prefix: str = "10.1.0.0/16", source: Source = PEER, **attributes: Any) -> Route:
    attributes = {"as_path": [65001, 65009], "next_hop": "192.0.2.2", **attributes}
    return Route(Prefix(prefix), PathAttributes.build(**attributes), source)


def rule(text: str, then: str = "accept") -> Policy:
    return policy(f'default = "reject"\n[[policy.p.rule]]\n{text}\nthen = "{then}"\n')


# condition, a route that it matches, one that it does not
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ('prefix = "10.1.0.0/16"', {}, {"prefix": "10.1.1.0/24"}),
    ('prefix = ["10.0.0.0/8"]\nle = 24', {"prefix": "10.1.1.0/24"}, {"prefix": "10.1.1.1/32"}),
    ('prefix = ["10.0.0.0/8", "::/0"]\nge = 24', {"prefix": "10.1.1.0/24"}, {}),
    ('family = "ipv6-unicast"', {"prefix": "2001:db8::/32"}, {}),
    ('family = ["ipv4-unicast", "ipv6-unicast"]', {}, {"prefix": "10.0.0.0/8", "never": True}),
    ('community = "65000:1"', {"communities": ["65000:1"]}, {"communities": ["65000:2"]}),
    ('community = ["65000:1", "no-export"]', {"communities": ["65000:1", "no-export"]}, {"communities": ["65000:1"]}),
    ('large_community = "1:2:3"', {"large_communities": ["1:2:3"]}, {}),
    ("as_path_has = [65009, 65010]", {}, {"as_path": [65001]}),
    ("as_path_longer_than = 2", {"as_path": [1, 2, 3]}, {}),
    ("neighbor_as = 65001", {}, {"as_path": [65009]}),
    ("origin_as = [65009]", {}, {"as_path": [65001]}),
    ('prefix_set = ["hosts", "blocks"]', {"prefix": "10.1.7.0/24"}, {"prefix": "10.1.7.0/25"}),
    ('prefix = ["10.0.0.0/8 ge 9 le 16", "10.9.0.0/16+"]', {}, {"prefix": "10.0.0.0/8"}),
    ('community = ["65000:*"]', {"communities": ["65000:7"]}, {"communities": ["65001:7"]}),
    ('any_community = ["*:666", "1:10-19"]', {"communities": ["1:15"]}, {"communities": ["1:20"]}),
    ('any_large_community = ["1:*:3"]', {"large_communities": ["1:9:3"]}, {"large_communities": ["1:9:4"]}),
    ('extended_community = "rt:65000:*"', {"extended_communities": ["rt:65000:5"]}, {}),
    ('any_extended_community = ["soo:1:1", "rt:*"]', {"extended_communities": ["rt:65000:5"]}, {}),
    ('ipv6_extended_community = "rt:[2001:db8::1]:7"', {"ipv6_extended_communities": ["rt:[2001:db8::1]:7"]}, {}),
    (
        'any_ipv6_extended_community = ["soo:*", "rt:[2001:db8:*"]',
        {"ipv6_extended_communities": ["rt:[2001:db8::1]:7"]},
        {"ipv6_extended_communities": ["rt:[2001:db9::1]:7"]},
    ),
    ("otc = [65000, 65001]", {"only_to_customer": 65001}, {"only_to_customer": 65002}),
    ("otc = true", {"only_to_customer": 65001}, {}),
    ('as_path = "^65001_"', {}, {"as_path": [65009, 65001]}),
    ('as_path_hops = ["65001 ?", "65001 * 7"]', {}, {"as_path": [65001, 65009, 8]}),
    ('as_path_has = ["friends", "9-10"]', {"as_path": [1, 65150, 2]}, {"as_path": [1, 2]}),
    ("as_path_through = 65001", {}, {"as_path": [65009, 65001]}),
    ("as_path_length = { le = 2 }", {}, {"as_path": [1, 2, 3]}),
    ("as_path_length = 2", {}, {"as_path": [1]}),
    ("as_path_repeats = 3", {"as_path": [1, 2, 2, 2]}, {"as_path": [2, 2, 1, 2]}),
    ('next_hop_set = "hosts"', {}, {"next_hop": "192.0.3.2"}),
    ('next_hop = ["192.0.9.9", "192.0.2.0/24"]', {}, {"next_hop": "192.0.3.2"}),
    ('peer_group = "upstreams"', {}, {"source": "other"}),
    ('peer_role = ["provider", "peer"]', {}, {"source": "other"}),
    ('origin = ["egp", "incomplete"]', {"origin": "egp"}, {}),
    ("med = { ge = 5, le = 9 }", {"med": 7}, {"med": 10}),
    ("local_pref = 100", {}, {"local_pref": 99}),
    ('has = ["med", "aggregator"]', {"med": 1, "aggregator": {"asn": 1, "address": "192.0.2.1"}}, {"med": 1}),
    ('any = [{ med = 3 }, { origin = "egp", local_pref = 9 }]', {"origin": "egp", "local_pref": 9}, {"origin": "egp"}),
    ('not = { med = 3, origin = "egp" }', {"med": 3}, {"med": 3, "origin": "egp"}),
    ('not = [{ med = 3 }, { origin = "egp" }]', {"med": 4}, {"med": 4, "origin": "egp"}),
    ('next_hop = "192.0.2.2"', {}, {"next_hop": "192.0.2.3"}),
    ('peer = ["192.0.2.2"]', {}, {"source": "other"}),
    ("peer_as = 65001", {}, {"source": "other"}),
    ('source = "external"', {}, {"source": "other"}),
    ('source = ["internal", "local"]', {"source": "other"}, {}),
]
OTHER = Source(
    name="192.0.2.9",
    address=pack_address("192.0.2.9"),
    bgp_identifier=9,
    asn=64512,
    local_as=64512,
    internal=True,
    local=False,
)


def made(values: dict[str, Any]) -> Route | None:
    values = dict(values)
    if values.pop("never", False):
        return None
    if values.pop("source", None) is not None:
        values["source"] = OTHER
    return route(**values)


@pytest.mark.parametrize(("text", "yes", "no"), CASES, ids=[text.split(" =")[0] for text, _yes, _no in CASES])
def test_conditions(text: str, yes: dict[str, Any], no: dict[str, Any]) -> None:
    asked = rule(text)
    fits, other = made(yes), made(no)
    assert fits is not None
    assert asked(fits) is not None
    assert other is None or asked(other) is None


def test_every_condition_is_above() -> None:
    assert {text.split(" =")[0] for text, _yes, _no in CASES} == {*CONDITIONS, "prefix", "any", "not"}


EDITS: list[tuple[str, str, Any]] = [
    ("set_local_pref = 50", "local_pref", 50),
    ("set_med = 7", "med", 7),
    ('set_next_hop = "192.0.2.77"', "next_hop_text", "192.0.2.77"),
    ('set_communities = ["65000:9"]', "communities", {65000 << 16 | 9}),
    ("set_communities = []", "communities", set()),
    ('add_communities = "65000:9"', "communities", {65000 << 16 | 9, 65000 << 16 | 1}),
    ('remove_communities = ["65000:1"]', "communities", set()),
    ('add_large_communities = ["1:2:3"]', "large_communities", {(1, 2, 3)}),
    ('set_origin = "egp"', "origin", 1),
    ("adjust_local_pref = 50", "local_pref", 150),
    ("adjust_local_pref = -500", "local_pref", 0),
    ("adjust_med = 4294967295", "med", 0xFFFFFFFF),
    ('remove_communities = "65000:*"', "communities", set()),
    ('set_large_communities = ["4:5:6"]', "large_communities", {(4, 5, 6)}),
    ('remove_large_communities = "*:2:*"', "large_communities", set()),
    ('set_extended_communities = ["rt:1:2"]', "extended_communities", ["rt:1:2"]),
    ('add_extended_communities = ["rt:1:2"]', "extended_communities", ["rt:1:2", "soo:7:7"]),
    ('remove_extended_communities = ["soo:*"]', "extended_communities", None),
    ('set_ipv6_extended_communities = "rt:[2001:db8::1]:7"', "ipv6_extended_communities", ["rt:[2001:db8::1]:7"]),
    ('add_ipv6_extended_communities = "rt:[2001:db8::1]:7"', "ipv6_extended_communities", ["rt:[2001:db8::1]:7"]),
    ('remove_ipv6_extended_communities = "rt:*"', "ipv6_extended_communities", None),
    ("set_otc = 65001", "only_to_customer", 65001),
    ('remove = ["communities", "med"]', "communities", set()),
    ("prepend_neighbor = 2", "as_path_length", 4),
    ("prepend = 64999", "neighbor_as", 64999),
    ("prepend = [64999, 3]", "as_path_length", 5),
]


@pytest.mark.parametrize(("text", "name", "value"), EDITS, ids=[text for text, _name, _value in EDITS])
def test_actions(text: str, name: str, value: Any) -> None:
    edited = rule(text)(route(communities=["65000:1"], extended_communities=["soo:7:7"]))
    assert edited is not None
    row = ROW_NAMED.get(name)
    if row is not None and not hasattr(edited.attributes, name):
        held = edited.attributes.get(row)
        assert (None if held is None else row.to_json(held)) == value
    else:
        assert getattr(edited.attributes, name) == value


def test_every_action_is_above() -> None:
    assert {text.split(" =")[0] for text, _name, _value in EDITS} == set(ACTIONS)


def test_rules_are_asked_in_order() -> None:
    asked = policy(
        """
        default = "accept"
        [[policy.p.rule]]
        peer_as = 65001
        set_med = 1
        [[policy.p.rule]]
        prefix = "10.9.0.0/16"
        then = "reject"
        [[policy.p.rule]]
        set_local_pref = 9
        """
    )
    assert asked(route("10.9.0.0/16")) is None
    through = asked(route())
    assert through is not None
    assert (through.attributes.med, through.attributes.local_pref) == (1, 9)


def test_a_policy_rejects_what_it_does_not_know() -> None:
    assert policy("")(route()) is None


WRONG: list[tuple[str, int, str, str]] = [
    ('default = "yes"\n', FIRST, "policy.p.default", "accept or reject"),
    ("other = 1\n", FIRST, "policy.p.other", "no such key"),
    ("rule = 1\n", FIRST, "policy.p.rule", "a list"),
    ("rule = [1]\n", FIRST, "policy.p.rule[0]", "a table"),
    ('[policy.accept]\ndefault = "accept"\n', FIRST, "policy.accept", "cannot be another"),
    ("[[policy.p.rule]]\n", FIRST, "policy.p.rule[0]", "needs an action"),
    ('reason = "so"\ndefault = "accept"\n', FIRST, "policy.p.reason", 'default = "reject"'),
    ("[prefix_set.inner]\nx = 1\n", FIRST, "prefix_set.inner", "a text or a list"),
    ('[[policy.p.rule]]\nname = "a"\nthen = "accept"\n' * 2, FIRST + 4, "policy.p.rule[1].name", "another rule"),
]
WRONG_SETS = [
    ("[prefix_set]\na = []\n", "prefix_set.a", "is empty"),
    ('[prefix_set]\na = ["10.0.0.0/8", 7]\n', "prefix_set.a", "list of texts"),
    ('[prefix_set]\na = "10.0.0.0/8 le 33"\n', "prefix_set.a", "no range"),
    ("[as_set]\na = []\n", "as_set.a", "is empty"),
    ('[as_set]\na = "x"\n', "as_set.a", "an AS number is"),
    ("[as_set]\n1a = 5\n", "as_set.1a", "begin with a digit"),
]
WRONG_IN_RULES = [
    ("prefix = []", "is empty"),
    ("prefix = [1]", "list of texts"),
    ('prefix = "10.0.0.1/8"', "host bits"),
    ("le = 24", "goes with prefix"),
    ("ge = 24", "goes with prefix"),
    ('prefix = "10.0.0.0/8"\nle = 4', "no range"),
    ('family = "ipv5"', "ipv5"),
    ("community = []", "is empty"),
    ("community = {}", "community"),
    ('large_community = "1:2"', "large community"),
    ('as_path_has = "x"', "there are friends"),
    ("as_path_has = {}", "must be a number"),
    ('as_path_has = "9-5"', "ranges go up"),
    ('prefix_set = "nothing"', "there are blocks, hosts"),
    ('next_hop_set = "nothing"', "there are blocks, hosts"),
    ('prefix = "10.0.0.0/8 le 4"', "no range"),
    ('prefix = "10.0.0.0/8 from 4"', "no entry"),
    ('community = "65000:1-70000"', "65535"),
    ('community = "1:2:*"', "65000:*"),
    ('large_community = "1:*"', "65000:*:100-199"),
    ('extended_community = "*"', "words or numbers"),
    ('add_communities = "65000:*"', "community"),
    ('as_path = "(65001"', "without its"),
    ('as_path_hops = "65001 x"', "? and *"),
    ("as_path_length = { from = 2 }", "ge, le or both"),
    ("as_path_length = { ge = 2, le = 1 }", "no range"),
    ("as_path_repeats = 1", "from 2 to 255"),
    ('peer_role = "friend"', "rs-client"),
    ('origin = "bgp"', "igp, egp, incomplete"),
    ("med = -3", "from 0 to"),
    ('has = "color"', "there are"),
    ("any = []", "is empty"),
    ("any = [{}]", "needs a condition"),
    ("any = [{ moon = 1 }]", "no such key"),
    ("not = [{ med = -1 }]", "from 0 to"),
    ("not = 5", "a list or a table"),
    ('remove = "as_path"', "mandatory"),
    ('remove = "what"', "there are"),
    ('set_origin = "what"', "igp, egp, incomplete"),
    ("prepend_neighbor = 0", "from 1 to 255"),
    ('adjust_med = "much"', "whole number"),
    ('reason = "so"', 'goes with then = "reject"'),
    ("as_path_longer_than = [1]", "must be a number"),
    ("neighbor_as = -1", "from 0 to"),
    ("peer_as = 4294967296", "from 1 to"),
    ("origin_as = true", "must be a number"),
    ('peer = "router1"', "address"),
    ("next_hop = 5", "must be a text"),
    ('source = "moon"', "local, internal, external"),
    ("set_med = -1", "MED"),
    ('set_next_hop = ["192.0.2.1"]', "must be a text"),
    ("prepend = []", "how many times"),
    ("prepend = [1, 2, 3]", "how many times"),
    ("prepend = [64512, 4000000000]", "up to 255"),
    ("add_communities = []", "is empty"),
    ('then = "maybe"', "accept or reject"),
    ("than = 1", "did you mean then"),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), WRONG, ids=[key for _text, _line, key, _words in WRONG])
def test_errors(text: str, line: int, key: str, words: str) -> None:
    with pytest.raises(Problems) as caught:
        parse(HEAD + text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (line, key)
    assert words in problem.text


@pytest.mark.parametrize(("text", "words"), WRONG_IN_RULES, ids=[text for text, _words in WRONG_IN_RULES])
def test_errors_in_rules(text: str, words: str) -> None:
    lines = text.count("\n")
    then = "" if text.startswith("then") else 'then = "accept"\n'
    with pytest.raises(Problems) as caught:
        parse(f"{HEAD}[[policy.p.rule]]\n{then}{text}\n")
    (problem,) = caught.value.problems
    assert problem.line in range(FIRST + 1, FIRST + 3 + lines)
    assert problem.key.startswith("policy.p.rule[0].")
    assert words in problem.text


@pytest.mark.parametrize(("text", "key", "words"), WRONG_SETS, ids=[text for text, _key, _words in WRONG_SETS])
def test_errors_in_sets(text: str, key: str, words: str) -> None:
    with pytest.raises(Problems) as caught:
        parse('[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n' + text)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (5, key)
    assert words in problem.text


def test_reasons_and_names_are_told() -> None:
    asked = policy(
        """
        reason = "unknown"
        [[policy.p.rule]]
        name = "bogons"
        prefix_set = "blocks"
        then = "reject"
        reason = "not from outside"
        """
    )
    assert isinstance(asked, Rules)
    refusal = asked.decide(route())
    assert (str(refusal), refusal.rule) == ("rule bogons: not from outside", "bogons")  # type: ignore[union-attr]
    assert str(asked.decide(route("10.9.0.0/16"))) == "no rule matched: unknown"


def test_a_policy_changes_with_the_sets_that_it_uses() -> None:
    text = HEAD + '[[policy.p.rule]]\nprefix_set = "blocks"\nany = [{ origin_as = "friends" }]\nthen = "accept"\n'
    peer = '[[peer]]\naddress = "192.0.2.2"\npeer_as = 65001\nimport_policy = "p"\n'
    before = parse(text + peer)
    for change in (("le 24", "le 25"), ("65199", "65200")):
        ((spec, names),) = difference(before, parse((text + peer).replace(*change))).changed
        assert (spec.config.address, names) == ("192.0.2.2", {"import_policy"})
    assert not difference(before, parse((text + peer).replace("192.0.2.0/24", "192.0.0.0/16"))), "nobody uses it"


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.sampled_from(
        ["", "*", "65000:*", "1:2:3", "10.0.0.0/8 le 9", "rt:*", "^1_(2|3)*$", "[", "1 * ?", "igp", "none"]
    )
    | st.text("ab:1.*-_^$()[]{}/ ", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ge", "le", "med", "x"]), inner),
    max_leaves=4,
)
KEYS = sorted({*CONDITIONS, *ACTIONS, "prefix", "ge", "le", "any", "not", "then", "reason", "name"})


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else repr(value)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=3))
@settings(max_examples=200, deadline=None)
def test_any_values_are_a_policy_or_problems(tables: list[dict[str, Any]]) -> None:
    text = HEAD
    for values in tables:
        text += "[[policy.p.rule]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())
    try:
        made = parse(text).policies["p"]
    except Problems as error:
        last = text.count("\n")
        assert all(1 <= problem.line <= last and problem.key and problem.text for problem in error.problems)
    else:
        assert isinstance(made, Rules)
        made.decide(route(med=5, communities=["65000:1"], extended_communities=["rt:1:2"]))
