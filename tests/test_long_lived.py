"""Long-lived graceful restart (RFC 9494) between whole routers in memory, on a clock that only tests move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.communities import LLGR_STALE, NO_EXPORT, NO_LLGR
from tests.network import Net, Node

KEPT, REFUSED, SHARED = "10.65.1.0/24", "10.65.2.0/24", "10.65.3.0/24"
LONG: dict[str, Any] = {"long_lived_stale_time": 1000, "restart_time": 100, "connect_retry_max": 2.0}


class Scene:
    """`gone` will vanish; `hub` helps it; `other` has one prefix as well; two listen: one knows of RFC 9494."""

    def __init__(self) -> None:
        self.net = net = Net()
        self.hub, self.gone, self.other, self.knows, self.plain = (
            net.node(f"10.0.0.{number}", 64512) for number in range(1, 6)
        )
        for node in (self.gone, self.other, self.knows, self.plain):
            settings = {"connect_retry_max": 2.0} if node is self.plain else LONG
            self.hub.add(node, route_reflector_client=True, **settings)
            node.add(self.hub, **settings)
        self.gone.announce(KEPT)
        self.gone.announce(REFUSED, communities=[NO_LLGR])
        self.gone.announce(SHARED, local_pref=500)
        self.other.announce(SHARED, local_pref=50)
        net.run(10)

    def vanish(self) -> None:
        self.net.kill(self.gone)
        self.net.run(90)  # not yet its restart time

    def via(self, prefix: str) -> str | None:
        return self.hub.table().get(prefix)


def stale(node: Node, prefix: str) -> bool:
    return LLGR_STALE in node.path(prefix).communities


@pytest.mark.rfc("9494", "4.2", "pybgp.graceful_restart:FamilyClock.begin", "routes stay for the long-lived stale time")
@pytest.mark.rfc("9494", "3.2", "pybgp.rib.adj_rib_in:AdjRibIn._make", "what stays carries LLGR_STALE")
@pytest.mark.rfc("9494", "3.3", "pybgp.rib.adj_rib_in:AdjRibIn._make", "NO_LLGR does not stay")
def test_routes_stay_as_the_last_choice_and_then_go() -> None:
    scene = Scene()
    gone = scene.gone.address
    assert scene.via(SHARED) == gone
    scene.vanish()
    assert scene.hub.table().keys() == {KEPT, REFUSED, SHARED}
    assert not stale(scene.hub, KEPT)  # graceful restart alone, so far
    scene.net.run(100)
    assert scene.via(KEPT) == gone
    assert stale(scene.hub, KEPT)
    assert scene.via(REFUSED) is None
    assert scene.via(SHARED) == scene.other.address
    scene.net.run(800)
    assert scene.via(KEPT) == gone
    scene.net.run(300)
    assert scene.hub.table() == {SHARED: scene.other.address}
    assert len(scene.hub.peer(scene.gone).exchanges[IPV4_UNICAST].adj_rib_in) == 0


@pytest.mark.rfc("9494", "4.3", "pybgp.rib.export:Export._forbidden", "only who knows of it is told of stale routes")
def test_only_who_knows_of_it_is_told() -> None:
    scene = Scene()
    assert KEPT in scene.plain.table()
    scene.vanish()
    scene.net.run(100)
    assert stale(scene.knows, KEPT)
    assert KEPT not in scene.plain.table()


@pytest.mark.rfc("9494", "4.6", "pybgp.rib.export:Export._after", "who does not know of it gets it as the last choice")
def test_an_internal_peer_that_does_not_know_of_it_may_be_told() -> None:
    scene = Scene()
    scene.vanish()
    scene.net.run(100)
    assert KEPT not in scene.plain.table()
    peer = scene.hub.peer(scene.plain)
    scene.hub.router.change_peer(peer, replace(peer.config, long_lived_partial=True), now=scene.net.now)
    scene.net.run(1)
    assert stale(scene.plain, KEPT)
    told = scene.plain.path(KEPT)
    assert (told.local_pref, NO_EXPORT in told.communities) == (0, True)
    known = scene.knows.path(KEPT)
    assert (known.local_pref, NO_EXPORT in known.communities) == (100, False)


def test_the_peer_comes_back_and_all_is_as_before() -> None:
    scene = Scene()
    scene.vanish()
    scene.net.run(100)
    assert stale(scene.hub, KEPT)
    back = scene.net.node(scene.gone.address, 64512)
    back.add(scene.hub, **LONG)
    back.announce(KEPT)
    scene.net.run(60)
    assert scene.via(KEPT) == back.address
    assert not stale(scene.hub, KEPT)
    assert scene.via(SHARED) == scene.other.address
    scene.net.run(2000)
    assert scene.via(KEPT) == back.address


def test_without_the_capability_the_restart_time_is_all() -> None:
    scene = Scene()
    scene.plain.announce("10.65.9.0/24")
    scene.net.run(5)
    scene.net.kill(scene.plain)
    scene.net.run(130)
    assert "10.65.9.0/24" not in scene.hub.table()
