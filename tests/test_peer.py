"""One neighbour: collisions in every order, graceful restart in both roles, damping."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pybgp.errors import Cease, ConfigurationError
from pybgp.family import IPV4_UNICAST, Family
from pybgp.fsm.events import Event, EventKind
from pybgp.fsm.negotiation import make_open
from pybgp.fsm.states import State
from pybgp.graceful_restart import SETTLE_TIME, STALE_PATH_TIME
from pybgp.messages import CodecContext, Keepalive, encode_message
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.framing import Framer, MessageType
from pybgp.messages.update_writer import encode_reach
from pybgp.policy import reject_all
from pybgp.prefix import parse_nlri
from tests.network import Net, Node

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def pair(net: Net, **settings: Any) -> tuple[Node, Node]:
    a, b = net.node(A), net.node(B)
    a.add(b, **settings)
    b.add(a, **settings)
    return a, b


def established(*peers: Any) -> bool:
    return all(peer.state is State.ESTABLISHED for peer in peers)


# collisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(80))
def test_crossing_connections_end_with_one_session_in_any_order(seed: int) -> None:
    net = Net(seed)
    net.shuffle = True
    a, b = pair(net)
    a.announce("10.65.0.1/32")
    b.announce("10.65.0.2/32")
    net.run(60)
    assert established(a.peer(b), b.peer(a))
    assert len(a.ends) == len(b.ends) == 1
    assert a.table() == {"10.65.0.1/32": "local", "10.65.0.2/32": B}
    assert b.table() == {"10.65.0.1/32": A, "10.65.0.2/32": "local"}
    for node, other in ((a, b), (b, a)):
        assert (len(node.told("up", other)), len(node.told("down", other))) == (1, 0)


def test_the_connection_of_the_higher_identifier_stays() -> None:
    net = Net()
    a, b = pair(net)
    net.run(1)
    assert b.peer(a).current is b.peer(a).connections.dialing
    assert a.peer(b).current is a.peer(b).connections.accepted[0]
    assert not a.told("down")
    assert not b.told("failed")
    assert a.peer(b).last_error == ""


@pytest.mark.parametrize("keep_confirmed", [False, True])
def test_what_has_our_keepalive_may_be_kept_against_the_identifiers(keep_confirmed: bool) -> None:
    """A peer that compares late, as BIRD does, is established on it by then."""
    net = Net()
    a, b = net.node(A), net.node(B)  # the connection of b, the higher one, would stay
    peer = a.add(b, keep_confirmed=keep_confirmed)
    b.add(a, passive=True)
    their_open = encode_message(make_open(b.peer(a).config), CodecContext())
    dialing = peer.connections.dialing
    a.router.touched.clear()
    if dialing.state is State.IDLE:
        peer.start(net.now)
    peer.connected(dialing, A, net.now)
    peer.receive(dialing, their_open, net.now)
    assert _kinds(dialing.data_to_send()) == [MessageType.OPEN, MessageType.KEEPALIVE]
    accepted = peer.accept(net.now)
    assert accepted is not None
    peer.connected(accepted, A, net.now)
    peer.receive(accepted, their_open, net.now)
    kept, gone = (dialing, accepted) if keep_confirmed else (accepted, dialing)
    assert kept.state is State.OPEN_CONFIRM
    assert gone.state < State.OPEN_SENT
    said = gone.data_to_send()
    assert said[-3:] == bytes((3, 6, 7))
    assert MessageType.KEEPALIVE not in _kinds(said)
    peer.receive(kept, encode_message(Keepalive(), CodecContext()), net.now)
    assert peer.current is kept


def _kinds(data: bytes) -> list[int]:
    framer = Framer()
    return [kind for kind, _ in framer.feed(data)]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("who", [0, 1])
def test_one_side_that_keeps_confirmed_ones_comes_to_one_session(seed: int, who: int) -> None:
    net = Net(seed)
    net.shuffle = True
    a, b = net.node(A), net.node(B)
    a.add(b, keep_confirmed=who == 0)
    b.add(a, keep_confirmed=who == 1)
    net.run(60)
    assert established(a.peer(b), b.peer(a))
    for node, other in ((a, b), (b, a)):
        assert (len(node.told("up", other)), len(node.told("down", other))) == (1, 0)


def test_equal_identifiers_are_told_apart_by_the_as() -> None:
    """RFC 6286 section 2.3."""
    net = Net()
    a, b = net.node(A, 64601), net.node(B, 64602)
    a.add(b)
    b.router.add_peer(
        dataclasses.replace(
            _config(b, a),
            bgp_identifier=a.peer(b).config.bgp_identifier,
        ),
        now=net.now,
    )
    net.run(1)
    assert established(a.peer(b), b.peer(a))
    assert b.peer(a).current is b.peer(a).connections.dialing


def _config(node: Node, other: Node) -> Any:
    scratch = Net().node(node.address, node.asn)
    return scratch.add(other).config


def test_a_passive_peer_waits() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, passive=True)
    b.add(a, passive=True)
    net.run(300)
    assert a.peer(b).state is State.ACTIVE
    config = dataclasses.replace(b.peer(a).config, passive=False)
    b.router.change_peer(b.peer(a), config, now=net.now)
    net.run(1)
    assert established(a.peer(b), b.peer(a))
    assert a.peer(b).current is a.peer(b).connections.accepted[0]


def test_a_connection_that_says_nothing_gives_way_to_a_newer_one() -> None:
    net = Net()
    a = net.node(A)
    peer = a.add(B, 64512, passive=True)
    first = peer.accept(net.now)
    assert first is not None
    peer.connected(first, A, net.now)
    second = peer.accept(net.now)
    assert second is not None
    assert peer.connections.accepted == [second]
    assert first.finished


def test_no_third_connection_while_one_is_being_set_up() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    peer = a.add(b, passive=True)
    b.add(a, passive=True)
    first = peer.accept(net.now)
    assert first is not None
    peer.connected(first, A, net.now)
    their_open = encode_message(make_open(b.peer(a).config), CodecContext())
    peer.receive(first, their_open, net.now)
    assert first.state is State.OPEN_CONFIRM
    assert peer.accept(net.now) is None
    a.turn()
    assert a.told("refused", b)
    peer.receive(first, encode_message(Keepalive(), CodecContext()), net.now)
    assert peer.current is first
    third = peer.accept(net.now)  # an established one does not forbid it: the peer may have restarted
    assert third is not None


@pytest.mark.rfc("4724", "5", "pybgp.peer:Peer._outlived", "a new connection takes the place of a dead session")
def test_a_restarted_peer_replaces_its_dead_session() -> None:
    """The host vanished without a FIN and is back: with graceful restart its new connection is proof."""
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.2/32")
    net.run(60)
    net.kill(b, quietly=True)
    b = net.node(B, restarting=True)
    b.announce("10.65.0.2/32")
    b.add(a)
    net.run(2)
    assert established(a.peer(b), b.peer(a))
    assert a.table() == {"10.65.0.2/32": B}
    assert [event.kind for event in a.events if event.kind in ("down", "up")] == ["up", "down", "up"]


# graceful restart, helper ------------------------------------------------------------------------


def restarted(net: Net, old: Node, other: Node, **settings: Any) -> Node:
    """The process of `old` again, without its memory."""
    new = net.node(old.address, restarting=True)
    new.add(other, **settings)
    return new


def test_routes_stay_while_the_peer_restarts_and_nobody_notices() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    deltas: list[Any] = []
    a.router.tables.listen(IPV4_UNICAST, "test", deltas.append)
    net.kill(b)
    net.run(10)
    assert len(a.table()) == 2
    assert a.told("stale", b)
    assert all(path.stale for part in a.peer(b).exchanges[IPV4_UNICAST].adj_rib_in.routes() for _, path in part)
    again = restarted(net, b, a)
    again.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(30)
    assert established(a.peer(b))
    assert len(a.table()) == 2
    assert deltas == []
    assert not any(path.stale for part in a.peer(b).exchanges[IPV4_UNICAST].adj_rib_in.routes() for _, path in part)


def test_what_is_not_announced_again_goes_at_end_of_rib() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    again = restarted(net, b, a)
    again.announce("10.65.0.2/32", "10.65.0.3/32")
    net.run(30)
    assert set(a.table()) == {"10.65.0.2/32", "10.65.0.3/32"}
    assert a.told("flushed", b)


def test_routes_go_when_the_restart_time_is_over() -> None:
    net = Net()
    a, b = pair(net, restart_time=60)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    net.run(59)
    assert len(a.table()) == 1
    net.run(2)
    assert a.table() == {}
    assert "restart time of 60 s" in a.told("flushed")[0].reason


def test_a_second_restart_removes_what_was_stale_from_the_first() -> None:
    """RFC 4724 section 4.2: consecutive restarts."""
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    a.writable = False  # the peer waits for our End-of-RIB before it sends its own
    second = restarted(net, b, a, restart_time=100)
    second.announce("10.65.0.2/32")
    net.run(30, until=lambda: not _stale(a, b, "10.65.0.2/32"))
    assert set(a.table()) == {"10.65.0.1/32", "10.65.0.2/32"}
    net.kill(second)
    a.writable = True
    net.run(1)
    assert set(a.table()) == {"10.65.0.2/32"}
    third = restarted(net, b, a)
    third.announce("10.65.0.3/32")
    net.run(60)
    assert set(a.table()) == {"10.65.0.3/32"}


def cut_short(net: Net, node: Node, old: Node, **settings: Any) -> Node:
    """It comes back, and ends again before its End-of-RIB."""
    node.writable = False  # the peer waits for our End-of-RIB before it sends its own
    again = restarted(net, old, node, **settings)
    net.run(5, until=lambda: established(node.peer(old)))
    net.run(0)
    net.kill(again)
    node.writable = True
    net.run(1)
    return again


def test_where_asked_a_second_restart_removes_nothing() -> None:
    """Against RFC 4724 section 4.2; what the last one does not announce goes at its End-of-RIB."""
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, keep_stale=True)
    b.add(a)
    b.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    deltas: list[Any] = []
    a.router.tables.listen(IPV4_UNICAST, "test", deltas.append)
    net.kill(b)
    net.run(1)
    for _ in range(3):
        b = cut_short(net, a, b)
        assert set(a.table()) == {"10.65.0.1/32", "10.65.0.2/32"}
    assert deltas == []
    a.router.tables.ignore(IPV4_UNICAST, "test")
    last = restarted(net, b, a)
    last.announce("10.65.0.2/32")
    net.run(30)
    assert set(a.table()) == {"10.65.0.2/32"}
    assert not _stale(a, b, "10.65.0.2/32")


def test_a_peer_that_never_stays_has_as_long_as_one_that_restarts_once() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b, keep_stale=True)
    b.add(a, restart_time=60)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    lost = net.now
    while net.now + 40 < lost + 60 + STALE_PATH_TIME:
        b = cut_short(net, a, b, restart_time=60)
        net.run(30)
        assert set(a.table()) == {"10.65.0.1/32"}
    net.run(lost + 60 + STALE_PATH_TIME - net.now + 1)
    assert a.table() == {}
    assert f"within {60 + STALE_PATH_TIME:g} s of its first restart" in a.told("flushed")[0].reason


def _stale(node: Node, other: Node, prefix: str) -> bool:
    found = node.peer(other).exchanges[IPV4_UNICAST].adj_rib_in.routes()
    wanted = parse_nlri(prefix)[1]
    return any(path.stale for part in found for nlri, path in part if nlri == wanted)


def test_a_peer_that_lost_its_forwarding_state_loses_its_routes() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    again = restarted(net, b, a, forwarding_preserved=False)
    net.run(20, until=lambda: established(a.peer(b)))
    net.run(0)
    assert a.table() == {}
    assert established(a.peer(b))
    again.announce("10.65.0.1/32")
    net.run(1)
    assert len(a.table()) == 1


def test_a_peer_that_comes_back_without_graceful_restart_loses_its_routes() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    restarted(net, b, a, graceful_restart=False)
    net.run(20)
    assert established(a.peer(b))
    assert a.table() == {}


def test_a_peer_that_never_sends_end_of_rib_is_not_believed_for_ever() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32", "10.65.0.2/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    a.writable = False  # b waits for our End-of-RIB before it sends its own
    again = net.node(B, restarting=True, selection_deferral_time=10_000)
    again.add(a)
    again.announce("10.65.0.1/32")
    net.run(20, until=lambda: established(a.peer(b)))
    net.run(STALE_PATH_TIME - 1)
    assert set(a.table()) == {"10.65.0.1/32", "10.65.0.2/32"}
    net.run(2)
    assert set(a.table()) == {"10.65.0.1/32"}
    assert "no End-of-RIB" in a.told("flushed")[0].reason


@pytest.mark.parametrize("graceful_notification", [False, True])
def test_a_notification_ends_it_unless_both_speak_rfc_8538(graceful_notification: bool) -> None:
    net = Net()
    a, b = pair(net, graceful_notification=graceful_notification)
    b.announce("10.65.0.1/32")
    net.run(5)
    session = b.peer(a).current
    assert session is not None
    peer = b.peer(a)
    event = Event(EventKind.AUTOMATIC_STOP, error=Cease("something"))
    peer._handle(session, session.fire(event, net.now), net.now)
    net.run(1)
    assert len(a.table()) == (1 if graceful_notification else 0)


def test_an_administrative_shutdown_is_never_graceful() -> None:
    net = Net()
    a, b = pair(net, graceful_notification=True)
    b.announce("10.65.0.1/32")
    net.run(5)
    b.router.shut_down(b.peer(a), "bye", net.now)
    net.run(1)
    assert a.table() == {}
    assert not a.told("stale")


def test_without_graceful_restart_routes_go_with_the_session() -> None:
    net = Net()
    a, b = pair(net, graceful_restart=False)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    net.run(0.5)
    assert a.table() == {}


def test_a_silent_stop_lets_the_peer_keep_the_routes() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32")
    net.run(5)
    b.router.stop(net.now, silent=True)
    net.run(0)
    b.alive = False
    net.run(5)
    assert len(a.table()) == 1
    assert a.told("stale", b)


def test_shutting_a_vanished_peer_down_removes_what_it_left() -> None:
    net = Net()
    a, b = pair(net)
    b.announce("10.65.0.1/32")
    net.run(5)
    net.kill(b)
    net.run(1)
    a.router.shut_down(a.peer(b), "", net.now)
    net.run(0)
    assert a.table() == {}


# graceful restart, restarting --------------------------------------------------------------------


def reflector(net: Net, **settings: Any) -> tuple[Node, Node, Node]:
    """A reflector at A with the clients B and C."""
    a, b, c = net.node(A, **settings), net.node(B), net.node(C)
    for client in (b, c):
        a.add(client, route_reflector_client=True)
        client.add(a)
    return a, b, c


def test_a_restarting_reflector_tells_nothing_onward_until_it_knows_everything() -> None:
    net = Net()
    a, b, c = reflector(net)
    b.announce("10.65.0.1/32")
    net.run(10)
    assert c.table() == {"10.65.0.1/32": A}
    net.kill(a)
    net.run(1)
    net.cut.add(frozenset((A, C)))
    a = net.node(A, restarting=True)
    a.announce("10.66.0.1/32")
    for client in (b, c):
        a.add(client, route_reflector_client=True)
    net.run(4)
    assert established(a.peer(b))
    assert a.table() == {"10.65.0.1/32": B, "10.66.0.1/32": "local"}  # selection is not deferred
    assert b.table()["10.66.0.1/32"] == A  # nor are own routes
    assert not b.told("end-of-rib", a)[1:]
    net.cut.clear()
    c.announce("10.65.0.2/32")
    net.run(60)
    assert a.told("advertising")
    assert b.table() == {"10.65.0.1/32": "local", "10.66.0.1/32": A, "10.65.0.2/32": A}
    assert c.table() == {"10.65.0.1/32": A, "10.66.0.1/32": A, "10.65.0.2/32": "local"}


def test_one_dead_node_does_not_hold_up_the_others() -> None:
    net = Net()
    a, b, c = reflector(net, restarting=True)
    net.kill(c)
    net.cut.add(frozenset((A, C)))
    b.announce("10.65.0.1/32")
    net.run(SETTLE_TIME + 1)
    assert a.told("advertising")
    assert b.told("end-of-rib", a)


def test_two_that_restart_do_not_wait_for_each_other() -> None:
    net = Net()
    a, b = net.node(A, restarting=True), net.node(B, restarting=True)
    a.add(b)
    b.add(a)
    net.run(1)
    assert a.told("advertising")
    assert b.told("advertising")
    assert a.told("end-of-rib", b)


def test_the_restart_bit_is_in_the_first_opens_only() -> None:
    net = Net()
    a, b = net.node(A, restarting=True), net.node(B)
    a.add(b)
    b.add(a)
    net.run(10)

    def said() -> bool:
        agreed = b.peer(a).negotiated
        assert agreed is not None
        assert agreed.graceful_restart is not None
        return agreed.graceful_restart.restarting

    assert said()
    b.peer(a).reset("", net.now)
    net.run(60)
    assert not said()


# damping -----------------------------------------------------------------------------------------


def test_an_error_holds_the_peer_back_and_longer_each_time() -> None:
    net = Net()
    a, b = net.node(A), net.node(B)
    a.add(b)
    b.router.add_peer(dataclasses.replace(_config(b, a), peer_as=64999), now=net.now)
    net.run(600)
    assert "64999" in b.peer(a).last_error
    assert "(2/2)" in a.peer(b).last_error
    for node, other in ((a, b), (b, a)):
        times = sorted({event.now for event in node.told("failed", other)})
        assert 5 <= len(times) <= 40  # growing pauses up to a minute
        assert times[-1] - times[-2] > times[2] - times[1]


def test_a_plain_close_is_not_damped() -> None:
    net = Net()
    a, b = pair(net, graceful_restart=False)
    net.run(60)
    net.kill(b)
    b = net.node(B)
    b.add(a)
    net.run(2)
    assert established(a.peer(b))


def test_a_bug_in_the_tables_costs_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    a, b, c = net.node(A), net.node(B), net.node(C)
    net.mesh(a, b, c)
    net.run(5)
    broken = a.peer(b).exchanges[IPV4_UNICAST]

    def explode(reach: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(broken, "announced", explode)
    b.announce("10.65.0.1/32")
    c.announce("10.65.0.2/32")
    net.run(1)
    assert a.told("error", b)
    assert "RuntimeError: a bug" in a.told("error", b)[0].reason
    assert "Traceback" in a.told("error", b)[0].detail
    assert a.told("down", b)
    assert not a.told("down", c)
    assert a.table() == {"10.65.0.2/32": C}


def test_a_bug_and_an_error_in_one_read_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net()
    a, b = pair(net, graceful_restart=False)
    net.run(5)

    def explode(reach: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(a.peer(b).exchanges[IPV4_UNICAST], "announced", explode)
    session = a.peer(b).current
    assert session is not None
    context = CodecContext(four_octet_as=True, internal=True)
    nlri = [parse_nlri("10.65.0.1/32")[1]]
    attributes = PathAttributes.build(next_hop="192.0.2.1", local_pref=100)
    (update,) = encode_reach(IPV4_UNICAST, nlri, attributes, context)
    a.peer(b).receive(session, update + bytes(19), net.now)
    assert a.peer(b).current is None
    net.run(60)
    assert established(a.peer(b), b.peer(a))


def test_a_change_that_cannot_be_changes_nothing() -> None:
    net = Net()
    a, b = pair(net)
    net.run(5)
    config = dataclasses.replace(a.peer(b).config, families=(Family(25, 70),))
    with pytest.raises(ConfigurationError, match="not supported"):
        a.router.change_peer(a.peer(b), config, import_policy=reject_all, now=net.now)
    net.run(5)
    assert established(a.peer(b), b.peer(a))
    assert not a.told("down")
