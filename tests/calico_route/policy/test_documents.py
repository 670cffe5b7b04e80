"""Profiles and policies as documents of the datastore, and names of both worlds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calico_route.policy.model import DENY_ALL, Direction, Rule, Selection, Side
from calico_route.policy.networkpolicy import metadata_name, read_network_policy
from calico_route.policy.profile import (
    as_v049,
    new_profile,
    read_profile,
    tag_warnings,
    tags_of,
    with_rules,
    with_tags,
)
from calico_route.policy.profile_names import given_name, stored_name
from calico_route.policy.rules import Unsayable, read_profile_rules
from tests.calico_route.policy.memory_store import CREATED, UID


def value(document: object) -> bytes:
    return json.dumps(document).encode()


def test_a_new_profile_is_that_of_v049() -> None:
    document = new_profile("PROF_A", uid=UID, created=CREATED)
    assert document["metadata"]["name"] == "v1-prof-a-111121"
    assert document["spec"] == {
        "ingress": [{"action": "Allow", "source": {"selector": "PROF_A == ''"}, "destination": {}}],
        "egress": [{"action": "Allow", "source": {}, "destination": {}}],
        "labelsToApply": {"PROF_A": ""},
    }
    reading = read_profile("v1-prof-a-111121", value(document))
    assert reading.profile is not None
    assert reading.problems == ()
    assert tags_of(reading.profile) == ("PROF_A",)
    assert as_v049(reading.profile) == {
        "id": "PROF_A",
        "inbound_rules": [{"action": "allow", "src_tag": "PROF_A"}],
        "outbound_rules": [{"action": "allow"}],
    }


def test_what_is_written_keeps_what_others_wrote() -> None:
    document = new_profile("db", uid=UID, created=CREATED)
    document["spec"]["labelsToApply"]["tier"] = "back"
    document["spec"]["later"] = {"x": 1}
    document["metadata"]["annotations"] = {"who": "me"}
    rules = read_profile_rules({"inbound_rules": [{"src_tag": "app"}]})
    changed = with_tags(with_rules(document, rules), ["one", "two"])
    assert changed["spec"]["labelsToApply"] == {"tier": "back", "one": "", "two": ""}
    assert changed["spec"]["later"] == {"x": 1}
    assert changed["metadata"] == document["metadata"]
    assert document["spec"]["labelsToApply"] == {"db": "", "tier": "back"}, "the one that was given is not touched"
    with pytest.raises(ValueError, match="the value 'back'"):
        with_tags(document, ["tier"])
    with pytest.raises(ValueError, match="no tag"):
        with_tags(document, ["a b"])


def test_general_selectors_are_kept_and_only_the_v049_form_is_refused() -> None:
    rule = {"action": "Allow", "source": {"selector": "role in {'a', 'b'}"}, "destination": {}}
    reading = read_profile("db", value({"spec": {"ingress": [rule]}}))
    assert reading.problems == ()
    assert reading.profile is not None
    assert reading.profile.ingress == (Rule(source=Side(selection=Selection("role in {'a', 'b'}"))),)
    with pytest.raises(Unsayable, match=r"inbound rule 1: .*role in"):
        as_v049(reading.profile)


@pytest.mark.parametrize(
    ("spec", "wrong", "says"),
    [
        ({"ingress": {}}, True, "must be a list"),
        ({"ingress": ["x"]}, True, "must be an object"),
        ({"ingress": [{"action": "Maybe"}]}, True, "Allow, Deny, Log or Pass"),
        ({"ingress": [{}]}, True, "Allow, Deny, Log or Pass"),
        ({"ingress": [{"action": "Allow", "source": {"selector": "a =="}}]}, True, "in quotes"),
        ({"ingress": [{"action": "Allow", "source": {"nets": ["x"]}}]}, True, "not an IP address"),
        ({"ingress": [{"action": "Allow", "destination": {"ports": [80]}}]}, True, "ports need protocol"),
        ({"ingress": [{"action": "Allow", "icmp": {"type": 8}}]}, True, "needs protocol ICMP"),
        ({"ingress": [{"action": "Allow", "protocol": "ICMP", "icmp": {"code": 8}}]}, True, "must have a type"),
        ({"labelsToApply": {"a": 5}}, True, "must be a text"),
        ({"ingress": [{"action": "Allow", "protocol": "TCP", "destination": {"ports": ["http"]}}]}, False, "by name"),
        ({"ingress": [{"action": "Allow", "http": {"methods": ["GET"]}}]}, False, "not enforced here"),
        ({"ingress": [{"action": "Allow", "destination": {"services": {"name": "x"}}}]}, False, "services"),
        ({"ingress": [{"action": "Allow", "destination": {"domains": ["x.org"]}}]}, False, "not enforced here"),
        ({"ingress": [{"action": "Pass"}]}, False, "no meaning in a profile"),
    ],
)
def test_what_cannot_be_enforced_is_closed_and_named(spec: dict[str, Any], wrong: bool, says: str) -> None:
    reading = read_profile("db", value({"spec": spec}))
    assert reading.wrong is wrong
    assert any(says in text for text in reading.problems), reading.problems
    assert reading.profile is not None
    assert all(rule == DENY_ALL for rule in reading.profile.ingress)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"5", b'{"spec": 5}', b"[" * 100000, b'{"spec": {"ingress": 5}}'])
def test_values_that_are_no_documents(raw: bytes) -> None:
    for reading in (read_profile("x", raw), read_network_policy("x", "", raw)):
        assert reading.wrong
        assert reading.problems


@given(st.binary(max_size=60))
def test_reading_is_total(raw: bytes) -> None:
    read_profile("x", raw)
    read_network_policy("x", "n", raw)


def test_a_network_policy() -> None:
    spec = {
        "order": 10,
        "selector": "role == 'db'",
        "ingress": [
            {
                "action": "Allow",
                "protocol": "TCP",
                "source": {"selector": "role == 'app'"},
                "destination": {"ports": [3306]},
            }
        ],
    }
    reading = read_network_policy("p", "shop", value({"spec": spec}))
    assert reading.problems == ()
    found = reading.policy
    assert found is not None
    assert found.types == {Direction.INGRESS}
    assert found.applies_to == Selection("role == 'db'", namespace="shop")
    assert found.ingress[0].source.selection == Selection("role == 'app'", namespace="shop"), "of its own namespace"
    labels = {"role": "app", "projectcalico.org/namespace": "shop"}
    assert found.ingress[0].source.selection.selects(labels)
    assert not found.ingress[0].source.selection.selects({**labels, "projectcalico.org/namespace": "other"})


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, {"Ingress"}),
        ({"egress": [{"action": "Allow"}]}, {"Egress"}),
        ({"ingress": [{"action": "Allow"}], "egress": [{"action": "Allow"}]}, {"Ingress", "Egress"}),
        ({"types": ["Egress"], "ingress": [{"action": "Allow"}]}, {"Egress"}),
    ],
)
def test_types_as_calico_takes_them(spec: dict[str, Any], types: set[str]) -> None:
    policy = read_network_policy("p", "", value({"spec": spec})).policy
    assert policy is not None
    assert policy.types == types


def test_namespaces_and_service_accounts() -> None:
    source = {"namespaceSelector": "team == 'x'", "serviceAccounts": {"names": ["robot"]}}
    spec = {"ingress": [{"action": "Allow", "source": source}]}
    policy = read_network_policy("p", "shop", value({"spec": spec})).policy
    assert policy is not None
    selection = policy.ingress[0].source.selection
    assert selection is not None
    labels = {
        "projectcalico.org/namespace": "far",
        "pcns.team": "x",
        "projectcalico.org/serviceaccount": "robot",
    }
    assert selection.selects(labels)
    assert not selection.selects({**labels, "pcns.team": "y"})
    assert not selection.selects({**labels, "projectcalico.org/serviceaccount": "other"})
    everywhere, nowhere = Selection(namespaces="all()"), Selection(namespaces="global()")
    assert everywhere.selects(labels)
    assert not everywhere.selects({})
    assert nowhere.selects({})
    assert not nowhere.selects(labels)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"tier": "platform", "ingress": [{"action": "Allow"}]}, "only the tier default"),
        ({"novel": True, "ingress": [{"action": "Allow"}]}, "spec.novel"),
    ],
)
def test_a_policy_that_is_not_understood_closes_whom_it_selects(spec: dict[str, Any], says: str) -> None:
    reading = read_network_policy("p", "", value({"spec": spec}))
    assert reading.policy is not None
    assert reading.policy.ingress == (DENY_ALL,)
    assert any(says in text for text in reading.problems)


def test_a_rule_that_is_not_understood_closes_its_place() -> None:
    named = {"protocol": "TCP", "destination": {"ports": ["http"]}}
    rules = [{"action": "Allow", **named}, {"action": "Allow"}, {"action": "Deny", **named}]
    policy = read_network_policy("p", "", value({"spec": {"ingress": rules}})).policy
    assert policy is not None
    assert policy.ingress == (Rule(), DENY_ALL)


def test_policies_for_interfaces_of_hosts_are_not_ours() -> None:
    for field in ("doNotTrack", "preDNAT"):
        reading = read_network_policy("p", "", value({"spec": {field: True, "applyOnForward": True}}))
        assert (reading.policy, reading.problems) == (None, ())


def test_the_name_that_its_user_gave() -> None:
    kept = {"metadata": {"annotations": {"projectcalico.org/metadata": '{"name":"web"}'}}}
    assert metadata_name(kept, "default.web") == "web"
    for odd in ({}, {"metadata": 5}, {"metadata": {"annotations": {"projectcalico.org/metadata": "{"}}}):
        assert metadata_name(odd, "default.web") == "default.web"


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("db", "db"),
        ("web.front-1", "web.front-1"),
        ("PROF_A", "v1-prof-a-111121"),
        ("a..b", "v1-a--b-0330"),
        ("-", "v1---0"),
        ("v1-a-1", "v1-v1-a-1-000000"),
        ("kns.default", "kns.default"),
    ],
)
def test_names(name: str, stored: str) -> None:
    assert stored_name(name) == stored
    assert given_name(stored) == name


@given(st.lists(st.from_regex(r"[a-zA-C0-3_.v-]{1,40}", fullmatch=True), min_size=2, max_size=2, unique=True))
def test_no_two_names_meet(names: list[str]) -> None:
    stored = [stored_name(name) for name in names]
    assert stored[0] != stored[1]
    assert [given_name(one) for one in stored] == names


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "A" * 41, "a" * 254])
def test_names_that_nobody_takes(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a profile"):
        stored_name(name)


def test_the_slip_of_the_article() -> None:
    rules = read_profile_rules({"inbound_rules": [{"src_tag": "APP"}, {"src_tag": "wep"}, {"src_tag": "zz"}, {}]})
    assert tag_warnings(rules.inbound, {"app", "APQ", "web"}) == [
        "no member carries the tag APP; did you mean app?",
        "no member carries the tag wep; did you mean web?",
        "no member carries the tag zz",
    ]
    assert tag_warnings(rules.inbound, {"APP", "wep", "zz"}) == []
