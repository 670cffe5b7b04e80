"""The process: flags, files, signals and exit codes, on hosts that are network namespaces."""

from __future__ import annotations

import json
import signal
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.lab import Host, Lab, Process, wait_for

pytestmark = pytest.mark.netns

AWAY = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("agd") as made:
        yield made


class Agent:
    """A calico_route on a host, told by flags where its things are."""

    def __init__(self, host: Host, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self.host = host
        folder = host.lab.directory
        self.socket = folder / f"{host.name}.sock"
        self.state = folder / f"{host.name}-state"
        words = ["--node-name", host.name, "--socket", str(self.socket), "--state-dir", str(self.state), *flags]
        name = f"agent-{host.name}-{len(host.lab.processes)}"
        self.process: Process = host.start(name, sys.executable, "-m", "calico_route", *words, env=dict(env or {}))

    def status(self) -> dict[str, Any]:
        text = self.host.run(
            sys.executable, "-m", "calico_route", "status", "--json", "--socket", str(self.socket), check=False
        )
        return dict(json.loads(text)) if text else {}

    def established(self) -> bool:
        peers = self.status().get("peers", [])
        return bool(peers) and all(peer["state"] == "Established" for peer in peers)

    def wait_established(self) -> None:
        wait_for(f"{self.host.name} has its sessions", self.established)

    def said(self, text: str) -> None:
        wait_for(f"{self.host.name} says {text!r}", lambda: text in self.process.text())


def resources(path: Path, *hosts: Host, workloads: Mapping[str, str] | None = None) -> Path:
    """Nodes, a pool and workloads (address -> node) in one file, as `get -o yaml` prints them."""
    lines = ["kind: IPPool", "metadata: {name: p}", "spec: {cidr: 192.168.0.0/16}"]
    for host in hosts:
        lines += ["---", "kind: Node", f"metadata: {{name: {host.name}}}"]
        lines += [f"spec: {{bgp: {{ipv4Address: {host.address}/24}}}}"]
    for address, node in (workloads or {}).items():
        lines += ["---", "kind: WorkloadEndpoint", f"metadata: {{name: w{address}, namespace: default}}"]
        lines += [f"spec: {{node: {node}, ipNetworks: [{address}/32], interfaceName: cali1}}"]
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n")
    new.rename(path)
    return path


def pair(lab: Lab) -> tuple[Host, Host]:
    return lab.host("one", "192.168.78.21/24"), lab.host("two", "192.168.78.22/24")


def proto_bird(host: Host) -> list[str]:
    return host.routes("proto", "bird")


ROUTE = "192.168.0.2 via 192.168.78.22 dev enp0s8"


def test_from_a_file_that_changes(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two, workloads={"192.168.0.2": "two"})
    flags = ("--peer-from-file", str(file), "--announce-unchecked")
    first = Agent(one, *flags)
    Agent(two, *flags)
    wait_for("the route", lambda: proto_bird(one) == [ROUTE])
    resources(file, one, two, workloads={"192.168.0.3": "two"})
    wait_for("the other route", lambda: proto_bird(one) == [ROUTE.replace(".0.2", ".0.3")])
    assert first.status()["datastore"]["driver"] == "file"
    assert first.status()["problems"] == []


def test_leaving_keeps_the_routes_and_takes_the_socket(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two, workloads={"192.168.0.2": "two"})
    flags = ("--peer-from-file", str(file), "--announce-unchecked")
    first, second = Agent(one, *flags), Agent(two, *flags)
    wait_for("the route", lambda: proto_bird(one) == [ROUTE])
    assert stat.S_IMODE(first.socket.stat().st_mode) == 0o600
    assert second.process.kill(signal.SIGTERM, wait=5) == 0
    assert first.process.kill(signal.SIGINT, wait=5) == 0
    assert proto_bird(one) == [ROUTE]
    assert not first.socket.exists()
    assert stat.S_IMODE((first.state / "one.snapshot.json").stat().st_mode) == 0o600
    assert "Traceback" not in first.process.text() + second.process.text()


def test_flush_on_exit(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two, workloads={"192.168.0.1": "one", "192.168.0.2": "two"})
    flags = ("--peer-from-file", str(file), "--announce-unchecked")
    first, _ = Agent(one, *flags, "--flush-on-exit"), Agent(two, *flags)
    wait_for("both routes", lambda: proto_bird(one) and proto_bird(two))
    assert first.process.kill(signal.SIGTERM, wait=5) == 0
    assert proto_bird(one) == []
    wait_for("withdrawn at once", lambda: proto_bird(two) == [])


def test_a_second_signal_ends_at_once(lab: Lab) -> None:
    one, _ = pair(lab)
    agent = Agent(one, "--peer-from-etcd", AWAY, "--ip", one.address)
    agent.said("no sessions until it answers")
    agent.process.popen.send_signal(signal.SIGSTOP)
    agent.process.popen.send_signal(signal.SIGINT)
    agent.process.popen.send_signal(signal.SIGTERM)
    assert agent.process.kill(signal.SIGCONT, wait=5) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert "leaving at once" in agent.process.text()


def test_sighup_reads_the_password_again(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    secret = lab.directory / "secret"
    secret.write_text("hunter2\n")
    flags = ("--peer-from-file", str(file), "--mesh-password-file", str(secret))
    agents = [Agent(one, *flags), Agent(two, *flags)]
    for agent in agents:
        agent.wait_established()
    secret.write_text("\n")
    agents[0].process.popen.send_signal(signal.SIGHUP)
    agents[0].said("passwords stay as they were")
    assert agents[0].established()
    secret.write_text("after\n")
    for agent in agents:
        agent.process.popen.send_signal(signal.SIGHUP)
        agent.said("changed password")
    for agent in agents:
        agent.wait_established()
        assert agent.process.running
        assert "hunter2" not in agent.process.text()


def test_ttl_security_and_password_together(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two, workloads={"192.168.0.2": "two"})
    secret = lab.directory / "secret"
    secret.write_text("hunter2\n")
    flags = ("--peer-from-file", str(file), "--announce-unchecked", "--mesh-password-file", str(secret))
    Agent(one, *flags, "--ttl-security", "1")
    Agent(two, *flags, "--ttl-security", "1")
    wait_for("the route", lambda: proto_bird(one) == [ROUTE])


def test_json_log_and_what_is_said_at_the_start(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    flags = ("--peer-from-file", str(file), "--log-format", "json")
    agents = [Agent(one, *flags), Agent(two, *flags, "--ip", "192.168.78.22", "--as", "64512")]
    for agent in agents:
        agent.wait_established()
    assert agents[1].process.kill(signal.SIGTERM, wait=5) == 0
    entries = [json.loads(line) for line in agents[1].process.text().splitlines()]
    messages = [entry["message"] for entry in entries]
    assert all(entry.keys() >= {"time", "level", "logger", "message"} for entry in entries)
    assert any(message.endswith("node two (from --node-name)") for message in messages)
    assert "ip 192.168.78.22, from --ip" in messages
    assert any("speaking BGP as 192.168.78.22/24, AS 64512" in message for message in messages)


def test_both_families_and_an_address_that_nobody_gave(lab: Lab) -> None:
    one = lab.host("one", "192.168.78.21/24", "2001:db8:78::21/64")
    two = lab.host("two", "192.168.78.22/24", "2001:db8:78::22/64")
    file = lab.directory / "nodes.json"
    items: list[dict[str, Any]] = [
        {"kind": "IPPool", "metadata": {"name": "v6"}, "spec": {"cidr": "fd80::/64"}},
        {
            "kind": "WorkloadEndpoint",
            "metadata": {"name": "w", "namespace": "default"},
            "spec": {"node": "two", "ipNetworks": ["fd80::2/128"]},
        },
    ]
    for host in (one, two):
        bgp = {"ipv4Address": f"{host.address}/24", "ipv6Address": f"{host.address_v6}/64"}
        items.append({"kind": "Node", "metadata": {"name": host.name}, "spec": {"bgp": bgp}})
    file.write_text(json.dumps({"kind": "List", "items": items}))
    flags = ("--peer-from-file", str(file), "--announce-unchecked")
    agents = [Agent(one, *flags), Agent(two, *flags, "--ip6", "none")]
    wait_for("the IPv4 session", lambda: any(p["state"] == "Established" for p in agents[0].status().get("peers", [])))
    assert [peer["address"] for peer in agents[1].status()["peers"]] == ["192.168.78.21"]
    agents[1].process.kill(signal.SIGTERM)
    Agent(two, *flags)
    wait_for("the IPv6 route", lambda: any("fd80::2" in line for line in one.routes("proto", "bird", family=6)))


def test_an_address_that_the_host_does_not_have_is_told(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    agent = Agent(one, "--peer-from-file", str(file), "--ip", "192.168.78.99")
    agent.said("192.168.78.99 is no address of this host")
    wait_for("in status too", lambda: any("192.168.78.99" in text for text in agent.status().get("problems", [])))


def test_where_nothing_can_be_written_it_runs_all_the_same(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    nowhere = "/proc/nowhere"
    flags = ("--peer-from-file", str(file), "--state-dir", nowhere, "--socket", f"{nowhere}/s")
    first = one.start("bare", sys.executable, "-m", "calico_route", "--node-name", "one", *flags)
    Agent(two, "--peer-from-file", str(file)).wait_established()
    assert "no status on /proc/nowhere/s" in first.text()
    wait_for("that it is said", lambda: "cannot keep the snapshot" in first.text())
    assert first.kill(signal.SIGTERM, wait=5) == 0


def test_wrong_flags(lab: Lab) -> None:
    one = lab.host("one", "192.168.78.21/24")
    agent = Agent(one, "--peer-from-etcd", "ftp://x", "--etcd-driver", "http")
    assert agent.process.popen.wait(10) == 2
    assert "ftp" in agent.process.text()
    assert "Traceback" not in agent.process.text()


def test_what_confd_would_have_rendered(lab: Lab) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    words = [sys.executable, "-m", "calico_route", "--peer-from-file", str(file), "--print-bird-config"]
    text = one.run(*words, "--node-name", "one")
    assert "protocol bgp Mesh_192_168_78_22 from bgp_template {" in text
    assert "router id 192.168.78.21;" in text


def test_it_keeps_two_privileges(lab: Lab) -> None:
    one, _ = pair(lab)
    agent = Agent(one, "--peer-from-file", str(resources(lab.directory / "nodes.yaml", one)))
    agent.said("speaking BGP")
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    values = dict(line.split(":\t", 1) for line in status.splitlines())
    two = f"{1 << 10 | 1 << 12:016x}"  # CAP_NET_BIND_SERVICE and CAP_NET_ADMIN
    assert [values[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")] == [two, two, two, "0" * 16]
    assert values["NoNewPrivs"] == "1"


def test_systemd_and_monitoring(lab: Lab, tmp_path: Path) -> None:
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two, workloads={"192.168.0.2": "two"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        env = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "30000000"}
        flags = ("--peer-from-file", str(file), "--announce-unchecked")
        agent = Agent(one, *flags, env=env)
        Agent(two, *flags, "--metrics", "none").wait_established()
        said: list[str] = []

        def heard(line: str) -> bool:
            said.extend(systemd.recv(4096).decode().splitlines())
            return line in said

        status = "STATUS=1 of 1 sessions converged, 1 routes learned, 0 announced"
        wait_for("the line of status", lambda: heard(status))
        assert said.count("READY=1") == 1
        assert "WATCHDOG=1" in said
        fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
        page = partial(one.run, sys.executable, "-c", fetch)
        assert page("http://127.0.0.1:9908/readyz").strip() == "ok"
        assert 'calico_route_learned_prefixes{family="ipv4"} 1' in page("http://127.0.0.1:9908/metrics")
        again = Agent(one, *flags, "--node-name", "again", "--log-level", "warning")
        again.said("no metrics on 127.0.0.1 port 9908: ")
        assert agent.process.kill(signal.SIGTERM, wait=5) == 0
        wait_for("the goodbye", lambda: heard("STOPPING=1"))
