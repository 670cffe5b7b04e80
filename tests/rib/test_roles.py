"""The table of RFC 9234 section 5, typed from its sentences: ours towards the neighbour, and what follows."""

from __future__ import annotations

import pytest

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.rib.roles import leaked, marked_on_arrival, marked_on_leaving, must_not_go

PEER, LOCAL, OTHER = 65010, 65000, 65099
PLAIN = PathAttributes.build(as_path=[PEER])


def marked(asn: int) -> PathAttributes:
    return PLAIN.with_(ONLY_TO_CUSTOMER, asn)


@pytest.mark.parametrize(
    ("role", "mark", "leak"),
    [
        ("provider", None, False),
        ("provider", PEER, True),  # from a customer, marked by whomever
        ("provider", OTHER, True),
        ("rs", None, False),
        ("rs", PEER, True),  # from a client of the route server
        ("peer", None, False),
        ("peer", PEER, False),  # the peer itself may have marked it
        ("peer", OTHER, True),
        ("customer", OTHER, False),
        ("rs-client", OTHER, False),
        (None, OTHER, False),
    ],
)
@pytest.mark.rfc("9234", "5", "pybgp.rib.roles:leaked", "a leak is seen on arrival")
def test_a_leak(role: str | None, mark: int | None, leak: bool) -> None:
    attributes = PLAIN if mark is None else marked(mark)
    why = leaked(role, IPV4_UNICAST, attributes, PEER)
    assert (why is not None) is leak
    assert why is None or str(mark) in why


@pytest.mark.parametrize(
    ("role", "added"), [("customer", True), ("peer", True), ("rs-client", True), ("provider", False), ("rs", False)]
)
@pytest.mark.rfc("9234", "5", "pybgp.rib.roles:marked_on_arrival", "marked on arrival")
def test_what_comes_from_above_is_marked_with_the_neighbour(role: str, added: bool) -> None:
    got = marked_on_arrival(role, IPV6_UNICAST, PLAIN, PEER)
    assert got.get(ONLY_TO_CUSTOMER) == (PEER if added else None)
    assert marked_on_arrival(role, IPV6_UNICAST, marked(OTHER), PEER)[ONLY_TO_CUSTOMER] == OTHER


@pytest.mark.parametrize(
    ("role", "stays"), [("customer", True), ("peer", True), ("rs-client", True), ("provider", False), ("rs", False)]
)
@pytest.mark.rfc("9234", "5", "pybgp.rib.roles:must_not_go", "what is marked goes to no provider, peer or route server")
def test_what_is_marked_does_not_go_up(role: str, stays: bool) -> None:
    assert (must_not_go(role, IPV4_UNICAST, marked(OTHER)) is not None) is stays
    assert must_not_go(role, IPV4_UNICAST, PLAIN) is None


@pytest.mark.parametrize(
    ("role", "added"), [("provider", True), ("peer", True), ("rs", True), ("customer", False), ("rs-client", False)]
)
@pytest.mark.rfc("9234", "5", "pybgp.rib.roles:marked_on_leaving", "marked on leaving")
def test_what_goes_down_is_marked_with_our_as(role: str, added: bool) -> None:
    got = marked_on_leaving(role, IPV4_UNICAST, PLAIN, LOCAL)
    assert got.get(ONLY_TO_CUSTOMER) == (LOCAL if added else None)
    assert marked_on_leaving(role, IPV4_UNICAST, marked(OTHER), LOCAL)[ONLY_TO_CUSTOMER] == OTHER


def test_other_families_are_left_alone() -> None:
    labelled = Family(1, 4)
    assert leaked("provider", labelled, marked(OTHER), PEER) is None
    assert must_not_go("customer", labelled, marked(OTHER)) is None
    assert marked_on_arrival("customer", labelled, PLAIN, PEER) is PLAIN
    assert marked_on_leaving("provider", labelled, PLAIN, LOCAL) is PLAIN
