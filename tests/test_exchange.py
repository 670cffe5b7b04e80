"""What a neighbour holds: worked out from the table while nothing changes that decides it, else kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.policy import Policy, accept_all, per_path, reject_all
from pybgp.prefix import parse_nlri
from pybgp.rib import AdjRibOut
from pybgp.rib.route import Route
from tests.network import Net, Node

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
MANY = [f"10.65.{number >> 8}.{number & 255}/32" for number in range(6000)]


def out(node: Node, other: Node) -> AdjRibOut:
    found = node.peer(other).exchanges[IPV4_UNICAST].adj_rib_out
    assert found is not None
    return found


def told(node: Node, other: Node) -> set[str]:
    """What a node takes the other to hold."""
    exchange = node.peer(other).exchanges[IPV4_UNICAST]
    found = {one for one in MANY if exchange.told(parse_nlri(one)[1])}
    assert len(found) == exchange.advertised
    return found


def chain(**settings: Any) -> tuple[Node, Node, Node]:
    """A and C speak with B alone, which is of another AS and passes on what A has; 'settings' are those of B for C."""
    net = Net()
    a, b, c = net.node(A, 65001), net.node(B, 65002), net.node(C, 65003)
    for one, other, more in ((a, b, {}), (b, a, {}), (b, c, settings), (c, b, {})):
        one.add(other, **{"import_policy": accept_all, "export_policy": accept_all, **more})
    a.announce(*MANY)
    net.run(5)
    return a, b, c


def odd(route: Route) -> Route | None:
    return route if route.nlri[-1] % 2 else None


@per_path
def with_med(route: Route) -> Route | None:
    return route.replace(med=7)


def test_nothing_is_kept_once_the_table_is_told() -> None:
    a, b, c = chain()
    assert out(b, c).sent is None
    assert told(b, c) == set(c.table()) == set(MANY)
    a.withdraw(*MANY[:100])
    a.net.run(1)
    assert out(b, c).sent is None
    assert told(b, c) == set(c.table()) == set(MANY[100:])
    a.peer(b).reset("", a.net.now)
    a.net.run(0.5)
    assert told(b, c) == set(c.table())


@pytest.mark.parametrize("policy", [odd, with_med])
def test_a_policy_of_the_user_may_answer_otherwise_tomorrow(policy: Policy) -> None:
    _, b, c = chain(export_policy=policy)
    assert out(b, c).sent is not None
    assert told(b, c) == set(c.table())


def test_it_is_kept_when_the_policy_changes_and_no_longer_when_it_is_plain_again() -> None:
    a, b, c = chain()
    for policy, expected in ((odd, MANY[1::2]), (accept_all, MANY), (reject_all, []), (accept_all, MANY)):
        b.router.change_peer(b.peer(c), b.peer(c).config, export_policy=policy, now=b.net.now)
        a.withdraw(MANY[0])
        a.announce(MANY[0])
        b.net.run(1)
        assert told(b, c) == set(c.table()) == set(expected)
        assert (out(b, c).sent is None) is (policy is accept_all)


def test_a_limit_holds_while_what_the_neighbour_holds_is_worked_out() -> None:
    a, b, c = chain()
    config = replace(b.peer(c).config, max_prefixes_out={IPV4_UNICAST: 6001})
    b.router.change_peer(b.peer(c), config, now=b.net.now)
    more = ["10.66.0.1/32", "10.66.0.2/32", "10.66.0.3/32"]
    a.announce(*more)
    b.net.run(1)
    assert len(c.table()) == 6001
    a.withdraw(*MANY[:2])
    b.net.run(1)
    assert set(c.table()) == {*MANY[2:], *more}
    b.router.change_peer(b.peer(c), replace(config, max_prefixes_out={}), now=b.net.now)
    b.net.run(1)
    a.announce(*MANY[:2])
    b.net.run(1)
    assert set(c.table()) == {*MANY, *more}
    assert out(b, c).sent is None


def test_settings_change_twice_at_once() -> None:
    """The second change comes while what the neighbour holds is being written down for the first."""
    a, b, c = chain()
    for graceful_shutdown in (True, False, True):
        config = replace(b.peer(c).config, graceful_shutdown=graceful_shutdown)
        b.router.change_peer(b.peer(c), config, now=b.net.now)
        a.withdraw(MANY[0])
        a.announce(MANY[0])
    b.net.run(1)
    assert told(b, c) == set(c.table()) == set(MANY)
    assert {c.path(one).communities for one in MANY} == {c.path(MANY[0]).communities} != {()}
    assert out(b, c).sent is None


def test_what_is_announced_and_withdrawn_is_counted_on_both_sides() -> None:
    """Again and again, over all sessions; what the import policy refuses by itself."""
    a, b, c = chain(export_policy=odd)
    of_a, to_c = b.peer(a).exchanges[IPV4_UNICAST], b.peer(c).exchanges[IPV4_UNICAST]
    assert (of_a.announced_in, of_a.withdrawn_in, of_a.adj_rib_in.refused) == (len(MANY), 0, 0)
    assert (to_c.announced_out, to_c.withdrawn_out) == (len(MANY) // 2, 0)
    assert c.peer(b).exchanges[IPV4_UNICAST].announced_in == len(MANY) // 2
    a.withdraw(*MANY[:100])
    a.net.run(1)
    assert (of_a.withdrawn_in, to_c.withdrawn_out) == (100, 50)
    b.router.change_peer(b.peer(a), b.peer(a).config, import_policy=reject_all, now=b.net.now)
    a.peer(b).reset("", a.net.now)
    a.net.run(5)
    left = len(MANY) - 100
    assert (of_a.announced_in, of_a.adj_rib_in.refused) == (len(MANY) + left, left)
