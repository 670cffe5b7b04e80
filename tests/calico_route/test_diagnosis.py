"""Why a session is not established: every word that a person gets, and how it looks with real agents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from calico_route.datastore import MemoryDatastore
from calico_route.diagnosis import (
    REMEMBERED,
    STRANGERS_KEPT,
    Md5Counters,
    Strangers,
    md5_counters,
    same_identifier,
    why_not,
)
from calico_route.report import report
from demo.lab import Lab, wait_for
from pybgp import State
from tests.calico_route.cluster import cluster, until
from tests.calico_route.resources import node
from tests.calico_route.test_daemon import Agent, lab, pair, resources  # noqa: F401

NETSTAT = """TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure Other
TcpExt: 0 4 5 6 7
IpExt: InNoRoutes
IpExt: 1
"""


def peer(error: str = "", state: State = State.ACTIVE, **more: Any) -> Any:
    return SimpleNamespace(
        established=state is State.ESTABLISHED, last_error=error, state=state, local_as=64512, **more
    )


def why(error: str, *, protected: bool = False, **dropped: int) -> str:
    return why_not(peer(error), protected=protected, dropped=Md5Counters(**dropped))


def test_counters() -> None:
    assert md5_counters(NETSTAT) == Md5Counters(4, 5, 6)
    assert md5_counters("TcpExt: A\nTcpExt: 1\n") == md5_counters("") == Md5Counters()
    assert md5_counters(NETSTAT).since(Md5Counters(1, 5, 9)) == Md5Counters(3, 0, 0)
    assert isinstance(md5_counters(), Md5Counters)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("connection refused", "does its BGP daemon run"),
        ("no route to host", "no route leads there"),
        ("the peer says it is AS 65001, configured is AS 64512", "asNumber"),
        ("the internal peer has our own BGP Identifier", "CALICO_ROUTER_ID"),
        ("received NOTIFICATION OPEN Message Error/Bad Peer AS", "expects another AS number of us (we say 64512)"),
        ("the peer closed the connection", "may not know this node"),
        ("no answer to the connection attempt within 10 s", "the host is down"),
        ("the peer sent no OPEN within 240 s", "the host is down"),
    ],
)
def test_what_is_known_gets_advice(error: str, advice: str) -> None:
    assert why(error).startswith(f"{error}: ")
    assert advice in why(error)


def test_the_rest() -> None:
    assert why_not(peer("old", State.ESTABLISHED), protected=False, dropped=Md5Counters()) == ""
    assert why_not(peer("", State.IDLE), protected=False, dropped=Md5Counters()) == "not tried yet"
    assert why("") == "no answer yet"
    assert why("Hold Timer Expired") == "Hold Timer Expired"


def test_silence_and_passwords() -> None:
    assert "another password or none" in why("timed out", protected=True)
    assert "probably the passwords differ (3 " in why("timed out", protected=True, wrong=3, unsigned=1)
    assert "probably the other side has no password (2 " in why("timed out", protected=True, unsigned=2, unexpected=9)
    assert "probably the other side has a password (4 " in why("timed out", unexpected=4, wrong=1)
    assert "password" not in why("timed out", wrong=1, unsigned=1)


def test_strangers_are_told_for_a_while_and_until_they_are_known() -> None:
    strangers = Strangers()
    strangers.note("192.0.2.9", 100.0)
    strangers.note("192.0.2.8", 110.0)
    strangers.note("192.0.2.9", 120.0)
    told = list(strangers.told(["192.0.2.8"], 125.0))
    assert len(told) == 1
    assert told[0].startswith("192.0.2.9 connects here (2 times, last 5 s ago)")
    assert "(once, last 15 s ago)" in next(strangers.told([], 125.0))
    assert list(strangers.told([], 120.0 + REMEMBERED)) == []
    for number in range(STRANGERS_KEPT + 5):
        strangers.note(f"10.0.0.{number}", 200.0)
    assert len(list(strangers.told([], 200.0))) == STRANGERS_KEPT


def test_the_same_identifier_twice() -> None:
    def of(address: str, identifier: int | None) -> Any:
        return peer(address=address, bgp_identifier=identifier)

    some = [of("10.0.0.1", 7), of("10.0.0.2", 8), of("fd00::2", 8), of("10.0.0.3", 7), of("10.0.0.4", None)]
    assert list(same_identifier(some, "9.9.9.9")) == [
        "10.0.0.1 and 10.0.0.3 have the same BGP Identifier 0.0.0.7: see CALICO_ROUTER_ID of both"
    ]
    assert "10.0.0.2 and fd00::2 and this node" in list(same_identifier(some, "0.0.0.8"))[1]


C = "127.0.1.3"


async def test_agents_that_do_not_come_together() -> None:
    async with cluster("abc", node("c", C, asNumber=65009), node("away", "127.0.1.9")) as mesh:
        a = mesh.start("a")
        other = MemoryDatastore([*mesh.basics, *mesh.nodes, node("c", C, asNumber=65001)])
        mesh.start("c", datastore=other)

        def reasons() -> dict[str, str]:
            return {one["node"]: one["why_not"] for one in report(a.agent)["peers"]}

        await until(lambda: "says it is AS" in reasons().get("c", ""))
        await until(lambda: "does its BGP daemon run" in reasons().get("away", ""))


@pytest.mark.netns
def test_passwords_that_differ(lab: Lab) -> None:  # noqa: F811
    one, two = pair(lab)
    file = resources(lab.directory / "nodes.yaml", one, two)
    secret = lab.directory / "secret"
    agents = []
    for host, text in ((one, "first"), (two, "second")):
        secret.with_name(host.name).write_text(text)
        words = ("--peer-from-file", str(file), "--mesh-password-file", str(secret.with_name(host.name)))
        agents.append(Agent(host, *words))

    def said() -> str:
        return " ".join(one["why_not"] for agent in agents for one in agent.status().get("peers", []))

    wait_for("the reason", lambda: "probably the passwords differ" in said(), 60)
    assert "first" not in said() + "".join(agent.process.text() for agent in agents)
