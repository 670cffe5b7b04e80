"""Another program writes the agent's routes: it is named in log, status and metrics, and the policy is kept to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, PIPE, Popen

import pytest

from demo.agent import Agent
from demo.lab import Host, Lab, wait_for
from tests.e2e.mesh import Mesh, bird_routes, wait_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

METRICS = "http://127.0.0.1:9908/metrics"
OURS = "192.168.0.2 via 192.168.78.22"


class Writer:
    """An `ip` that stays, so that the kernel's messages lead to a process which has a name still."""

    def __init__(self, popen: Popen[str]) -> None:
        self.popen = popen
        self.name = f"process {popen.pid} (ip)"

    def write(self, line: str) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()


@contextmanager
def writer(host: Host) -> Iterator[Writer]:
    with Popen(host.command("ip", "-force", "-batch", "-"), stdin=PIPE, stdout=DEVNULL, text=True) as popen:
        try:
            yield Writer(popen)
        finally:
            popen.kill()


def told(agent: Agent, *words: str) -> None:
    """Until log, status and metrics all tell of it, the first two in these words."""

    def there() -> bool:
        problems = " ".join(agent.status().get("kernel", {}).get("problems", []))
        return all(word in problems and word in agent.process_text() for word in words)

    wait_for(f"{words} in log and status", there, 60)
    wait_for("the metrics count it", lambda: counted(agent) > 0, 60)


def counted(agent: Agent) -> float:
    """Of all kinds of problems with the kernel, how many its metrics tell."""
    text = agent.host.run("curl", "-sS", METRICS)
    lines = [line for line in text.splitlines() if line.startswith("calico_route_kernel_problems{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def one_route(lab: Lab, policy: str) -> Mesh:
    mesh = Mesh(lab, 2, "--contested", policy)
    mesh.start()
    mesh.workload(mesh.hosts[1], "two", "192.168.0.2")
    wait_routes(mesh.hosts[0], {OURS}, timeout=60)
    return mesh


@pytest.mark.parametrize("policy", ["yield", "insist"])
def test_who_writes_the_same_prefix_by_another_protocol(lab: Lab, policy: str) -> None:
    mesh = one_route(lab, policy)
    host, agent = mesh.hosts[0], mesh.agents[0]
    with writer(host) as other:
        other.write("route replace 192.168.0.2 via 192.168.78.99 proto static")
        told(agent, "protocol static (via 192.168.78.99 dev enp0s8, metric 0)", f"made by {other.name}")
        if policy == "yield":
            assert bird_routes(host) == set()
            assert any("192.168.78.99" in line for line in host.routes("proto", "static"))
            other.write("route del 192.168.0.2 via 192.168.78.99 proto static")
        wait_routes(host, {OURS})
        assert host.routes("proto", "static") == []


@pytest.mark.parametrize("policy", ["yield", "insist"])
def test_who_changes_a_route_of_protocol_12(lab: Lab, policy: str) -> None:
    mesh = one_route(lab, policy)
    host, agent = mesh.hosts[0], mesh.agents[0]
    with writer(host) as other:
        other.write("route replace 192.168.0.2 via 192.168.78.98 proto bird")
        told(agent, f"changed by {other.name}", "bird, via 192.168.78.98 dev enp0s8, metric 0")
        if policy == "yield":
            assert bird_routes(host) == {"192.168.0.2 via 192.168.78.98"}
            other.write("route del 192.168.0.2 via 192.168.78.98 proto bird")
        wait_routes(host, {OURS})


@pytest.mark.parametrize("policy", ["yield", "insist"])
def test_who_deletes_a_route_of_ours(lab: Lab, policy: str) -> None:
    mesh = one_route(lab, policy)
    host, agent = mesh.hosts[0], mesh.agents[0]
    with writer(host) as other:
        for _ in range(2):
            other.write("route del 192.168.0.2 proto bird")
            told(agent, f"was deleted by {other.name}", "bird, via 192.168.78.22 dev enp0s8, metric 0")
            wait_routes(host, {OURS})


@pytest.mark.parametrize("policy", ["yield", "insist"])
def test_who_makes_routes_of_protocol_12_or_goes_before_ours(lab: Lab, policy: str) -> None:
    mesh = one_route(lab, policy)
    host, agent = mesh.hosts[0], mesh.agents[0]
    strange = "192.168.0.77 via 192.168.78.97"
    wait_for("nothing waits", lambda: agent.status()["kernel"]["stale"] == 0 and "were deleted" in agent.process_text())
    with writer(host) as other:
        other.write(f"route add {strange} proto bird metric 7")
        told(agent, f"made by {other.name}", "bird, via 192.168.78.97 dev enp0s8, metric 7")
        if policy == "yield":
            assert strange in bird_routes(host)
            other.write(f"route del {strange} proto bird metric 7")
        wait_routes(host, {OURS})
        other.write("route add 192.168.0.0/24 via 192.168.78.96 proto 99 metric 3")  # wider: nobody's affair
        other.write("route del 192.168.0.2 proto bird")
        wait_routes(host, {OURS})


def test_a_better_metric_is_told_and_left(lab: Lab) -> None:
    mesh = Mesh(lab, 2, "--contested", "insist", "--compat", "v3.32")
    mesh.start()
    mesh.workload(mesh.hosts[1], "two", "192.168.0.2")
    wait_routes(mesh.hosts[0], {OURS}, timeout=60)
    host = mesh.hosts[0]
    with writer(host) as other:
        other.write("route add 192.168.0.2 via 192.168.78.95 proto 99 metric 3")
        told(mesh.agents[0], "protocol 99 (via 192.168.78.95 dev enp0s8, metric 3)", other.name, "whose metric is 1024")
        assert any("192.168.78.95" in line for line in host.routes("proto", "99"))
        assert bird_routes(host) == {OURS}
