"""Whole speakers without sockets: convergence, reflection, policies, refresh, and RFC 8212."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from pybgp.errors import ConfigurationError, SessionClosed
from pybgp.exchange import BEGIN_OF_RIB
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.fsm.states import State
from pybgp.graceful_restart import STALE_REFRESH_TIME
from pybgp.messages import RouteRefresh
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.policy import accept_all, per_path, reject_all
from pybgp.prefix import parse_nlri
from pybgp.rib import paths_of
from pybgp.rib.route import Route
from tests.network import Net, Node
from tests.wire import KEEPALIVE

A, B, C, D = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"


def pair(net: Net, **settings: Any) -> tuple[Node, Node]:
    a, b = net.node(A), net.node(B)
    a.add(b, **settings)
    b.add(a, **settings)
    return a, b


def test_two_routers_exchange_routes() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.2/32", "10.65.0.3/32")
    net.run(5)
    assert b.table() == {"10.65.0.2/32": A, "10.65.0.3/32": A}
    assert b.path("10.65.0.2/32").next_hop_text == A
    assert b.path("10.65.0.2/32").local_pref == 100
    a.withdraw("10.65.0.2/32")
    a.announce("10.65.0.4/32", med=7)
    net.run()
    assert b.table() == {"10.65.0.3/32": A, "10.65.0.4/32": A}
    assert b.path("10.65.0.4/32").med == 7


def test_an_announcement_changes_attributes_in_place() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.2/32")
    net.run(5)
    a.announce("10.65.0.2/32", next_hop="10.9.9.9", med=3)
    net.run()
    assert b.path("10.65.0.2/32").next_hop_text == "10.9.9.9"
    assert b.path("10.65.0.2/32").med == 3


def test_a_mesh_of_ten_knows_everything() -> None:
    net = Net()
    nodes = [net.node(f"10.0.0.{n}") for n in range(1, 11)]
    net.mesh(*nodes)
    for number, node in enumerate(nodes):
        node.announce(*(f"10.65.{number}.{host}/32" for host in range(8)))
    net.run(10)
    for node in nodes:
        assert all(peer.state is State.ESTABLISHED for peer in node.router.peers.values())
        table = node.table()
        assert len(table) == 80
        for number, origin in enumerate(nodes):
            expected = "local" if origin is node else origin.address
            assert table[f"10.65.{number}.0/32"] == expected
    lost = nodes[3]
    for node in nodes:
        if node is not lost:
            node.router.remove_peer(node.peer(lost), net.now)
    net.run(1)
    assert all(len(node.table()) == 72 for node in nodes if node is not lost)


def test_ibgp_routes_are_not_told_to_ibgp_but_reflected_by_a_reflector() -> None:
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    for one, other in ((a, b), (b, c)):
        one.add(other)
        other.add(one)
    a.announce("10.65.0.1/32")
    net.run(5)
    assert b.table() == {"10.65.0.1/32": A}
    assert c.table() == {}

    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    a.add(b)
    c.add(b)
    b.add(a, route_reflector_client=True)
    b.add(c, route_reflector_client=True)
    a.announce("10.65.0.1/32")
    net.run(5)
    assert c.table() == {"10.65.0.1/32": B}
    path = c.path("10.65.0.1/32")
    assert path.next_hop_text == A
    assert path.originator_id == int.from_bytes(bytes((10, 0, 0, 1)), "big")
    assert path.cluster_list_length == 1
    a.withdraw("10.65.0.1/32")
    net.run()
    assert c.table() == {}


@pytest.mark.rfc("4456", "7", "pybgp.rib.eligibility:Eligibility._reflection_loop", "two reflectors of one cluster")
def test_reflectors_of_one_cluster_back_each_other_up() -> None:
    """RFC 4456 section 7: with one cluster id neither keeps what the other reflected, and either alone is enough."""
    net = Net()
    a, b, one, two = net.node(A), net.node(B), net.node("10.0.0.11"), net.node("10.0.0.12")
    for reflector, other in ((one, two), (two, one)):
        reflector.add(other, cluster_id=7, graceful_restart=False)
        for client in (a, b):
            reflector.add(client, cluster_id=7, route_reflector_client=True, graceful_restart=False)
            client.add(reflector, graceful_restart=False)
    a.announce("10.65.0.1/32")
    net.run(5)
    assert b.table() == {"10.65.0.1/32": one.address}
    family, nlri = parse_nlri("10.65.0.1/32")
    for reflector, other in ((one, two), (two, one)):
        paths = {
            path.source.name: path.rejected for path in paths_of(reflector.router.tables.loc_rib(family).entry(nlri))
        }
        assert paths.keys() == {A, other.address}
        assert paths[A] is None
        assert "cluster" in str(paths[other.address]).lower()
    net.kill(one)
    net.run(5)
    assert b.table() == {"10.65.0.1/32": two.address}


@pytest.mark.rfc("4456", "10", "pybgp.rib.export:Export._after", "ORIGINATOR_ID and CLUSTER_LIST as they came")
def test_what_a_reflector_adds_is_not_for_policy_to_change() -> None:
    """RFC 4456 section 10: another ORIGINATOR_ID or a shorter CLUSTER_LIST would let a loop through."""

    def spoils(route: Route) -> Route | None:
        return route.with_(ORIGINATOR_ID, 99).with_(CLUSTER_LIST, ())

    net = Net()
    a, b, c, d = (net.node(f"10.0.0.{number}") for number in (1, 2, 3, 4))
    for left, right in ((a, b), (b, c), (c, d)):
        left.add(right, route_reflector_client=True, export_policy=None if left is a else spoils)
        right.add(left, route_reflector_client=True, import_policy=spoils)
    a.announce("10.65.0.1/32")
    net.run(5)
    family, nlri = parse_nlri("10.65.0.1/32")
    (path,) = paths_of(d.router.tables.loc_rib(family).entry(nlri))
    assert path.received.originator_id == 0x0A000001
    assert path.received.cluster_list == (0x0A000003, 0x0A000002)


def test_ebgp_chain_prepends_and_sets_the_next_hop() -> None:
    net = Net()
    nodes = [net.node(f"10.0.0.{n}", 64600 + n) for n in (1, 2, 3)]
    for one, other in itertools.pairwise(nodes):
        one.add(other)
        other.add(one)
    nodes[0].announce("10.65.0.1/32")
    net.run(5)
    path = nodes[2].path("10.65.0.1/32")
    assert path.next_hop_text == B
    assert str(path.as_path) == "64602 64601"
    assert path.local_pref is None


def test_the_better_path_wins_and_the_other_takes_over() -> None:
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    net.mesh(a, b, c, graceful_restart=False)
    a.announce("10.65.0.1/32", local_pref=200)
    b.announce("10.65.0.1/32", local_pref=100)
    net.run(5)
    assert c.table() == {"10.65.0.1/32": A}
    net.kill(a)
    net.run(0.5)
    assert c.table() == {"10.65.0.1/32": B}


def test_ebgp_without_policy_exchanges_nothing_and_says_so() -> None:
    net = Net()
    a = net.node(A, 64601, import_policy=None, export_policy=None)
    b = net.node(B, 64602)
    a.add(b)
    b.add(a)
    a.announce("10.65.0.1/32")
    b.announce("10.65.0.2/32")
    net.run(5)
    assert a.peer(b).state is State.ESTABLISHED
    assert a.table() == {"10.65.0.1/32": "local"}
    assert b.table() == {"10.65.0.2/32": "local"}
    warnings = [event.reason for event in a.told("warning", b)]
    assert len(warnings) == 2
    assert all("RFC 8212" in text for text in warnings)
    # the route is there, marked, and comes to life with a policy, without a new session
    ups = len(a.told("up"))
    a.router.change_peer(a.peer(b), a.peer(b).config, import_policy=accept_all, export_policy=accept_all, now=net.now)
    net.run()
    assert a.table()["10.65.0.2/32"] == B
    assert b.table()["10.65.0.1/32"] == A
    assert len(a.told("up")) == ups


def test_a_change_of_policy_tells_only_the_difference() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32", "10.66.0.1/32")
    net.run(5)
    before = sum(session.counters.updates_out for session in a.peer(b).sessions)

    def only_65(route: Route) -> Route | None:
        return route if str(route.prefix).startswith("10.65.") else None

    a.router.change_peer(a.peer(b), a.peer(b).config, export_policy=only_65, now=net.now)
    net.run()
    assert b.table() == {"10.65.0.1/32": A}
    after = sum(session.counters.updates_out for session in a.peer(b).sessions)
    assert after - before == 1

    @per_path
    def refuse(route: Route) -> Route | None:
        return None

    b.router.change_peer(b.peer(a), b.peer(a).config, import_policy=refuse, now=net.now)
    net.run()
    assert b.table() == {}
    assert len(b.peer(a).exchanges[IPV4_UNICAST].adj_rib_in) == 1
    b.router.change_peer(b.peer(a), b.peer(a).config, import_policy=None, now=net.now)
    net.run()
    assert b.table() == {"10.65.0.1/32": A}
    assert len(b.told("up")) == 1


def test_a_policy_that_raises_rejects_and_hurts_nobody() -> None:
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)

    def broken(route: Route) -> Route | None:
        raise RuntimeError("no")

    a.add(b)
    a.add(c)
    b.add(a, import_policy=broken)
    c.add(a)
    a.announce("10.65.0.1/32")
    net.run(5)
    assert b.table() == {}
    assert c.table() == {"10.65.0.1/32": A}
    assert b.peer(a).state is State.ESTABLISHED


def test_changing_what_needs_no_new_session_keeps_the_session() -> None:
    net = Net()
    a, b = pair(net)
    net.run(5)
    config = dataclasses.replace(a.peer(b).config, description="the other", connect_retry_time=3.0, hold_time=30)
    a.router.change_peer(a.peer(b), config, now=net.now)
    net.run(1)
    assert a.peer(b).config.description == "the other"
    assert len(a.told("down")) == 0
    negotiated = a.peer(b).negotiated
    assert negotiated is not None
    assert negotiated.hold_time == 90
    b.peer(a).reset("", net.now)
    net.run(30)
    negotiated = a.peer(b).negotiated
    assert negotiated is not None
    assert negotiated.hold_time == 30


def test_changing_a_family_resets_that_session_only() -> None:
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    net.mesh(a, b, c)
    b.announce("10.65.0.1/32", "2001:db8::1/128", next_hop="10.0.0.2")
    net.run(5)
    a.forget_events()
    config = dataclasses.replace(a.peer(b).config, families=(IPV4_UNICAST, IPV6_UNICAST))
    a.router.change_peer(a.peer(b), config, now=net.now)
    net.run(60)
    assert a.told("down", b)
    assert not a.told("down", c)
    assert a.peer(b).state is State.ESTABLISHED
    assert a.table()["10.65.0.1/32"] == B


def test_route_refresh_sends_everything_again() -> None:
    for enhanced in (True, False):
        net = Net()
        a, b = pair(net, enhanced_route_refresh=enhanced)
        a.announce(*(f"10.65.0.{n}/32" for n in range(20)))
        net.run(5)
        rib_in = b.peer(a).exchanges[IPV4_UNICAST].adj_rib_in
        generation = rib_in.source.generation
        b.peer(a).ask_for_refresh(None, net.now)
        net.run()
        assert len(b.table()) == 20
        assert (rib_in.source.generation > generation) is enhanced
        assert all(not path.stale for part in rib_in.routes() for _, path in part)


@pytest.mark.rfc("7313", "4", "pybgp.exchanges:Exchanges.refresh", "a refresh that never ends removes what is stale")
def test_a_refresh_that_the_peer_never_ends_does_not_keep_stale_routes() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    out = a.peer(b).exchanges[IPV4_UNICAST].adj_rib_out
    assert out is not None
    out._unsaid.add(parse_nlri("10.65.0.2/32")[1])  # as if a withdrawal had been lost
    exchange = a.peer(b).exchanges[IPV4_UNICAST]
    marker = exchange._marker
    exchange._marker = lambda subtype: marker(subtype) if subtype == BEGIN_OF_RIB else KEEPALIVE  # type: ignore[method-assign]
    b.peer(a).ask_for_refresh(IPV4_UNICAST, net.now)
    net.run(STALE_REFRESH_TIME - 10)
    assert len(b.table()) == 2
    net.run(20)
    assert b.table().keys() == {"10.65.0.1/32"}
    (flushed,) = b.told("flushed", a)
    assert "did not end it" in flushed.reason
    net.run(2 * STALE_REFRESH_TIME)  # and once is enough
    assert len(b.told("flushed", a)) == 1


def test_many_refreshes_in_one_read_are_answered_once() -> None:
    """A peer that asks a thousand times at once does not make us send, or walk, a thousand tables."""
    net = Net()
    a, b = pair(net)
    a.announce(*(f"10.65.0.{n}/32" for n in range(20)))
    net.run(5)
    answers: list[object] = []
    exchange = b.peer(a).exchanges[IPV4_UNICAST]
    counted = exchange.begin_refresh
    exchange.begin_refresh = lambda: (answers.append(None), counted())[1]  # type: ignore[method-assign]
    asked = RouteRefresh(IPV4_UNICAST)
    for _ in range(1000):
        a.peer(b).exchanges.refresh(asked, net.now)
    a.router.touched.add(a.peer(b))
    net.run(5)
    assert len(answers) == 1
    assert len(b.table()) == 20


def test_a_refresh_removes_what_the_peer_no_longer_has() -> None:
    """RFC 7313: what is not said between the markers is gone, although it never was withdrawn."""
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    out = a.peer(b).exchanges[IPV4_UNICAST].adj_rib_out
    assert out is not None
    out._unsaid.add(parse_nlri("10.65.0.2/32")[1])  # as if a withdrawal had been lost
    b.peer(a).ask_for_refresh(IPV4_UNICAST, net.now)
    net.run()
    assert b.table() == {"10.65.0.1/32": A}


def test_asking_for_a_refresh_that_cannot_be() -> None:
    net = Net()
    a, b = pair(net, route_refresh=False)
    with pytest.raises(SessionClosed):
        a.peer(b).ask_for_refresh(None, net.now)
    net.run(5)
    with pytest.raises(ConfigurationError):
        a.peer(b).ask_for_refresh(None, net.now)


def test_a_slow_peer_gets_the_last_state_only() -> None:
    net = Net()
    a, b = pair(net)
    net.run(5)
    a.writable = False
    for number in range(50):
        a.announce("10.65.0.1/32", med=number)
        a.announce("10.65.0.2/32")
        a.withdraw("10.65.0.2/32")
    net.run(1)
    assert b.table() == {}
    assert a.peer(b).exchanges[IPV4_UNICAST].pending == 1
    a.writable = True
    net.run()
    assert b.table() == {"10.65.0.1/32": A}
    assert b.path("10.65.0.1/32").med == 49


def test_end_of_rib_comes_after_the_initial_table() -> None:
    net = Net()
    a, b = pair(net)
    a.announce(*(f"10.65.{n // 256}.{n % 256}/32" for n in range(5000)))
    seen: list[int] = []
    net.run(5, until=lambda: bool(b.told("end-of-rib", a)))
    seen.append(len(b.table()))
    assert seen == [5000]
    net.run(1)
    assert len(b.told("end-of-rib", a)) == 1


def test_removing_a_peer_removes_its_routes_and_address() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32")
    net.run(5)
    b.router.remove_peer(b.peer(a), net.now)
    net.run()
    assert b.table() == {}
    assert A not in b.router.peers
    assert "Peer Deconfigured" in a.told("down")[0].reason
    net.run(30)  # a finds nobody who knows it, and b may take it up again
    b.add(a)
    net.run(90)
    assert b.table() == {"10.65.0.1/32": A}


def test_adding_a_peer_twice_is_refused() -> None:
    net = Net()
    a = net.node(A)
    a.add(B, 64512)
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.2"):
        a.add(B, 64512)


def test_shutdown_text_arrives_and_the_peer_stays_down() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32")
    net.run(5)
    a.router.shut_down(a.peer(b), "maintenance until 5 o'clock", net.now)
    net.run(300)
    assert "maintenance until 5 o'clock" in b.told("down")[0].reason
    assert b.table() == {}
    assert a.peer(b).state is State.IDLE
    a.router.start_peer(a.peer(b), net.now)
    net.run(120)
    assert b.table() == {"10.65.0.1/32": A}


def test_an_unreachable_next_hop_is_followed() -> None:
    costs: dict[bytes, int | None] = {bytes((10, 9, 9, 9)): None}
    net = Net()
    a = net.node(A)
    b = net.node(B, next_hop_resolver=lambda next_hop: costs.get(next_hop, 0))
    a.add(b)
    b.add(a)
    a.announce("10.65.0.1/32", next_hop="10.9.9.9")
    a.announce("10.65.0.2/32")
    net.run(5)
    assert b.table() == {"10.65.0.2/32": A}
    costs[bytes((10, 9, 9, 9))] = 20
    b.router.next_hops_changed(frozenset((bytes((10, 9, 9, 9)),)))
    net.run()
    assert len(b.table()) == 2
    costs.clear()
    costs[bytes((10, 0, 0, 1))] = None
    b.router.next_hops_changed(None)
    net.run()
    assert b.table() == {"10.65.0.1/32": A}


def test_two_families_over_one_session() -> None:
    net = Net()
    a, b = pair(net, families=(IPV4_UNICAST, IPV6_UNICAST))
    a.announce("10.65.0.1/32")
    a.announce("2001:db8::1/128", next_hop="2001:db8::a")
    a.announce("2001:db8::2/128")  # our address on this session is an IPv4 one: cannot be told
    net.run(5)
    assert b.table() == {"10.65.0.1/32": A, "2001:db8::1/128": A}
    families = {event.family for event in b.told("end-of-rib")}
    assert families == {IPV4_UNICAST, IPV6_UNICAST}


def test_own_routes_are_listed_with_their_attributes() -> None:
    net = Net()
    a = net.node(A)
    a.announce("10.65.0.1/32", med=5)
    a.announce("2001:db8::/32")
    announced = {str(prefix): attributes for prefix, attributes in a.router.announced().items()}
    assert set(announced) == {"10.65.0.1/32", "2001:db8::/32"}
    assert announced["10.65.0.1/32"].med == 5
    a.withdraw("10.65.0.1/32", "10.65.0.9/32")
    assert len(a.router.announced()) == 1


def test_reject_all_tells_nothing() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, export_policy=reject_all)
    b.add(a)
    a.announce("10.65.0.1/32")
    net.run(5)
    assert b.table() == {}
    assert b.told("end-of-rib", a)


def test_attributes_that_fit_into_no_message_are_withdrawn_and_told() -> None:
    net = Net()
    a, b = pair(net, extended_message=False)
    a.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    a.announce("10.65.0.1/32", communities=range(1100))
    net.run(0)
    assert b.table() == {"10.65.0.2/32": A}
    assert "1 prefixes are not advertised" in a.told("warning", b)[0].reason
    assert a.peer(b).state is State.ESTABLISHED
    a.announce("10.65.0.1/32", communities=range(100))
    net.run(0)
    assert len(b.table()) == 2


def test_an_extended_message_carries_more() -> None:
    net = Net()
    a, b = pair(net)
    a.announce("10.65.0.1/32", communities=range(1100))
    net.run(5)
    assert len(b.path("10.65.0.1/32").communities) == 1100


def test_a_refresh_asked_for_too_early_is_answered_after_the_initial_table() -> None:
    net = Net()
    a, b = pair(net)
    a.writable = False
    a.announce("10.65.0.1/32")
    net.run(5)
    assert a.peer(b).state is State.ESTABLISHED
    b.peer(a).ask_for_refresh(None, net.now)
    net.run(1)
    assert b.table() == {}
    a.writable = True
    rib_in = b.peer(a).exchanges[IPV4_UNICAST].adj_rib_in
    generation = rib_in.source.generation
    net.run(1)
    assert b.table() == {"10.65.0.1/32": A}
    assert rib_in.source.generation > generation  # the markers came, behind the End-of-RIB
    assert b.told("end-of-rib", a)


def test_path_identifiers_where_they_were_negotiated() -> None:
    """RFC 7911: one path a prefix is sent, with an identifier all the same."""
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, add_path_send=(IPV4_UNICAST,))
    b.add(a, add_path_receive=(IPV4_UNICAST,))
    a.announce("10.65.0.1/32")
    net.run(5)
    best = b.router.tables.loc_rib(IPV4_UNICAST).best(parse_nlri("10.65.0.1/32")[1])
    assert best is not None
    assert best.path_id == 1
    a.withdraw("10.65.0.1/32")
    net.run()
    assert b.table() == {}


def test_a_policy_may_change_while_the_table_is_on_its_way() -> None:
    net = Net()
    a, b = pair(net)
    a.writable = False
    a.announce(*(f"10.65.{n >> 8}.{n & 255}/32" for n in range(6000)))
    net.run(5)
    a.router.change_peer(a.peer(b), a.peer(b).config, export_policy=reject_all, now=net.now)
    a.writable = True
    net.run(1)
    assert b.table() == {}
    a.router.change_peer(a.peer(b), a.peer(b).config, export_policy=None, now=net.now)
    net.run(1)
    assert len(b.table()) == 6000
