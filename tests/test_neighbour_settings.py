"""Settings of a neighbour at work, between whole routers in memory: what arrives, in what form, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pybgp.config import PeerConfig, PrefixLimit
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages.attributes.communities import BLACKHOLE, GRACEFUL_SHUTDOWN, NO_EXPORT
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.prefix import parse_nlri
from pybgp.prefix_limit import too_many
from pybgp.rib import paths_of
from pybgp.rib.route import Route
from tests.network import Net, Node

PREFIX = "10.65.0.0/24"
A, B, C, D = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"


def joined(one: Node, other: Node, ones: dict[str, Any] | None = None, others: dict[str, Any] | None = None) -> None:
    """Make the two neighbours of each other, each with settings of its own."""
    one.add(other, **(ones or {}))
    other.add(one, **(others or {}))


def received(node: Node, source: Node, prefix: str = PREFIX) -> list[str]:
    """The AS_PATHs that a node has of a prefix from one neighbour."""
    family, nlri = parse_nlri(prefix)
    entry = node.router.tables.loc_rib(family).entry(nlri)
    return [str(path.received.as_path) for path in paths_of(entry) if path.source.name == source.address]


def line(net: Net, *numbers: int) -> list[Node]:
    """Nodes with these AS numbers."""
    return [net.node(f"10.0.0.{index + 1}", asn) for index, asn in enumerate(numbers)]


def test_all_paths_go_out_with_add_path() -> None:
    """RFC 7911: a listener behind a reflector hears of every way, and of the end of each."""
    net = Net()
    listener, hub = line(net, 64512, 64512)
    sources = [net.node(f"10.0.0.{number}", 64512) for number in (3, 4, 5)]
    joined(listener, hub, {"add_path_receive": (IPV4_UNICAST,)}, {"add_path_send": (IPV4_UNICAST,)})
    for node in sources:
        joined(hub, node, {"route_reflector_client": True})
        node.announce(PREFIX)
    net.run(10)
    assert len(received(listener, hub)) == 3
    sources[1].withdraw(PREFIX)
    net.run(1)
    assert len(received(listener, hub)) == 2
    net.kill(sources[0])
    net.run(200)
    assert len(received(listener, hub)) == 1
    assert listener.told("end-of-rib", hub)


def test_add_path_survives_a_refresh_and_a_change_of_policy() -> None:
    net = Net()
    listener, hub, one, two = line(net, 64512, 64512, 64512, 64512)
    joined(listener, hub, {"add_path_receive": (IPV4_UNICAST,)}, {"add_path_send": (IPV4_UNICAST,)})
    for node in (one, two):
        joined(hub, node, {"route_reflector_client": True})
        node.announce(PREFIX, communities=[int(node.address[-1])])
    net.run(10)
    listener.peer(hub).ask_for_refresh(IPV4_UNICAST, net.now)
    net.run(1)
    assert len(received(listener, hub)) == 2

    def not_three(route: Route) -> Route | None:
        return None if 3 in route.attributes.communities else route

    hub.router.change_peer(hub.peer(listener), hub.peer(listener).config, export_policy=not_three)
    net.run(1)
    assert len(received(listener, hub)) == 1


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, "65002 65001"),
        ({"local_as": 65200, "speaker_as": 65002}, "65200 65002 65001"),
        ({"local_as": 65200, "speaker_as": 65002, "local_as_replace": True}, "65200 65001"),
        ({"remove_private_as": "all"}, "65002"),
        ({"remove_private_as": "replace"}, "65002 65002"),
        ({"as_override": True}, "65002 65001"),
        ({"route_server_client": True}, "65001"),
    ],
)
def test_what_the_third_sees_in_the_as_path(settings: dict[str, Any], path: str) -> None:
    net = Net()
    one, two, three = line(net, 65001, 65002, 100)
    joined(one, two)
    shown_as = settings.get("local_as", 65002)
    add_with_local_as(two, three, settings)
    three.add(two.address, shown_as, enforce_first_as=False)
    one.announce(PREFIX)
    net.run(10)
    assert received(three, two) == [path]


def add_with_local_as(node: Node, other: Node, settings: dict[str, Any]) -> None:
    """`Node.add` gives the node's own AS: here another one is shown."""
    config = PeerConfig(
        **{
            "address": other.address,
            "peer_as": other.asn,
            "local_as": node.asn,
            "bgp_identifier": int(node.address[-1]),
            **settings,
        }
    )
    node.router.add_peer(config, now=node.net.now)


def test_two_sites_of_one_as_reach_each_other_with_as_override() -> None:
    net = Net()
    one, middle, other = line(net, 65001, 65002, 65001)
    joined(one, middle)
    joined(middle, other, {"as_override": True})
    one.announce(PREFIX)
    net.run(10)
    assert other.table() == {PREFIX: B}
    assert str(other.path(PREFIX).as_path) == "65002 65002"


def test_or_with_their_own_as_allowed() -> None:
    net = Net()
    one, middle, other = line(net, 65001, 65002, 65001)
    joined(one, middle)
    joined(middle, other, None, {"allow_own_as": 1})
    one.announce(PREFIX)
    net.run(10)
    assert other.table() == {PREFIX: B}


@pytest.mark.rfc("7947", "2.2.1", "pybgp.rib.export:Export._before", "NEXT_HOP untouched")
@pytest.mark.rfc("7947", "2.2.3", "pybgp.rib.export:Export._before", "MULTI_EXIT_DISC untouched")
@pytest.mark.rfc("7947", "2.1", "pybgp.rib.as_numbers:AsNumbers.outgoing", "UPDATEs of a client go on as they came")
def test_a_route_server_leaves_next_hop_and_med_alone() -> None:
    """RFC 7947 section 2.2."""
    net = Net()
    one, server, other = line(net, 65001, 65002, 65003)
    joined(one, server, None, {"route_server_client": True})
    joined(server, other, {"route_server_client": True}, {"enforce_first_as": False})
    one.announce(PREFIX, med=30)
    net.run(10)
    got = other.path(PREFIX)
    assert (got.next_hop_text, got.med, str(got.as_path)) == (A, 30, "65001")


def test_who_must_not_hear_of_the_best_hears_of_the_next_from_a_route_server() -> None:
    """RFC 7947 section 2.3.2."""
    net = Net()
    one, server, other, client = line(net, 65001, 65002, 65003, 65004)
    joined(one, server, None, {"route_server_client": True})
    joined(other, server, None, {"route_server_client": True})
    not_one = {"export_policy": lambda route: None if route.peer.asn == 65001 else route}
    joined(server, client, {"route_server_client": True, **not_one}, {"enforce_first_as": False})
    one.announce(PREFIX)
    other.announce(PREFIX)
    net.run(10)
    assert server.table() == {PREFIX: A}
    assert str(client.path(PREFIX).as_path) == "65003"
    other.withdraw(PREFIX)
    net.run(1)
    assert client.table() == {}


def test_a_leak_is_stopped_by_the_mark() -> None:
    """RFC 9234: a customer with two providers passes on what one of them told it."""
    net = Net()
    provider, customer, second = line(net, 65001, 65002, 65003)
    joined(provider, customer, {"role": "provider"}, {"role": "customer"})
    joined(customer, second, None, {"role": "provider"})  # the customer has not said what it is there
    provider.announce(PREFIX)
    net.run(10)
    assert customer.path(PREFIX)[ONLY_TO_CUSTOMER] == 65001
    assert second.table() == {}
    family_rib = second.router.tables.loc_rib(IPV4_UNICAST)
    (path,) = [
        path for part in family_rib.paths_from(second.peer(customer).exchanges[IPV4_UNICAST].source) for _, path in part
    ]
    assert "route leak" in str(path.rejected)


@pytest.mark.rfc("9234", "4.2", "pybgp.fsm.negotiation:_check_role", "roles that do not fit are refused")
def test_roles_must_fit() -> None:
    net = Net()
    one, two = line(net, 65001, 65002)
    joined(one, two, {"role": "provider", "idle_hold_time": 1.0}, {"role": "provider", "idle_hold_time": 1.0})
    net.run(5)
    assert not one.told("up")
    assert any("should be customer" in event.reason for event in one.told("failed") + two.told("failed"))


@pytest.mark.rfc("9234", "4.2", "pybgp.fsm.negotiation:_check_role", "strict mode")
def test_a_strict_role_wants_one_of_the_peer() -> None:
    net = Net()
    one, two = line(net, 65001, 65002)
    joined(one, two, {"role": "peer", "role_strict": True, "idle_hold_time": 1.0})
    net.run(5)
    assert not one.told("up")
    one.router.change_peer(one.peer(two), replace(one.peer(two).config, role_strict=False), now=net.now)
    net.run(30)
    assert one.told("up")


@pytest.mark.rfc("8326", "4.2", "pybgp.rib.export:_going", "the community goes out, and inside the AS LOCAL_PREF 0")
@pytest.mark.rfc("8326", "4.1", "pybgp.rib.eligibility:Eligibility.accepted", "LOCAL_PREF 0 for what says so")
def test_what_is_about_to_go_is_the_last_choice() -> None:
    """RFC 8326: the neighbour in another AS gives it LOCAL_PREF 0, one in our AS is told so."""
    net = Net()
    one, external, internal = line(net, 65001, 65002, 65001)
    joined(one, external, {"graceful_shutdown": True})
    joined(one, internal, {"graceful_shutdown": True})
    one.announce(PREFIX)
    net.run(10)
    for node in (external, internal):
        assert GRACEFUL_SHUTDOWN in node.path(PREFIX).communities
        assert node.path(PREFIX)[LOCAL_PREF] == 0


@pytest.mark.rfc("7999", "3.2", "pybgp.rib.eligibility:Eligibility.accepted", "it stays in the AS")
@pytest.mark.rfc(
    "7999", "2", "pybgp.rib.eligibility:Eligibility.accepted", "the community is known and stays with the route"
)
@pytest.mark.rfc("7999", "3.3", "pybgp.rib.eligibility:Eligibility.accepted", "only from who it was agreed with")
def test_a_blackhole_stays_in_the_as() -> None:
    """RFC 7999 section 3.2."""
    net = Net()
    one, two, three = line(net, 65001, 65002, 65003)
    joined(one, two, None, {"blackhole": True})
    joined(two, three)
    one.announce(PREFIX, communities=[BLACKHOLE])
    one.announce("10.66.0.0/24")
    net.run(10)
    assert NO_EXPORT in two.path(PREFIX).communities
    assert three.table() == {"10.66.0.0/24": B}


def test_without_an_agreement_a_blackhole_is_a_route_like_others() -> None:
    """RFC 7999 section 3.3: only the receiver's own settings make it more than that."""
    net = Net()
    one, two, three = line(net, 65001, 65002, 65003)
    joined(one, two)
    joined(two, three)
    one.announce(PREFIX, communities=[BLACKHOLE])
    net.run(10)
    assert NO_EXPORT not in two.path(PREFIX).communities
    assert PREFIX in three.table()


def limited(limit: int, **rest: Any) -> dict[str, Any]:
    return {"max_prefixes": {IPV4_UNICAST: PrefixLimit(limit=limit, **rest)}}


def some(count: int, first: int = 0) -> list[str]:
    return [f"10.70.{number}.0/24" for number in range(first, first + count)]


@pytest.mark.rfc("4271", "6.7", "pybgp.prefix_limit:LimitWatch.look", "too many prefixes end the session with Cease")
@pytest.mark.rfc("4486", "4", "pybgp.prefix_limit:too_many", "family and limit are the data")
def test_too_many_prefixes_end_the_session() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, limited(5))
    one.announce(*some(5))
    net.run(5)
    assert len(two.table()) == 5
    assert [event.reason for event in two.told("warning")] == ["5 prefixes received, of 5 allowed"]
    one.announce(*some(1, 5))
    net.run(1)
    assert two.table() == {}
    (down,) = one.told("down")
    assert "Maximum Prefixes (6/1)" in down.reason
    assert one.peer(two).offences == ()
    net.run(600)
    assert len(two.told("up")) == 1
    assert "5 are allowed" in two.peer(one).last_error
    two.router.start_peer(two.peer(one), net.now)
    one.withdraw(*some(1, 5))
    net.run(200)
    assert len(two.table()) == 5


def test_the_data_of_the_cease() -> None:
    error = too_many(IPV6_UNICAST, PrefixLimit(limit=70000), "too many")
    assert (error.code, error.subcode, error.data) == (6, 1, bytes.fromhex("0002 01 00011170"))


def test_it_may_come_back_by_itself() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, limited(2, action="restart", restart_after=60))
    one.announce(*some(3))
    net.run(30)
    assert two.table() == {}
    one.withdraw(*some(1))
    net.run(120)
    assert len(two.table()) == 2


def test_or_be_warned_of_alone() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, limited(4, action="warn", warn_at=50))
    one.announce(*some(3))
    net.run(5)
    one.announce(*some(5, 3))
    net.run(1)
    assert len(two.table()) == 8
    assert [event.reason for event in two.told("warning")] == [
        "3 prefixes received, of 4 allowed",
        "8 prefixes received, and 4 are allowed: they are used all the same",
    ]
    one.withdraw(*some(6))
    net.run(1)
    one.announce(*some(6))
    net.run(1)
    assert len(two.told("warning")) == 3


def test_or_what_is_above_is_not_used_until_there_is_room() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, limited(3, action="block"))
    one.announce(*some(5))
    net.run(5)
    assert len(two.table()) == 3
    exchange = two.peer(one).exchanges[IPV4_UNICAST]
    assert (len(exchange.adj_rib_in), exchange.adj_rib_in.accepted) == (5, 3)
    one.withdraw(*list(two.table())[:2])
    net.run(1)
    assert len(two.table()) == 3
    one.withdraw(*list(two.table())[:2])
    net.run(1)
    assert len(two.table()) == 1


def test_what_policy_refuses_need_not_count() -> None:
    def no_low(route: Route) -> Route | None:
        return None if 7 in route.attributes.communities else route

    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, {"import_policy": no_low, **limited(3, count="accepted")})
    one.announce(*some(10), communities=[7])
    one.announce(*some(3, 20))
    net.run(5)
    assert len(two.table()) == 3
    one.announce(*some(1, 30))
    net.run(1)
    assert two.table() == {}


def change(node: Node, other: Node, **settings: Any) -> None:
    peer = node.peer(other)
    node.router.change_peer(peer, replace(peer.config, **settings), now=node.net.now)


def test_settings_of_what_goes_out_change_within_the_session() -> None:
    net = Net()
    one, two = line(net, 65001, 65002)
    joined(one, two)
    one.announce(PREFIX)
    net.run(5)
    change(one, two, graceful_shutdown=True)
    net.run(1)
    assert two.path(PREFIX)[LOCAL_PREF] == 0
    change(one, two, graceful_shutdown=False)
    net.run(1)
    assert two.path(PREFIX).get(LOCAL_PREF) is None
    assert len(one.told("up")) == 1


def test_settings_of_what_comes_in_change_within_the_session() -> None:
    net = Net()
    one, two, three = line(net, 65001, 65002, 65001)
    joined(one, two)
    joined(two, three)
    one.announce(PREFIX)
    net.run(5)
    assert three.table() == {}
    change(three, two, allow_own_as=1)
    net.run(1)
    assert three.table() == {PREFIX: B}
    change(three, two, allow_own_as=0)
    net.run(1)
    assert three.table() == {}
    assert len(three.told("up")) == 1


def test_a_limit_that_is_lowered_counts_at_once() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, None, limited(10))
    one.announce(*some(5))
    net.run(5)
    change(two, one, **limited(7))
    net.run(1)
    assert len(two.table()) == 5
    change(two, one, **limited(4))
    net.run(1)
    assert two.table() == {}
    assert not two.peer(one).started


def test_no_more_is_told_than_may_be() -> None:
    net = Net()
    one, two = line(net, 64512, 64512)
    joined(one, two, {"max_prefixes_out": {IPV4_UNICAST: 3}})
    one.announce(*some(5))
    net.run(5)
    assert len(two.table()) == 3
    assert two.told("end-of-rib")
    assert one.peer(two).exchanges[IPV4_UNICAST].held_back == 2
    assert [event.reason for event in one.told("warning")] == ["2 prefixes are held back: 3 may be told"]
    one.withdraw(next(iter(two.table())))
    net.run(1)
    assert len(two.table()) == 3
    first = next(prefix for prefix in some(5) if prefix not in two.table() and prefix in one.table())
    one.withdraw(first)  # held back: nothing to be told
    net.run(1)
    assert len(two.table()) == 3
    change(one, two, max_prefixes_out={})
    one.announce(*some(5))
    net.run(1)
    assert len(two.table()) == 5
