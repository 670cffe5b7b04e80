"""NOTIFICATION, KEEPALIVE and ROUTE-REFRESH: RFC 4271 sections 4.4 and 4.5, RFC 9003, RFC 2918, RFC 7313."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp.errors import (
    AdministrativeReset,
    AdministrativeShutdown,
    BadMessageLength,
    BadPeerAS,
    Cease,
    InvalidRouteRefreshLength,
    ProtocolError,
)
from pybgp.family import IPV6_UNICAST, Family
from pybgp.messages import CodecContext, Keepalive, Notification, RouteRefresh, decode_message, encode_message
from pybgp.messages.framing import Framer, frame
from tests.wire import established, notifications

CONTEXT = CodecContext()
octet = st.integers(0, 255)


@given(octet, octet, st.binary(max_size=300))
@pytest.mark.rfc("4271", "4.5", "pybgp.messages.notification:decode_notification", "code, subcode and data")
def test_notification_round_trip(code: int, subcode: int, data: bytes) -> None:
    message = Notification(code, subcode, data)
    octets = encode_message(message, CONTEXT)
    assert decode_message(3, octets[19:], CONTEXT) == message
    assert (message.error.code, message.error.subcode, message.error.data) == (code, subcode, data)
    assert Notification.of(message.error) == message


@pytest.mark.rfc("4486", "3", "pybgp.errors:ProtocolError.make", "each subcode is an error of its own")
def test_an_error_and_its_notification() -> None:
    error = BadPeerAS("AS 1, not 2", b"\0\x01")
    assert Notification.of(error) == Notification(2, 2, b"\0\x01")
    assert type(Notification(2, 2).error) is BadPeerAS
    assert type(Notification(6, 200).error) is Cease
    assert type(Notification(200, 1).error).__mro__[1] is ProtocolError


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("size", [4072, 4073, 4077, 65516])
def test_a_peer_cannot_ask_for_a_notification_that_fits_nowhere(extended: bool, size: int) -> None:
    """RFC 7313 section 5 sends the whole offending message back, in 21 octets more than that has."""
    if size > 4077 and not extended:
        return
    one = established(extended_message=extended)
    body = b"\0\1\1\1" + bytes(size - 4)
    one.receive(frame(5, body))
    (said,) = notifications(one.sent)
    assert (said.code, said.subcode) == (7, 1)
    assert said.data == frame(5, body)[: 65514 if extended else 4075]
    assert not one.open


@pytest.mark.parametrize("body", [b"", b"\x06"])
def test_short_notification(body: bytes) -> None:
    with pytest.raises(BadMessageLength):
        decode_message(3, body, CONTEXT)


@given(st.text(max_size=300))
@pytest.mark.rfc(
    "9003",
    "2",
    "pybgp.messages.notification:Notification.shutdown",
    "a text of any length goes out as whole characters",
)
def test_shutdown_text(text: str) -> None:
    message = Notification.shutdown(AdministrativeShutdown(), text)
    assert len(message.data) <= 256
    shown = message.shutdown_message
    plain = text.encode("utf-8", "replace").decode()
    assert plain.startswith(shown or "")
    assert (shown or "") == plain or len(message.data) > 252


@given(st.binary(min_size=1, max_size=300))
@pytest.mark.rfc("9003", "4", "pybgp.messages.notification:Notification.shutdown_message", "any data is shown")
def test_any_shutdown_data_has_words(data: bytes) -> None:
    shown = Notification(6, AdministrativeReset.subcode, data).shutdown_message
    assert shown is not None
    shown.encode()


def test_only_two_subcodes_have_words() -> None:
    assert Notification(6, 3, b"\x02hi").shutdown_message is None
    assert Notification(2, 2, b"\x02hi").shutdown_message is None
    assert Notification(6, 2, b"\x02hi").shutdown_message == "hi"
    assert Notification(6, 2, b"\x02\xffi").shutdown_message == "\\xffi"


@pytest.mark.rfc("4271", "4.4", "pybgp.messages.keepalive:decode_keepalive", "a KEEPALIVE is its header")
def test_keepalive() -> None:
    assert encode_message(Keepalive(), CONTEXT) == b"\xff" * 16 + b"\0\x13\x04"
    assert decode_message(4, b"", CONTEXT) == Keepalive()
    with pytest.raises(BadMessageLength) as caught:
        decode_message(4, b"x", CONTEXT)
    assert caught.value.data == b"\0\x14"


@given(st.integers(0, 0xFFFF), octet, octet)
def test_route_refresh_round_trip(afi: int, safi: int, subtype: int) -> None:
    message = RouteRefresh(Family(afi, safi), subtype)
    assert decode_message(5, encode_message(message, CONTEXT)[19:], CONTEXT) == message


@pytest.mark.rfc("2918", "3", "pybgp.messages.route_refresh:encode_route_refresh", "octets of the message")
@pytest.mark.rfc("7313", "3.2", "pybgp.messages.route_refresh:encode_route_refresh", "the subtype in the third octet")
def test_route_refresh_octets() -> None:
    assert encode_message(RouteRefresh(IPV6_UNICAST, 1), CONTEXT)[19:] == b"\0\x02\x01\x01"


@pytest.mark.parametrize("body", [b"", b"\0\x01\0", b"\0\x01\x01\x01x", b"\0\x01\x02\x01x"])
@pytest.mark.rfc(
    "7313", "5", "pybgp.messages.route_refresh:decode_route_refresh", "a wrong length is answered with the message"
)
def test_route_refresh_of_a_wrong_length(body: bytes) -> None:
    """RFC 7313 section 5: the whole message is the data."""
    with pytest.raises(InvalidRouteRefreshLength) as caught:
        decode_message(5, body, CONTEXT)
    assert caught.value.data == frame(5, body)
    assert Framer().feed(frame(5, body)) == [(5, body)], "the header alone is no reason to refuse it"


def test_a_message_longer_than_the_session_allows() -> None:
    with pytest.raises(ValueError, match="the session allows 4096"):
        encode_message(Notification(6, 2, bytes(4100)), CONTEXT)
