"""Framing: RFC 4271 sections 4.1 and 6.1, RFC 8654."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp.errors import BadMessageLength, BadMessageType, ConnectionNotSynchronized, ProtocolError
from pybgp.messages.framing import MARKER, Framer, MessageType, frame

KEEPALIVE = frame(MessageType.KEEPALIVE, b"")
bodies = st.binary(min_size=4, max_size=200)


@given(st.lists(bodies, max_size=8), st.data())
@pytest.mark.rfc("4271", "4.1", "pybgp.messages.framing:Framer.feed", "messages are found wherever TCP cuts the stream")
def test_cut_anywhere_the_messages_are_the_same(contents: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(MessageType.UPDATE, body) for body in contents)
    framer, seen = Framer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        seen += framer.feed(stream[:size])
        stream = stream[size:]
    assert seen == [(MessageType.UPDATE, body) for body in contents]
    assert framer.error is None


def test_octet_by_octet() -> None:
    framer = Framer()
    stream = frame(2, b"\0\0\0\0") + KEEPALIVE
    answers = [framer.feed(stream[i : i + 1]) for i in range(len(stream))]
    assert [i for i, answer in enumerate(answers) if answer] == [22, 41]
    assert answers[22] == [(2, b"\0\0\0\0")]
    assert answers[41] == [(4, b"")]


@pytest.mark.parametrize(
    ("header", "error", "data"),
    [
        (b"\0" + MARKER[1:] + b"\0\x13\x04", ConnectionNotSynchronized, b""),
        (MARKER + b"\0\x12\x04", BadMessageLength, b"\0\x12"),
        (MARKER + b"\x10\x01\x02", BadMessageLength, b"\x10\x01"),
        (MARKER + b"\0\x1c\x01", BadMessageLength, b"\0\x1c"),
        (MARKER + b"\0\x16\x02", BadMessageLength, b"\0\x16"),
        (MARKER + b"\0\x14\x03", BadMessageLength, b"\0\x14"),
        (MARKER + b"\0\x14\x04", BadMessageLength, b"\0\x14"),
        (MARKER + b"\0\x13\x00", BadMessageType, b"\0"),
        (MARKER + b"\0\x13\x06", BadMessageType, b"\x06"),
        (MARKER + b"\0\x13\xff", BadMessageType, b"\xff"),
    ],
)
@pytest.mark.rfc(
    "4271",
    "6.1",
    "pybgp.messages.framing:Framer.feed",
    "marker, length and type, with the data octets of the NOTIFICATION",
)
def test_a_wrong_header_ends_the_stream(header: bytes, error: type[ProtocolError], data: bytes) -> None:
    """What came before it comes out; the header is enough, its body need not have come."""
    framer = Framer()
    assert framer.feed(KEEPALIVE + header) == [(4, b"")]
    assert type(framer.error) is error
    assert framer.error.data == data
    assert framer.offending == header
    assert framer.feed(KEEPALIVE) == []


@pytest.mark.rfc(
    "8654", "4", "pybgp.messages.framing:Framer.feed", "long messages where they were negotiated, and not before"
)
@pytest.mark.rfc("8654", "5", "pybgp.messages.framing:header_error", "too long is Bad Message Length")
def test_extended_messages() -> None:
    big = frame(MessageType.UPDATE, bytes(5000))
    refused, taken = Framer(), Framer(65535)
    assert refused.feed(big) == []
    assert refused.error == BadMessageLength(data=(5019).to_bytes(2))
    assert taken.feed(big) == [(2, bytes(5000))]


@pytest.mark.parametrize("kind", [MessageType.OPEN, MessageType.KEEPALIVE])
@pytest.mark.rfc("8654", "4", "pybgp.messages.framing:Framer.feed", "OPEN and KEEPALIVE are never extended")
def test_some_messages_are_never_extended(kind: MessageType) -> None:
    """RFC 8654 section 4."""
    framer = Framer(65535)
    framer.feed(frame(kind, bytes(4078)))
    assert framer.error == BadMessageLength(data=(4097).to_bytes(2))


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_octets_are_messages_or_one_error(chunks: list[bytes]) -> None:
    framer = Framer()
    seen = [message for chunk in chunks for message in framer.feed(chunk)]
    if framer.error is not None:
        assert (framer.error.code, framer.error.subcode) in {(1, 1), (1, 2), (1, 3)}
    assert b"".join(frame(*message) for message in seen) == b"".join(chunks)[: sum(19 + len(b) for _, b in seen)]
