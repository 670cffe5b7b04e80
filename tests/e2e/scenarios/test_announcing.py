"""What is announced by which flags: workloads one by one or blocks, from WorkloadEndpoints or from the kernel.

A small stage of its own, without routers, whose agent starts again with other flags each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from demo.lab import Lab
from tests.e2e.mesh import RESOURCES
from tests.e2e.scenarios.objects import (
    BORROWED,
    IN_BLOCK,
    OWN_BLOCK,
    SIX_BLOCK,
    SIX_BORROWED,
    bgp_configuration,
    node,
    pool,
    version,
)
from tests.e2e.scenarios.scenario import (
    HOLES,
    KERNEL4,
    KERNEL6,
    UNLIKE,
    Scenario,
    at_stock,
    play,
    scenario,
    via,
)
from tests.e2e.scenarios.stage import Stage
from tests.e2e.scenarios.stock import FROM_STOCK, SIX_STOCK, STOCK4, STOCK6

pytestmark = [pytest.mark.netns, pytest.mark.daemon]

METRICS = via(STOCK4, FROM_STOCK, UNLIKE) | via(STOCK6, {SIX_STOCK}, UNLIKE)
MOVED = "192.168.70.7/32"  # in etcd alone: no interface, no route


def endpoint(name: str, *networks: str, node: str = "host1", interface: str = "", **spec: Any) -> dict[str, str]:
    """A WorkloadEndpoint as a CNI plug-in outside of Kubernetes writes it."""
    key = f"{RESOURCES}/workloadendpoints/default/{node}-cni-{name}-eth1"
    value = {
        "metadata": {"name": f"{node}-cni-{name}-eth1", "namespace": "default"},
        "spec": {"node": node, "endpoint": "eth1", "ipNetworks": networks, "interfaceName": interface, **spec},
    }
    return {key: json.dumps(value)}


ENDPOINTS = {
    **endpoint("c1", IN_BLOCK),  # its route is in the kernel
    **endpoint("c4", MOVED, interface="calinone"),
    **endpoint("c9", "192.168.71.1/32", node="host10"),
}
WORKLOADS = {IN_BLOCK, BORROWED, SIX_BORROWED}
LEARNED = KERNEL4 | KERNEL6


@pytest.fixture(scope="module")
def small() -> Iterator[Stage]:
    with Lab("scenw") as lab:
        made = Stage(lab)
        made.start(routers=False)
        yield made


BY_FLAGS = [
    (
        "workloads etcd",
        [
            scenario("those of etcd that there are", ENDPOINTS, stock={IN_BLOCK}, kernel=LEARNED),
            scenario("one more", {**ENDPOINTS, **endpoint("c2", BORROWED)}, stock={IN_BLOCK, BORROWED}, kernel=LEARNED),
            scenario(
                "an address by translation",
                endpoint("c1", IN_BLOCK, ipNATs=[{"internalIP": "192.168.221.65", "externalIP": "192.168.99.5"}]),
                stock={IN_BLOCK, BORROWED},
                kernel=LEARNED,
            ),
            scenario("IPv6", endpoint("c3", SIX_BORROWED), stock={SIX_BORROWED}, kernel=LEARNED),
            scenario(
                "an endpoint that can no longer be read stays as it was",
                endpoint("c3", "fd80::98:five"),
                stock={SIX_BORROWED},
                kernel=LEARNED,
                said="ipNetworks[0]",
            ),
            scenario("none", {}, stock=(), kernel=LEARNED),
        ],
    ),
    ("workloads kernel", [scenario("those of the kernel", ENDPOINTS, stock=WORKLOADS, kernel=LEARNED)]),
    (
        "workloads both",
        [
            scenario("those of either", ENDPOINTS, stock=WORKLOADS, kernel=LEARNED),
            scenario("without any in etcd", {}, stock=WORKLOADS, kernel=LEARNED),
        ],
    ),
    (
        "workloads etcd --announce-unchecked",
        [scenario("those of etcd, there or not", ENDPOINTS, stock={IN_BLOCK, MOVED}, kernel=LEARNED)],
    ),
    (
        "blocks etcd",
        [
            scenario("blocks, and what is outside", ENDPOINTS, stock={OWN_BLOCK, SIX_BLOCK}),
            scenario(
                "a borrowed address",
                {**ENDPOINTS, **endpoint("c2", BORROWED)},
                stock={OWN_BLOCK, SIX_BLOCK, BORROWED},
            ),
        ],
    ),
    ("blocks both", [scenario("blocks, from both", ENDPOINTS, stock={OWN_BLOCK, SIX_BLOCK, BORROWED, SIX_BORROWED})]),
    (
        "blocks both --compat v3.32",
        [
            scenario(
                "the flag wins over the datastore",
                {**version("v3.31.0"), **bgp_configuration(ipv4NormalRoutePriority=512)},
                stock={OWN_BLOCK, SIX_BLOCK, BORROWED, SIX_BORROWED},
                kernel=HOLES | METRICS,
                more=[at_stock(OWN_BLOCK, f"BGP.local_pref: {2147483647 - 512}")],
            )
        ],
    ),
    (
        "blocks both --compat v3.31",
        [
            scenario(
                "v3.31 though the datastore says v3.33",
                version("v3.33.0"),
                stock={OWN_BLOCK, SIX_BLOCK, BORROWED, SIX_BORROWED},
                more=[at_stock(OWN_BLOCK, "BGP.local_pref: 100")],
            )
        ],
    ),
    (
        "blocks both --compat v3.33",
        [
            scenario(
                "v3.33 though the datastore says nothing",
                pool("four", "192.168.0.0/16", ipipMode="Always"),
                stock={OWN_BLOCK, SIX_BLOCK, BORROWED, SIX_BORROWED},
                kernel={f"blackhole {SIX_BLOCK}"} | via(STOCK6, {SIX_STOCK}, UNLIKE),
            )
        ],
    ),
]


def test_blocks_that_the_node_names(small: Stage) -> None:
    """Host-local address management (USE_POD_CIDR): Calico's own affinities count for nothing."""
    (key, value), *_ = node("host1").items()
    named = {key: json.dumps(json.loads(value) | {"status": {"podCIDRs": ["192.168.99.0/24"]}})}
    small.restart_agent("--announce", "blocks", "--workloads-from", "kernel", env={"USE_POD_CIDR": "true"})
    play(
        small,
        scenario(
            "",
            named,
            stock={"192.168.99.0/24", IN_BLOCK, SIX_BORROWED},
            kernel=LEARNED | {"blackhole 192.168.99.0/24"},
        ),
    )


@pytest.mark.parametrize(("flags", "some"), [pytest.param(flags, some, id=flags) for flags, some in BY_FLAGS])
def test_what_is_announced(small: Stage, flags: str, some: list[Scenario]) -> None:
    announce, source, *rest = flags.split()
    small.restart_agent("--announce", announce, "--workloads-from", source, *rest)
    for one in some:
        play(small, one)
