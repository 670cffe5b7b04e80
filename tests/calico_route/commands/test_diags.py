"""`diags`."""

from __future__ import annotations

import json
import stat
import tarfile
from pathlib import Path

import pytest

from calico_route.commands.diags import LEFT_OUT, without_secrets
from tests.calico_route.commands.conftest import Line
from tests.calico_route.etcd.server import free_ports


def contents(file: str) -> dict[str, bytes]:
    found = {}
    with tarfile.open(file) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            found[member.name.partition("/")[2]] = stream.read()
    return found


def test_one_file_with_all_of_it(line: Line, tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_text("a line of the log\n")
    line("pool add 192.168.0.0/16")
    secret = {"password": "hunter2", "secretKeyRef": {"name": "s", "key": "k"}, "url": "http://me:hunter3@x/"}
    line.write(
        {
            "bgppeers/tor": {"spec": {"peerIP": "10.0.0.1", **secret}},
            "/calico/v1/Ready": b"true",
            "/calico/odd": b"hunter4",
            "/calico/some-password": b'"hunter5"',
        }
    )
    said = line(f"diags --directory {tmp_path} --log {log} --json")
    file = said.json["file"]
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    parts = contents(file)
    assert sorted(parts) == said.json["parts"]
    for part in (
        *("date.txt", "host.txt", "ip-address.txt", "ip-link.txt", "ip-route.txt", "ip-neighbour.txt", "sockets.txt"),
        *("nftables.txt", "status.json", "workloads.json", "etcd.json", "checksystem.txt", "logs/00-agent.log"),
    ):
        assert parts[part], part
    assert parts["logs/00-agent.log"] == b"a line of the log\n"
    dump = json.loads(parts["etcd.json"])
    below = "/calico/resources/v3/projectcalico.org"
    assert dump[f"{below}/ippools/192-168-0-0-16"]["kind"] == "IPPool"
    assert dump["/calico/v1/Ready"] is True
    assert b"hunter" not in parts["etcd.json"]
    assert dump[f"{below}/bgppeers/tor"]["spec"]["secretKeyRef"] == {"name": "s", "key": "k"}
    assert "nobody listens on" in json.loads(parts["status.json"])["error"]
    assert "nothing was uploaded" in line(f"diags --directory {tmp_path / '..' / tmp_path.name}").out


def test_an_etcd_that_is_away_hides_nothing_else(line: Line, tmp_path: Path) -> None:
    [port] = free_ports(1)
    said = line(f"diags --directory {tmp_path} --json --etcd http://127.0.0.1:{port}")
    assert "connection refused" in json.loads(contents(said.json["file"])["etcd.json"])["error"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("--upload", "Nothing is uploaded"),
        ("--directory /nowhere/at/all", "is no directory"),
        ("--log /nowhere/at/all", "cannot be read"),
    ],
)
def test_bad_words(line: Line, words: str, why: str) -> None:
    assert why in line(f"diags {words}", code=2).err


def test_what_is_left_out() -> None:
    document = {"a": [{"apiKey": "x", "Token": ["y"]}], "passwordRef": {"name": "n"}, "u": "https://u:p@h/"}
    assert without_secrets(document) == {
        "a": [{"apiKey": LEFT_OUT, "Token": LEFT_OUT}],
        "passwordRef": {"name": "n"},
        "u": "https://***@h/",
    }
