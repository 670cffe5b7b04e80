"""`profile NAME rule …`."""

from __future__ import annotations

import json

import pytest

from tests.calico_route.commands.conftest import Line, endpoint

ARTICLE = {
    "id": "db",
    "inbound_rules": [
        {"action": "allow", "src_tag": "db"},
        {"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [3306]},
    ],
    "outbound_rules": [{"action": "allow"}],
}


def test_the_rules_of_the_article(line: Line) -> None:
    line("profile add app")
    line("profile add db")
    said = line("profile db rule update", given=json.dumps(ARTICLE))
    assert (said.out, said.err) == ("profile db has 2 inbound and 1 outbound rules now\n", "")
    assert line("profile db rule json").json == ARTICLE
    assert line("profile db rule json --json").json == ARTICLE
    assert line("profile db rule show").out.splitlines() == [
        "Inbound rules:",
        "   1 allow from tag db",
        "   2 allow tcp from tag app to ports 3306",
        "Outbound rules:",
        "   1 allow",
    ]
    assert line.read("profiles/db")["spec"]["ingress"][1] == {
        "action": "Allow",
        "protocol": "TCP",
        "source": {"selector": "app == ''"},
        "destination": {"ports": [3306]},
    }


def test_a_tag_that_nobody_carries(line: Line) -> None:
    line("profile add app")
    line("profile add db")
    slip = json.loads(json.dumps(ARTICLE).replace('"app"', '"APP"'))
    assert (
        "no member carries the tag APP; did you mean app?" in line("profile db rule update", given=json.dumps(slip)).err
    )
    assert "no member carries the tag wbe" in line("profile db rule add inbound allow from tag wbe").err
    line.write(endpoint(labels={"wbe": ""}))
    assert line("profile app rule add inbound allow from tag wbe").err == ""


def test_add_and_remove(line: Line) -> None:
    line("profile add web")
    line("profile web rule add inbound allow tcp to ports 80,443")
    line("profile web rule add inbound --at=1 deny from 10.66.0.0/16")
    line(["profile", "web", "rule", "add", "inbound", "allow udp to ports 53", "--at", "2"])
    line("profile web rule add outbound deny icmp type 8 code 0 to 192.168.0.0/16")
    assert line("profile web rule show --json").json == {
        "id": "web",
        "inbound_rules": [
            "deny from 10.66.0.0/16",
            "allow udp to ports 53",
            "allow from tag web",
            "allow tcp to ports 80,443",
        ],
        "outbound_rules": ["allow", "deny icmp type 8 code 0 to 192.168.0.0/16"],
    }
    again = line("profile web rule add inbound allow udp to ports 53 --json").json
    assert (again["added"], again["at"]) == (False, 2)
    line("profile web rule remove inbound --at=2")
    line("profile web rule remove inbound allow tcp to ports 80,443")
    assert line("profile web rule show --json").json["inbound_rules"] == [
        "deny from 10.66.0.0/16",
        "allow from tag web",
    ]
    line("profile web rule remove inbound --at=1")
    assert "all inbound traffic is dropped" in line("profile web rule remove inbound --at=1").err
    assert "(none: all is dropped)" in line("profile web rule show").out


def test_what_v049_has_no_words_for_is_kept_and_shown(line: Line) -> None:
    theirs = {
        "action": "Allow",
        "source": {"selector": "role == 'fe'"},
        "destination": {},
        "metadata": {"annotations": {}},
    }
    line.write({"profiles/web": {"metadata": {"name": "web"}, "spec": {"ingress": [theirs]}}})
    assert "select by a tag alone" in line("profile web rule show").out
    assert "cannot be written in this form" in line("profile web rule json", code=1).err
    line("profile web rule add inbound allow tcp to ports 80")
    rules = line.read("profiles/web")["spec"]["ingress"]
    assert rules[0] == theirs
    assert len(rules) == 2


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "standard input is no JSON"),
        ("{", "standard input is no JSON"),
        ("[]", "must be an object"),
        ('{"inbound_rules": []}', "there is no id"),
        ('{"id": "app"}', "the id is 'app', but the profile is 'db'"),
        ('{"id": "db", "rules": []}', "rules: unknown key"),
        (
            '{"id": "db", "inbound_rules": [{"src_tga": "a"}]}',
            "inbound rule 1: src_tga: unknown key; did you mean src_tag?",
        ),
        ('{"id": "db", "outbound_rules": [{}, {"action": "maybe"}]}', "outbound rule 2: action"),
        ('{"id": "db", "inbound_rules": [{"dst_ports": [80]}]}', "ports need a protocol"),
        ('{"id": "db", "inbound_rules": [{"protocol": "tcp", "dst_ports": ["9:1"]}]}', "ends before it begins"),
    ],
)
def test_bad_json_changes_nothing(line: Line, given: str, why: str) -> None:
    line("profile add db")
    before = line.read("profiles/db")
    assert why in line("profile db rule update", given=given, code=2).err
    assert line.read("profiles/db") == before


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("add inbound permit from tag web", 2, "a rule begins with allow or deny"),
        ("add inbound allow tpc to ports 80", 2, "no protocol"),
        ("add inbound allow tcp to ports", 2, "the rule ends where"),
        ("add inbound allow tcp to ports 80000", 2, "80000"),
        ("add inbound --at=0 allow", 2, "--at"),
        ("add inbound --at=9 allow", 2, "give 1 to 2"),
        ("add sideways allow", 2, "sideways"),
        ("remove inbound", 2, "say which rule"),
        ("remove inbound --at=1 allow", 2, "say which rule"),
        ("remove inbound --at=9", 1, "has 1 inbound rules"),
        ("remove inbound deny", 1, "has no inbound rule 'deny'"),
    ],
)
def test_bad_rules_change_nothing(line: Line, words: str, code: int, why: str) -> None:
    line("profile add db")
    before = line.read("profiles/db")
    assert why in line(f"profile db rule {words}", code=code).err
    assert line.read("profiles/db") == before


def test_a_profile_that_is_not_there(line: Line) -> None:
    line("profile add database")
    for words in ("show", "json", "add inbound allow", "remove inbound --at=1"):
        said = line(f"profile databse rule {words}", code=1)
        assert (
            "there is no profile 'databse' (calico-route profile add databse); did you mean \"database\"?" in said.err
        )
