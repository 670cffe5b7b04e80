"""Calico's checks and an exporter read what is answered, and what BIRD 1.6 answers, alike."""

from __future__ import annotations

import pytest

from calico_route.bird.replies import answer, greeting
from calico_route.bird.wire import encode
from tests.calico_route.bird.clients import UnexpectedError, exporter, node_status, ready, restarting
from tests.calico_route.bird.test_replies import Memory

# As BIRD 1.6.8 has answered.
STOCK = b"""\
0001 BIRD 1.6.8 ready.
2002-name     proto    table    state  since       info
1002-kernel1  Kernel   master   wait   13:21:19    
1006-  Preference:     10
   Input filter:   ACCEPT
   Output filter:  calico_kernel_programming
   GR recovery:    waiting
   Routes:         2 imported, 0 exported, 2 preferred
   Route change stats:     received   rejected   filtered    ignored   accepted
     Import updates:              2          0          0          0          2
     Import withdraws:            0          0        ---          0          0
     Export updates:              0          0          0        ---          0
     Export withdraws:            0        ---        ---        ---          0
 
1002-Mesh_192_168_78_21 BGP      master   up     13:21:20    Established   
1006-  Description:    Connection to BGP peer
   Preference:     100
   Routes:         2 imported, 0 exported, 2 preferred
   Route change stats:     received   rejected   filtered    ignored   accepted
     Import updates:              2          0          0          0          2
     Import withdraws:            1          0        ---          0          1
     Export updates:              7          2          0        ---          5
     Export withdraws:            0        ---        ---        ---          0
   BGP state:          Established
 
0000 
"""  # noqa: W291, W293


def told(question: str, facts: Memory | None = None) -> bytes:
    facts = facts or Memory()
    return b"".join([*encode([[greeting(facts)]]), *encode(answer(question, facts))])


def test_node_status() -> None:
    mesh, node = node_status(told("show protocols"))
    assert (mesh.kind, mesh.address, mesh.state, mesh.bgp, mesh.info) == ("Mesh", "10.0.0.2", "up", "Established", "")
    assert (node.kind, node.address, node.state, node.bgp) == ("Node", "10.0.0.9", "start", "Active")
    assert node.info == "connection refused"


def test_readiness() -> None:
    assert not restarting(told("show status"))
    assert restarting(told("show status", Memory((1, 238, 240))))
    assert not ready(told("show protocols"), told("show status")), "one of the two sessions is away"


def test_liveness() -> None:
    """`birdcl` prints texts without their codes."""
    assert told("show status").decode().splitlines()[0][5:].startswith("BIRD")


def test_the_exporter_reads_what_bird_says_and_what_we_say() -> None:
    stock = exporter(STOCK)
    assert stock["Mesh_192_168_78_21"].changes["Export updates"] == [7, 2, 0, 0, 5]
    found = exporter(told("show protocols all"))
    assert found.keys() == {"static1", "Mesh_10_0_0_2", "Node_10_0_0_9"}
    mesh = found["Mesh_10_0_0_2"]
    assert (mesh.kind, mesh.up, mesh.state, mesh.description) == ("BGP", True, "Established", "node b")
    assert (mesh.imported, mesh.exported, mesh.preferred) == (2, 1, 2)
    assert mesh.changes == {
        "Import updates": [5, 0, 2, 0, 3],
        "Import withdraws": [1, 0, 0, 0, 1],
        "Export updates": [4, 0, 0, 0, 4],
        "Export withdraws": [3, 0, 0, 0, 3],
    }
    assert not found["Node_10_0_0_9"].up


@pytest.mark.parametrize("answer_", [b"2002-name proto\n0000 \n", b"9001 syntax error\n", b"1002-a BGP\n"])
def test_the_clients_are_strict(answer_: bytes) -> None:
    with pytest.raises(UnexpectedError):
        node_status(answer_)
    with pytest.raises(UnexpectedError):
        exporter(answer_.removesuffix(b"0000 \n"))
