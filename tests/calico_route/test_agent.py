"""The agent whole: a datastore and kernels in memory, real speakers on loopback addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path

import pytest

from calico_route import agent as agent_module
from calico_route import believed
from calico_route.datastore import DatastoreDeniedError, MemoryDatastore
from calico_route.desired import Wishes
from calico_route.discovery import Found
from calico_route.fields import host_address
from calico_route.mesh import Mesh
from calico_route.model import Kind, Node, ReadyFlag, Resource, ResourceKey
from calico_route.report import report
from calico_route.sessions import Options
from pybgp import PeerEvent
from tests.calico_route.cluster import cluster, turns, until
from tests.calico_route.memory_kernel import MemoryKernel
from tests.calico_route.resources import configuration, endpoint, node, node_without_bgp, pool

A, B, C = "127.0.1.1", "127.0.1.2", "127.0.1.3"
VIA_A, VIA_B, VIA_C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
ON_A = endpoint("wa", "a", "10.0.0.1/32", interface="cali1")
ON_B = endpoint("wb", "b", "10.0.0.2/32", interface="cali1")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(agent_module, "SAVE_AFTER", 0.0)
    monkeypatch.setattr(believed, "FIRST_ANSWER", 0.1)
    caplog.set_level(logging.INFO, "calico_route")


async def test_workloads_reach_the_other_nodes_kernel_and_leave_it() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B} and b.kernel.shown == {"10.0.0.1/32": VIA_A})
        await mesh.datastore.delete(ON_B.key)
        await until(lambda: a.kernel.shown == {})
        await mesh.datastore.put(endpoint("wb", "b", "10.0.0.7/32"))
        await until(lambda: a.kernel.shown == {"10.0.0.7/32": VIA_B})
        assert a.agent.mesh.learned == {1: 1, 2: 0}
        assert a.kernel.protected == {bytes([127, 0, 1, 2])}


async def test_both_families() -> None:
    six = endpoint("six", "b", "fd80::2/128")
    async with cluster("ab", six, pool("v6", "fd80::/16")) as mesh:
        nodes = [node("a", A, "::1"), node("b", B, "::1")]
        own = [MemoryDatastore([*mesh.basics, pool("v6", "fd80::/16"), one, six]) for one in nodes]
        running = mesh.start("b", datastore=own[1])
        await until(lambda: running.agent.mesh.speaker is not None)
        assert running.agent.mesh.speaker is not None
        assert running.agent.mesh.speaker.listening == ((B, mesh.port), ("::1", mesh.port))
        assert [str(prefix) for prefix in running.agent.mesh.speaker.announced()] == ["fd80::2/128"]


async def test_nodes_of_other_autonomous_systems() -> None:
    """External peers hear of pools only, in both directions, and a pool that closes is withdrawn from them."""
    shut = pool("shut", "10.9.0.0/16", disableBGPExport=True)
    async with cluster("abc") as mesh:
        for number, (name, address) in enumerate(mesh.addresses.items(), 65001):
            await mesh.datastore.put(node(name, address, asNumber=65001 if name == "c" else number))
        await mesh.datastore.put(ON_A)
        await mesh.datastore.put(endpoint("wc", "c", "172.16.0.3/32"))
        a, b, c = mesh.start("a"), mesh.start("b"), mesh.start("c")
        await until(lambda: b.kernel.shown == {"10.0.0.1/32": VIA_A} and c.kernel.shown == {"10.0.0.1/32": VIA_A})
        assert a.kernel.shown == {}, "what is in no pool stays at home"
        await mesh.datastore.put(endpoint("wc", "c", "172.16.0.3/32", "10.9.0.3/32", "10.1.0.3/32"))
        await until(lambda: a.kernel.shown == {"10.9.0.3/32": VIA_C, "10.1.0.3/32": VIA_C})
        assert a.agent.mesh.speaker is not None
        await until(lambda: "10.9.0.3/32" in b.kernel.shown)
        await mesh.datastore.put(shut)
        await until(lambda: "10.9.0.3/32" not in b.kernel.shown and "10.9.0.3/32" not in a.kernel.shown)
        assert b.kernel.shown["10.1.0.3/32"] == VIA_C


async def test_nodes_come_and_go_without_touching_other_sessions() -> None:
    async with cluster("abc", ON_B) as mesh:
        await mesh.datastore.delete(mesh.nodes[2].key)
        a, _, c = mesh.start("a"), mesh.start("b"), mesh.start("c", register=False, given=True)
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        before = a.agent.mesh.snapshots()[B].since
        await mesh.datastore.put(mesh.nodes[2])
        await until(lambda: a.established(C) and c.kernel.shown == {"10.0.0.2/32": VIA_B})
        await mesh.datastore.delete(mesh.nodes[2].key)
        await until(lambda: C not in a.agent.mesh.snapshots())
        assert a.agent.mesh.snapshots()[B].since == before
        assert a.agent.mesh.snapshots()[B].established_count == 1
        assert a.kernel.log == ["replace 10.0.0.2/32"]


async def test_an_endpoint_is_announced_when_its_interface_appears() -> None:
    async with cluster("ab", ON_A) as mesh:
        a, b = mesh.start("a", options=Options()), mesh.start("b")
        await until(lambda: a.established(B))
        assert a.agent.wanted is not None
        assert [str(prefix) for prefix in a.agent.wanted.withheld] == ["10.0.0.1/32"]
        a.kernel.add_interface("cali1")
        await until(lambda: b.kernel.shown == {"10.0.0.1/32": VIA_A})


async def test_workloads_from_the_kernel() -> None:
    async with cluster() as mesh:
        only_kernel = Options(workloads_from_etcd=False, workloads_from_kernel=True)
        a, b = mesh.start("a", options=only_kernel, interface_prefix="tap"), mesh.start("b")
        await until(lambda: a.established(B))
        a.kernel.add_workload("10.0.0.3/32", "cali3")
        a.kernel.add_workload("10.0.0.4/32", "tap4")
        await until(lambda: b.kernel.shown == {"10.0.0.4/32": VIA_A})


async def test_a_lone_agent_registers_itself_with_the_address_it_finds(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("a") as mesh:
        empty = MemoryDatastore()
        found = Found(host_address("127.0.1.1/8"), "docker0", "default route")
        running = mesh.start("a", datastore=empty, find=lambda: found)
        await until(lambda: running.agent.wanted and running.agent.wanted.local)
        own = ResourceKey(Kind.NODE, "", "a")
        await until(lambda: "registered Node a" in caplog.text)
        registered = await empty.get(own)
        assert isinstance(registered, Node)
        assert str(registered.ipv4) == "127.0.1.1/8"
        assert "127.0.1.1/8 of docker0: default route" in caplog.text
        assert "bridge inside this host" in caplog.text
        await until(lambda: "made default-ipv4-ippool" in caplog.text)


async def test_sessions_begin_when_the_default_pool_is_there(caplog: pytest.LogCaptureFixture) -> None:
    """An End-of-RIB without routes would make the others drop what they have of us."""
    on_b = endpoint("wb", "b", "192.168.0.2/32")
    async with cluster("ab", on_b) as mesh:
        await mesh.datastore.delete(mesh.basics[1].key)
        b = mesh.start("b")
        a = mesh.start("a", kernel=MemoryKernel(before={"192.168.0.2/32": VIA_B}))
        await until(lambda: a.agent.grace.over and b.agent.grace.over)
        assert a.kernel.log == []
        messages = [record.getMessage() for record in caplog.records]
        made = next(number for number, text in enumerate(messages) if "made default-ipv4-ippool" in text)
        spoke = next(number for number, text in enumerate(messages) if "speaking BGP as" in text)
        assert made < spoke


async def test_a_datastore_that_only_lets_us_read(caplog: pytest.LogCaptureFixture) -> None:
    class ReadOnly(MemoryDatastore):
        async def create(self, resource: Resource) -> bool:
            raise DatastoreDeniedError("permission denied")

    async with cluster("ab", ON_B) as mesh:
        store = ReadOnly([*mesh.basics, mesh.nodes[1], ON_B])
        a, _ = mesh.start("a", given=True, datastore=store), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        assert "could not be registered: permission denied" in report(a.agent)["problems"][0]


async def test_the_kernel_is_compared_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("ab") as mesh:
        a = mesh.start("a", compare_every=0.01)
        await until(lambda: a.kernel.looks > 3)
    told = [record.message for record in caplog.records if "not as they should be" in record.message]
    assert told == ["3 routes in the kernel were not as they should be, and were put right"]


# --- restarts ---


async def test_a_planned_restart_is_not_noticed() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
        await b.stop()
        await until(lambda: not a.established(B))
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}, "kept for the one who comes back"
        again = mesh.start("b", kernel=MemoryKernel(before=b.kernel.shown))
        await until(lambda: a.established(B) and again.agent.grace.over)
        await turns()
        assert again.kernel.shown == {"10.0.0.1/32": VIA_A}
        assert a.kernel.log == ["replace 10.0.0.2/32"]
        assert again.kernel.log == [], "what was there was confirmed, not written again"


async def test_what_nobody_confirms_goes_after_the_last_end_of_rib() -> None:
    before = {"10.0.0.2/32": VIA_B, "10.0.0.99/32": VIA_B}
    async with cluster("abc", ON_B) as mesh:
        a, _ = mesh.start("a", kernel=MemoryKernel(before=before)), mesh.start("b")
        await until(lambda: a.established(B) and a.agent.mesh.snapshots()[B].end_of_rib)
        await turns()
        assert a.kernel.shown == before, "c may be about to confirm the other one"
        mesh.start("c")
        await until(lambda: a.agent.grace.over)
        assert a.kernel.log == ["sweep 10.0.0.99/32"]


async def test_a_large_table_is_confirmed_whole_before_anything_goes() -> None:
    many = [f"10.{high}.{low}.1/32" for high in range(20) for low in range(250)]
    async with cluster("ab", endpoint("many", "b", *many)) as mesh:
        before = {**dict.fromkeys(many, VIA_B), "10.200.0.1/32": VIA_B}
        a, _ = mesh.start("a", kernel=MemoryKernel(before=before)), mesh.start("b")
        await until(lambda: a.agent.grace.over)
        assert a.kernel.log == ["sweep 10.200.0.1/32"]
        assert len(a.kernel.table) == len(many)


async def test_one_dead_node_delays_that_until_the_timer_only() -> None:
    before = {"10.0.0.2/32": VIA_B, "10.0.0.99/32": VIA_C}
    async with cluster("abc", ON_B) as mesh:
        a, _ = mesh.start("a", kernel=MemoryKernel(before=before), stale_route_time=0.5), mesh.start("b")
        await until(lambda: a.agent.grace.over)
        assert a.kernel.log == ["sweep 10.0.0.99/32"]
        assert not a.established(C)


async def test_leaving_for_good() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b", flush_on_exit=True)
        await until(lambda: a.kernel.shown and b.kernel.shown)
        await b.stop()
        assert b.kernel.shown == {}
        assert b.kernel.closed
        await until(lambda: a.kernel.shown == {})


async def test_another_as_number_exchanges_the_speaker_and_keeps_the_routes() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown and a.agent.grace.over)
        told = configuration(listenPort=mesh.port, bindMode="NodeIP", asNumber=65001)
        await mesh.datastore.put(told)
        await until(lambda: a.agent.mesh.local and a.agent.mesh.local.asn == 65001 and a.established(B))
        await until(lambda: a.agent.grace.over and b.agent.grace.over)
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}
        assert a.kernel.log == ["replace 10.0.0.2/32"]


async def test_a_node_that_no_longer_takes_part() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
        await mesh.datastore.put(node_without_bgp("a"))
        await until(lambda: a.agent.mesh.speaker is None and a.kernel.shown == {} and b.kernel.shown == {})
        await mesh.datastore.put(mesh.nodes[0])
        await until(lambda: a.kernel.shown and b.kernel.shown)


# --- a datastore that fails ---


async def test_an_outage_changes_nothing() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
        mesh.datastore.go_away()
        await turns()
        assert a.established(B)
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}
        mesh.datastore.come_back()
        await mesh.datastore.delete(ON_B.key)
        await until(lambda: a.kernel.shown == {})


async def test_started_during_an_outage_it_works_from_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b", state=tmp_path)
        await until(lambda: a.kernel.shown and b.kernel.shown)
        await b.stop()
        mesh.datastore.go_away()
        again = mesh.start("b", state=tmp_path, kernel=MemoryKernel(before=b.kernel.shown))
        await until(lambda: again.established(A) and a.established(B))
        await until(lambda: again.agent.grace.over)
        assert again.kernel.shown == {"10.0.0.1/32": VIA_A}
        assert a.kernel.log == ["replace 10.0.0.2/32"]
        assert "working from the snapshot of" in caplog.text
        mesh.datastore.come_back()
        await mesh.datastore.put(endpoint("new", "b", "10.0.0.8/32"))
        await until(lambda: "10.0.0.8/32" in a.kernel.shown)


async def test_the_snapshot_is_on_disk_before_anything_ends(tmp_path: Path) -> None:
    """A crash gives no time to write."""
    async with cluster("ab", ON_B) as mesh:
        b = mesh.start("b", state=tmp_path)
        await until((tmp_path / "b.snapshot.json").exists)
        first = (tmp_path / "b.snapshot.json").read_text()
        await mesh.datastore.put(ON_A)
        await until(lambda: (tmp_path / "b.snapshot.json").read_text() != first)
        assert not b.task.done()


async def test_without_datastore_and_disk_there_is_no_session(caplog: pytest.LogCaptureFixture) -> None:
    before = {"10.0.0.1/32": VIA_A}
    async with cluster("ab", ON_A, ON_B) as mesh:
        mesh.datastore.go_away("connection refused")
        b = mesh.start("b", kernel=MemoryKernel(before=before), stale_route_time=0.0, given=True)
        await until(lambda: b.kernel.started)
        await turns()
        assert b.agent.mesh.speaker is None
        assert b.kernel.shown == before
        mesh.datastore.come_back()
        await until(lambda: b.agent.mesh.speaker is not None)


async def test_a_mass_deletion_is_held_back_and_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
        everything = [*mesh.basics, *mesh.nodes, ON_A, ON_B]
        mesh.datastore.replace([])
        await until(lambda: a.agent.believed and a.agent.believed.holds)
        assert "everything gone from the datastore at once" in caplog.text
        await turns()
        assert a.established(B)
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}
        assert await mesh.datastore.get(mesh.nodes[0].key) is None, "not registered anew"
        mesh.datastore.replace(everything)
        await until(lambda: a.agent.believed and not a.agent.believed.holds)
        assert a.kernel.log == ["replace 10.0.0.2/32"]


async def test_in_the_end_it_is_believed() -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a", mass_deletion_hold=0.3, stale_route_time=0.1), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
        mesh.datastore.replace([])
        await until(lambda: a.agent.wanted and not a.agent.wanted.peers)
        await until(lambda: a.kernel.shown == {})


async def test_a_datastore_that_is_not_ready_changes_nothing() -> None:
    async with cluster("ab", ON_B) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown)
        await mesh.datastore.put(ReadyFlag(ready=False))
        await mesh.datastore.delete(ON_B.key)
        await turns()
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}
        assert "not ready: its key Ready says false" in report(a.agent)["problems"][0]
        await mesh.datastore.put(ReadyFlag(ready=True))
        await until(lambda: a.kernel.shown == {})
        assert report(a.agent)["problems"] == []


async def test_the_own_node_deleted_while_running(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("ab", ON_B) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown)
        await mesh.datastore.delete(mesh.nodes[0].key)
        await until(lambda: "Node a is gone from the datastore" in caplog.text)
        assert a.agent.wanted is not None
        assert a.agent.wanted.local is not None
        assert await mesh.datastore.get(mesh.nodes[0].key) is None


# --- mistakes of others ---


async def test_one_impossible_peer_does_not_hinder_the_others(caplog: pytest.LogCaptureFixture) -> None:
    impossible = node("x", "127.0.1.9", asNumber=23456)  # AS_TRANS
    async with cluster("ab", ON_B, impossible) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        peer = next(one for one in report(a.agent)["peers"] if one["node"] == "x")
        assert peer["state"] == "Idle"
        assert "AS_TRANS" in peer["last_error"]
        for number in range(3):
            await mesh.datastore.put(endpoint("more", "a", f"10.0.1.{number}/32"))
            await turns()
        assert caplog.text.count("AS_TRANS") == 2, "tried again, but told once by each of the two agents"


async def test_a_dead_node_is_told_once_whatever_the_network_answers(caplog: pytest.LogCaptureFixture) -> None:
    mesh = Mesh(MemoryKernel(), on_event=lambda: None)

    def fail(reason: str) -> None:
        mesh._log(PeerEvent("failed", A, reason=reason))

    for _ in range(50):
        fail("no route to host")
        fail("no answer")
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["no route to host", "no answer"]
    mesh._log(PeerEvent("up", A))
    fail("no answer")
    assert len(caplog.messages) == 4, "told again after it was up"
    for number in range(50):
        fail(f"reason {number}")
    assert len(caplog.messages) < 10


async def test_a_port_in_use_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with cluster("ab", ON_A, ON_B) as mesh:
        with socket.socket() as bird:
            bird.bind((A, mesh.port))
            bird.listen()
            a, _ = mesh.start("a", kernel=MemoryKernel(before={"10.0.0.2/32": VIA_B})), mesh.start("b")
            await until(lambda: "is BIRD, or another calico_route, still running" in caplog.text)
            assert any("cannot listen" in problem for problem in report(a.agent)["problems"])
        await until(lambda: a.agent.grace.over)
        assert a.established(B)
        assert a.kernel.shown == {"10.0.0.2/32": VIA_B}
        assert a.kernel.log == [], "the route was there all the time"
        assert not report(a.agent)["problems"]


async def test_a_mistake_of_ours_does_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with cluster("ab", ON_B) as mesh:
        real, calls = Wishes.state, []

        def broken(*arguments: object, **named: object) -> object:
            calls.append(1)
            if len(calls) == 1:
                raise KeyError("a bug")
            return real(*arguments, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(Wishes, "state", broken)
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        assert "cannot reach what is wanted" in caplog.text


async def test_with_a_password() -> None:
    async with cluster("ab", ON_B) as mesh:
        options = Options(announce_unchecked=True, password="hunter2")
        a = mesh.start("a", options=options)
        mesh.start("b", options=options)
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})


async def test_nothing_is_left_behind() -> None:
    before = asyncio.all_tasks()
    async with cluster("ab", ON_A, ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and b.kernel.shown)
    assert asyncio.all_tasks() == before


async def test_both_dial_until_they_have_met() -> None:
    """Who starts last need not wait until the other tries again; from then on the higher address dials."""
    async with cluster("ab") as mesh:
        a = mesh.start("a")
        await until(lambda: a.agent.mesh.speaker is not None and mesh.addresses["b"] in a.agent.mesh.speaker.peers())
        assert a.agent.mesh.speaker is not None
        assert not a.agent.mesh.speaker.peer(mesh.addresses["b"]).config.passive
        b = mesh.start("b")
        await until(lambda: a.established(mesh.addresses["b"]) and b.established(mesh.addresses["a"]))
        await until(lambda: a.agent.mesh.speaker.peer(mesh.addresses["b"]).config.passive)  # type: ignore[union-attr]
        assert b.agent.mesh.speaker is not None
        assert not b.agent.mesh.speaker.peer(mesh.addresses["a"]).config.passive
