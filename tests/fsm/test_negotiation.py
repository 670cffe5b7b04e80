"""What two OPENs agree on, and which NOTIFICATION answers one that cannot be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pybgp.errors import ConfigurationError, OpenMessageError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.fsm.negotiation import Negotiated, make_open, negotiate
from pybgp.messages import CodecContext, Open, decode_message, encode_message
from pybgp.messages.capabilities import (
    AddPath,
    FourOctetAS,
    GracefulRestart,
    Hostname,
    Multiprotocol,
    UnknownCapability,
    decode_capabilities,
)
from tests.fsm.making import mirrored, settings


def agree(mine: dict[str, Any] | None = None, theirs: dict[str, Any] | None = None) -> Negotiated:
    config = settings(**(mine or {}))
    return negotiate(make_open(config), make_open(mirrored(config, **(theirs or {}))), config)


def test_our_open_has_its_capabilities_in_the_order_of_codes() -> None:
    everything = settings(
        families=(IPV4_UNICAST, IPV6_UNICAST),
        extended_next_hop=(IPV4_UNICAST,),
        add_path_receive=(IPV4_UNICAST,),
        add_path_send=(IPV4_UNICAST, IPV6_UNICAST),
        hostname="node-1",
    )
    message = make_open(everything)
    codes = [capability.code for capability in message.capabilities]
    assert codes == [1, 1, 2, 5, 6, 64, 65, 69, 70, 73]
    assert AddPath(((IPV4_UNICAST, 3), (IPV6_UNICAST, 2))) in message.capabilities
    assert Hostname("node-1", "") in message.capabilities
    wire = encode_message(message, CodecContext())
    assert decode_message(1, wire[19:], CodecContext()) == message


def test_what_is_switched_off_is_not_announced() -> None:
    bare = settings(
        route_refresh=False,
        enhanced_route_refresh=False,
        extended_message=False,
        graceful_restart=False,
        four_octet_as=False,
    )
    assert make_open(bare).capabilities == (Multiprotocol(IPV4_UNICAST),)


def test_the_bits_of_graceful_restart() -> None:
    message = make_open(settings(restart_time=33, graceful_notification=True), restarting=True)
    assert GracefulRestart(33, ((IPV4_UNICAST, True),), True, True) in message.capabilities
    message = make_open(settings(forwarding_preserved=False))
    assert GracefulRestart(120, ((IPV4_UNICAST, False),), False, False) in message.capabilities


def test_a_family_without_a_codec_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^families: l2vpn-evpn is not supported"):
        make_open(settings(families=(Family(25, 70),)))


@pytest.mark.parametrize(
    ("mine", "theirs", "agreed"), [(90, 240, 90), (240, 90, 90), (90, 0, 0), (0, 90, 0), (0, 0, 0), (3, 65535, 3)]
)
@pytest.mark.rfc("4271", "4.2", "pybgp.fsm.negotiation:negotiate", "the smaller hold time holds")
def test_the_smaller_hold_time_holds(mine: int, theirs: int, agreed: int) -> None:
    """RFC 4271 section 4.2."""
    found = agree({"hold_time": mine}, {"hold_time": theirs})
    assert found.hold_time == agreed
    assert found.keepalive_time == agreed / 3


def test_a_keepalive_time_may_be_shorter_but_never_longer_than_a_third() -> None:
    assert agree({"keepalive_time": 7, "hold_time": 90}).keepalive_time == 7
    assert agree({"keepalive_time": 80, "hold_time": 90}).keepalive_time == 30


@pytest.mark.parametrize(
    ("configured", "hold", "expected"), [(None, 90, 480), (None, 600, 1200), (0, 90, 0), (9, 90, 9)]
)
@pytest.mark.rfc("9687", "3.1", "pybgp.fsm.negotiation:_send_hold_time", "eight minutes or twice the hold time")
def test_the_send_hold_time(configured: float | None, hold: int, expected: float) -> None:
    """RFC 9687 section 3: the greater of eight minutes and twice the hold time."""
    assert agree({"send_hold_time": configured, "hold_time": hold}, {"hold_time": hold}).send_hold_time == expected


@pytest.mark.rfc("4760", "8", "pybgp.fsm.negotiation:_families", "families that both have")
def test_families_are_those_of_both() -> None:
    both = {"families": (IPV4_UNICAST, IPV6_UNICAST)}
    assert agree(both, both).families == {IPV4_UNICAST, IPV6_UNICAST}
    assert agree(both, {"families": (IPV6_UNICAST,)}).context.families == {IPV6_UNICAST}


def test_who_names_no_family_speaks_ipv4_unicast() -> None:
    config = settings(families=(IPV4_UNICAST, IPV6_UNICAST))
    assert negotiate(make_open(config), Open(64512, 90, 7), config).families == {IPV4_UNICAST}


@pytest.mark.rfc("7911", "4", "pybgp.fsm.negotiation:_context", "one sends, the other receives")
def test_add_path_needs_a_sender_and_a_receiver() -> None:
    receive, send = {"add_path_receive": (IPV4_UNICAST,)}, {"add_path_send": (IPV4_UNICAST,)}
    assert agree(receive, send).context.add_path_receive == {IPV4_UNICAST}
    assert agree(receive, send).context.add_path_send == frozenset()
    assert agree(send, receive).context.add_path_send == {IPV4_UNICAST}
    assert agree(receive, receive).context.add_path_receive == frozenset()
    config = settings(**receive)
    odd = Open(64512, 90, 7, (Multiprotocol(IPV4_UNICAST), *decode_capabilities(bytes.fromhex("4504 0001 01 06"))))
    assert negotiate(make_open(config), odd, config).context.add_path_receive == frozenset()


@pytest.mark.rfc("8950", "4", "pybgp.fsm.negotiation:_context", "only where both have it")
def test_the_rest_of_the_context_needs_both_sides() -> None:
    ours = agree({"extended_next_hop": (IPV4_UNICAST,)}).context
    assert (ours.four_octet_as, ours.extended_message, ours.internal) == (True, True, True)
    assert ours.extended_next_hop == {IPV4_UNICAST}  # the mirrored settings have it, too
    less = agree(
        {"extended_next_hop": (IPV4_UNICAST,)},
        {"extended_next_hop": (), "extended_message": False, "four_octet_as": False, "route_refresh": False},
    )
    assert less.context == dataclasses.replace(
        ours, extended_next_hop=frozenset(), extended_message=False, four_octet_as=False
    )
    assert not less.route_refresh
    assert less.enhanced_route_refresh


def test_external_peers_with_large_as_numbers() -> None:
    found = agree({"peer_as": 4200000001, "local_as": 4200000000})
    assert (found.peer_as, found.internal) == (4200000001, False)


def test_graceful_restart_is_the_peers_and_needs_ours() -> None:
    assert agree(None, {"restart_time": 44}).graceful_restart == GracefulRestart(44, ((IPV4_UNICAST, True),))
    assert agree(None, {"graceful_restart": False}).graceful_restart is None
    assert agree({"graceful_restart": False}, {"graceful_restart": True}).graceful_restart is None
    assert agree({"graceful_notification": True}).graceful_notification
    assert not agree({"graceful_notification": True}, {"graceful_notification": False}).graceful_notification


GOOD = Open(64512, 90, 0x0A000002, (Multiprotocol(IPV4_UNICAST), FourOctetAS(64512)))


@pytest.mark.parametrize(
    ("theirs", "code", "data"),
    [
        (dataclasses.replace(GOOD, version=3), (2, 1), "0004"),
        (dataclasses.replace(GOOD, my_as=64513), (2, 2), ""),
        (dataclasses.replace(GOOD, bgp_identifier=0), (2, 3), "00000000"),
        (dataclasses.replace(GOOD, bgp_identifier=0x0A000001), (2, 3), "0a000001"),
        (dataclasses.replace(GOOD, hold_time=1), (2, 6), "0001"),
        (dataclasses.replace(GOOD, hold_time=2), (2, 6), "0002"),
        (dataclasses.replace(GOOD, capabilities=(Multiprotocol(IPV6_UNICAST),)), (2, 7), "010400010001"),
    ],
)
@pytest.mark.rfc("4271", "6.2", "pybgp.fsm.negotiation:_check", "version, AS, identifier and hold time")
@pytest.mark.rfc("6286", "2.2", "pybgp.fsm.negotiation:_check", "zero, and ours from an internal peer")
@pytest.mark.rfc("4271", "7", "pybgp.fsm.negotiation:_check", "another version is refused with ours")
@pytest.mark.rfc("5492", "5", "pybgp.fsm.negotiation:_check", "the capability that is missed is named")
def test_what_cannot_be_is_answered(theirs: Open, code: tuple[int, int], data: str) -> None:
    config = settings()
    with pytest.raises(OpenMessageError) as caught:
        negotiate(make_open(config), theirs, config)
    assert (caught.value.code, caught.value.subcode, caught.value.data.hex()) == (*code, data)
    assert caught.value.reason


def test_an_external_peer_may_have_our_identifier() -> None:
    """RFC 6286 section 2.2: identifiers are unique within an AS only."""
    config = settings(peer_as=65001)
    theirs = dataclasses.replace(GOOD, my_as=65001, bgp_identifier=config.bgp_identifier)
    assert negotiate(make_open(config), theirs, config).peer_bgp_identifier == config.bgp_identifier


@pytest.mark.rfc("5492", "3", "pybgp.fsm.negotiation:negotiate", "unknown capabilities are no obstacle")
def test_unknown_capabilities_are_no_obstacle() -> None:
    config = settings()
    theirs = dataclasses.replace(GOOD, capabilities=(*GOOD.capabilities, UnknownCapability(200, b"?")))
    assert negotiate(make_open(config), theirs, config).peer_open is theirs
