"""Policies of a speaker's file: what they do to routes, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.app.policy_file import ACTIONS, CONDITIONS
from pybgp.app.reader import Problems
from pybgp.app.speaker_file import parse
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy
from pybgp.prefix import Prefix, pack_address
from pybgp.rib.route import Route, Source

HEAD = '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n[policy.p]\n'
PEER = Source(
    name="192.0.2.2",
    address=pack_address("192.0.2.2"),
    bgp_identifier=2,
    asn=65001,
    local_as=64512,
    internal=False,
    local=False,
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
    assert {text.split(" =")[0] for text, _yes, _no in CASES} == {*CONDITIONS, "prefix"}


EDITS: list[tuple[str, str, Any]] = [
    ("set_local_pref = 50", "local_pref", 50),
    ("set_med = 7", "med", 7),
    ('set_next_hop = "192.0.2.77"', "next_hop_text", "192.0.2.77"),
    ('set_communities = ["65000:9"]', "communities", {65000 << 16 | 9}),
    ("set_communities = []", "communities", set()),
    ('add_communities = "65000:9"', "communities", {65000 << 16 | 9, 65000 << 16 | 1}),
    ('remove_communities = ["65000:1"]', "communities", set()),
    ('add_large_communities = ["1:2:3"]', "large_communities", {(1, 2, 3)}),
    ("prepend = 64999", "neighbor_as", 64999),
    ("prepend = [64999, 3]", "as_path_length", 5),
]


@pytest.mark.parametrize(("text", "name", "value"), EDITS, ids=[text for text, _name, _value in EDITS])
def test_actions(text: str, name: str, value: Any) -> None:
    edited = rule(text)(route(communities=["65000:1"]))
    assert edited is not None
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
    ('default = "yes"\n', 5, "policy.p.default", "accept or reject"),
    ("other = 1\n", 5, "policy.p.other", "no such key"),
    ("rule = 1\n", 5, "policy.p.rule", "a list"),
    ("rule = [1]\n", 5, "policy.p.rule[0]", "a table"),
    ('[policy.accept]\ndefault = "accept"\n', 5, "policy.accept", "cannot be another"),
    ("[[policy.p.rule]]\n", 5, "policy.p.rule[0]", "needs an action"),
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
    ('as_path_has = "x"', "must be a number"),
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
    assert problem.line in range(6, 8 + lines)
    assert problem.key.startswith("policy.p.rule[0].")
    assert words in problem.text
