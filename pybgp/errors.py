"""What can go wrong, as exceptions; each NOTIFICATION code and subcode is a class.

Codes: RFC 4271 section 4.5 and 6, RFC 4486 and 8538 (Cease), RFC 6608 (FSM), RFC 7313 (ROUTE-REFRESH), RFC 9234 (Role
Mismatch), RFC 9384 (BFD Down), RFC 9687 (Send Hold Timer).
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+")


class BGPError(Exception):
    """Everything that this library raises on purpose."""


class ConfigurationError(BGPError, ValueError):
    """A value that was configured cannot be; the text names the field and the value."""


class SessionClosed(BGPError):
    """The session that was waited for or used is closed; `__cause__` is the ProtocolError where there was one."""


class ProtocolError(BGPError):
    """An error that RFC 4271 answers with a NOTIFICATION of `code` and `subcode` carrying `data`.

    reason: words for people. offset: of the fault, in octets from the start of the message (its marker), None where
    that is not known. section: the sentence that was offended against, such as "RFC 7606 7.1". Two errors are equal
    when code, subcode and data are.
    """

    code: ClassVar[int] = 0
    by_code: ClassVar[dict[tuple[int, int], type[ProtocolError]]] = {}
    subcode: int = 0
    section: str = ""
    offset: int | None = None

    def __init_subclass__(cls, code: int | None = None, subcode: int = 0) -> None:
        """Enter the class under its numbers. Raises TypeError where another class has them already."""
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        cls.subcode = subcode
        if code is None and not subcode:
            return
        key = (cls.code, subcode)
        if key in ProtocolError.by_code:
            raise TypeError(f"{cls.__name__} and {ProtocolError.by_code[key].__name__} share code {key}")
        ProtocolError.by_code[key] = cls

    def __init__(self, reason: str = "", data: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data

    def at(self, offset: int, section: str = "") -> Self:
        """The same error, with its place in the message; `section` where it is not the usual one of the class."""
        self.offset = offset
        if section:
            self.section = section
        return self

    @classmethod
    def make(cls, code: int, subcode: int, data: bytes = b"", reason: str = "") -> ProtocolError:
        """The error of these numbers: its own class, else the class of the code, else a plain ProtocolError."""
        known = cls.by_code.get((code, subcode))
        if known is not None:
            return known(reason, data)
        error = cls.by_code.get((code, 0), ProtocolError)(reason, data)
        error.subcode = subcode
        if error.code != code:
            error = _Unassigned(reason, data)
            error.code, error.subcode = code, subcode  # type: ignore[misc]
        return error

    @property
    def name(self) -> str:
        """Words of the class: "Bad Peer AS"."""
        return " ".join(_WORDS.findall(type(self).__name__))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProtocolError):
            return NotImplemented
        return (self.code, self.subcode, self.data) == (other.code, other.subcode, other.data)

    def __hash__(self) -> int:
        return hash((self.code, self.subcode, self.data))

    def __str__(self) -> str:
        """One line: a reason may be the peer's own words (RFC 9003), so what does not print comes as \\xNN."""
        numbers = f"{self.code}/{self.subcode}"
        if not self.reason:
            return f"{self.name} ({numbers})"
        reason = self.reason
        if not reason.isprintable():
            reason = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason)
        return f"{self.name} ({numbers}): {reason}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r}, {self.data!r})"


class _Unassigned(ProtocolError):
    """A code that no RFC assigns here; both numbers are kept."""


class MessageHeaderError(ProtocolError, code=1):
    section = "RFC 4271 6.1"


class ConnectionNotSynchronized(MessageHeaderError, subcode=1): ...


class BadMessageLength(MessageHeaderError, subcode=2): ...


class BadMessageType(MessageHeaderError, subcode=3): ...


class OpenMessageError(ProtocolError, code=2):
    section = "RFC 4271 6.2"


class UnsupportedVersionNumber(OpenMessageError, subcode=1): ...


class BadPeerAS(OpenMessageError, subcode=2): ...


class BadBGPIdentifier(OpenMessageError, subcode=3): ...


class UnsupportedOptionalParameter(OpenMessageError, subcode=4): ...


class UnacceptableHoldTime(OpenMessageError, subcode=6): ...


class UnsupportedCapability(OpenMessageError, subcode=7): ...


class RoleMismatch(OpenMessageError, subcode=11):
    section = "RFC 9234 4.2"


class UpdateMessageError(ProtocolError, code=3):
    section = "RFC 4271 6.3"


class MalformedAttributeList(UpdateMessageError, subcode=1): ...


class UnrecognizedWellKnownAttribute(UpdateMessageError, subcode=2): ...


class MissingWellKnownAttribute(UpdateMessageError, subcode=3): ...


class AttributeFlagsError(UpdateMessageError, subcode=4): ...


class AttributeLengthError(UpdateMessageError, subcode=5): ...


class InvalidOrigin(UpdateMessageError, subcode=6): ...


class InvalidNextHop(UpdateMessageError, subcode=8): ...


class OptionalAttributeError(UpdateMessageError, subcode=9): ...


class InvalidNetworkField(UpdateMessageError, subcode=10): ...


class MalformedASPath(UpdateMessageError, subcode=11): ...


class HoldTimerExpired(ProtocolError, code=4):
    section = "RFC 4271 6.5"


class FSMError(ProtocolError, code=5):
    section = "RFC 4271 6.6"


class UnexpectedMessageInOpenSent(FSMError, subcode=1): ...


class UnexpectedMessageInOpenConfirm(FSMError, subcode=2): ...


class UnexpectedMessageInEstablished(FSMError, subcode=3): ...


class Cease(ProtocolError, code=6): ...


class MaximumPrefixes(Cease, subcode=1): ...


class AdministrativeShutdown(Cease, subcode=2): ...


class PeerDeconfigured(Cease, subcode=3): ...


class AdministrativeReset(Cease, subcode=4): ...


class ConnectionRejected(Cease, subcode=5): ...


class OtherConfigurationChange(Cease, subcode=6): ...


class ConnectionCollisionResolution(Cease, subcode=7): ...


class OutOfResources(Cease, subcode=8): ...


class HardReset(Cease, subcode=9): ...


class BFDDown(Cease, subcode=10): ...


class RouteRefreshError(ProtocolError, code=7):
    section = "RFC 7313 5"


class InvalidRouteRefreshLength(RouteRefreshError, subcode=1): ...


class SendHoldTimerExpired(ProtocolError, code=8): ...
