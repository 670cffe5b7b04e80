"""IPPools and blocks of addresses: what leaves the node, and what goes into its kernel and how."""

from __future__ import annotations

import json

import pytest

from tests.e2e.scenarios.objects import (
    BORROWED,
    IN_BLOCK,
    OWN_BLOCK,
    SIX_BLOCK,
    SIX_BORROWED,
    affinity,
    node,
    pool,
    without,
)
from tests.e2e.scenarios.scenario import (
    AS_BASE,
    KERNEL,
    KERNEL4,
    KERNEL6,
    OWN,
    OWN4,
    Scenario,
    parametrized,
    peer,
    play,
    router,
    scenario,
    via,
)
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.stock import FROM_STOCK, FROM_TOR, STOCK4, TOR

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

BLACK4, BLACK6 = {f"blackhole {OWN_BLOCK}"}, {f"blackhole {SIX_BLOCK}"}
SIX = BLACK6 | KERNEL6

EXPORT = [
    scenario("not exported", pool("narrow", "192.168.99.0/24", disableBGPExport=True), stock=OWN - {BORROWED}),
    scenario("nor an own block", pool("narrow", OWN_BLOCK, disableBGPExport=True), stock=OWN - {OWN_BLOCK}),
    scenario("IPv6 not exported", pool("six", "fd80::/16", disableBGPExport=True), stock=OWN4),
    router(
        "learned, and not told to others",
        {**pool("narrow", "192.168.130.0/24", disableBGPExport=True), **peer()},
        onward=(),
    ),
    scenario("disabled, but exported", pool("four", "192.168.0.0/16", disabled=True)),
    scenario("no pool for it", pool("four", "192.168.221.0/24"), stock=OWN - {BORROWED}),
    scenario("no pool at all: the block goes out by itself", without(pool("four", "")), stock=OWN - {BORROWED}),
    scenario(
        "nodes by selector, and other fields that say nothing of routes",
        pool(
            "four",
            "192.168.0.0/16",
            nodeSelector="has(nothing)",
            blockSize=26,
            natOutgoing=True,
            allowedUses=["Workload", "Tunnel"],
            assignmentMode="Manual",
        ),
    ),
    scenario("one that cannot be read is named", pool("bad", "192.168.300.0/24"), said="IPPool(bad): spec.cidr"),
    scenario(
        "one that can no longer be read stays as it was",
        pool("narrow", "192.168.99.0/24", disableBGPExport="perhaps"),
        said="IPPool(narrow): spec.disableBGPExport",
        stock=OWN - {BORROWED},
        before=pool("narrow", "192.168.99.0/24", disableBGPExport=True),
    ),
]

TUNNEL = " dev tunl0 onlink"
ENCAPSULATION = [
    scenario("VXLAN is Felix's", pool("four", "192.168.0.0/16", vxlanMode="Always"), kernel=SIX),
    scenario("and between subnets", pool("four", "192.168.0.0/16", vxlanMode="CrossSubnet"), kernel=SIX),
    scenario("and with IPv6", pool("six", "fd80::/16", vxlanMode="Always"), kernel=BLACK4 | KERNEL4),
    scenario(
        "IPIP", pool("four", "192.168.0.0/16", ipipMode="Always"), kernel=SIX | BLACK4 | via(STOCK4, FROM_STOCK, TUNNEL)
    ),
    scenario("IPIP between subnets, within one", pool("four", "192.168.0.0/16", ipipMode="CrossSubnet")),
    scenario(
        "IPIP between subnets, to another",
        {**pool("four", "192.168.0.0/16", ipipMode="CrossSubnet"), **node("host1", ipv4Address="192.168.78.21/32")},
        kernel=SIX | BLACK4 | via(STOCK4, FROM_STOCK, TUNNEL),
    ),
    scenario(
        "the first of several in the order of their text",
        {
            **pool("four", "192.168.0.0/16"),
            **pool("narrow", "192.168.60.0/24", ipipMode="Always"),
            **pool("wide", "192.168.0.0/17", ipipMode="Always"),
        },
    ),
    router(
        "what is in no pool goes in as it is",
        {**pool("four", "192.168.0.0/16", ipipMode="Always"), **peer()},
        kernel=SIX
        | BLACK4
        | via(STOCK4, FROM_STOCK, TUNNEL)
        | via(TOR, FROM_TOR - {"192.168.130.0/24"})
        | via(TOR, {"192.168.130.0/24"}, TUNNEL),
    ),
    scenario("and back to none", {}),
]

BLOCKS = [
    scenario(
        "pending",
        affinity(OWN_BLOCK, '{"state":"pending"}'),
        stock=OWN - {OWN_BLOCK} | {IN_BLOCK},
        kernel=KERNEL - BLACK4,
    ),
    scenario(
        "about to be deleted: in a pool, but no aggregate",
        affinity(OWN_BLOCK, '{"state":"pendingDeletion"}'),
        stock=OWN | {IN_BLOCK},
    ),
    scenario("without a state", affinity(OWN_BLOCK, "{}")),
    scenario("with an empty one", affinity(OWN_BLOCK, '{"state":""}')),
    scenario("without a value", affinity(OWN_BLOCK, "")),
    scenario("gone", without(affinity(OWN_BLOCK)), stock=OWN - {OWN_BLOCK} | {IN_BLOCK}, kernel=KERNEL - BLACK4),
    scenario("IPv6, gone", without(affinity(SIX_BLOCK)), stock=OWN - {SIX_BLOCK}, kernel=KERNEL - BLACK6),
    scenario("that of another node", affinity("192.168.222.64/26", host="host10")),
    scenario(
        "a second one",
        affinity("192.168.99.0/26"),
        stock=OWN - {BORROWED} | {"192.168.99.0/26"},
        kernel=KERNEL | {"blackhole 192.168.99.0/26"},
    ),
    scenario(
        "a second one of IPv6",
        affinity("fd80::98:0/122"),
        stock=OWN - {SIX_BORROWED} | {"fd80::98:0/122"},
        kernel=KERNEL | {"blackhole fd80::98:0/122"},
    ),
    scenario("one address as a block", affinity(BORROWED)),
    scenario(
        "what is allocated in it, and other keys of the address management",
        {
            "/calico/ipam/v2/assignment/ipv4/block/192.168.221.64-26": json.dumps(
                {"cidr": OWN_BLOCK, "affinity": "host:host1", "allocations": [None, 0], "unallocated": [0]}
            ),
            "/calico/ipam/v2/handle/k8s-pod-network.6f1c2a": '{"block":{"192.168.221.64-26":1},"deleted":false}',
            "/calico/ipam/v2/config": '{"strict_affinity":false,"auto_allocate_blocks":true}',
            "/calico/ipam/v2/host/host1": "",
        },
    ),
    scenario(
        "keys of nobody",
        {
            "/calico/ipam/v2/host/host1/ipv4/block/nonsense": "{}",
            "/calico/resources/v3/projectcalico.org/felixconfigurations/default": "{",
            "/calico/resources/v3/projectcalico.org/bgppeers/a/b": "{}",
        },
    ),
    scenario(
        "a state that there is not: the last good one stays",
        affinity(OWN_BLOCK, '{"state":"lost"}'),
        said="state",
        before={},
        first=AS_BASE,
    ),
]


@parametrized(EXPORT, ENCAPSULATION, BLOCKS)
def test_pools_and_blocks(stage: Stage, one: Scenario) -> None:
    play(stage, one)
