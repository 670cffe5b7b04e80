"""Rules of v0.4.9 in JSON and as words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calico_route.policy.model import Action, Rule, Selection, Side
from calico_route.policy.rule_text import format_rule, parse_rule
from calico_route.policy.rules import (
    RulesError,
    Unsayable,
    read_profile_rules,
    read_rule,
    tag_of,
    tag_selection,
    write_profile_rules,
    write_rule,
)
from calico_route.policy.v3_rules import Findings, read_rules
from calico_route.policy.v3_rules import write_rule as write_v3
from tests.calico_route.policy.strategies import v049_rules, v3_rules

ARTICLE = {
    "id": "db",
    "inbound_rules": [
        {"action": "allow", "src_tag": "db"},
        {"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [3306]},
    ],
    "outbound_rules": [{"action": "allow"}],
}


def test_the_article() -> None:
    found = read_profile_rules(ARTICLE)
    assert found.id == "db"
    assert found.inbound == (
        Rule(source=Side(selection=Selection("db == ''"))),
        Rule(
            protocol=6,
            source=Side(selection=Selection("app == ''")),
            destination=Side(ports=((3306, 3306),)),
        ),
    )
    assert found.outbound == (Rule(action=Action.ALLOW),)
    assert write_profile_rules("db", found.inbound, found.outbound) == ARTICLE


def test_an_absent_action_is_allow() -> None:
    assert read_rule({}).action is Action.ALLOW


@pytest.mark.parametrize(
    ("rule", "key", "says"),
    [
        ({"src_port": [80]}, "src_port", "did you mean src_ports?"),
        ({"colour": "red"}, "colour", "unknown key; known are action"),
        ({"action": "drop"}, "action", "allow or deny"),
        ({"protocol": "tpc"}, "protocol", "tcp, udp, icmp"),
        ({"protocol": 0}, "protocol", "1 to 255"),
        ({"protocol": True}, "protocol", "1 to 255"),
        ({"src_tag": "a b"}, "src_tag", "letters, digits"),
        ({"src_tag": ["a"]}, "src_tag", "letters, digits"),
        ({"src_net": "10.0.0.0/33"}, "src_net", "prefix length"),
        ({"dst_net": 5}, "dst_net", "not an IP address"),
        ({"protocol": "tcp", "dst_ports": 80}, "dst_ports", "a list of ports"),
        ({"protocol": "tcp", "dst_ports": []}, "dst_ports", "a list of ports"),
        ({"protocol": "tcp", "dst_ports": [70000]}, "dst_ports", "0 to 65535"),
        ({"protocol": "tcp", "dst_ports": [True]}, "dst_ports", "0 to 65535"),
        ({"protocol": "tcp", "dst_ports": ["90:80"]}, "dst_ports", "ends before it begins"),
        ({"dst_ports": [80]}, "dst_ports", "need a protocol that has them"),
        ({"protocol": "icmp", "src_ports": [80]}, "src_ports", "need a protocol that has them"),
        ({"icmp_type": 8}, "icmp_type", "icmp or icmpv6"),
        ({"protocol": "icmp", "icmp_type": 255}, "icmp_type", "0 to 254"),
        ({"protocol": "icmp", "icmp_code": 0}, "icmp_code", "needs an icmp_type"),
        ({"src_net": "10.0.0.0/8", "dst_net": "fd00::/8"}, "dst_net", "can never hold"),
        ({"protocol": "icmpv6", "src_net": "10.0.0.0/8"}, "src_net", "can never hold"),
        ({"ip_version": 5}, "ip_version", "4 or 6"),
    ],
)
def test_bad_rules_are_refused_with_number_key_and_what_is_right(rule: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(RulesError) as refused:
        read_profile_rules({"inbound_rules": [{}, rule], "outbound_rules": []})
    text = str(refused.value)
    assert text.startswith("inbound rule 2: ")
    assert key in text
    assert says in text


def test_every_fault_is_named() -> None:
    document = {"id": 5, "inbound_rule": [], "inbound_rules": [{"a": 1, "action": "no"}], "outbound_rules": "x"}
    with pytest.raises(RulesError) as refused:
        read_profile_rules(document)
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "inbound_rule",
        "id 5",
        "inbound rule 1",
        "inbound rule 1",
        'outbound_rules "x"',
    ]
    with pytest.raises(RulesError, match="must be an object"):
        read_profile_rules([])


@given(v049_rules())
def test_json_and_words_come_back(document: dict[str, Any]) -> None:
    try:
        rule = read_rule(document)
    except RulesError as error:
        assert "can never hold" in str(error)  # IP versions that do not go together are the only fault it makes
        return
    assert read_rule(write_rule(rule)) == rule
    assert parse_rule(format_rule(rule)) == rule
    findings = Findings()
    assert read_rules([write_v3(rule)], "r", "", findings) == (rule,)
    assert findings.texts == ()


@given(v3_rules(), st.sampled_from(["", "default"]))
def test_rules_of_v3_come_back(document: dict[str, Any], namespace: str) -> None:
    findings = Findings()
    (rule,) = read_rules([document], "r", "", findings)
    assert findings.texts == ()
    assert read_rules([write_v3(rule)], "r", "", findings) == (rule,)
    try:
        said = write_rule(rule)
    except Unsayable as error:
        assert "v0.4.9" in str(error)
    else:
        assert parse_rule(format_rule(rule)) == read_rule(said)


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("allow", {}),
        ("deny", {"action": "deny"}),
        (
            "allow tcp from ports 1,2 tag X 10.0.0.0/8 to ports 80 tag Y",
            {
                "protocol": "tcp",
                "src_ports": [1, 2],
                "src_tag": "X",
                "src_net": "10.0.0.0/8",
                "dst_ports": [80],
                "dst_tag": "Y",
            },
        ),
        ("deny udp to ports 1:5,9", {"action": "deny", "protocol": "udp", "dst_ports": ["1:5", 9]}),
        ("allow icmp type 8 code 0 from tag a", {"protocol": "icmp", "icmp_type": 8, "icmp_code": 0, "src_tag": "a"}),
        ("allow 47 to fd00::/8", {"protocol": 47, "dst_net": "fd00::/8"}),
        ("allow ipv6 tcp", {"ip_version": 6, "protocol": "tcp"}),
        ("allow from tag to to tag from", {"src_tag": "to", "dst_tag": "from"}),
    ],
)
def test_words(text: str, document: dict[str, Any]) -> None:
    rule = read_rule(document)
    assert parse_rule(text) == rule
    assert format_rule(rule) == text


def test_words_as_people_write_them() -> None:
    assert parse_rule(["ALLOW", "TCP", "from", "ports", "3-4", "10.1.2.3"]) == read_rule(
        {"protocol": "tcp", "src_ports": ["3:4"], "src_net": "10.1.2.3/32"}
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "allow or deny"),
        ("permit tcp", "begins with allow or deny"),
        ("allow tcpp", "no protocol"),
        ("allow from", "expected ports, tag or a CIDR"),
        ("allow from to tag x", "expected ports, tag or a CIDR"),
        ("allow from tag", "a tag is expected"),
        ("allow icmp type echo", "a number behind type"),
        ("allow tcp to ports x", "no port"),
        ("allow tcp to 10.0.0.0/x", "not a number"),
        ("allow tcp from b", "not an IP address"),
        ("allow tcp to tag a 10.0.0.0/8 tag b", "not expected here"),
        ("allow tcp to 10.0.0.0/8 from tag a", "not expected here"),
        ("allow to ports 80", "need a protocol"),
    ],
)
def test_bad_words(text: str, says: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse_rule(text)
    assert says in str(refused.value)


def test_tags_are_selectors_and_only_they_are_tags() -> None:
    assert tag_of(tag_selection("a.b-c")) == "a.b-c"
    assert tag_of(Selection('a == ""')) == "a"
    for other in (
        Selection("has(a)"),
        Selection("a == 'x'"),
        Selection("a == ''", namespace="n"),
        Selection("!a == ''"),
    ):
        assert tag_of(other) is None


@pytest.mark.parametrize(
    "document",
    [
        {"action": "Pass"},
        {"action": "Allow", "notProtocol": "TCP"},
        {"action": "Allow", "source": {"selector": "has(a)"}},
        {"action": "Allow", "source": {"nets": ["10.0.0.0/8", "11.0.0.0/8"]}},
        {"action": "Allow", "destination": {"notNets": ["10.0.0.0/8"]}},
    ],
)
def test_what_v049_cannot_say_is_refused_with_the_reason(document: dict[str, Any]) -> None:
    rules = read_rules([{"action": "Allow"}, document], "r", "", Findings())
    with pytest.raises(Unsayable, match=r"inbound rule 2: .*v0\.4\.9"):
        write_profile_rules("x", rules, ())


def test_a_rule_of_v3_that_can_never_hold_is_not_said() -> None:
    """Its JSON would be refused when it comes back."""
    rule = read_rules(
        [{"action": "Allow", "source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["fd00::/8"]}}],
        "r",
        "",
        Findings(),
    )
    with pytest.raises(Unsayable, match=r"v0\.4\.9 .* can never hold"):
        write_rule(rule[0])
