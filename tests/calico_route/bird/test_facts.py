"""What an agent tells as BIRD would."""

from __future__ import annotations

import pytest

from calico_route import agent as agent_module
from calico_route import believed
from calico_route.bird import AgentFacts
from calico_route.bird.wire import BirdProtocol, BirdRoute, Exported
from calico_route.sessions import Options
from tests.calico_route.cluster import cluster, until
from tests.calico_route.memory_kernel import MemoryKernel
from tests.calico_route.resources import bgp_filter, bgp_peer, block, endpoint

A, B, C = "127.0.1.1", "127.0.1.2", "127.0.1.3"
BLOCKS = Options(announce_unchecked=True, announce_blocks=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(believed, "FIRST_ANSWER", 0.1)


def protocol(facts: AgentFacts, name: str) -> BirdProtocol:
    (found,) = (one for one in facts.protocols() if one.name == name)
    return found


def routes(
    facts: AgentFacts, exported_to: str | None = None, *, how: str = "export", details: bool = False
) -> dict[str, BirdRoute]:
    exported = None if exported_to is None else Exported(how, exported_to)
    return {str(one.prefix): one for part in facts.routes(exported=exported, details=details) for one in part}


async def test_sessions_and_routes() -> None:
    here = (block("a", "10.1.1.64/26"), endpoint("wa", "a", "10.9.9.9/32", interface="cali1"))
    async with cluster("ab", *here, endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        kernel = MemoryKernel(workloads={"10.9.9.9/32": "cali1"})
        a, _ = mesh.start("a", kernel=kernel, options=BLOCKS), mesh.start("b")
        facts = AgentFacts(a.agent, 4)
        await until(lambda: a.kernel.shown.keys() == {"10.0.0.2/32", "10.1.1.64/26"} and a.agent.grace.over)
        session = protocol(facts, "Mesh_127_0_1_2")
        assert (session.state, session.info, session.imported, session.exported) == ("up", "Established   ", 1, 2)
        assert "    Neighbor caps:    refresh enhanced-refresh AS4 restart-able" in session.details
        assert (protocol(facts, "static1").imported, protocol(facts, "kernel1").imported) == (1, 1)
        found = routes(facts, details=True)
        learned = found["10.0.0.2/32"]
        assert (learned.what, learned.protocol, learned.best) == ("via 192.0.2.2 on eth0", "Mesh_127_0_1_2", True)
        assert (learned.rank, learned.suffix, learned.gone_through) == ("100/0", "i", B)
        assert "BGP.next_hop: 192.0.2.2" in learned.attributes
        assert (found["10.1.1.64/26"].what, found["10.1.1.64/26"].rank) == ("blackhole", "200")
        assert (found["10.9.9.9/32"].what, found["10.9.9.9/32"].protocol) == ("dev cali1", "kernel1")
        assert routes(facts, "Mesh_127_0_1_2").keys() == {"10.1.1.64/26", "10.9.9.9/32"}
        offered = routes(facts, "Mesh_127_0_1_2", how="preexport")
        assert offered.keys() == {"10.1.1.64/26", "10.9.9.9/32"}, "not what came from there"
        assert routes(facts, "Mesh_127_0_1_2", how="noexport") == {}
        assert [found[name].kind for name in sorted(found)] == ["BGP", "static", "inherit"]
        assert session.changes is not None
        assert (session.changes.announced_in, session.changes.filtered, session.changes.withdrawn_in) == (1, 0, 0)
        assert session.changes.announced_out == 2
        assert routes(AgentFacts(a.agent, 6)) == {}
        assert [one.kind for one in AgentFacts(a.agent, 6).protocols()] == ["Static", "Kernel", "Device"]
        status = facts.status()
        assert (status.router_id, status.recovery) == (A, None)
        assert status.started <= status.changed <= status.now


async def test_names_of_sessions_that_bgppeers_ask_for() -> None:
    session = bgp_peer("some", nodeSelector="all()", peerSelector="all()", filters=["f"])
    far = bgp_peer("far", peerIP="127.0.1.99:1790", asNumber=65001)
    refuse = bgp_filter("f", importV4=[{"action": "Reject"}])
    made = (session, far, refuse, endpoint("wb", "b", "10.0.0.2/32"))
    async with cluster("ab", *made, nodeToNodeMeshEnabled=False) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        facts = AgentFacts(a.agent, 4)
        await until(lambda: a.established(B) and routes(facts))
        names = {one.name: one.state for one in facts.protocols() if one.kind == "BGP"}
        assert names == {"Node_127_0_1_2": "up", "Global_127_0_1_99_port_1790": "start"}
        await until(lambda: "refused" in protocol(facts, "Global_127_0_1_99_port_1790").info)
        assert any("Last error:" in line for line in protocol(facts, "Global_127_0_1_99_port_1790").details)
        assert routes(facts)["10.0.0.2/32"].rejected
        session_b = protocol(facts, "Node_127_0_1_2")
        assert session_b.changes is not None
        assert (session_b.changes.announced_in, session_b.changes.filtered) == (1, 1)
        assert session_b.filters == ("(unnamed)", "(unnamed)")


async def test_a_restart_is_told_while_a_node_is_waited_for() -> None:
    kernel = MemoryKernel({"10.0.0.2/32": "192.0.2.2", "10.0.0.3/32": "192.0.2.3"})
    async with cluster("abc", endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        a, b = mesh.start("a", kernel=kernel), mesh.start("b")
        facts = AgentFacts(a.agent, 4)
        assert facts.status().router_id == "0.0.0.0"
        await until(lambda: a.established(B) and facts.status().recovery is not None)
        recovery = facts.status().recovery
        assert recovery is not None
        assert (recovery[0], recovery[2]) == (1, 30)
        assert AgentFacts(b.agent, 4).status().recovery is None
        mesh.start("c")
        await until(lambda: a.agent.grace.over)
        assert facts.status().recovery is None
