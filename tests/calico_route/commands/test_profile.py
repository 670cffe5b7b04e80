"""`profile` and its tags."""

from __future__ import annotations

import pytest

from tests.calico_route.commands.conftest import Line, endpoint


def test_a_new_profile_lets_its_own_in_and_everything_out(line: Line) -> None:
    assert line("profile add db").out == "profile db is there\n"
    document = line.read("profiles/db")
    assert (document["kind"], document["metadata"]["name"]) == ("Profile", "db")
    assert document["spec"]["labelsToApply"] == {"db": ""}
    assert line("profile db rule json").json == {
        "id": "db",
        "inbound_rules": [{"action": "allow", "src_tag": "db"}],
        "outbound_rules": [{"action": "allow"}],
    }
    assert "there is no profile" not in line("profile add db").out  # once more is no error
    assert line.read("profiles/db") == document


def test_names_of_v049_that_calico_v3_does_not_take(line: Line) -> None:
    said = line("profile add PROF_A")
    assert "Calico v3 takes no such name" in said.err
    [shown] = line("profile show --json").json
    assert shown["name"] == "PROF_A"
    assert line.read(f"profiles/{shown['stored_name']}")["spec"]["labelsToApply"] == {"PROF_A": ""}
    assert line("profile PROF_A rule json").json["id"] == "PROF_A"
    line("profile remove PROF_A")
    assert line.keys("profiles/") == []
    assert "is no name for a profile" in line(["profile", "add", "a b"], code=2).err


def test_show(line: Line) -> None:
    assert "make one with" in line("profile show").out
    line("profile add web")
    line("profile add db")
    line.write({**endpoint(profiles=["web", "db"]), "profiles/broken": b"no"})
    said = line("profile show")
    assert said.out.splitlines() == ["name  tags  endpoints", "db    db    1", "web   web   1"]
    assert "Profile broken is left out" in said.err
    detailed = line("profile show web --detailed").out.splitlines()
    assert detailed[0].split() == ["name", "node", "orchestrator", "workload", "endpoint"]
    assert detailed[1].split() == ["web", "host1", "cni", "6f1c2a8b9d0e", "host1-cni-6f1c2a8b9d0e-eth1"]
    [one] = line("profile show db --json").json
    assert one["endpoints"][0]["id"] == "host1-cni-6f1c2a8b9d0e-eth1"
    assert 'did you mean "web"?' in line("profile show wob", code=1).err


def test_a_profile_in_use_is_not_removed_but_by_force(line: Line) -> None:
    line("profile add web")
    line("profile add db")
    line("profile db rule add inbound allow from tag web")
    line.write(endpoint(profiles=["web"]))
    assert "in use by 6f1c2a8b9d0e on host1" in line("profile remove web", code=1).err
    assert line.read("profiles/web") is not None
    said = line("profile remove web --force")
    assert "still named by 6f1c2a8b9d0e on host1" in said.err
    assert "rules of profile db: no member carries the tag web" in said.err
    assert line.read("profiles/web") is None
    assert "there is no profile 'web'" in line("profile remove web", code=1).err


def test_tags(line: Line) -> None:
    line("profile add db")
    assert line("profile db tag show").out == "db\n"
    assert line("profile db tag add backend --json").json == ["db", "backend"]
    assert line.read("profiles/db")["spec"]["labelsToApply"] == {"db": "", "backend": ""}
    line("profile db tag add backend")
    said = line("profile db tag remove db")
    assert "rules of profile db: no member carries the tag db" in said.err
    assert line("profile db tag show --json").json == ["backend"]
    assert 'did you mean "backend"?' in line("profile db tag remove backent", code=1).err
    assert "is no tag" in line(["profile", "db", "tag", "add", "a b"], code=2).err
    line("profile db tag remove backend")
    assert line("profile db tag show").out == "no tag\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("profile db tga show", 'did you mean "tag"?'),
        ("profile tag show", "comes after a name"),
        ("profile db", "is none of add, remove, show"),
        ("profile shwo", 'did you mean "show"?'),
        ("profile db tag list", "No such command 'list'"),
    ],
)
def test_words_in_the_wrong_place(line: Line, words: str, why: str) -> None:
    assert why in line(words, code=2).err


def test_help_after_a_name(line: Line) -> None:
    assert "NAME rule" in line("profile db --help").out
    assert "calico-route profile db tag add" in line("profile db tag add --help").out
