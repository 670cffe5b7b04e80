"""BIRD and confd leave a mesh, node by node, while its workloads talk; and they come back."""

from __future__ import annotations

import itertools
import re
import time

import pytest

from demo.agent import Agent
from demo.lab import Container, Host, Lab, Process, wait_for
from tests.e2e.bird1 import Bird1
from tests.e2e.mesh import Mesh, bird_routes

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

SIZE = 4
RATE = 100  # pings a second between each two workloads


def block(number: int) -> str:
    return f"192.168.{number}.64/26"


def expected(number: int) -> set[str]:
    """Own block into nothing, those of the others to them; and a borrowed address, which lies in nobody's block."""
    others = [other for other in range(1, SIZE + 1) if other != number]
    found = {f"{block(other)} via 192.168.78.2{other}" for other in others}
    if number != 1:
        found.add("192.168.99.5 via 192.168.78.21")
    return found


def in_kernel(host: Host) -> set[str]:
    return {line for line in bird_routes(host) if not line.startswith("blackhole")}


def pings(workloads: list[Container]) -> list[Process]:
    """From every workload to every other one."""
    started = []
    for one, other in itertools.permutations(workloads, 2):
        words = ["ping", "-D", "-O", "-n", "-i", f"{1 / RATE:g}", other.address]
        started.append(one.start(f"ping-{one.name}-{other.name}", *words))
    return started


def lost(process: Process) -> tuple[int, list[float]]:
    """How many were sent, and the times of those lost, when it has been interrupted."""
    process.kill(2)
    text = process.text()
    found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
    assert found, text
    late = {
        int(sequence): float(when)
        for when, sequence in re.findall(r"\[([\d.]+)\] no answer yet for icmp_seq=(\d+)", text)
    }
    for sequence in re.findall(r"bytes from .* icmp_seq=(\d+)", text):
        late.pop(int(sequence), None)
    return int(found[1]), sorted(late.values())


def test_node_by_node_and_back(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = Mesh(lab, SIZE, "--announce", "blocks", "--workloads-from", "kernel", "--hold-time", "240")
    mesh.etcd.start()
    mesh.pool("default-ipv4-ippool", "192.168.0.0/16")
    workloads = []
    for number, host in enumerate(mesh.hosts, 1):
        mesh.node(host)
        key = f"/calico/ipam/v2/host/{host.name}/ipv4/block/{block(number).replace('/', '-')}"
        mesh.etcd.put(key, '{"state":"confirmed","deleted":false}')
        workloads.append(lab.container(host, f"w{number}", f"192.168.{number}.65"))
    lab.container(mesh.hosts[0], "borrower", "192.168.99.5")
    birds = [Bird1(host, mesh.etcd.url) for host in mesh.hosts]
    for bird in birds:
        bird.start()

    def whole() -> bool:
        return all(in_kernel(host) == expected(number) for number, host in enumerate(mesh.hosts, 1))

    wait_for("the mesh of stock nodes", lambda: all(bird.established() == SIZE - 1 for bird in birds), 40)
    wait_for("its routes", whole, 40)
    mesh.watch_kernels()
    running = pings(workloads)
    told: list[str] = []
    began = time.time()
    before: list[int] = []  # routes that were deleted on each host until calico_route ran there alone
    ours: list[int] = []
    for number in range(SIZE):
        birds[number].kill()
        before.append(deletions(mesh, number))
        agent: Agent = mesh.agents[number]
        agent.start()
        told.append(
            f"{at(began)} host{number + 1}: bird -> calico_route in {settled(mesh, birds, agent, number):.1f} s"
        )
        assert whole()
    for number in range(SIZE):
        ours.append(deletions(mesh, number) - before[number])
        mesh.agents[number].kill()
        birds[number].start()
        seconds = wait_for("bird is back", lambda bird=birds[number]: bird.established() == SIZE - 1, 60)  # type: ignore[misc]
        told.append(f"{at(began)} host{number + 1}: calico_route -> bird in {seconds:.1f} s")
        assert whole()
    sent = gone = 0
    for process in running:
        count, late = lost(process)
        sent, gone = sent + count, gone + len(late)
        if late:
            told.append(
                f"{process.name} lost {len(late)}, {late[0] - began:.2f} to {late[-1] - began:.2f} s after the start"
            )
    stock = len(mesh.deleted()) - sum(ours)
    text = f"{sent} pings, {gone} lost; routes deleted by calico_route: {sum(ours)}, by BIRD (to put others): {stock}"
    with capsys.disabled():
        print("", *told, text, sep="\n  ")
    assert gone == 0
    assert ours == [0] * SIZE
    assert sent > 1000


def at(began: float) -> str:
    return f"{time.time() - began:5.2f} s"


def deletions(mesh: Mesh, number: int) -> int:
    return sum(line.startswith(f"monitor-host{number + 1}:") for line in mesh.deleted())


def settled(mesh: Mesh, birds: list[Bird1], agent: Agent, number: int) -> float:
    """Until the new agent is converged, and the stock nodes that are left speak to everybody."""

    def there() -> bool:
        sessions = agent.status().get("sessions", {})
        rest = birds[number + 1 :]
        return sessions.get("complete") == SIZE - 1 and all(bird.established() == SIZE - 1 for bird in rest)

    return wait_for(f"{agent.host.name} is converged", there, 60)
