"""Workloads on a real kernel, etcd and disk: set up, killed after each step, rebooted, died while nobody looked."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator

import pytest

from demo.lab import Lab, wait_for
from tests.calico_route.workload.lab import WORKLOADS, WorkloadHost
from tests.calico_route.workload.test_workloads import BUILD, TAKE

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("wl") as made:
        yield made


@pytest.fixture
def host(lab: Lab) -> WorkloadHost:
    return WorkloadHost(lab)


def test_two_containers_reach_each_other_and_the_host(host: WorkloadHost) -> None:
    host.start()
    one, two = host.box("c1"), host.box("c2")
    first = host.add("c1", one, addresses="auto46", labels={"app": "db"}, mtu=1400)
    second = host.add("c2", two, addresses="auto46")
    assert first["addresses"] == ["192.168.0.1", "fd80::1"]
    assert second["addresses"] == ["192.168.0.2", "fd80::2"]

    cali = first["host_interface"]
    assert f"192.168.0.1 dev {cali} scope link" in host.host.routes()
    assert "default via 169.254.1.1 dev eth1" in one.routes()
    assert f"192.168.0.1 dev {cali} lladdr {first['mac']} PERMANENT" in host.host.run("ip", "neigh")
    link = json.loads(one.run("ip", "-j", "address", "show", "dev", "eth1"))[0]
    assert (link["address"], link["mtu"]) == (first["mac"], 1400)
    assert {(one["local"], one["prefixlen"]) for one in link["addr_info"] if one["scope"] == "global"} == {
        ("192.168.0.1", 32),
        ("fd80::1", 128),
    }
    for target in ("192.168.0.2", "192.168.78.21"):
        one.run("ping", "-c1", "-W5", target)
    for target in ("fd80::2", "2001:db8:78::21"):
        one.run("ping", "-6", "-c1", "-W5", target)
    host.host.run("ping", "-c1", "-W5", "192.168.0.2")

    one.run("ip", "neigh", "flush", "dev", "eth1", "nud", "permanent")
    assert host.ask({"request": "check", "container": "c1", "interface": "eth1"})["workload"] == first
    one.run("ip", "route", "del", "default")
    answer = host.ask({"request": "check", "container": "c1", "interface": "eth1"})
    assert answer["code"] == "differs"
    assert "default route" in answer["error"]

    assert host.ask({"request": "remove", "container": "c1"})["removed"] == [first]
    assert host.ask({"request": "remove", "container": "c2", "interface": "eth1"})["removed"] == [second]
    assert host.ask({"request": "remove", "container": "c2", "interface": "eth1"})["removed"] == []
    assert host.left() == {}
    assert host.process is not None
    assert host.process.kill(signal.SIGTERM) == 0


def test_a_spoofed_source_is_not_heard(host: WorkloadHost) -> None:
    host.start()
    one = host.box("c1")
    host.add("c1", one)
    one.run("ip", "address", "add", "192.168.0.77/32", "dev", "eth1")
    one.run("ping", "-c1", "-W5", "192.168.78.21")
    assert "100% packet loss" in one.run("ping", "-c1", "-W1", "-I", "192.168.0.77", "192.168.78.21", check=False)


def test_handed_over(host: WorkloadHost) -> None:
    """As libnetwork does it: the end is moved, renamed and addressed by somebody else, who asks for the gateway."""
    host.start()
    one = host.box("c1")
    made = host.ask({"request": "add", "container": "c1", "netns": None, "addresses": ["192.168.0.9"]})["workload"]
    peer = made["peer_interface"]
    host.host.run("ip", "link", "set", peer, "netns", one.netns, "name", "eth1")
    one.run("ip", "address", "add", "192.168.0.9/32", "dev", "eth1")
    one.run("ip", "link", "set", "eth1", "up")
    one.run("ip", "route", "add", "169.254.1.1", "dev", "eth1", "scope", "link")
    one.run("ip", "route", "add", "default", "via", "169.254.1.1")
    one.run("ping", "-c1", "-W5", "192.168.78.21")
    assert "169.254.1.1" not in host.host.run("ip", "route", "get", "192.168.0.9"), "it is no source"
    host.ask({"request": "remove", "container": "c1"})
    assert host.left() == {}
    assert "eth1" not in one.run("ip", "link")


def test_what_cannot_be_had_is_told(host: WorkloadHost) -> None:
    host.start()
    one = host.box("c1")
    one.run("ip", "link", "add", "eth1", "type", "bridge")
    request = {"request": "add", "container": "c1", "netns": one.path}
    for members, code, words in (
        ({}, "taken", "has an interface eth1 already"),
        ({"netns": "/run/netns/no-such"}, "no-netns", "no network namespace"),
        ({"netns": "/etc/hostname"}, "no-netns", "is no network namespace"),
        ({"netns": f"/proc/{host.process.pid}/ns/net"}, "invalid", "the host's own"),  # type: ignore[union-attr]
        ({"netns": "c1"}, "invalid", "give the path"),
        ({"addresses": "192.168.0.300"}, "invalid", "192.168.0.300"),
        ({"interface": "eth/1"}, "invalid", "eth/1"),
        ({"colour": "red"}, "invalid", "colour"),
    ):
        answer = host.ask({**request, **members})
        assert answer["code"] == code, answer
        assert words in answer["error"]
        assert host.left() == {}
    assert "eth1" in one.run("ip", "link"), "what was there before, stays"


@pytest.mark.parametrize("after", BUILD)
def test_killed_in_an_add(host: WorkloadHost, after: str) -> None:
    process = host.start(die_after=after)
    one = host.box("c1")
    with pytest.raises((OSError, ValueError)):
        host.add("c1", one)
    assert process.popen.wait(10) == -signal.SIGKILL
    assert "journal" in host.left()
    host.start()
    wait_for("nothing is left", lambda: host.left() == {})
    assert host.add("c1", one)["addresses"] == ["192.168.0.1"]


@pytest.mark.parametrize("after", TAKE)
def test_killed_in_a_removal(host: WorkloadHost, after: str) -> None:
    process = host.start(die_after=after)
    host.add("c1", host.box("c1"))
    with pytest.raises((OSError, ValueError)):
        host.ask({"request": "remove", "container": "c1"})
    assert process.popen.wait(10) == -signal.SIGKILL
    assert "journal" in host.left()
    host.start()
    wait_for("nothing is left", lambda: host.left() == {})


def test_killed_and_started_again_traffic_goes_on(host: WorkloadHost) -> None:
    process = host.start()
    one, two = host.box("c1"), host.box("c2")
    made = [host.add("c1", one), host.add("c2", two)]
    before = host.left()
    pinging = one.start("ping", "ping", "-i", "0.02", "192.168.0.2")
    wait_for("pings", lambda: "icmp_seq=20" in pinging.text())
    process.kill()
    host.start()
    wait_for("more pings", lambda: len(pinging.text().splitlines()) > 100)
    assert pinging.kill(signal.SIGINT) == 0
    assert " 0% packet loss" in pinging.text()
    assert host.left() == before
    assert host.ask({"request": "list"})["workloads"] == made


def test_containers_that_died_while_nobody_looked(host: WorkloadHost) -> None:
    process = host.start()
    one, two = host.box("c1"), host.box("c2")
    host.add("c1", one)
    kept = host.add("c2", two)
    process.kill()
    host.lab.run("ip", "netns", "del", one.netns)
    host.host.run("ip", "route", "del", "192.168.0.2")
    host.start()
    wait_for("c1 is gone", lambda: len(host.left()["addresses"]) == 1)
    assert host.ask({"request": "list"})["workloads"] == [kept]
    two.run("ping", "-c1", "-W5", "192.168.78.21")


def test_containers_that_die(host: WorkloadHost) -> None:
    """Without a word of any runtime."""
    host.start()
    one = host.box("c1")
    host.add("c1", one)
    host.lab.run("ip", "netns", "del", one.netns)
    wait_for("it has given everything back", lambda: host.left() == {})
    two = host.box("c2")
    made = host.add("c2", two)
    host.host.run("ip", "link", "del", made["host_interface"])
    wait_for("it lives, and is connected again", lambda: made["host_interface"] in host.links())
    wait_for("it is reached", lambda: "1 received" in two.run("ping", "-c1", "-W1", "192.168.78.21", check=False))
    assert host.ask({"request": "list"})["workloads"] == [made]


def test_after_a_reboot(host: WorkloadHost) -> None:
    """Interfaces and namespaces are gone, endpoints and addresses in etcd are left; then the journal is lost, too."""
    for journal in (True, False):
        process = host.start()
        boxes = [host.box(f"c{number}{journal}") for number in range(3)]
        for number, box in enumerate(boxes):
            host.add(f"c{number}", box)
        process.kill()
        for box in boxes:
            host.lab.run("ip", "netns", "del", box.netns)
        if not journal:
            for path in (host.state / "host1.workloads").iterdir():
                path.unlink()
        host.etcd.put(f"{WORKLOADS}default/host1-k8s-other-eth0", '{"spec":{"node":"host1"}}')
        host.start()
        wait_for("nothing is left", lambda: host.left().keys() <= {"rules", "endpoints"}, timeout=20)
        wait_for("nor an endpoint, but another's", lambda: len(host.left().get("endpoints", ())) == 1)
        assert host.left().keys() == {"endpoints"}
        assert host.process is not None
        host.process.kill(signal.SIGTERM)


def test_many_at_once_and_twice(host: WorkloadHost) -> None:
    host.start()
    boxes = [host.box(f"c{number}") for number in range(24)]
    found: list[tuple[int, str]] = []

    def add(number: int) -> None:
        found.append((number, host.add(f"c{number}", boxes[number])["addresses"][0]))

    threads = [threading.Thread(target=add, args=(number % 24,)) for number in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48
    assert len(set(found)) == 24, "two adds of one container are one"
    assert len({address for _, address in found}) == 24
    boxes[0].run("ping", "-c1", "-W5", dict(found)[23])
    kept = [["c0", "eth1"], ["c1", "eth1"]]
    removed = host.ask({"request": "keep", "containers": kept, "network": "calico"})["removed"]
    assert len(removed) == 22
    assert len(host.links()) == 2
