"""Features of other families: labelled unicast and flow specifications, each way where a daemon has them."""

from __future__ import annotations

import re
from typing import Any

from pybgp import PathAttributes, Prefix
from pybgp.explanation import PathExplanation
from pybgp.family import IPV4_UNICAST, Family
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.extended_community_words import format_extended_community
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.nlri.labels import pack_labels
from tests.interop.cell import Field
from tests.interop.daemon import THEIRS, Daemon, until
from tests.interop.gobgp import GoBgp
from tests.interop.ours import Ours, ours
from tests.interop.sessions import STATIC, exchange

LABELLED, FLOW = Family(1, 4), Family(1, 133)
TARGET_THEIRS, TARGET_OURS = "198.51.102.0/24", "203.0.115.0/24"
FLOW_THEIRS = f"destination {TARGET_THEIRS} protocol =17 destination-port =53"
FLOW_OURS = f"destination {TARGET_OURS} protocol =6 destination-port >=8000&<=8080"
LABEL = 100_017

BIRD_FLOW = "route flow4 { dst %s; proto = 17; dport = 53; } { bgp_ext_community.add((generic, 0x80060000, 0)); };"
EXABGP_FLOW = "flow { route x { match { destination %s; protocol udp; destination-port =53; } then { discard; } } }"
GOBGP_FLOW = "global rib add -a ipv4-flowspec match destination %s protocol udp destination-port ==53 then discard"


async def flowspec(ground: Field) -> None:
    """A flow specification of ours at the daemon, in its own words, and where it can have one, its own with us."""
    parts: dict[str, Any] = {}
    if ground.name == "bird":
        parts["options"] = {"flow4": BIRD_FLOW % TARGET_THEIRS}
    elif ground.name == "exabgp":
        parts["more"] = EXABGP_FLOW % TARGET_THEIRS
    await ground.start(families=("ipv4", "flow4"), routes=STATIC, **parts)
    async with ours() as mine:
        flow = Prefix.read(FLOW, FLOW_OURS)
        mine.speaker.announce_many([flow], PathAttributes.build(extended_communities=["traffic-rate:64512:0"]))
        await exchange(ground, mine, families=(IPV4_UNICAST, FLOW))
        text = await shown(ground.daemon, "flow4", TARGET_OURS)
        assert "8000" in text, text
        assert "8080" in text, text
        if isinstance(ground.daemon, GoBgp):
            await ground.daemon.ask(*(GOBGP_FLOW % TARGET_THEIRS).split())
        if ground.name == "frr":
            ground.note("It takes flow specifications and originates none.")
        else:
            path = await ours_of(mine, Prefix.read(FLOW, FLOW_THEIRS))
            communities = [format_extended_community(one) for one in path.path.attributes.get(EXTENDED_COMMUNITIES, ())]
            assert any(re.fullmatch(r"traffic-rate:\d+:0", one) for one in communities), communities
        mine.speaker.withdraw(flow)
        await gone(ground.daemon, "flow4", TARGET_OURS)


async def labelled(ground: Field) -> None:
    """A labelled route of ours at the daemon with its label, and the daemon's with us."""
    both = ground.name != "frr"  # which has labelled routes instead of the others, not beside them
    parts: dict[str, Any] = {"families": ("ipv4", "label4") if both else ("label4",)}
    if ground.name == "exabgp":
        parts["more"] = f"static {{ route {TARGET_THEIRS} next-hop {THEIRS} label [ {LABEL} ]; }}"
    await ground.start(**parts)
    async with ours() as mine:
        target = Prefix.read(LABELLED, TARGET_OURS)
        mine.speaker.announce_many([target], LabelledAttributes.of(PathAttributes.build(), pack_labels(LABEL)))
        mine.peer(families=(IPV4_UNICAST, LABELLED) if both else (LABELLED,))
        await mine.up()
        text = await shown(ground.daemon, "label4", TARGET_OURS)
        assert str(LABEL) in text, text
        if isinstance(ground.daemon, GoBgp):
            words = f"global rib add -a ipv4-mpls {TARGET_THEIRS} {LABEL} nexthop {THEIRS}"
            await ground.daemon.ask(*words.split())
        if ground.name == "frr":
            ground.note("It takes labelled routes; labels of its own would come from zebra, which does not run here.")
        else:
            attributes = (await ours_of(mine, Prefix.read(LABELLED, TARGET_THEIRS))).path.attributes
            assert isinstance(attributes, LabelledAttributes)
            assert (attributes.labels, attributes.next_hop_text) == ((LABEL,), THEIRS)
        mine.speaker.withdraw(target)
        await gone(ground.daemon, "label4", TARGET_OURS)


async def ours_of(mine: Ours, destination: Prefix) -> PathExplanation:
    """The best path of a destination, once there is one."""

    def found() -> list[PathExplanation]:
        return list(mine.speaker.explain(destination).paths)

    listed: list[PathExplanation] = await until(f"{destination} at our side", found)
    return listed[0]


async def shown(daemon: Daemon, family: str, needle: str) -> str:
    """What the daemon has of a family, once these words are in it."""

    async def text() -> str:
        printed = await daemon.table_of(family)
        return printed if needle in printed else ""

    printed: str = await until(f"{needle} in what {daemon.name} shows", text)
    return printed


async def gone(daemon: Daemon, family: str, needle: str) -> None:
    async def absent() -> bool:
        return needle not in await daemon.table_of(family)

    await until(f"{needle} gone from what {daemon.name} shows", absent)
