"""`endpoint`."""

from __future__ import annotations

import pytest

from tests.calico_route.commands.conftest import Line, endpoint

FIRST = "host1-cni-6f1c2a8b9d0e-eth1"
KEY = f"workloadendpoints/default/{FIRST}"


@pytest.fixture
def both(line: Line) -> Line:
    line.write(
        {
            **endpoint(profiles=["web"], labels={"role": "fe", "tagged": ""}),
            **endpoint("77aa77aa77aa", node="host2", addresses=["192.168.0.2/32", "fd80::2/128"], interface="cali77"),
        }
    )
    for name in ("web", "db", "app"):
        line(f"profile add {name}")
    return line


def test_show(both: Line) -> None:
    shown = both("endpoint show").out.splitlines()
    assert shown[0].split() == ["node", "orchestrator", "workload", "endpoint", "addresses", "profiles", "id"]
    assert shown[2].split() == [
        *("host2", "cni", "77aa77aa77aa", "eth1", "192.168.0.2,", "fd80::2", "-", "host2-cni-77aa77aa77aa-eth1")
    ]
    [one] = both("endpoint show --host host1 --orchestrator cni --workload 6f1c --endpoint eth1 --json").json
    assert one == {
        "id": FIRST,
        "namespace": "default",
        "node": "host1",
        "orchestrator": "cni",
        "workload": "6f1c2a8b9d0e",
        "name": "",
        "endpoint": "eth1",
        "addresses": ["192.168.0.1"],
        "profiles": ["web"],
        "interface": "cali1e2d3c4b5a6",
        "mac": "02:00:00:00:00:01",
        "labels": {"role": "fe", "tagged": ""},
    }
    detailed = both("endpoint show --detailed --host host1").out
    assert "role=fe, tagged" in detailed
    assert "02:00:00:00:00:01" in detailed
    assert both("endpoint show --host host3").out == "no endpoint is like that\n"


@pytest.mark.parametrize("name", [FIRST, "cali1e2d3c4b5a6", "6f1c2a8b9d0e", "6f1c", "host1-cni"])
def test_whom_an_id_names(both: Line, name: str) -> None:
    assert both(f"endpoint {name} profile show").out == "web\n"


def test_the_name_of_a_container(line: Line) -> None:
    made = endpoint("6f1c2a8b9d0e1234" * 4)
    [document] = made.values()
    document["metadata"]["annotations"] = {"calico-route/name": "container1"}
    other = endpoint("77aa77aa77aa1234" * 4, interface="cali77")
    line.write({**made, **other})
    line("profile add web")
    line("endpoint container1 profile set web")
    table = [row.split()[2] for row in line("endpoint show").out.splitlines()]
    assert table == ["workload", "container1", "77aa77aa77aa"]
    assert "in use by container1 on host1" in line("profile remove web", code=1).err
    assert line("endpoint show --json").json[0]["name"] == "container1"


def test_an_id_that_names_nobody_or_many(both: Line) -> None:
    assert "there is no endpoint 'cali1e2d3c4b5a7'" in both("endpoint cali1e2d3c4b5a7 profile show", code=1).err
    both.write(endpoint("6f1cffffffff", interface="cali3"))
    said = both("endpoint 6f1c profile show", code=1)
    assert f"may be any of {FIRST}, host1-cni-6f1cffffffff-eth1" in said.err
    assert both("endpoint 6f1c profile show --workload 6f1c2").out == "web\n"
    both.write({"workloadendpoints/default/broken-cni-x-eth1": b"?"})
    assert "cannot be read" in both("endpoint broken-cni-x-eth1 profile show", code=1).err


def test_set_append_and_remove(both: Line) -> None:
    before = both.read(KEY)
    assert both(f"endpoint {FIRST} profile append db --json").json == {"id": FIRST, "profiles": ["web", "db"]}
    both(f"endpoint {FIRST} profile append db")
    both(f"endpoint {FIRST} profile set app web")
    assert both.read(KEY) == {**before, "spec": {**before["spec"], "profiles": ["app", "web"]}}
    both(f"endpoint {FIRST} profile remove app")
    assert both.read(KEY)["spec"]["profiles"] == ["web"]
    said = both(f"endpoint {FIRST} profile set")
    assert "all traffic from it and to it is dropped" in said.err
    assert both.read(KEY)["spec"]["profiles"] == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("append", 2, "name one profile or more"),
        ("remove", 2, "name one profile or more"),
        ("append wbe", 1, "there is no profile 'wbe' (calico-route profile add); did you mean \"web\"?"),
        ("set web nobody", 1, "there is no profile 'nobody'"),
        ("remove db", 1, "has no profile 'db'"),
        ("replace web", 2, "No such command 'replace'"),
    ],
)
def test_bad_words_change_nothing(both: Line, words: str, code: int, why: str) -> None:
    assert why in both(f"endpoint {FIRST} profile {words}", code=code).err
    assert both.read(KEY)["spec"]["profiles"] == ["web"]
