"""What a neighbour sees of our AS and those behind us; expected paths written out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.config import PeerConfig
from pybgp.messages.attributes.as_path import AsPath
from pybgp.rib.as_numbers import AsNumbers, is_private

PEER = 65010


def numbers(**settings: Any) -> AsNumbers:
    config = PeerConfig(**{"address": "192.0.2.2", "peer_as": PEER, "local_as": 65000, "bgp_identifier": 1, **settings})
    return AsNumbers.of(config)


@pytest.mark.parametrize(
    ("asn", "private"),
    [
        (64511, False),
        (64512, True),
        (65534, True),
        (65535, False),
        (4199999999, False),
        (4200000000, True),
        (4294967294, True),
        (4294967295, False),
    ],
)
def test_the_private_ranges(asn: int, private: bool) -> None:
    assert is_private(asn) is private


@pytest.mark.parametrize(
    ("settings", "path", "sent"),
    [
        ({}, "100 200", "65000 100 200"),
        ({}, "", "65000"),
        ({"local_as": 400, "speaker_as": 65000}, "100", "400 65000 100"),
        ({"local_as": 400, "speaker_as": 65000, "local_as_replace": True}, "100", "400 100"),
        ({"remove_private_as": "leading"}, "64512 64513 100 64514", "65000 100 64514"),
        ({"remove_private_as": "leading"}, "{64512,64513} 100", "65000 100"),
        ({"remove_private_as": "leading"}, "64512", "65000"),
        ({"remove_private_as": "all"}, "64512 100 {64514,200} 4200000000", "65000 100 {200}"),
        ({"remove_private_as": "all"}, "100 {64514}", "65000 100"),
        ({"remove_private_as": "replace"}, "64512 100 64514", "65000 65000 100 65000"),
        ({"remove_private_as": "all"}, "64512 65010 100", "65000 65010 100"),  # its own shows the loop
        ({"as_override": True}, "100 65010 65010", "65000 100 65000 65000"),
        ({"as_override": True, "remove_private_as": "all"}, "64512 65010", "65000 65000"),
        ({"route_server_client": True}, "100 200", "100 200"),
    ],
)
@pytest.mark.rfc("4271", "5.1.2", "pybgp.rib.as_numbers:AsNumbers.outgoing", "our AS goes in front")
def test_what_the_neighbour_is_told(settings: dict[str, Any], path: str, sent: str) -> None:
    assert str(numbers(**settings).outgoing(AsPath.of(path), PEER, own=False)) == sent


@pytest.mark.rfc("7947", "2.2.2", "pybgp.rib.as_numbers:AsNumbers.outgoing", "AS_PATH untouched but for own routes")
def test_the_client_of_a_route_server_sees_where_its_own_routes_begin() -> None:
    assert str(numbers(route_server_client=True).outgoing(AsPath(), PEER, own=True)) == "65000"


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({}, "65010 100"),
        ({"local_as": 400, "speaker_as": 65000}, "400 65010 100"),
        ({"local_as": 400, "speaker_as": 65000, "local_as_no_prepend": True}, "65010 100"),
    ],
)
def test_what_is_made_of_what_it_says(settings: dict[str, Any], taken: str) -> None:
    assert str(numbers(**settings).incoming(AsPath.of("65010 100"))) == taken


def test_the_commonest_settings_ask_for_nothing() -> None:
    assert numbers().plain
    for settings in ({"as_override": True}, {"remove_private_as": "all"}, {"local_as": 4, "speaker_as": 5}):
        assert not numbers(**settings).plain
