"""Listings of the tables: which routes are in them, in which order, and that nobody is held up by a long one."""

from __future__ import annotations

import pytest

from pybgp import listing as module
from pybgp.errors import ConfigurationError
from pybgp.family import IPV6_UNICAST
from pybgp.listing import Filtering, ListedRoute, advertised, listing, what_is_asked
from pybgp.policy import accept, community, match, prefix_in, reject, rules, set_local_pref
from tests.network import Net, Node

HUB, LEFT, RIGHT = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def lab() -> tuple[Net, Node]:
    net = Net()
    hub, left, right = net.node(HUB, 64600), net.node(LEFT, 64601), net.node(RIGHT, 64602)
    for node in (left, right):
        node.add(hub)
    policy = rules(
        match(prefix_in("10.3.0.0/16")) >> reject("no"), match() >> set_local_pref(200) >> accept(), name="in"
    )
    hub.add(left, import_policy=policy)
    hub.add(right)
    left.announce("10.0.0.0/8", "10.2.0.0/16", "10.3.0.0/16", next_hop=LEFT)
    left.announce("10.1.0.0/16", next_hop=LEFT, communities=["65000:7"])
    right.announce("10.1.0.0/16", next_hop=RIGHT)
    hub.announce("2001:db8::/32", next_hop="2001:db8::1")
    net.run(3)
    return net, hub


def shown(parts: object) -> list[str]:
    found: list[ListedRoute] = [route for part in parts for route in part]  # type: ignore[attr-defined]
    return [
        f"{route.prefix} {route.peer}{' best' if route.best else ''}{' rejected' if route.rejected else ''}"
        for route in found
    ]


def test_everything_in_order() -> None:
    _net, hub = lab()
    assert shown(listing(hub.router, Filtering())) == [
        "10.0.0.0/8 192.0.2.2 best",
        "10.1.0.0/16 192.0.2.2 best",
        "10.1.0.0/16 192.0.2.3",
        "10.2.0.0/16 192.0.2.2 best",
        "10.3.0.0/16 192.0.2.2 rejected",
        "2001:db8::/32 local best",
    ]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Filtering(family=IPV6_UNICAST), ["2001:db8::/32 local best"]),
        (Filtering(**what_is_asked("10.2.0.0/15")), ["10.2.0.0/16 192.0.2.2 best", "10.3.0.0/16 192.0.2.2 rejected"]),
        (Filtering(**what_is_asked("10.2.9.9")), ["10.2.0.0/16 192.0.2.2 best", "10.0.0.0/8 192.0.2.2 best"]),
        (Filtering(rejected=True), ["10.3.0.0/16 192.0.2.2 rejected"]),
        (Filtering(received=RIGHT), ["10.1.0.0/16 192.0.2.3"]),
        (Filtering(wanted=community("65000:*")), ["10.1.0.0/16 192.0.2.2 best"]),
        (Filtering(**what_is_asked("11.0.0.0/8")), []),
        (Filtering(**what_is_asked("11.0.0.1")), []),
    ],
)
def test_a_part_of_it(which: Filtering, expected: list[str]) -> None:
    _net, hub = lab()
    assert shown(listing(hub.router, which)) == expected


def test_what_a_peer_sent_and_what_policy_made_of_it() -> None:
    _net, hub = lab()
    (route,) = [r for part in listing(hub.router, Filtering(received=LEFT, rejected=False)) for r in part][:1]
    assert route.attributes.local_pref is None
    (route,) = [r for part in listing(hub.router, Filtering()) for r in part][:1]
    assert route.attributes.local_pref == 200


def test_what_a_peer_was_sent() -> None:
    _net, hub = lab()
    found = [route for part in advertised(hub.router, RIGHT, Filtering()) for route in part]
    assert [str(route.prefix) for route in found] == ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"]
    assert {str(route.attributes.as_path) for route in found} == {"64600 64601"}
    inside = Filtering(**what_is_asked("10.2.0.0/16"))
    assert shown(advertised(hub.router, RIGHT, inside)) == ["10.2.0.0/16 192.0.2.3"]
    assert shown(advertised(hub.router, RIGHT, Filtering(wanted=community("no-export")))) == []
    with pytest.raises(ConfigurationError, match="no peer"):
        shown(advertised(hub.router, "192.0.2.77", Filtering()))


def test_large_tables_come_in_slices_and_may_change_between_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "LOOKED_AT", 25)
    net, hub = lab()
    prefixes = [f"10.9.{number}.0/24" for number in range(100)]
    hub.announce(*prefixes, next_hop=HUB)
    net.run(1)
    parts = listing(hub.router, Filtering(**what_is_asked("10.9.0.0/16")))
    seen = [next(parts) for _ in range(6)]
    assert max(map(len, seen)) == 10
    hub.withdraw(*prefixes[30:])
    net.run(1)
    rest = shown(seen) + shown(parts)
    assert [line.split()[0] for line in rest if line.split()[0] in prefixes[:30]] == prefixes[:30]
    assert shown(advertised(hub.router, RIGHT, Filtering(**what_is_asked("10.9.0.0/16"))))
