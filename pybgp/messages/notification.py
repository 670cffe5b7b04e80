"""NOTIFICATION (RFC 4271, section 4.5) and the text of a shutdown (RFC 9003)."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.errors import AdministrativeReset, AdministrativeShutdown, BadMessageLength, ProtocolError
from pybgp.messages.context import MAXIMUM_LENGTH
from pybgp.messages.framing import HEADER_LENGTH

_WITH_TEXT = ((6, AdministrativeShutdown.subcode), (6, AdministrativeReset.subcode))


@dataclass(frozen=True, slots=True)
class Notification:
    """Why the other side closes the session: `code`, `subcode` and `data` as on the wire."""

    code: int
    subcode: int
    data: bytes = b""

    @classmethod
    def of(cls, error: ProtocolError, maximum_length: int = MAXIMUM_LENGTH) -> Notification:
        """What is sent for an error on a session of this maximum length. Data that does not fit is cut: RFC 7313
        section 5 wants a whole message back, which may be as long as any, RFC 4271 section 6.3 a whole attribute."""
        return cls(error.code, error.subcode, error.data[: maximum_length - HEADER_LENGTH - 2])

    @classmethod
    def shutdown(cls, error: ProtocolError, text: str) -> Notification:
        """A Cease of Administrative Shutdown or Reset with words for the other operator (RFC 9003).

        Text over 255 octets of UTF-8 is cut between characters. Without text there is no data at all.
        """
        octets = text.encode("utf-8", "replace")[:255]
        octets = octets.decode("utf-8", "ignore").encode()
        return cls(error.code, error.subcode, bytes((len(octets),)) + octets if octets else b"")

    @property
    def error(self) -> ProtocolError:
        """The same as an exception, of the class that has these numbers."""
        return ProtocolError.make(self.code, self.subcode, self.data, self.shutdown_message or "")

    @property
    def shutdown_message(self) -> str | None:
        """The words of RFC 9003, or None. Octets that are no UTF-8 come as \\xNN."""
        if (self.code, self.subcode) not in _WITH_TEXT or not self.data:
            return None
        return self.data[1 : 1 + self.data[0]].decode("utf-8", "backslashreplace")


def decode_notification(body: bytes) -> Notification:
    """Raises BadMessageLength where code or subcode is missing."""
    if len(body) < 2:
        length = HEADER_LENGTH + len(body)
        raise BadMessageLength("a NOTIFICATION has a code and a subcode", length.to_bytes(2)).at(16)
    return Notification(body[0], body[1], body[2:])


def encode_notification(message: Notification) -> bytes:
    """The body."""
    return bytes((message.code, message.subcode)) + message.data
