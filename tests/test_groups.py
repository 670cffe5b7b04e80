"""Peer groups: what is inherited, what is a peer's own, and what a change of the group does."""

from __future__ import annotations

import pytest

from pybgp import DEFAULT, ConfigurationError, Speaker, accept_all
from pybgp.rib.route import Route
from tests.loopback import address, connect, speaker, until


def hub() -> Speaker:
    return Speaker(local_as=64512, bgp_identifier="192.0.2.1", listen=None, import_policy=accept_all)


def test_a_peer_has_what_its_group_has_where_it_has_none_of_its_own() -> None:
    one = hub()
    one.add_group("edge", peer_as=65001, hold_time=30, description="of the group")
    first = one.add_peer("192.0.2.2", group="edge")
    second = one.add_peer("192.0.2.3", group="edge", hold_time=60, peer_as=65002)
    assert (first.config.peer_as, first.config.hold_time, first.config.group) == (65001, 30, "edge")
    assert (second.config.peer_as, second.config.hold_time, second.config.description) == (65002, 60, "of the group")


def test_a_change_of_the_group_changes_its_peers_but_not_their_own() -> None:
    one = hub()
    one.add_group("edge", peer_as=65001, hold_time=30)
    first, second = one.add_peer("192.0.2.2", group="edge"), one.add_peer("192.0.2.3", group="edge", hold_time=60)
    other = one.add_peer("192.0.2.4", peer_as=65001, hold_time=50)
    one.change_group("edge", hold_time=20, description="new")
    assert [peer.config.hold_time for peer in (first, second, other)] == [20, 60, 50]
    assert second.config.description == "new"
    one.change_peer("192.0.2.2", hold_time=40)
    one.change_group("edge", hold_time=25)
    assert first.config.hold_time == 40
    one.change_group("edge", description=DEFAULT)
    assert first.config.description == ""
    assert one.add_peer("192.0.2.5", group="edge").config.hold_time == 25


def test_a_group_in_use_stays() -> None:
    one = hub()
    one.add_group("edge", peer_as=65001)
    one.add_peer("192.0.2.2", group="edge")
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.2"):
        one.remove_group("edge")
    one.remove_peer("192.0.2.2")
    one.remove_group("edge")
    with pytest.raises(ConfigurationError, match="there is no"):
        one.remove_group("edge")


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    one = hub()
    one.add_group("edge", peer_as=65001)
    peer = one.add_peer("192.0.2.2", group="edge")
    for words, change in (("hold_tme", {"hold_tme": 3}), ("at least 3", {"hold_time": 1})):
        with pytest.raises(ConfigurationError, match=words):
            one.change_group("edge", **change)
    assert peer.config.hold_time == 90
    assert one.add_peer("192.0.2.3", group="edge").config.hold_time == 90
    with pytest.raises(ConfigurationError, match="already"):
        one.add_group("edge")
    with pytest.raises(ConfigurationError, match="peer_as"):
        one.add_peer("192.0.2.9")


async def test_a_policy_of_the_group_changes_within_the_sessions() -> None:
    def nothing(_route: Route) -> None:
        return None

    at, comes, invited = address(), address(), address()
    async with speaker(at, 1) as one, speaker(comes, 2) as other, speaker(invited, 3) as guest:
        one.add_group("edge", peer_as=64512, export_policy=nothing)
        one.add_peer(comes, group="edge", passive=True, local_address=at)
        one.listen_for(f"{invited}/32", group="edge")
        one.announce("10.1.0.0/16", next_hop="192.0.2.1")
        connect(other, comes, at)
        connect(guest, invited, at)
        await other.established(at, timeout=10)
        await guest.established(at, timeout=10)
        assert one.peers()[invited].group == "edge"
        since = one.peers()[comes].since
        assert not other.explain("10.1.0.0/16").paths
        one.change_group("edge", export_policy=accept_all)
        await until(lambda: bool(other.explain("10.1.0.0/16").paths))
        assert one.peers()[comes].since == since
