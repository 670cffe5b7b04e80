"""Errors and the numbers of NOTIFICATION: RFC 4271 sections 4.5 and 6, and the RFCs that added to them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp import errors
from pybgp.errors import BGPError, Cease, ConfigurationError, OpenMessageError, ProtocolError, SessionClosed

octet = st.integers(0, 255)

# Typed from the IANA registry "BGP Error (Notification) Codes" and the subcodes beside it.
ASSIGNED = {
    (1, 0): "MessageHeaderError",
    (1, 1): "ConnectionNotSynchronized",
    (1, 2): "BadMessageLength",
    (1, 3): "BadMessageType",
    (2, 0): "OpenMessageError",
    (2, 1): "UnsupportedVersionNumber",
    (2, 2): "BadPeerAS",
    (2, 3): "BadBGPIdentifier",
    (2, 4): "UnsupportedOptionalParameter",
    (2, 6): "UnacceptableHoldTime",
    (2, 7): "UnsupportedCapability",
    (2, 11): "RoleMismatch",
    (3, 0): "UpdateMessageError",
    (3, 1): "MalformedAttributeList",
    (3, 2): "UnrecognizedWellKnownAttribute",
    (3, 3): "MissingWellKnownAttribute",
    (3, 4): "AttributeFlagsError",
    (3, 5): "AttributeLengthError",
    (3, 6): "InvalidOrigin",
    (3, 8): "InvalidNextHop",
    (3, 9): "OptionalAttributeError",
    (3, 10): "InvalidNetworkField",
    (3, 11): "MalformedASPath",
    (4, 0): "HoldTimerExpired",
    (5, 0): "FSMError",
    (5, 1): "UnexpectedMessageInOpenSent",
    (5, 2): "UnexpectedMessageInOpenConfirm",
    (5, 3): "UnexpectedMessageInEstablished",
    (6, 0): "Cease",
    (6, 1): "MaximumPrefixes",
    (6, 2): "AdministrativeShutdown",
    (6, 3): "PeerDeconfigured",
    (6, 4): "AdministrativeReset",
    (6, 5): "ConnectionRejected",
    (6, 6): "OtherConfigurationChange",
    (6, 7): "ConnectionCollisionResolution",
    (6, 8): "OutOfResources",
    (6, 9): "HardReset",
    (6, 10): "BFDDown",
    (7, 0): "RouteRefreshError",
    (7, 1): "InvalidRouteRefreshLength",
    (8, 0): "SendHoldTimerExpired",
}


def test_each_number_has_its_class() -> None:
    assert {numbers: cls.__name__ for numbers, cls in ProtocolError.by_code.items()} == ASSIGNED


@pytest.mark.parametrize(("code", "subcode"), ASSIGNED)
def test_a_class_knows_its_numbers(code: int, subcode: int) -> None:
    error = ProtocolError.make(code, subcode, b"\x01", "why")
    assert type(error).__name__ == ASSIGNED[code, subcode]
    assert (error.code, error.subcode, error.data, error.reason) == (code, subcode, b"\x01", "why")
    assert isinstance(error, getattr(errors, ASSIGNED[code, 0])), "a subcode is a kind of its code"


@given(octet, octet, st.binary(max_size=4))
def test_any_numbers_make_an_error(code: int, subcode: int, data: bytes) -> None:
    error = ProtocolError.make(code, subcode, data)
    assert (error.code, error.subcode, error.data) == (code, subcode, data)
    family = getattr(errors, ASSIGNED.get((code, 0), "ProtocolError"))
    assert isinstance(error, family)
    again = ProtocolError.make(code, subcode, data, "other words")
    assert again == error
    assert hash(again) == hash(error)
    copied = pickle.loads(pickle.dumps(error))
    assert (copied, copied.reason) == (error, error.reason)


def test_making_one_changes_no_other() -> None:
    ProtocolError.make(6, 77)
    ProtocolError.make(99, 3)
    assert (Cease().code, Cease().subcode) == (6, 0)
    assert (ProtocolError.code, ProtocolError.subcode) == (0, 0)


def test_equality_is_what_is_sent() -> None:
    assert OpenMessageError("a") == OpenMessageError("b")
    assert OpenMessageError(data=b"a") != OpenMessageError(data=b"b")
    assert ProtocolError.make(2, 1) != ProtocolError.make(2, 2)
    assert OpenMessageError() != "OpenMessageError"


@pytest.mark.parametrize(
    ("code", "subcode", "words"),
    [
        (2, 2, "Bad Peer AS (2/2)"),
        (2, 3, "Bad BGP Identifier (2/3)"),
        (3, 11, "Malformed AS Path (3/11)"),
        (5, 0, "FSM Error (5/0)"),
        (6, 10, "BFD Down (6/10)"),
        (6, 99, "Cease (6/99)"),
        (99, 1, "Unassigned (99/1)"),
    ],
)
def test_words(code: int, subcode: int, words: str) -> None:
    assert str(ProtocolError.make(code, subcode)) == words
    assert str(ProtocolError.make(code, subcode, reason="it is so")) == f"{words}: it is so"


@given(st.text(max_size=30))
def test_words_are_one_printable_line(reason: str) -> None:
    """They go to logs and terminals, and a peer chooses some of them."""
    text = str(ProtocolError.make(6, 2, reason=reason))
    assert text.isprintable()
    assert reason in text or not reason.isprintable()


def test_what_a_peer_says_forges_no_line() -> None:
    text = str(ProtocolError.make(6, 2, reason="bye\n192.0.2.1 up \x1b[2J\u202e"))
    assert text == "Administrative Shutdown (6/2): bye\\n192.0.2.1 up \\x1b[2J\\u202e"


def test_kinds() -> None:
    assert issubclass(ConfigurationError, ValueError)
    assert all(issubclass(cls, BGPError) for cls in (ConfigurationError, SessionClosed, ProtocolError))
