"""Message framing: a stream of octets in, whole messages out (RFC 4271, sections 4.1 and 6.1)."""

from __future__ import annotations

import struct
from enum import IntEnum

from pybgp.errors import BadMessageLength, BadMessageType, ConnectionNotSynchronized, ProtocolError
from pybgp.messages.context import MAXIMUM_LENGTH

MARKER = b"\xff" * 16
HEADER_LENGTH = 19
_LENGTH_AT, _TYPE_AT = 16, 18  # offsets in the header
_HEADER = struct.Struct("!16sHB")


class MessageType(IntEnum):
    """Message type codes (RFC 4271, section 4.1; RFC 2918, section 3)."""

    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


MINIMUM_LENGTH = {
    MessageType.OPEN: 29,
    MessageType.UPDATE: 23,
    MessageType.NOTIFICATION: 21,
    MessageType.KEEPALIVE: 19,
    MessageType.ROUTE_REFRESH: HEADER_LENGTH,  # 23, but RFC 7313 section 5 has an error of its own for that
}
_NEVER_EXTENDED = (MessageType.OPEN, MessageType.KEEPALIVE)  # RFC 8654, section 4


def header_error(marker: bytes, length: int, kind: int, maximum_length: int) -> ProtocolError | None:
    """What RFC 4271 section 6.1 finds wrong with a header; None where nothing is."""
    if marker != MARKER:
        return ConnectionNotSynchronized("the marker is not all ones").at(len(marker) - len(marker.lstrip(b"\xff")))
    bad_length = struct.pack("!H", length)
    if not HEADER_LENGTH <= length <= maximum_length:
        return BadMessageLength(f"length {length} is not within {HEADER_LENGTH} and {maximum_length}", bad_length).at(
            _LENGTH_AT
        )
    minimum = MINIMUM_LENGTH.get(kind)  # type: ignore[call-overload]
    if minimum is None:
        return BadMessageType(f"no message has type {kind}", bytes((kind,))).at(_TYPE_AT)
    name = MessageType(kind).name
    if length < minimum or (kind == MessageType.KEEPALIVE and length != minimum):
        return BadMessageLength(f"{length} octets are no {name}", bad_length).at(_LENGTH_AT)
    if length > MAXIMUM_LENGTH and kind in _NEVER_EXTENDED:
        return BadMessageLength(f"{length} octets are too many for {name}", bad_length).at(_LENGTH_AT, "RFC 8654 4")
    return None


def frame(kind: int, body: bytes) -> bytes:
    """A whole message: the header and the body."""
    return _HEADER.pack(MARKER, HEADER_LENGTH + len(body), kind) + body


class Framer:
    """Cuts what a TCP connection delivers into messages; linear in its input however that is cut.

    maximum_length: octets that a message may have, header included; raise it to 65535 once RFC 8654 is negotiated.
    error: set when a header is wrong. The messages before it were returned; nothing comes after.
    """

    def __init__(self, maximum_length: int = MAXIMUM_LENGTH) -> None:
        self.maximum_length = maximum_length
        self.error: ProtocolError | None = None
        self.offending = b""  # the octets of the header that was wrong
        self._chunks: list[bytes] = []
        self._held = 0
        self._needed = HEADER_LENGTH

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[int, bytes]]:
        """The messages that are complete now, each as (type, body)."""
        if self.error is not None:
            return []
        self._chunks.append(bytes(data))
        self._held += len(data)
        if self._held < self._needed:
            return []
        buffer = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        messages: list[tuple[int, bytes]] = []
        end, start, needed = len(buffer), 0, HEADER_LENGTH
        while end - start >= HEADER_LENGTH:
            marker, length, kind = _HEADER.unpack_from(buffer, start)
            error = None
            if marker != MARKER or kind != MessageType.UPDATE or not 23 <= length <= self.maximum_length:
                error = header_error(marker, length, kind, self.maximum_length)
            if error is not None:
                self.error, self.offending = error, buffer[start : start + max(HEADER_LENGTH, min(length, end - start))]
                start = end
                break
            if end - start < length:
                needed = length
                break
            messages.append((kind, buffer[start + HEADER_LENGTH : start + length]))
            start += length
        self._chunks = [buffer[start:]] if start < end else []
        self._held, self._needed = end - start, needed
        return messages
