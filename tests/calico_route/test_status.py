"""`calico_route status`: the socket, the document, the words."""

from __future__ import annotations

import asyncio
import io
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route import status
from calico_route.report import answer, report
from calico_route.sessions import Options
from tests.calico_route.cluster import Cluster, cluster, until
from tests.calico_route.resources import endpoint, node
from tests.test_control import exchange, listening

A, B = "127.0.1.1", "127.0.1.2"
ON_A = endpoint("wa", "a", "10.0.0.1/32", interface="cali1")
LOST = endpoint("lost", "a", "172.16.0.1/32", "10.0.0.5/32", interface="cali5")
ON_B = endpoint("wb", "b", "10.0.0.2/32", interface="cali1")


BARE: dict[str, Any] = {
    "version": "1",
    "pid": 1,
    "since": 0,
    "node": "a",
    "datastore": {"connected": True, "source": "s", "driver": "d", "since": 0, "revision": 1},
    "sessions": {"wanted": 1, "established": 0, "complete": 0},
    "announced": [],
    "learned": {"ipv4": 0, "ipv6": 0},
    "held_back": [],
    **dict.fromkeys(("ipv4", "ipv6", "as", "bgp_identifier")),
}
KERNEL: dict[str, Any] = {"ipv4": 0, "ipv6": 0, "pending": 0, "stale": 0, "problems": []}
PEER: dict[str, Any] = {
    "node": "b",
    "origin": "mesh",
    "address": "10.0.0.2",
    "as": 64512,
    "state": "Established",
    "since": 0,
    "stale": False,
    "routes_in": 1,
    "routes_out": 1,
    "end_of_rib": True,
    "last_error": "",
    "why_not": "",
}
AWAY = {**BARE["datastore"], "connected": False, "reason": "r", "from_disk": False}
HELD = {"what": "everything", "missing": ["x"], "until": 0}
WHOLE: dict[str, Any] = {
    "kernel": KERNEL,
    "problems": [],
    "not_announced": [],
    "peers": [
        PEER,
        {
            **PEER,
            "node": "",
            "origin": "BGPPeer tor",
            "address": "10.0.0.9",
            "state": "Active",
            "end_of_rib": False,
            "why_not": "no answer: " + "words " * 40,
        },
    ],
}


async def settled(mesh: Cluster) -> dict[str, Any]:
    a = mesh.start("a", options=Options())
    await until(lambda: a.kernel.started)
    a.kernel.add_interface("cali1")
    mesh.start("b")
    await until(lambda: a.kernel.shown and a.established(B) and a.agent.grace.over)
    await until(lambda: report(a.agent)["peers"][0]["routes_out"] == 1)
    return report(a.agent, routes=True)


async def test_the_document() -> None:
    async with cluster("ab", ON_A, ON_B, LOST, node("clone", A)) as mesh:
        found = await settled(mesh)
        assert json.loads(json.dumps(found)) == found
        assert (found["node"], found["ipv4"], found["as"], found["port"]) == ("a", A, 64512, mesh.port)
        assert found["sessions"] == {"wanted": 1, "established": 1, "complete": 1}
        peer = found["peers"][0]
        assert (peer["node"], peer["address"], peer["as"], peer["state"]) == ("b", B, 64512, "Established")
        assert (peer["routes_in"], peer["routes_out"], peer["end_of_rib"]) == (1, 1, True)
        assert peer["last_error"] in ("", "connection refused")  # who started first found nobody
        assert (peer["hold_time"], peer["bgp_identifier"], peer["dials"]) == (90, B, False)
        assert found["announced"] == ["10.0.0.1/32"]
        assert {one["prefix"]: one["reason"].split(",")[0] for one in found["not_announced"]} == {
            "172.16.0.1/32": "in no IP pool",
            "10.0.0.5/32": "interface cali5 does not exist",
        }
        assert found["learned"] == {"ipv4": 1, "ipv6": 0}
        assert (found["kernel"]["ipv4"], found["kernel"]["stale"]) == (1, 0)
        assert [one["prefix"] for one in found["routes"]] == ["10.0.0.2/32"]
        assert found["problems"] == [f"Node clone has our own address {A}: no session to it"]
        assert found["datastore"]["connected"]
        again = report(mesh.running[0].agent)
        assert again["peers"][0]["since"] == peer["since"], "it does not move while nothing happens"


async def test_the_words() -> None:
    async with cluster("ab", ON_A, ON_B, LOST) as mesh:
        found = await settled(mesh)
    lines = status.text(found, found["since"] + 7300).splitlines()
    assert lines[0] == "OK         1 session established, all their routes heard"
    assert lines[1] == f"node       a, {A}, AS 64512, identifier {A}"
    assert "running for 2 h 1 min" in lines[2]
    assert "sessions   1 of 1 established, 1 have sent all their routes" in lines
    header = next(line for line in lines if line.startswith("node  address"))
    row = lines[lines.index(header) + 1]
    assert row[: header.index("address")].strip() == "b"
    assert row[header.index("state") :].startswith("Established")
    assert "  10.0.0.1/32" in lines
    assert any("172.16.0.1/32" in line and line.endswith("in no IP pool") for line in lines)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "ATTENTION  1 of 2 sessions is not established: see below"),
        ({"peers": []}, "OK         no session is asked for"),
        ({"held_back": [HELD], "peers": []}, "ATTENTION  a mass deletion is held back: see below"),
        ({"datastore": AWAY, "peers": []}, "ATTENTION  the datastore does not answer: see below"),
        (
            {"problems": ["x", "y"], "kernel": {**KERNEL, "problems": ["z"]}, "peers": []},
            "ATTENTION  2 problems, 1 route not as it should be in the kernel: see below",
        ),
    ],
)
def test_the_first_line_says_whether_anybody_has_to_do_anything(change: dict[str, Any], verdict: str) -> None:
    assert status.text({**BARE, **WHOLE, **change}, 0.0).splitlines()[0] == verdict


def test_one_that_is_not_established_has_its_reason_in_lines_that_fit() -> None:
    lines = status.text({**BARE, **WHOLE}, 0.0).splitlines()
    begin = lines.index("Not established")
    assert lines[begin + 1].startswith("  BGPPeer tor at 10.0.0.9: no answer: words words")
    assert lines[begin + 2].startswith("      words")
    assert max(map(len, lines)) <= status.WIDTH + 2
    assert not any("words" in line for line in lines[:begin])


def test_until_all_routes_are_there_it_is_starting() -> None:
    peers = [{**WHOLE["peers"][0], "end_of_rib": False}]
    first = status.text({**BARE, **WHOLE, "peers": peers}, 0.0).splitlines()[0]
    assert first == "STARTING   1 of 1 session still to bring all their routes"


async def test_an_agent_that_has_nothing_yet() -> None:
    async with cluster("ab") as mesh:
        mesh.datastore.go_away("connection refused")
        a = mesh.start("a")
        await until(lambda: a.kernel.started)
        found = report(a.agent)
        assert (found["ipv4"], found["peers"], found["announced"]) == (None, [], [])
        assert found["datastore"]["reason"] == "connection refused"
        assert "AWAY" in status.text(found, found["since"])


async def test_what_is_held_back_is_shown() -> None:
    async with cluster("ab", ON_B) as mesh:
        a = mesh.start("a")
        await until(lambda: a.agent.wanted is not None)
        mesh.datastore.replace([])
        await until(lambda: report(a.agent)["held_back"])
        held = report(a.agent)["held_back"][0]
        assert held["what"] == "everything"
        assert "Node(b)" in held["missing"]
        assert "Held back" in status.text(report(a.agent), 0.0)


# --- the socket ---


async def test_ids_and_errors(tmp_path: Path) -> None:
    async with cluster("a") as mesh, listening(tmp_path / "s", partial(answer, mesh.start("a").agent)) as made:
        replies = await exchange(
            made.path,
            b'{"id": 1, "request": "status"}\n{"id": "two", "request": "reboot"}\n',
            b"nonsense\n[]\n{}\n",
            b'{"id": [1]}\n',
        )
    assert [reply["id"] for reply in replies] == [1, "two", None, None, None, None]
    assert replies[0]["status"]["node"] == "a"
    assert "unknown request 'reboot'" in replies[1]["error"]
    assert all("error" in reply for reply in replies[1:])


# --- the command ---


async def command(*flags: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = await asyncio.to_thread(status.main, flags, dict(os.environ), out, err)
    return code, out.getvalue(), err.getvalue()


async def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with cluster("ab", ON_B) as mesh:
        agent = mesh.start("a").agent
        async with listening(path, partial(answer, agent)):
            code, out, err = await command("--json", "--routes", "--socket", str(path))
            assert (code, err) == (0, "")
            assert "routes" in json.loads(out)
            code, out, _ = await command("--socket", str(path))
            assert code == 0
            assert out.splitlines()[1].startswith("node       a, ")


async def test_no_agent(tmp_path: Path) -> None:
    code, out, err = await command("--socket", str(tmp_path / "none"))
    assert (code, out) == (1, "")
    assert "no agent is running here" in err


async def test_an_answer_that_is_none(tmp_path: Path) -> None:
    async with listening(tmp_path / "s", lambda request: {"status": "?"}):
        code, _, err = await command("--socket", str(tmp_path / "s"))
    assert code == 1
    assert "answers:" in err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3660, "1 h 1 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert status.duration(seconds) == words


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_names_of_others_cannot_move_the_cursor(text: str) -> None:
    peer = {"node": text, "address": "192.0.2.1", "as": 1, "state": "Idle", "since": None, "last_error": text}
    document = {
        **BARE,
        "peers": [{**peer, "stale": False, "routes_in": 0, "routes_out": 0}],
        "not_announced": [{"prefix": "10.0.0.1/32", "reason": text}],
        "kernel": {"ipv4": 0, "ipv6": 0, "pending": 0, "stale": 0, "problems": [text]},
        "problems": [text],
    }
    assert all(line.isprintable() for line in status.text(document, 0.0).split("\n"))
