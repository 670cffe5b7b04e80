"""Agents whose rules change while routes are there: versions, pools, blocks, filters, secrets."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping

import pytest

from calico_route import agent as agent_module
from calico_route import believed
from calico_route.kernel import RouteOptions, RouteType
from calico_route.model import SecretReference
from calico_route.programming import KernelRules
from calico_route.sessions import Options
from pybgp import IPV4_UNICAST, Prefix
from tests.calico_route.cluster import Running, cluster, until
from tests.calico_route.resources import bgp_filter, bgp_peer, block, configuration, endpoint, pool
from tests.calico_route.resources import cluster as cluster_information

A, B = "127.0.1.1", "127.0.1.2"
VIA_A, VIA_B = "192.0.2.1", "192.0.2.2"
ON_B = endpoint("wb", "b", "10.0.0.2/32")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(believed, "FIRST_ANSWER", 0.1)


def options(running: Running) -> Mapping[str, RouteOptions]:
    """How each destination is in the kernel."""
    return {running.kernel._text(key): how for key, how in running.kernel.options.items()}


async def test_the_kernels_routes_follow_the_version_of_calico_and_its_pools() -> None:
    plain, tunnel = RouteOptions(), RouteOptions(device="tunl0", onlink=True)
    async with cluster("ab", ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: options(a) == {"10.0.0.2/32": plain})
        await mesh.datastore.put(pool("p", "10.0.0.0/8", ipipMode="Always"))
        await until(lambda: options(a) == {"10.0.0.2/32": tunnel})
        await mesh.datastore.put(pool("p", "10.0.0.0/8", vxlanMode="Always"))
        await until(lambda: options(a) == {})
        assert a.agent.mesh.learned[1] == 1
        await mesh.datastore.put(endpoint("wb", "b", "10.0.0.3/32"))
        await mesh.datastore.put(pool("p", "10.0.0.0/8"))
        await until(lambda: options(a) == {"10.0.0.3/32": plain})
        await mesh.datastore.put(cluster_information(calicoVersion="v3.32.0"))
        await until(lambda: options(a) == {"10.0.0.3/32": RouteOptions(metric=1024)})
        await mesh.datastore.delete(ON_B.key)
        await until(lambda: options(a) == {} and a.agent.mesh.learned[1] == 0)
        assert a.established(B)
        assert b.agent.mesh.snapshots()[A].established_count == 1


async def test_what_goes_while_the_rules_change_is_not_left_in_the_kernel() -> None:
    """All routes are read anew for the new rules, and these are gone before the new reader has come to them."""
    async with cluster("ab", ON_B) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        await mesh.datastore.put(pool("p", "10.0.0.0/8", ipipMode="Always"))
        await mesh.datastore.put(configuration(listenPort=mesh.port, bindMode="NodeIP", nodeToNodeMeshEnabled=False))
        await until(lambda: not a.agent.mesh.peers and a.kernel.shown == {})
        assert a.agent.mesh.learned[1] == 0


async def test_many_routes_that_go_just_before_the_rules_change_are_not_left_either() -> None:
    """More than a reader takes in one turn: the new one, which has next to nothing to read, is done before the earlier
    one has come to the end of what it alone hears of."""
    many = [endpoint(f"w{number}", "b", f"10.1.{number >> 8}.{number & 255}/32") for number in range(20000)]
    async with cluster("ab", endpoint("wa", "a", "10.0.0.1/32"), *many) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: len(a.kernel.shown) == len(many))
        await b.stop()
        speaker, wanted = a.agent.mesh.speaker, a.agent.wanted
        assert speaker is not None
        assert wanted is not None
        speaker.remove_peer(B)
        while sum(map(len, speaker.table(family=IPV4_UNICAST))) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert a.kernel.shown  # who reads has not come so far
        await a.agent.mesh.apply(dataclasses.replace(wanted, kernel=KernelRules(metrics=True)), restarting=False)
        await until(lambda: a.kernel.shown == {})
        assert a.agent.mesh.learned[1] == 0


async def test_blocks_end_here_and_are_announced_whole() -> None:
    blackhole = RouteOptions(type=RouteType.BLACKHOLE)
    own = Options(announce_unchecked=True, announce_blocks=True)
    on_b, borrowed = endpoint("w1", "b", "10.1.1.65/32"), endpoint("w2", "b", "10.9.9.9/32")
    async with cluster("ab", block("b", "10.1.1.64/26"), on_b, borrowed) as mesh:
        a, b = mesh.start("a", options=own), mesh.start("b", options=own)
        await until(lambda: a.kernel.shown == {"10.1.1.64/26": VIA_B, "10.9.9.9/32": VIA_B})
        assert options(b) == {"10.1.1.64/26": blackhole}
        await mesh.datastore.put(block("b", "10.9.9.0/26"))
        await until(lambda: a.kernel.shown == {"10.1.1.64/26": VIA_B, "10.9.9.0/26": VIA_B})
        await mesh.datastore.delete(block("b", "10.1.1.64/26").key)
        await until(lambda: a.kernel.shown == {"10.1.1.65/32": VIA_B, "10.9.9.0/26": VIA_B})
        assert options(b) == {"10.9.9.0/26": blackhole}


async def test_a_route_of_our_own_goes_before_a_learned_one_and_gives_it_back() -> None:
    own = Options(announce_unchecked=True, announce_blocks=True)
    both = block("a", "10.1.1.64/26")
    async with cluster("ab", block("b", "10.1.1.64/26")) as mesh:
        a, _ = mesh.start("a", options=own), mesh.start("b", options=own)
        await until(lambda: a.kernel.shown == {"10.1.1.64/26": VIA_B})
        await mesh.datastore.put(both)
        await until(lambda: options(a) == {"10.1.1.64/26": RouteOptions(type=RouteType.BLACKHOLE)})
        await mesh.datastore.delete(both.key)
        await until(lambda: a.kernel.shown == {"10.1.1.64/26": VIA_B})
        await until(lambda: options(a) == {"10.1.1.64/26": RouteOptions()})


async def test_filters_of_one_neighbour_change_within_the_session() -> None:
    session = bgp_peer("ab", nodeSelector="all()", peerSelector="all()", filters=["f"])
    few = {"cidr": "10.0.0.2/32", "matchOperator": "Equal", "action": "Accept"}
    async with cluster("ab", ON_B, session, nodeToNodeMeshEnabled=False) as mesh:
        await mesh.datastore.put(endpoint("more", "b", "10.0.0.3/32"))
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B, "10.0.0.3/32": VIA_B})
        await mesh.datastore.put(bgp_filter("f", exportV4=[few, {"action": "Reject"}]))
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        await mesh.datastore.put(bgp_filter("f", importV4=[{**few, "action": "Reject"}]))
        await until(lambda: a.kernel.shown == {"10.0.0.3/32": VIA_B})
        await mesh.datastore.put(bgp_filter("f", importV4=[{"interface": "eth0", "action": "Reject"}]))
        await until(lambda: a.kernel.shown == {})
        await mesh.datastore.delete(bgp_filter("f").key)
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B, "10.0.0.3/32": VIA_B})
        assert b.agent.mesh.snapshots()[A].established_count == 1


async def test_communities_and_priorities_reach_the_neighbour() -> None:
    async with cluster("ab", ON_B, cluster_information(calicoVersion="v3.32.0")) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")

        def heard() -> list[tuple[int | None, frozenset[int]]]:
            speaker = a.agent.mesh.speaker
            if speaker is None:
                return []
            found = [one for part in speaker.table("10.0.0.2/32") for one in part]
            return [(one.attributes.local_pref, one.attributes.communities) for one in found]

        await until(lambda: heard() == [(2147482623, frozenset())])
        advertised = [{"cidr": "10.0.0.0/8", "communities": ["64512:5"]}]
        changed = configuration(
            listenPort=mesh.port, bindMode="NodeIP", prefixAdvertisements=advertised, ipv4NormalRoutePriority=7
        )
        await mesh.datastore.put(changed)
        await until(lambda: heard() == [(2147483640, frozenset({64512 << 16 | 5}))])
        assert a.agent.mesh.snapshots()[B].established_count == 1


async def test_a_speaker_that_starts_again_has_the_same_routes_in_the_kernel() -> None:
    own = Options(announce_unchecked=True, announce_blocks=True)
    async with cluster("ab", ON_B, block("a", "10.1.1.64/26")) as mesh:
        a, _ = mesh.start("a", options=own), mesh.start("b")
        await until(lambda: set(a.kernel.shown) == {"10.0.0.2/32", "10.1.1.64/26"})
        port = mesh.port
        await mesh.datastore.put(configuration(listenPort=port, bindMode="NodeIP", asNumber=64600))
        await until(lambda: a.agent.mesh.local is not None and a.agent.mesh.local.asn == 64600)
        await until(lambda: a.established(B) and a.agent.grace.over)
        assert set(a.kernel.shown) == {"10.0.0.2/32", "10.1.1.64/26"}


async def test_a_password_that_comes_later() -> None:
    reference = {"secretKeyRef": {"name": "bgp", "key": "mesh"}}
    session = bgp_peer("ab", nodeSelector="all()", peerSelector="all()", password=reference)
    async with cluster("ab", ON_B, session, nodeToNodeMeshEnabled=False) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: a.agent.wanted is not None and a.agent.wanted.problems)
        assert a.agent.wanted is not None
        assert "--secrets-dir" in a.agent.wanted.problems[0]
        for one in (a, b):
            secrets = {SecretReference("bgp", "mesh"): "word"}
            one.agent.options = dataclasses.replace(one.agent.options, secrets=secrets)
            one.agent.mark()
        await until(lambda: a.kernel.shown == {"10.0.0.2/32": VIA_B})
        assert Prefix("10.0.0.2/32") in b.agent.wanted.announcements if b.agent.wanted else False
