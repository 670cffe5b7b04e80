"""What the sessions of an agent have come to."""

from __future__ import annotations

from dataclasses import replace

from calico_route.mesh import GRACEFUL_RESTART, WITHOUT_END_OF_RIB, has_told_all
from pybgp import State
from tests.calico_route.cluster import cluster, until

B = "127.0.1.2"


async def test_who_has_told_all_its_routes() -> None:
    async with cluster("ab") as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: B in a.agent.mesh.complete())
        told = a.agent.mesh.snapshots()[B]
    assert has_told_all(told)
    assert not has_told_all(replace(told, state=State.OPEN_CONFIRM))
    families = {family: replace(one, end_of_rib_received=False) for family, one in told.families.items()}
    late = replace(told, families=families, uptime=WITHOUT_END_OF_RIB)
    assert not has_told_all(late), "it can say so, and has not"
    silent = replace(late, capabilities=tuple(one for one in told.capabilities if one.code != GRACEFUL_RESTART))
    assert has_told_all(silent)
    assert not has_told_all(replace(silent, uptime=WITHOUT_END_OF_RIB - 1))
