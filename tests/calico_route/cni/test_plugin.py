"""The plug-in as a runtime sees it: environment and standard input in, results and errors of the specification out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calico_route.cni import client
from calico_route.cni.plugin import main
from tests.calico_route.cni.agent import WORKLOAD, FakeAgent, fake_agent

SPOKEN = ["0.4.0", "1.0.0", "1.1.0"]
ENVIRONMENT = {
    "CNI_CONTAINERID": "c1",
    "CNI_NETNS": "/run/netns/c1",
    "CNI_IFNAME": "eth1",
    "CNI_PATH": "/opt/cni/bin",
}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "agent.sock") as made:
        yield made


def call(
    command: str, agent: FakeAgent | Path, version: str = "1.1.0", env: dict[str, str] | None = None, **keys: Any
) -> tuple[int, dict[str, Any]]:
    path = agent.path if isinstance(agent, FakeAgent) else agent
    network = {"cniVersion": version, "name": "net1", "type": "calico-route-cni", "socket": str(path), **keys}
    out = io.StringIO()
    environ = {**ENVIRONMENT, "CNI_COMMAND": command, **(env or {})}
    code = main({name: value for name, value in environ.items() if value}, io.StringIO(json.dumps(network)), out)
    return code, json.loads(out.getvalue()) if out.getvalue() else {}


@pytest.mark.parametrize("version", SPOKEN)
def test_add(agent: FakeAgent, version: str) -> None:
    code, result = call("ADD", agent, version)
    ips: list[dict[str, Any]] = [
        {"address": "192.168.0.1/32", "gateway": "169.254.1.1", "interface": 1},
        {"address": "fd80::1/128", "gateway": "fe80::ecee:eeff:feee:eeee", "interface": 1},
    ]
    if version == "0.4.0":
        ips[0]["version"], ips[1]["version"] = "4", "6"
    assert code == 0
    assert result == {
        "cniVersion": version,
        "interfaces": [
            {"name": "cali0123456789a", "mac": "ee:ee:ee:ee:ee:ee"},
            {"name": "eth1", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/c1"},
        ],
        "ips": ips,
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
            {"dst": "::/0", "gw": "fe80::ecee:eeff:feee:eeee"},
        ],
        "dns": {},
    }
    assert agent.asked == [
        {
            "id": 1,
            "request": "add",
            "container": "c1",
            "netns": "/run/netns/c1",
            "interface": "eth1",
            "network": "net1",
            "orchestrator": "cni",
            "profiles": ["net1"],
            "pools": [],
            "addresses": "auto4",
            "labels": {},
        }
    ]


def test_what_the_configuration_asks_for(agent: FakeAgent) -> None:
    code, _ = call(
        "ADD",
        agent,
        env={"CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=container1;FOO=bar"},
        profiles=["db", "web"],
        pools=["first"],
        ipam={"type": "calico-ipam", "ipv6_pools": ["fd80::/64"], "assign_ipv6": "true", "assign_ipv4": "false"},
        labels={"app": "db"},
        mtu=1400,
        args={"cni": {"labels": [{"key": "tier", "value": "back"}]}},
        runtimeConfig={"mac": "02:00:00:00:00:09", "portMappings": []},
        dns={"nameservers": ["192.168.0.53"]},
        capabilities={"mac": True},
    )
    assert code == 0
    asked = agent.asked[0]
    assert (asked["profiles"], asked["pools"]) == (["db", "web"], ["first", "fd80::/64"])
    assert (asked["addresses"], asked["mtu"], asked["mac"]) == ("auto6", 1400, "02:00:00:00:00:09")
    assert asked["labels"] == {"app": "db", "tier": "back"}
    assert asked["name"] == "container1"


@pytest.mark.parametrize(
    ("args", "keys", "addresses"),
    [
        ("IP=192.168.0.7", {}, ["192.168.0.7"]),
        ("IP=192.168.0.7,fd80::7", {}, ["192.168.0.7", "fd80::7"]),
        ("CALICO_IP=auto", {}, "auto"),
        ("", {"runtimeConfig": {"ips": ["192.168.0.8/16"]}}, ["192.168.0.8"]),
        ("", {"args": {"cni": {"ips": ["192.168.0.9"]}}}, ["192.168.0.9"]),
        ("IP=192.168.0.7", {"runtimeConfig": {"ips": ["192.168.0.8/16"]}}, ["192.168.0.7"]),
        ("", {"ipam": {"assign_ipv6": True}}, "auto46"),
    ],
)
def test_addresses_that_are_asked_for(agent: FakeAgent, args: str, keys: dict[str, Any], addresses: Any) -> None:
    assert call("ADD", agent, env={"CNI_ARGS": args}, **keys)[0] == 0
    assert agent.asked[0]["addresses"] == addresses


def test_profiles_of_the_article(agent: FakeAgent) -> None:
    call("ADD", agent, env={"CNI_ARGS": "CALICO_PROFILE=db, web"}, profiles=["other"])
    call("ADD", agent, profiles=[])
    assert [one["profiles"] for one in agent.asked] == [["db", "web"], []]


def test_add_in_a_chain(agent: FakeAgent) -> None:
    """What the plug-in before has made stays, and indices go on from there."""
    before = {
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
        "ips": [{"address": "10.0.0.2/24", "interface": 0}],
        "routes": [{"dst": "10.1.0.0/16"}],
        "dns": {"nameservers": ["10.0.0.1"]},
    }
    _, result = call("ADD", agent, prevResult=before)
    assert [one["name"] for one in result["interfaces"]] == ["eth0", "cali0123456789a", "eth1"]
    assert [one["interface"] for one in result["ips"]] == [0, 2, 2]
    assert result["routes"][0] == {"dst": "10.1.0.0/16"}
    assert result["dns"] == {"nameservers": ["10.0.0.1"]}


@pytest.mark.parametrize("netns", ["/run/netns/c1", ""])
def test_delete(agent: FakeAgent, netns: str) -> None:
    agent.answers = [{"removed": []}]
    assert call("DEL", agent, env={"CNI_NETNS": netns, "CNI_ARGS": "broken"}, unknown="key") == (0, {})
    assert agent.asked == [{"id": 1, "request": "remove", "container": "c1", "interface": "eth1"}]


def test_check(agent: FakeAgent) -> None:
    _, added = call("ADD", agent)
    assert call("CHECK", agent, prevResult=added) == (0, {})
    added["ips"][0]["address"] = "192.168.0.2/32"
    code, error = call("CHECK", agent, prevResult=added)
    assert (code, error["code"]) == (1, 106)
    assert "192.168.0.2" in error["msg"]
    assert call("CHECK", agent)[1]["code"] == 7
    agent.answers = [{"error": "container c1 has no eth1 here", "code": "unknown"}]
    assert call("CHECK", agent, prevResult=added)[1]["code"] == 3


def test_status(agent: FakeAgent, tmp_path: Path) -> None:
    agent.answers = [{"ready": None}, {"ready": "etcd does not answer"}]
    assert call("STATUS", agent) == (0, {})
    code, error = call("STATUS", agent)
    assert (code, error["code"], error["msg"]) == (1, 50, "etcd does not answer")
    assert call("STATUS", tmp_path / "nobody.sock")[1]["code"] == 50


def test_collect(agent: FakeAgent) -> None:
    agent.answers = [{"removed": []}]
    attachments = [{"containerID": "c1", "ifname": "eth1"}]
    assert call("GC", agent, **{"cni.dev/valid-attachments": attachments}) == (0, {})
    assert agent.asked == [{"id": 1, "request": "keep", "containers": [["c1", "eth1"]], "network": "net1"}]
    for broken in ({}, {"cni.dev/valid-attachments": None}, {"cni.dev/valid-attachments": [{"containerID": "c1"}]}):
        code, error = call("GC", agent, **broken)  # type: ignore[arg-type]
        assert (code, error["code"]) == (1, 7), "without the list everything would be garbage"
    assert len(agent.asked) == 1


def test_version() -> None:
    """podman calls it with an environment of dummies."""
    for text, echoed in (('{"cniVersion":"0.4.0"}', "0.4.0"), ('{"cniVersion":"9.9.9"}', "9.9.9"), ("", "1.1.0")):
        out = io.StringIO()
        assert main({"CNI_COMMAND": "VERSION", "CNI_NETNS": "dummy"}, io.StringIO(text), out) == 0
        assert json.loads(out.getvalue()) == {"cniVersion": echoed, "supportedVersions": SPOKEN}


@pytest.mark.parametrize(
    ("command", "version", "env", "keys", "code", "words"),
    [
        ("ADD", "0.2.0", {}, {}, 1, "0.2.0"),
        ("ADD", "2.0.0", {}, {}, 1, "2.0.0"),
        ("GC", "1.0.0", {}, {}, 1, "GC"),
        ("STATUS", "0.4.0", {}, {}, 1, "STATUS"),
        ("ADD", "1.0.0", {"CNI_NETNS": ""}, {}, 4, "CNI_NETNS"),
        ("ADD", "1.0.0", {"CNI_CONTAINERID": "", "CNI_IFNAME": ""}, {}, 4, "CNI_CONTAINERID, CNI_IFNAME"),
        ("DEL", "1.0.0", {"CNI_IFNAME": ""}, {}, 4, "CNI_IFNAME"),
        ("FLY", "1.0.0", {}, {}, 4, "FLY"),
        ("ADD", "1.0.0", {"CNI_ARGS": "FOO=bar"}, {}, 4, "FOO"),
        ("ADD", "1.0.0", {"CNI_ARGS": "FOO"}, {}, 4, "FOO"),
        ("ADD", "1.0.0", {}, {"profile": "db"}, 2, "'profile': 'db'"),
        ("ADD", "1.0.0", {}, {"ipMasq": True}, 2, "ipMasq"),
        ("ADD", "1.0.0", {}, {"ipam": {"type": "host-local"}}, 2, "host-local"),
        ("ADD", "1.0.0", {}, {"ipam": {"subnet": "10.0.0.0/8"}}, 2, "ipam.subnet"),
        ("ADD", "1.0.0", {}, {"ipam": {"assign_ipv4": False}}, 7, "neither"),
        ("ADD", "1.0.0", {}, {"ipam": {"assign_ipv4": "maybe"}}, 7, "assign_ipv4"),
        ("ADD", "1.0.0", {}, {"profiles": 5}, 7, "profiles"),
        ("ADD", "1.0.0", {}, {"labels": ["a"]}, 7, "labels"),
        ("ADD", "1.0.0", {}, {"name": ""}, 7, "name"),
        ("ADD", "1.0.0", {}, {"args": {"cni": {"labels": {"a": "b"}}}}, 7, "labels"),
    ],
)
def test_errors(
    agent: FakeAgent, command: str, version: str, env: dict[str, str], keys: dict[str, Any], code: int, words: str
) -> None:
    exit_code, error = call(command, agent, version, env, **keys)
    assert (exit_code, error["code"]) == (1, code), error
    assert words in error["msg"]
    assert error.keys() == {"cniVersion", "code", "msg", "details"}
    assert error["cniVersion"] == (version if version in SPOKEN else "1.1.0")
    assert agent.asked == []


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 5000])
def test_no_configuration(text: str) -> None:
    out = io.StringIO()
    assert main({**ENVIRONMENT, "CNI_COMMAND": "ADD"}, io.StringIO(text), out) == 1
    assert json.loads(out.getvalue())["code"] == 6


@pytest.mark.parametrize(
    ("word", "code"),
    [("full", 102), ("taken", 101), ("unknown-profile", 105), ("unavailable", 11), ("no-netns", 4), ("invalid", 7)],
)
def test_what_the_agent_refuses(agent: FakeAgent, word: str, code: int) -> None:
    agent.answers = [{"error": "the reason", "code": word}]
    _, error = call("ADD", agent)
    assert (error["code"], error["msg"]) == (code, "the reason")


def test_a_busy_agent_is_asked_again(agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BUSY_PAUSE", 0.0)
    busy = {"error": "too many clients", "code": "busy"}
    agent.answers = [busy, busy, {"workload": WORKLOAD}]
    assert call("ADD", agent)[0] == 0
    assert len(agent.asked) == 3
    monkeypatch.setattr(client, "BUSY_FOR", -1.0)
    agent.answers = [busy]
    assert call("ADD", agent)[1]["code"] == 11


@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK"])
def test_no_agent(tmp_path: Path, command: str) -> None:
    path = tmp_path / "nobody.sock"
    for _ in range(2):
        code, error = call(command, path, prevResult={})
        assert (code, error["code"]) == (1, 11)
        assert "calico-route node" in error["details"]
        assert str(path) in error["details"]
        if not path.exists():
            with fake_agent(path):
                pass  # its file stays: connection refused


def test_an_answer_that_is_none(agent: FakeAgent) -> None:
    agent.answers = [{"workload": None}]
    code, error = call("ADD", agent)
    assert (code, error["code"]) == (1, 100)


def test_where_the_agent_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(client, "NODENAME_FILE", str(tmp_path / "nodename"))
    monkeypatch.setenv("NODENAME", "host1")
    assert client.socket_path("/x.sock", "host2") == "/x.sock"
    assert client.socket_path(None, "host2") == f"{tmp_path}/host2.sock"
    assert client.socket_path(None, None) == f"{tmp_path}/host1.sock"
    (tmp_path / "host3.sock").touch()
    assert client.socket_path(None, None) == f"{tmp_path}/host3.sock", "the only one"
    (tmp_path / "host4.sock").touch()
    assert client.socket_path(None, None) == f"{tmp_path}/host1.sock"
    monkeypatch.delenv("NODENAME")
    (tmp_path / "nodename").write_text("host4\n")
    assert client.socket_path(None, None) == f"{tmp_path}/host4.sock"


def test_as_a_program(agent: FakeAgent) -> None:
    network = {"cniVersion": "1.0.0", "name": "net1", "type": "calico-route-cni", "socket": str(agent.path)}
    words = [sys.executable, "-m", "calico_route.cni"]
    done = subprocess.run(
        words, input=json.dumps(network), env={**ENVIRONMENT, "CNI_COMMAND": "ADD"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["ips"][0]["address"] == "192.168.0.1/32"
    by_hand = subprocess.run(words, env={}, capture_output=True, text=True, check=True)
    assert by_hand.stdout == ""
    assert "docs/workloads.md" in by_hand.stderr


def test_installed_where_a_runtime_looks(agent: FakeAgent, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "calico_route.cni", "--install"]
    script = tmp_path / "bin" / "calico-route-cni"
    missing = subprocess.run([*words, str(script)], env={}, capture_output=True, text=True, check=False)
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
    script.parent.mkdir()
    for _ in range(2):
        subprocess.run([*words, str(script)], env={}, capture_output=True, check=True)
    assert list(script.parent.iterdir()) == [script]
    network = json.dumps({"cniVersion": "1.0.0", "name": "net1", "type": "calico-route-cni", "socket": str(agent.path)})
    environ = {**ENVIRONMENT, "CNI_COMMAND": "ADD"}
    done = subprocess.run([script], input=network, env=environ, cwd="/", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["ips"][0]["address"] == "192.168.0.1/32"
    assert subprocess.run([*words], env={}, capture_output=True, check=False).returncode == 2


def test_the_plug_in_starts_alone() -> None:
    """None of the rest of calico_route, nor what it needs: a runtime waits for it."""
    code = "import sys; import calico_route.cni.plugin; print(*sorted(sys.modules))"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(text.split())
    ours = {name for name in loaded if name.startswith("calico_route")}
    assert {name for name in ours if not name.startswith("calico_route.cni")} == {"calico_route"}
    assert not loaded & {"asyncio", "pybgp", "netaddr", "pyroute2", "logging", "subprocess"}
