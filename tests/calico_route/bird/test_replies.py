"""BIRD's words: the answers as BIRD 1.6 gives them, on the wire."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from calico_route.bird.replies import answer, greeting
from calico_route.bird.wire import BirdProtocol, BirdRoute, Changes, Exported, Status, encode
from pybgp import Prefix

NOW = time.mktime((2026, 11, 24, 3, 38, 23, 0, 0, -1))
STARTED = NOW - 102
SESSION = BirdProtocol(
    name="Mesh_10_0_0_2",
    kind="BGP",
    state="up",
    since=STARTED + 4,
    info="Established   ",
    imported=2,
    exported=1,
    description="node b",
    filters=("ACCEPT", "(unnamed)"),
    changes=Changes(announced_in=5, withdrawn_in=1, filtered=2, announced_out=4, withdrawn_out=3),
    details=("  BGP state:          Established", "    Neighbor address: 10.0.0.2"),
)
STATIC = BirdProtocol("static1", "Static", "up", STARTED, preference=200, imported=1)
AWAY = BirdProtocol("Node_10_0_0_9", "BGP", "start", NOW - 90000, info="Active        connection refused")


def learned(text: str, **more: object) -> BirdRoute:
    values = {"what": "via 10.0.0.2 on eth0", "protocol": SESSION.name, "since": SESSION.since, "best": True}
    return BirdRoute(Prefix(text), **{**values, "rank": "100/0", "suffix": "i", **more})  # type: ignore[arg-type]


BLOCK = BirdRoute(Prefix("192.168.221.64/26"), "blackhole", "static1", STARTED, True, "200")
ROUTES = (
    BLOCK,
    learned("192.168.99.0/26"),
    learned("192.168.99.5/32", kind="BGP", attributes=("BGP.origin: IGP", "BGP.as_path: ")),
    learned(
        "192.168.99.5/32", best=False, what="via 10.0.0.3 on eth0", protocol="Node_10_0_0_9", gone_through="10.0.0.9"
    ),
    learned("10.9.0.0/16", best=False, rejected=True),
)


@dataclass
class Memory:
    """Facts that do not change; routes come in two slices."""

    recovery: tuple[int, int, int] | None = None
    exported: list[Exported | None] = field(default_factory=list)
    reconfigured: int = 0

    def status(self) -> Status:
        return Status("1.6.8", "10.0.0.1", NOW, STARTED, STARTED + 1, self.recovery)

    def protocols(self) -> Sequence[BirdProtocol]:
        return [STATIC, SESSION, AWAY]

    def routes(self, *, exported: Exported | None, details: bool) -> Iterator[Sequence[BirdRoute]]:
        self.exported.append(exported)
        some = ROUTES[:1] if exported else ROUTES
        yield some[:3]
        yield some[3:]

    def reconfigure(self) -> None:
        self.reconfigured += 1


def told(question: str, facts: Memory | None = None) -> str:
    return b"".join(encode(answer(question, facts or Memory()))).decode()


def test_greeting() -> None:
    assert b"".join(encode([[greeting(Memory())]])) == b"0001 BIRD 1.6.8 ready.\n"


def test_status() -> None:
    assert told("show status") == (
        "1000-BIRD 1.6.8\n"
        "1011-Router ID is 10.0.0.1\n"
        " Current server time is 2026-11-24 03:38:23\n"
        " Last reboot on 2026-11-24 03:36:41\n"
        " Last reconfiguration on 2026-11-24 03:36:42\n"
        "0013 Daemon is up and running\n"
    )


def test_status_while_routes_of_before_are_waited_for() -> None:
    assert told("show status", Memory((1, 238, 240))).splitlines()[-4:] == [
        "0024-Graceful restart recovery in progress",
        "   Waiting for 1 protocols to recover",
        "   Wait timer is 238/240",
        "0013 Daemon is up and running",
    ]


def test_protocols() -> None:
    """Six headings and six columns, as others look for them; what is old is told by its date."""
    assert told("show protocols") == (
        "2002-name     proto    table    state  since       info\n"
        "1002-static1  Static   master   up     03:36:41    \n"
        " Mesh_10_0_0_2 BGP      master   up     03:36:45    Established   \n"
        " Node_10_0_0_9 BGP      master   start  2026-11-23  Active        connection refused\n"
        "0000 \n"
    )


def test_one_protocol_whole() -> None:
    assert told("show protocols all Mesh_10_0_0_2") == (
        "2002-name     proto    table    state  since       info\n"
        "1002-Mesh_10_0_0_2 BGP      master   up     03:36:45    Established   \n"
        "1006-  Description:    node b\n"
        "   Preference:     100\n"
        "   Input filter:   ACCEPT\n"
        "   Output filter:  (unnamed)\n"
        "   Routes:         2 imported, 1 exported, 2 preferred\n"
        "   Route change stats:     received   rejected   filtered    ignored   accepted\n"
        "     Import updates:              5          0          2          0          3\n"
        "     Import withdraws:            1          0        ---          0          1\n"
        "     Export updates:              4          0          0        ---          4\n"
        "     Export withdraws:            3        ---        ---        ---          3\n"
        "   BGP state:          Established\n"
        "     Neighbor address: 10.0.0.2\n"
        " \n"
        "0000 \n"
    )
    assert told('show protocols "Mesh*"') == told("show protocols Mesh_10_0_0_2")
    assert told("show protocols all").count("1002-") == 3


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("show protocols nope", "9002 nope is not a protocol\n"),
        ('show protocols "nope*"', "8003 No protocols match\n"),
        ("show protocols all a b", "9001 syntax error\n"),
        ("show nonsense", "9001 syntax error\n"),
        ("show", "9001 syntax error\n"),
        ("down", "9001 syntax error\n"),
        ("show route for", "9001 syntax error\n"),
        ("show route where net", "9001 where: this is not BIRD, and knows no filters; ask for a network\n"),
        ("show route table other", "9001 other is not a table\n"),
        ("show route 1.2.3.4/33", "9001 syntax error\n"),
        ("show route protocol nope", "9001 nope is not a protocol\n"),
        ("show route export Node_10_0_0_9", "8005 Protocol is down\n"),
        ("show route 1.2.3.0/24", "8001 Network not in table\n"),
        ("show route for 1.2.3.4", "8001 Network not in table\n"),
        ("show route protocol Node_10_0_0_9 primary", "0000 \n"),
        ("restrict", "0016 Access restricted\n"),
    ],
)
def test_answers_of_one_line(question: str, reply: str) -> None:
    assert told(question) == reply


def test_routes() -> None:
    assert told("show route") == (
        "1007-192.168.221.64/26  blackhole [static1 03:36:41] * (200)\n"
        " 192.168.99.0/26    via 10.0.0.2 on eth0 [Mesh_10_0_0_2 03:36:45] * (100/0) [i]\n"
        " 192.168.99.5/32    via 10.0.0.2 on eth0 [Mesh_10_0_0_2 03:36:45] * (100/0) [i]\n"
        "1008-\tType: BGP unicast univ\n"
        "1012-\tBGP.origin: IGP\n"
        " \tBGP.as_path: \n"
        "1007-                   via 10.0.0.3 on eth0 [Node_10_0_0_9 03:36:45 from 10.0.0.9] (100/0) [i]\n"
        "0000 \n"
    )


@pytest.mark.parametrize(
    ("question", "networks"),
    [
        ("show route primary", ["192.168.221.64/26", "192.168.99.0/26", "192.168.99.5/32"]),
        ("show route filtered", ["10.9.0.0/16"]),
        ("show route protocol static1", ["192.168.221.64/26"]),
        ("show route table master 192.168.99.0/26", ["192.168.99.0/26"]),
        ("show route 192.168.99.5", ["192.168.99.5/32", "via"]),
        ("show route for 192.168.99.5", ["192.168.99.5/32", "via"]),
        ("show route for 192.168.99.7", ["192.168.99.0/26"]),
        ("show route all for 192.168.221.0/24", []),
        ("show route export Mesh_10_0_0_2", ["192.168.221.64/26"]),
    ],
)
def test_which_routes(question: str, networks: list[str]) -> None:
    lines = [line for line in told(question).splitlines() if "[" in line]
    assert [line.removeprefix("1007-").split()[0] for line in lines] == networks


def test_counts() -> None:
    assert told("show route count") == "0014 4 of 5 routes for 3 networks\n"
    assert told("show route count for 192.168.99.5") == "0014 2 of 5 routes for 1 networks\n"


def test_export_asks_for_what_was_told_to_that_neighbour() -> None:
    facts = Memory()
    told("show route export Mesh_10_0_0_2", facts)
    assert facts.exported == [Exported("export", "Mesh_10_0_0_2")]


def test_stats_come_after_the_routes() -> None:
    assert told("show route stats").splitlines()[-1] == "0014 4 of 5 routes for 3 networks"
    assert told("show route stats").count("1007") == told("show route").count("1007")
    assert told("show route stats for 192.168.99.5").splitlines()[-1] == "0014 2 of 5 routes for 1 networks"


@pytest.mark.parametrize("how", ["preexport", "noexport"])
def test_what_could_be_told(how: str) -> None:
    facts = Memory()
    told(f"show route {how} Mesh_10_0_0_2 all", facts)
    assert facts.exported == [Exported(how, "Mesh_10_0_0_2")]


def test_who_has_asked_for_restrict_may_change_nothing() -> None:
    facts = Memory()
    assert b"".join(encode(answer("configure", facts, restricted=True))) == b"8007 Access denied\n"
    assert b"".join(encode(answer("show status", facts, restricted=True))).startswith(b"1000-BIRD")
    assert facts.reconfigured == 0


def test_configure_looks_again() -> None:
    facts = Memory()
    assert told("configure", facts) == "0003 Reconfigured\n"
    assert facts.reconfigured == 1
