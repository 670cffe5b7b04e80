"""`pybgp show`, `explain`, `peer`, `reload`: asked of running speakers, as text and as JSON that fits its schema."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pybgp import IPV4_UNICAST, ControlSocket, Family, ListedRoute, PathAttributes, Prefix, Speaker
from pybgp.app import show
from pybgp.app.cli import main
from pybgp.app.desk import FILTERS, PEERS_A_LINE, ROUTES_A_LINE, Desk, Reloaded
from pybgp.app.documents import route_document
from pybgp.app.tables import duration, table
from pybgp.app.where import socket_path
from pybgp.config import PrefixLimit
from pybgp.events import PeerEvent, printable
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.nlri.labels import pack_labels
from pybgp.policy import accept, match, prefix_in, reject, rules
from tests.app.program import running, start
from tests.app.schema import FOLDER
from tests.loopback import LIMIT, Neighbour, address, connect, speaker, until

VALIDATOR = Draft202012Validator(json.loads((FOLDER / "control.json").read_text()))
POLICY = rules(match(prefix_in("10.9.0.0/16"), name="bogons") >> reject("not here"), default=accept(), name="in")

LIMITED = {"max_prefixes": {IPV4_UNICAST: PrefixLimit(limit=9, action="block")}, "max_prefixes_out": {IPV4_UNICAST: 7}}


@dataclass
class Lab:
    """The speaker that is asked, its neighbour, and the socket."""

    asked: Speaker
    other: Speaker
    at: str
    neighbour: str
    path: Path
    answer: Reloaded
    capsys: pytest.CaptureFixture[str]

    async def run(self, *words: str, status: int = 0) -> str:
        """What a command prints; on standard error where it fails."""
        got = await asyncio.to_thread(main, [*words, "--socket", str(self.path)])
        printed = self.capsys.readouterr()
        assert got == status, printed
        return printed.err if status and not printed.out else printed.out

    async def json(self, *words: str, status: int = 0) -> Any:
        document = json.loads(await self.run(*words, "--json", status=status))
        VALIDATOR.validate(document)
        (value,) = [value for name, value in document.items() if name != "log"]
        return value


@pytest.fixture
async def lab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Lab]:
    """64512 is asked; 64513 has sent it three prefixes, one of which its policy rejects."""
    at, neighbour = address(), address()
    async with speaker(at, 1) as asked, speaker(neighbour, 2, local_as=64513) as other:
        made = Lab(asked, other, at, neighbour, tmp_path / "s", Reloaded(True, ("nothing changed",)), capsys)
        connect(asked, at, neighbour, peer_as=64513, import_policy=POLICY, description="the other", **LIMITED)
        connect(other, neighbour, at, hostname="router\x1b[31m", password=None)
        asked.add_peer("192.0.2.77", peer_as=64999, passive=True, password="secret")
        other.announce("10.1.0.0/16", next_hop="192.0.2.2", communities=["64513:7", "no-peer"], med=5)
        other.announce_many(["10.1.2.0/24", "10.9.0.0/16"], next_hop="192.0.2.2")
        asked.announce("10.2.0.0/16", next_hop="192.0.2.1")
        asked.announce("2001:db8:1:2:3:4:5:0/112", next_hop="2001:db8::1")
        await asked.established(neighbour, timeout=LIMIT)
        await until(lambda: len(asked.explain("10.9.0.0/16")) == 1 and len(other.explain("10.2.0.0/16")) == 1)
        desk = Desk(asked, "speaker.toml", lambda: made.answer, asyncio.get_running_loop().time)
        socket = ControlSocket(made.path, desk.answer, what="speaker")
        await socket.open()
        try:
            yield made
        finally:
            await socket.close()


async def test_show_speaker_and_peers(lab: Lab) -> None:
    about = await lab.json("show", "speaker")
    assert (about["as"], about["bgp_identifier"], about["pid"]) == (64512, "192.0.2.1", os.getpid())
    assert (about["peers"], about["established"]) == (2, 1)
    assert f"{lab.at} port 1790" in await lab.run("show", "speaker")

    first, second = await lab.json("show", "peers")
    assert (first["address"], first["state"], first["routes_received"]) == (lab.neighbour, "Established", 3)
    assert (second["state"], second["hostname"]) == ("Active", None)
    lines = (await lab.run("show", "peers")).splitlines()
    assert lines[0].split() == ["peer", "AS", "state", "for", "in", "out"]
    assert lines[1].split()[:3] == [lab.neighbour, "64513", "Established"]
    assert lines[2].strip() == r"router\x1b[31m, the other"
    assert max(map(len, lines)) <= 80


async def test_show_one_peer(lab: Lab) -> None:
    peer = await lab.json("show", "peer", lab.neighbour)
    assert {timer["name"] for timer in peer["timers"]} == {"HoldTimer", "KeepaliveTimer"}
    assert peer["negotiated"]["families"] == ["ipv4-unicast"]
    assert "Hostname" in {one["name"] for one in peer["capabilities_received"]}
    assert "Hostname" not in {one["name"] for one in peer["capabilities_sent"]}
    (family,) = peer["families"]
    assert (family["received"], family["advertised"], family["end_of_rib_received"]) == (3, 1, True)
    assert (family["accepted"], family["limit"]["limit"], family["limit_out"]) == (2, 9, 7)
    assert peer["counters"]["updates_received"] >= 2
    assert {"name": "description", "value": "the other"} in peer["settings"]
    text = await lab.run("show", "peer", lab.neighbour)
    assert "\x1b" not in text
    assert "ipv4-unicast: at most 9 received, then block; at most 7 advertised" in text
    for words in ("HoldTimer in", "Capabilities of the peer", "Our capabilities", "ipv4-unicast  ", "4-octet AS"):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    other = await lab.json("show", "peer", "192.0.2.77")
    assert {"name": "password", "value": "(set)"} in other["settings"]
    assert "secret" not in await lab.run("show", "peer", "192.0.2.77")
    assert f"its peers are: {lab.neighbour}, 192.0.2.77" in await lab.run("show", "peer", "192.0.2.1", status=1)


@pytest.mark.parametrize(
    ("options", "prefixes"),
    [
        ((), ["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16", "10.9.0.0/16", "2001:db8:1:2:3:4:5:0/112"]),
        (("10.1.0.0/16",), ["10.1.0.0/16", "10.1.2.0/24"]),
        (("10.1.2.3",), ["10.1.2.0/24", "10.1.0.0/16"]),
        (("--rejected",), ["10.9.0.0/16"]),
        (("--received", "NEIGHBOUR"), ["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/16"]),
        (("--advertised", "NEIGHBOUR"), ["10.2.0.0/16"]),
        (("--community", "64513:*"), ["10.1.0.0/16"]),
        (("--community", "64513:*", "--community", "no-export"), []),
        (("--as-path", "^64513$", "--family", "ipv4-unicast"), ["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/16"]),
        (("--origin-as", "64513-64600", "10.0.0.0/8"), ["10.1.0.0/16", "10.1.2.0/24", "10.9.0.0/16"]),
        (("--next-hop", "2001:db8::/32"), ["2001:db8:1:2:3:4:5:0/112"]),
        (("--large-community", "1:*:3"), []),
        (("--extended-community", "rt:*"), []),
    ],
)
async def test_show_routes(lab: Lab, options: tuple[str, ...], prefixes: list[str]) -> None:
    words = [lab.neighbour if word == "NEIGHBOUR" else word for word in options]
    routes = await lab.json("show", "routes", *words)
    assert [route["prefix"] for route in routes] == prefixes
    text = (await lab.run("show", "routes", *words)).splitlines()
    assert [word for line in text for word in line.split() if word in prefixes] == prefixes
    assert text == ["no routes"] if not prefixes else max(map(len, text)) <= 85


async def test_the_marks_of_routes(lab: Lab) -> None:
    lines = (await lab.run("show", "routes")).splitlines()
    marks = {line[3:].split()[0]: line[0] for line in lines[2:] if line[:1] in ">=!"}
    assert marks["10.1.0.0/16"] == ">"
    assert marks["10.9.0.0/16"] == "!"
    assert any("64513:7 no-peer" in line for line in lines)
    assert any("rule bogons: not here" in line for line in lines)


async def test_explain(lab: Lab) -> None:
    found = await lab.json("explain", "10.1.2.3")
    assert (found["prefix"], found["asked"]) == ("10.1.2.0/24", "10.1.2.3")
    (path,) = found["paths"]
    assert path["accepted"]
    assert path["import_policy"] == {"policy": "in", "accepted": True, "rules": ["default"]}
    assert {telling["peer"]: telling["reason"] for telling in path["told"]} == {
        lab.neighbour: "learned from this peer",
        "192.0.2.77": "no session (Active)",
    }
    text = await lab.run("explain", "10.1.2.3")
    assert text.startswith("10.1.2.0/24, which holds 10.1.2.3 (ipv4-unicast): 1 path\n")
    assert f"1. from {lab.neighbour}: best" in text
    assert "learned from this peer" in text

    (rejected,) = (await lab.json("explain", "10.9.0.0/16"))["paths"]
    assert rejected["rejected"]["rule"] == "bogons"
    assert rejected["rejected"]["check"] == "import policy"
    assert "rule bogons: not here" in (await lab.run("explain", "10.9.1.1")).replace("\n                ", " ")
    (own,) = (await lab.json("explain", "10.2.0.0/16"))["paths"]
    assert own["told"][0]["told"]
    assert own["told"][0]["attributes"]
    assert f"told      {lab.neighbour}" in await lab.run("explain", "10.2.0.0/16")

    assert (await lab.json("explain", "11.0.0.1", status=1))["prefix"] is None
    assert "nothing in the table holds it" in await lab.run("explain", "11.0.0.1", status=1)
    assert "address" in await lab.run("explain", "nowhere", status=1)


async def test_what_an_operator_does_to_a_peer(lab: Lab) -> None:
    before = lab.other.peers()[lab.at].updates_sent
    assert "asked for its routes" in await lab.json("peer", lab.neighbour, "refresh")
    await until(lambda: lab.other.peers()[lab.at].updates_sent > before)
    assert "not negotiated" in await lab.run("peer", lab.neighbour, "refresh", "--family", "ipv6-unicast", status=1)
    assert "no session" in await lab.run("peer", "192.0.2.77", "refresh", status=1)

    count = lab.asked.peers()[lab.neighbour].established_count
    await lab.run("peer", lab.neighbour, "reset", "--reason", "new cable")
    await until(lambda: lab.asked.peers()[lab.neighbour].established_count > count)
    assert "new cable" in lab.other.peers()[lab.at].last_error

    await lab.run("peer", lab.neighbour, "disable", "--reason", "back at six")
    await until(lambda: "back at six" in lab.other.peers()[lab.at].last_error)
    assert "enable it first" in await lab.run("peer", lab.neighbour, "reset", status=1)
    assert "shut down" in await lab.run("show", "peers")
    await lab.run("peer", lab.neighbour, "enable")
    await lab.asked.established(lab.neighbour, timeout=LIMIT)
    assert "at most 255 octets" in await lab.run("peer", lab.neighbour, "disable", "--reason", "ä" * 128, status=1)


async def test_wrong_messages_are_shown_when_the_session_is_gone(lab: Lab) -> None:
    """A stranger at the address of a configured peer: a message of type 9, then one of a wrong length."""
    at = address()
    lab.asked.add_peer(at, peer_as=64512, passive=True, idle_hold_time=0)
    for wrong in ("ff" * 16 + "001309", "ff" * 16 + "001204"):
        stranger = await Neighbour.to(lab.at, at)
        await stranger.establish()
        stranger.writer.write(bytes.fromhex(wrong))
        while await stranger.receive() is not None:
            pass
        await stranger.close()
    await until(lambda: len(lab.asked.peers()[at].offences) == 2)
    first, second = (await lab.json("show", "peer", at))["offences"]
    assert first["octets"] == "ff" * 16 + "001309"
    assert (first["offset"], first["section"], first["outcome"]) == (18, "RFC 4271 6.1", "session reset")
    assert second["octets"].startswith("ff" * 16 + "0012")
    assert second["offset"] == 16
    text = await lab.run("show", "peer", at)
    assert "Wrong messages of the peer" in text
    assert "offset 18, RFC 4271 6.1, session reset" in text
    assert "ff" * 16 + "001309" in text


async def test_reload(lab: Lab) -> None:
    assert await lab.run("reload") == "nothing changed\nspeaker.toml was read\n"
    lab.answer = Reloaded(False, ("line 7: peer[0].x: no such key", "nothing was changed"))
    assert await lab.run("reload", status=1) == "pybgp: line 7: peer[0].x: no such key\nnothing was changed\n"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "unknown request"),
        ({"request": ["peers"]}, "unknown request"),
        ({"request": "reboot"}, "there are speaker, peers"),
        ({"request": "peers", "address": "x"}, "takes no 'address'"),
        ({"request": "peer"}, "address must be a text"),
        ({"request": "peer", "address": 5}, "address must be a text"),
        ({"request": "peer", "address": "192.0.2.250"}, "is no peer"),
        ({"request": "routes", "what": "10.0.0.0/99"}, "length"),
        ({"request": "routes", "family": "ipv9"}, "ipv9"),
        ({"request": "routes", "rejected": 1}, "true or false"),
        ({"request": "routes", "received": "192.0.2.250"}, "is no peer"),
        ({"request": "routes", "where": []}, "an object"),
        ({"request": "routes", "where": {"moon": 1}}, "no condition 'moon'"),
        ({"request": "routes", "where": {"prefix_set": "x"}}, "no condition"),
        ({"request": "routes", "where": {"community": {"a": 1}}}, "where: community"),
        ({"request": "explain"}, "what must be a text"),
        ({"request": "disable", "address": "192.0.2.77", "reason": 5}, "reason must be a text"),
    ],
)
async def test_requests_that_cannot_be(lab: Lab, request_: dict[str, Any], words: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(lab.path))
    writer.write(json.dumps({"id": "a", **request_}).encode() + b"\n")
    reply = json.loads(await reader.readline())
    writer.close()
    VALIDATOR.validate(reply)
    assert reply["id"] == "a"
    assert words in reply["error"]


async def test_long_answers_come_in_lines(lab: Lab) -> None:
    lab.asked.announce_many([f"10.{n >> 8}.{n & 255}.0/24" for n in range(5 * 256, 9 * 256)], next_hop="192.0.2.1")
    for number in range(PEERS_A_LINE):
        lab.asked.add_peer(f"192.0.2.{number + 100}", peer_as=64512, passive=True)
    reader, writer = await asyncio.open_unix_connection(str(lab.path), limit=1 << 24)
    writer.write(b'{"id": 1, "request": "routes"}\n{"id": 2, "request": "peers"}\n')
    lines: list[dict[str, Any]] = []
    while not lines or "more" in lines[-1] or lines[-1]["id"] == 1:
        lines.append(json.loads(await reader.readline()))
        VALIDATOR.validate(lines[-1])
    writer.close()
    routes = [line["routes"] for line in lines if line["id"] == 1]
    assert sum(map(len, routes)) == 4 * 256 + 5
    assert max(map(len, routes)) <= ROUTES_A_LINE
    assert [len(line["peers"]) for line in lines if line["id"] == 2] == [PEERS_A_LINE, 2]


# --- where the socket is, and what is said when there is none ---


async def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none"
    assert main(["show", "peers", "--socket", str(path)]) == 1
    assert f"no speaker is running at {path}: start one with `pybgp run FILE.toml`" in capsys.readouterr().err


async def test_a_socket_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answers.pop())
        writer.close()

    answers = [b"hello\n", b"[1]\n", b""]
    server = await asyncio.start_unix_server(serve, tmp_path / "s")
    async with server:
        for words in ("no answer", "not the socket of a speaker", "no answer"):
            assert await asyncio.to_thread(main, ["show", "peers", "--socket", str(tmp_path / "s")]) == 1
            assert words in capsys.readouterr().err


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYBGP_SOCKET", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert socket_path(None) == Path("/run/pybgp/control.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert socket_path(None) == Path("/run/user/1000/pybgp.sock")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("HOME", "/home/op")
    assert socket_path(None) == Path("/home/op/.pybgp.sock")
    monkeypatch.setenv("PYBGP_SOCKET", "/x")
    assert socket_path(None) == Path("/x")
    assert socket_path("/y") == Path("/y")
    assert socket_path("none") is None


async def test_a_running_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`socket` of the file, relative to it; a second speaker does not take it over."""
    at, other = address(), address()
    text = f'[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\nlisten = "{at}"\nport = 1790\nsocket = "s"\n'
    async with running(tmp_path / "a.toml", text) as program:
        await program.says("control socket")
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
        assert await asyncio.to_thread(main, ["show", "peers", "--socket", str(tmp_path / "s")]) == 0
        assert capsys.readouterr().out == "no peers\n"
        (tmp_path / "a.toml").write_text(text + '[[route]]\nprefix = "10.1.0.0/16"\n')
        assert await asyncio.to_thread(main, ["reload", "--socket", str(tmp_path / "s")]) == 0
        assert "1 route announced" in capsys.readouterr().out
        (tmp_path / "a.toml").write_text(text + "moon = 1\n")
        assert await asyncio.to_thread(main, ["reload", "--socket", str(tmp_path / "s")]) == 1
        assert "line 7: speaker.moon: no such key" in capsys.readouterr().err
        (tmp_path / "b.toml").write_text(text.replace(at, other))
        second = await start(tmp_path / "b.toml")
        assert await second.ended() == 1
        assert "another speaker answers" in "".join(second.log)
        assert await program.end() == 0
    assert not (tmp_path / "s").exists()


# --- policy check ---


def test_policy_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.toml"
    head = '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n'
    file.write_text(head + '[policy.p]\n[[policy.p.rule]]\nname = "ours"\nprefix = "10.0.0.0/8+"\nthen = "accept"\n')
    assert main(["policy", "check", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "policy p",
        "  ours. prefix in 10.0.0.0/8+: accept",
        "  otherwise: reject",
        "no peer has p",
        f"{file}: no errors",
    ]
    file.write_text(head + '[policy.p]\n[[policy.p.rule]]\nprefix = "10.0.0.0/33"\nthen = "accept"\n')
    assert main(["policy", "check", str(file)]) == 1
    assert "line 6: policy.p.rule[0].prefix" in capsys.readouterr().err


def test_policy_check_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def check(status: int) -> Any:
        assert main(["policy", "check", str(file), "--json"]) == status
        document = json.loads(capsys.readouterr().out)
        VALIDATOR.validate(document)
        return document["checked"]

    file = tmp_path / "a.toml"
    assert check(1)["problems"][0]["text"] == "cannot be read: No such file or directory"
    head = '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n'
    file.write_text(head + "[policy.p]\n[[policy.p.rule]]\nset_med = 5\n[[policy.p.rule]]\nmed = -1\n")
    assert check(1)["problems"][0] == {
        "line": 8,
        "key": "policy.p.rule[1].med",
        "text": "must be a number from 0 to 4294967295, not -1",
    }
    file.write_text(head + "[policy.p]\n[[policy.p.rule]]\nset_med = 5\n")
    assert check(0) == {
        "file": str(file),
        "problems": [],
        "policies": [{"name": "p", "rules": [{"name": "1", "text": "any route: set med 5"}], "default": "reject"}],
        "unused": ["p"],
    }


# --- text ---


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3660, "1 h 1 min"), (200_000, "2 d 7 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_what_others_say_cannot_move_the_cursor(text: str) -> None:
    assert printable(text).isprintable()
    assert str(PeerEvent("down", "192.0.2.1", f"the peer said: {text}")).isprintable()
    assert all(line.isprintable() for line in table([(text, 1), ("x", text)], right=(1,)))
    peer = {
        "address": "192.0.2.1",
        "as": 1,
        "state": "Idle",
        "seconds": 1,
        "stale": False,
        "administratively_down": False,
        "hostname": text,
        "description": text,
        "last_error": text,
        "routes_received": 0,
        "routes_advertised": 0,
    }
    assert all(line.isprintable() for line in show.peers_text([peer], 80))
    route = {
        "prefix": "10.0.0.0/8",
        "next_hop": None,
        "peer": "192.0.2.1",
        "path_id": 3,
        "attributes": [],
        "best": False,
        "selected": False,
        "stale": True,
        "rejected": text,
    }
    assert all(line.isprintable() for line in show.routes_lines([[route]], 80))


def test_labels_are_shown() -> None:
    stack = LabelledAttributes.of(PathAttributes.build(next_hop="192.0.2.1", med=5), pack_labels(100, 200))
    route = ListedRoute(Prefix.read(Family.parse("ipv4-labeled-unicast"), "10.0.0.0/8"), stack, "192.0.2.2", best=True)
    document = route_document(route)
    VALIDATOR.validate({"routes": [document]})
    assert document["attributes"][0] == {"code": 0, "name": "labels", "value": "100/200"}
    assert "     labels: 100/200" in list(show.routes_lines([[document]], 80))


def test_a_wrong_message_is_shown_in_hex() -> None:
    offence = {"at": 0.0, "reason": "bad\nflags", "octets": "ff" * 60, "offset": 23, "section": "RFC 4271 6.3"}
    lines = show._wrong({**offence, "outcome": "session-reset"}, 80)
    assert lines[0] == r"1970-01-01 00:00:00 UTC  bad\nflags"
    assert lines[1].strip() == "offset 23, RFC 4271 6.3, session-reset"
    assert "".join(line.strip() for line in lines[2:]) == "ff" * 60
    assert max(map(len, lines)) <= 80


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["10.0.0.0/8", "::"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FILTERS), inner, max_size=2),
    max_leaves=4,
)
MEMBERS = st.sampled_from(["what", "family", "where", "rejected", "received", "advertised", "address", "reason", "id"])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["routes", "explain", "peer", "peers", "reset", "refresh"]), st.dictionaries(MEMBERS, PLAIN))
def test_any_request_is_answered_or_refused(name: str, members: dict[str, Any]) -> None:
    asked = Speaker(local_as=64512, bgp_identifier="192.0.2.1", listen=None)
    asked.announce("10.1.0.0/16", next_hop="192.0.2.1", communities=["1:2"])
    desk = Desk(asked, "speaker.toml", lambda: Reloaded(True, ()), lambda: 0.0)
    try:
        answer = desk.answer({**members, "request": name})
        for document in [answer] if isinstance(answer, dict) else answer:
            VALIDATOR.validate(document)
    except ValueError as error:
        assert str(error)
