"""`checksystem`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from calico_route.commands import checks, checksystem
from calico_route.commands.checks import Check, Verdict
from tests.calico_route.commands.conftest import Line
from tests.calico_route.etcd.server import free_ports


def kernel(root: Path, **values: str) -> Path:
    """A /proc/sys of our own."""
    for name, value in values.items():
        file = root / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    return root


def test_a_line_for_each(line: Line) -> None:
    said = line("checksystem --json", code=_code(line))
    names = [one["name"] for one in said.json["checks"]]
    assert names == [
        *("IPv4 forwarding", "IPv6 forwarding", "nftables", "connection tracking", "namespaces", "capabilities"),
        *("BGP port 179", "directories", "node name", "container runtimes", f"etcd {line.url}", "clock"),
    ]
    assert {one["verdict"] for one in said.json["checks"]} <= {"ok", "warn", "fail"}
    assert all(one["what_to_do"] for one in said.json["checks"] if one["verdict"] != "ok")
    assert said.json["ok"] == (said.code == 0)
    by_name = {one["name"]: one for one in said.json["checks"]}
    assert by_name[f"etcd {line.url}"]["verdict"] == "ok"
    assert by_name["clock"]["verdict"] == "ok"
    text = line("checksystem", code=said.code).out.splitlines()
    assert len(text) == len(names) + 1


def _code(line: Line) -> int:
    """What this very host deserves."""
    return int(any(one.verdict is Verdict.FAIL for one in checks.local({"NODENAME": "host1"})))


def test_an_etcd_that_is_away(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = free_ports(1)
    away = f"http://127.0.0.1:{port}"
    said = line(f"checksystem --json --peer-from-etcd {away}", code=1)
    [found] = [one for one in said.json["checks"] if one["name"].startswith("etcd")]
    assert (found["verdict"], found["finding"]) == ("fail", "connection refused")
    both = line(f"checksystem --json --peer-from-etcd {away},{line.url}", code=_code(line))
    verdicts = [one["verdict"] for one in both.json["checks"] if one["name"].startswith("etcd")]
    assert verdicts == ["warn", "ok"]
    assert "is no endpoint" in line("checksystem --peer-from-etcd ftp://x", code=1).out


def test_forwarding_is_put_right(tmp_path: Path) -> None:
    root = kernel(tmp_path, net__ipv4__ip_forward="0", net__ipv6__conf__all__forwarding="1")
    four, six = checks.forwarding(root)
    assert (four.verdict, six.verdict) == (Verdict.FAIL, Verdict.OK)
    assert "sysctl -w net.ipv4.ip_forward=1" in four.what
    assert four.fix is not None
    four.fix()
    assert checks.forwarding(root)[0].verdict is Verdict.OK
    assert checks.forwarding(tmp_path / "none")[0].verdict is Verdict.FAIL


def test_a_fix_that_fails_is_told() -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied")

    found = checksystem._fixed(Check("x", Verdict.FAIL, "is 0", "do it", fail))
    assert (found.verdict, found.finding) == (Verdict.FAIL, "is 0, and could not be put right (Permission denied)")
    done = checksystem._fixed(Check("x", Verdict.FAIL, "is 0", "do it", lambda: None))
    assert done.verdict is Verdict.OK
    assert checksystem._fixed(Check("x", Verdict.FAIL, "is 0", "do it")).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("count", "most", "verdict"), [("10", "100", Verdict.OK), ("95", "100", Verdict.FAIL), ("9", "0", Verdict.OK)]
)
def test_the_table_of_connections(tmp_path: Path, count: str, most: str, verdict: Verdict) -> None:
    root = kernel(tmp_path, net__netfilter__nf_conntrack_count=count, net__netfilter__nf_conntrack_max=most)
    found = checks.conntrack(root)
    assert found.verdict is verdict
    if found.fix is not None:
        found.fix()
        assert checks.conntrack(root).verdict is Verdict.OK
    assert checks.conntrack(tmp_path / "none").verdict is Verdict.WARN


def test_capabilities(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapEff:\t000001ffffffffff\n")
    assert checks.capabilities(status).verdict is Verdict.OK
    status.write_text("CapEff:\t0000000000000400\n")
    found = checks.capabilities(status)
    assert found.verdict is Verdict.FAIL
    assert "CAP_NET_ADMIN (for routes, interfaces and rules)" in found.finding
    assert "CAP_NET_BIND_SERVICE" not in found.finding


def test_who_has_the_port() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = checks.bgp_port({"NODENAME": "no-agent-of-this-name"}, port)
        assert found.verdict is Verdict.FAIL
        assert f"(pid {os.getpid()})" in found.finding
    assert checks.bgp_port({}, port).verdict is Verdict.OK


def test_names_that_many_hosts_have() -> None:
    assert checks.node_name({"NODENAME": "localhost"}).verdict is Verdict.FAIL
    assert checks.node_name({"NODENAME": "host1"}).verdict is Verdict.OK


def test_directories(tmp_path: Path) -> None:
    assert checks.directories([tmp_path / "a" / "b"]).verdict is Verdict.OK
    (tmp_path / "file").touch()
    found = checks.directories([tmp_path, tmp_path / "file" / "x"])
    assert (found.verdict, found.finding) == (Verdict.FAIL, f"{tmp_path}/file cannot be written")


def test_the_clock(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksystem, "_date", lambda settings, endpoint: 0.0)
    said = line("checksystem --json", code=_code(line))
    [clock] = [one for one in said.json["checks"] if one["name"] == "clock"]
    assert clock["verdict"] == "warn"
    assert "before etcd's" in clock["finding"]
