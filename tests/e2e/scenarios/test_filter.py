"""BGPFilters: every criterion and operation, in both directions, with IPv4 and with IPv6."""

from __future__ import annotations

import pytest

from tests.e2e.scenarios.objects import BORROWED, IN_BLOCK, OWN_BLOCK, SIX_BLOCK, SIX_BORROWED, bgp_filter, version
from tests.e2e.scenarios.scenario import (
    AS_BASE,
    HOLES,
    MESH,
    OWN4,
    OWN6,
    POOLED,
    UNLIKE,
    Scenario,
    at_tor,
    filtered,
    filtered6,
    parametrized,
    peer,
    play,
    router,
    router6,
    scenario,
    via,
)
from tests.e2e.scenarios.stage import UP, Stage
from tests.e2e.scenarios.stock import FROM_STOCK, FROM_TOR, SIX_FROM_TOR, SIX_STOCK, STOCK4, STOCK6, TOR, TOR6

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

FAR, FAR6 = "10.50.0.0/16", "2001:db8:f01::/48"  # with a community and a longer path
REJECT, ACCEPT = {"action": "Reject"}, {"action": "Accept"}
EVERYTHING4 = {*OWN4, IN_BLOCK}  # ours that a filter lets out which accepts all: it comes before the own block


def network(cidr: str, operator: str, **more: object) -> dict[str, object]:
    return {"cidr": cidr, "matchOperator": operator, **REJECT, **more}


OUT = [
    router(
        "nothing out but what is said",
        filtered(exportV4=[network(OWN_BLOCK, "Equal", **ACCEPT), REJECT]),
        told={OWN_BLOCK},
    ),
    router("Equal", filtered(exportV4=[network(OWN_BLOCK, "Equal")]), told={BORROWED, *FROM_STOCK}),
    router("NotEqual", filtered(exportV4=[network(OWN_BLOCK, "NotEqual")]), told={OWN_BLOCK}),
    router("In", filtered(exportV4=[network("192.168.0.0/18", "In")]), told=OWN4),
    router("NotIn", filtered(exportV4=[network("192.168.0.0/18", "NotIn")]), told=FROM_STOCK),
    router(
        "shortest",
        filtered(exportV4=[network("192.168.0.0/16", "In", prefixLength={"min": 32})]),
        told={OWN_BLOCK, "192.168.50.64/26"},
    ),
    router(
        "longest",
        filtered(exportV4=[network("192.168.0.0/16", "In", prefixLength={"max": 26})]),
        told={BORROWED, "192.168.60.1/32"},
    ),
    router(
        "both, and not",
        filtered(exportV4=[network("192.168.0.0/16", "NotIn", prefixLength={"min": 24, "max": 28})]),
        told={OWN_BLOCK, "192.168.50.64/26"},
    ),
    router("what comes from others", filtered(exportV4=[{"source": "RemotePeers", **REJECT}]), told=OWN4),
    router("interface", filtered(exportV4=[{"interface": "cali*", **REJECT}]), told={OWN_BLOCK, *FROM_STOCK}),
    router("interface of a next hop", filtered(exportV4=[{"interface": "*s8", **REJECT}]), told=OWN4),
    router("kind of peer", filtered(exportV4=[{"peerType": "eBGP", **REJECT}]), told=()),
    router("the other kind of peer", filtered(exportV4=[{"peerType": "iBGP", **REJECT}])),
    router(
        "all criteria of a rule, or none of it",
        filtered(exportV4=[network("192.168.0.0/16", "In", source="RemotePeers", peerType="iBGP")]),
    ),
    router(
        "more communities",
        filtered(
            exportV4=[
                {
                    **ACCEPT,
                    "operations": [{"addCommunity": {"value": "64512:7"}}, {"addCommunity": {"value": "64512:7:8"}}],
                }
            ]
        ),
        told={*EVERYTHING4, *FROM_STOCK},
        more=[at_tor(OWN_BLOCK, "(64512,7)", "(64512, 7, 8)")],
    ),
    router(
        "a longer path",
        filtered(exportV4=[{**ACCEPT, "operations": [{"prependASPath": {"prefix": [64600, 64601]}}]}]),
        told={*EVERYTHING4, *FROM_STOCK},
        more=[at_tor(OWN_BLOCK, "BGP.as_path: 64512 64600 64601")],
    ),
    router(
        "a priority, for an internal neighbour",
        filtered(250, 64512, exportV4=[{**ACCEPT, "operations": [{"setPriority": {"value": 512}}]}]),
        "192.168.78.250",
        told=EVERYTHING4,
        onward=(),
        more=[at_tor(OWN_BLOCK, "BGP.local_pref: 2147483135", at="192.168.78.250")],
    ),
]

IN = [
    router("nothing in", filtered(importV4=[REJECT]), heard=(), onward=()),
    router("in: Equal", filtered(importV4=[network(POOLED, "Equal")]), heard=FROM_TOR - {POOLED}, onward=()),
    router("in: NotEqual", filtered(importV4=[network(POOLED, "NotEqual")]), heard={POOLED}),
    router(
        "in: In",
        filtered(importV4=[network("172.16.0.0/12", "In", **ACCEPT), REJECT]),
        heard={"172.16.0.0/12"},
        onward=(),
    ),
    router("in: NotIn", filtered(importV4=[network("192.168.0.0/16", "NotIn")]), heard={POOLED}),
    router(
        "in: length",
        filtered(importV4=[network("0.0.0.0/0", "In", prefixLength={"min": 13, "max": 20})]),
        heard=FROM_TOR - {FAR},
    ),
    router(
        "in: community",
        filtered(importV4=[{"communities": {"values": ["65001:50"]}, **REJECT}]),
        heard=FROM_TOR - {FAR},
    ),
    router(
        "in: large community",
        filtered(importV4=[{"communities": {"values": ["65001:50:1"]}, **REJECT}]),
        heard=FROM_TOR - {FAR},
    ),
    router("in: path", filtered(importV4=[{"asPathPrefix": [65001, 65099], **REJECT}]), heard=FROM_TOR - {FAR}),
    router("in: path, not at its beginning", filtered(importV4=[{"asPathPrefix": [65099], **REJECT}])),
    router("in: source", filtered(importV4=[{"source": "RemotePeers", **REJECT}]), heard=(), onward=()),
    router("in: interface", filtered(importV4=[{"interface": "enp0*", **REJECT}]), heard=(), onward=()),
    router("in: interface, another", filtered(importV4=[{"interface": "eth*", **REJECT}])),
    router("in: kind of peer", filtered(importV4=[{"peerType": "eBGP", **REJECT}]), heard=(), onward=()),
    router("in: the other kind of peer", filtered(importV4=[{"peerType": "iBGP", **REJECT}])),
    router(
        "in: kind of peer, internal",
        filtered(250, 64512, importV4=[{"peerType": "iBGP", **REJECT}]),
        "192.168.78.250",
        heard=(),
        told=OWN4,
        onward=(),
    ),
    router(
        "in: priority",
        filtered(245, 64512, importV4=[{"priority": 512, **REJECT}]),
        "192.168.78.245",
        heard=(),
        told=OWN4,
        onward=(),
    ),
    router(
        "in: another priority",
        filtered(245, 64512, importV4=[{"priority": 513, **REJECT}]),
        "192.168.78.245",
        told=OWN4,
        onward=(),
    ),
    router(
        "in: set a priority",
        {
            **filtered(importV4=[{**ACCEPT, "operations": [{"setPriority": {"value": 512}}]}]),
            **version("v3.32.0"),
        },
        kernel=HOLES
        | via(STOCK4, FROM_STOCK, UNLIKE)
        | via(STOCK6, {SIX_STOCK}, UNLIKE)
        | via(TOR, FROM_TOR, " metric 512"),
    ),
]

SIX = [
    router6("IPv6: Equal", filtered6(exportV6=[network(SIX_BLOCK, "Equal")]), told={SIX_BORROWED, SIX_STOCK}),
    router6("IPv6: NotEqual", filtered6(exportV6=[network(SIX_BLOCK, "NotEqual")]), told={SIX_BLOCK}),
    router6("IPv6: In", filtered6(exportV6=[network("fd80::99:0/112", "In")]), told={SIX_BORROWED, SIX_STOCK}),
    router6("IPv6: NotIn", filtered6(exportV6=[network("fd80::99:0/112", "NotIn")]), told={SIX_BLOCK}),
    router6(
        "IPv6: length",
        filtered6(exportV6=[network("fd80::/16", "In", prefixLength={"min": 123, "max": 128})]),
        told={SIX_BLOCK, SIX_STOCK},
    ),
    router6("IPv6: source", filtered6(exportV6=[{"source": "RemotePeers", **REJECT}]), told=OWN6),
    router6("IPv6: interface", filtered6(exportV6=[{"interface": "cali*", **REJECT}]), told={SIX_BLOCK, SIX_STOCK}),
    router6("IPv6: kind of peer", filtered6(exportV6=[{"peerType": "eBGP", **REJECT}]), told=()),
    router6(
        "IPv6: operations",
        filtered6(
            exportV6=[
                {
                    **ACCEPT,
                    "operations": [
                        {"addCommunity": {"value": "64512:7"}},
                        {"prependASPath": {"prefix": ["1.10"]}},
                    ],
                }
            ]
        ),
        more=[at_tor(SIX_BLOCK, "(64512,7)", "BGP.as_path: 64512 65546")],
    ),
    router6("IPv6: nothing in", filtered6(importV6=[REJECT]), heard=()),
    router6("IPv6: in: Equal", filtered6(importV6=[network(FAR6, "Equal")]), heard=SIX_FROM_TOR - {FAR6}),
    router6("IPv6: in: In", filtered6(importV6=[network("2001:db8:f01::/48", "In")]), heard=SIX_FROM_TOR - {FAR6}),
    router6("IPv6: in: NotIn", filtered6(importV6=[network("2001:db8:f01::/48", "NotIn")]), heard={FAR6}),
    router6(
        "IPv6: in: community",
        filtered6(importV6=[{"communities": {"values": ["65001:50"]}, **REJECT}]),
        heard=SIX_FROM_TOR - {FAR6},
    ),
    router6(
        "IPv6: in: path", filtered6(importV6=[{"asPathPrefix": [65001, 65099], **REJECT}]), heard=SIX_FROM_TOR - {FAR6}
    ),
    scenario(
        "IPv6: in: set a priority",
        {
            **filtered6(importV6=[{**ACCEPT, "operations": [{"setPriority": {"value": 512}}]}]),
            **version("v3.32.0"),
        },
        {**MESH, TOR6: UP},
        tor={*OWN6, SIX_STOCK},
        kernel=HOLES
        | via(STOCK4, FROM_STOCK, UNLIKE)
        | via(STOCK6, {SIX_STOCK}, UNLIKE)
        | via("link-local", SIX_FROM_TOR, " metric 512"),
    ),
]

NAMES = [
    router(
        "several, in order",
        {
            **bgp_filter("a", importV4=[network("172.16.0.0/12", "Equal", **ACCEPT)]),
            **bgp_filter("b", importV4=[REJECT]),
            **peer(filters=["a", "b"]),
        },
        heard={"172.16.0.0/12"},
        onward=(),
    ),
    router(
        "in the other order",
        {
            **bgp_filter("a", importV4=[network("172.16.0.0/12", "Equal", **ACCEPT)]),
            **bgp_filter("b", importV4=[REJECT]),
            **peer(filters=["b", "a"]),
        },
        heard=(),
        onward=(),
    ),
    router("one that there is not", peer(filters=["lost"])),
    router("one of the other IP version alone", filtered(exportV6=[REJECT], importV6=[REJECT])),
    router6("and the other way round", filtered6(exportV4=[REJECT], importV4=[REJECT])),
    scenario(
        "one that cannot be read",
        filtered(exportV4=[{"action": "Perhaps"}]),
        said="BGPFilter(f): spec.exportV4[0].action",
        before={},
        first=AS_BASE,
    ),
    router(
        "one that can no longer be read stays as it was",
        filtered(exportV4=[{"action": "Perhaps"}]),
        told={BORROWED, *FROM_STOCK},
        said="BGPFilter(f): spec.exportV4[0].action",
        before=filtered(exportV4=[network(OWN_BLOCK, "Equal")]),
    ),
]


@parametrized(OUT, IN, SIX, NAMES)
def test_bgp_filters(stage: Stage, one: Scenario) -> None:
    play(stage, one)
