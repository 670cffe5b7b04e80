"""The flags of a node: those of the agent, and those of what runs beside it. Doubles stand for nothing: all is pure."""

from __future__ import annotations

from pathlib import Path

import pytest

from calico_route.flags import UsageError
from calico_route.node.detach import without
from calico_route.node.flags import read_node_settings

NAMED = ["--node-name", "host1"]


def test_what_is_not_said_is_as_usual() -> None:
    settings = read_node_settings(NAMED, {})
    assert settings.agent.etcd
    assert settings.agent.endpoints is None, "ETCD_ENDPOINTS, or this host"
    assert (settings.policy, settings.workload_to_host, settings.ipam) == (True, "drop", "sequential")
    assert settings.workload_socket == Path("/run/calico_route/workloads/host1.sock")
    assert settings.docker_plugin is settings.docker_proxy is None
    assert settings.log_file == Path("/var/log/calico_route/host1.log")
    assert settings.pid_file == Path("/run/calico_route/host1.pid")


def test_what_is_said() -> None:
    flags = ["--policy", "off", "--ipam", "blocks", "--workload-socket", "/w.sock", "--docker-plugin", "--docker-proxy"]
    flags += ["--ip", "192.168.78.21", "--as", "64511", "--detach", "--log-file", "/tmp/x.log"]
    settings = read_node_settings([*NAMED, *flags], {})
    assert (settings.agent.ip, settings.agent.asn) == ("192.168.78.21", 64511)
    assert (settings.policy, settings.ipam, settings.workload_socket) == (False, "blocks", Path("/w.sock"))
    assert settings.docker_plugin == Path("/run/docker/plugins")
    assert settings.docker_proxy == ("127.0.0.1", 2377)
    assert read_node_settings([*NAMED, "--docker-proxy", "[::1]:2378"], {}).docker_proxy == ("::1", 2378)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--peer-from-file", "x.yaml"], "give --peer-from-etcd"),
        (["--docker-proxy", "0.0.0.0:2377"], "only on the loopback"),
        (["--docker-proxy", "127.0.0.1"], "write ADDRESS:PORT"),
        (["--docker-proxy", "nonsense"], "write ADDRESS:PORT"),
        (["--log-file", "/x"], "only with --detach"),
        (["--policy", "maybe"], "--policy"),
        (["--node-image", "calico/node"], "--node-image"),
    ],
)
def test_what_cannot_be_meant(flags: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_node_settings([*NAMED, *flags], {})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        read_node_settings([*NAMED, "--docker-proxy", "x", "--log-file", "/x", "--hold-time", "1"], {})
    assert len(str(refused.value).splitlines()) == 3


def test_arguments_without_a_flag() -> None:
    arguments = ["--ip", "1.2.3.4", "--log-file", "/x", "--log-file=/y", "--as", "5"]
    assert without(arguments, "--log-file") == ["--ip", "1.2.3.4", "--as", "5"]
