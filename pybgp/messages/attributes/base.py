"""What a path attribute is: one row, `Attribute(...)`, and the words of RFC 7606 for what can be wrong with it.

A row is data (code, flags, length, what a malformed one means) and a few small functions.  The block loop
(`codec.py`) does everything that is the same for all: lengths, flags, duplicates, order, outcomes.  A row is
also the typed key into `PathAttributes`: `attributes[MED]` is an int.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Generic, NamedTuple, TypeVar

from pybgp.errors import OptionalAttributeError, ProtocolError
from pybgp.messages.context import CodecContext

T = TypeVar("T")


class Flag(IntFlag):
    """Attribute Flags octet (RFC 4271 4.3)."""

    OPTIONAL = 0x80
    TRANSITIVE = 0x40
    PARTIAL = 0x20
    EXTENDED_LENGTH = 0x10


WELL_KNOWN = int(Flag.TRANSITIVE)
OPTIONAL_TRANSITIVE = int(Flag.OPTIONAL | Flag.TRANSITIVE)
OPTIONAL_NON_TRANSITIVE = int(Flag.OPTIONAL)


class Outcome(IntEnum):
    """What an error means (RFC 7606 section 2), weakest first: the strongest one of an UPDATE counts (3.h).

    AFI_SAFI_DISABLE is used for a family that the session did not negotiate: its routes are left out of the
    `Update`, so nothing more has to be done.
    """

    def __str__(self) -> str:
        return "AFI/SAFI disable" if self is Outcome.AFI_SAFI_DISABLE else self.name.lower().replace("_", " ")

    OK = 0
    ATTRIBUTE_DISCARD = 1
    TREAT_AS_WITHDRAW = 2
    AFI_SAFI_DISABLE = 3
    SESSION_RESET = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that was wrong with an UPDATE, as a value.

    `attribute` is the type code (0: no attribute), `error` what RFC 4271 section 6.3 would have sent for it.
    """

    outcome: Outcome
    attribute: int
    reason: str
    error: ProtocolError

    @property
    def offset(self) -> int | None:
        """Where it is, in octets from the start of the message."""
        return self.error.offset

    @property
    def section(self) -> str:
        """The section of the RFC that it offends."""
        return self.error.section


class Malformed(Exception):
    """Raised by the functions of a row, and by nothing else: the value is malformed, and why.

    `error` is the class of RFC 4271 error, where it is not the row's usual one.
    """

    def __init__(self, reason: str, error: type[ProtocolError] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error


class RawAttribute(NamedTuple):
    """One attribute as it was on the wire: `flags` with the Partial and Extended Length bits it had."""

    flags: int
    code: int
    value: bytes

    def encode(self) -> bytes:
        """The same octets again; ValueError where they cannot be."""
        if self.flags & Flag.EXTENDED_LENGTH:
            if len(self.value) > 0xFFFF:
                raise ValueError(f"attribute {self.code}: {len(self.value)} octets do not fit, 65535 do")
            return bytes((self.flags, self.code)) + len(self.value).to_bytes(2, "big") + self.value
        if len(self.value) > 0xFF:
            raise ValueError(
                f"attribute {self.code}: {len(self.value)} octets need the Extended Length bit (0x10) in the flags"
            )
        return bytes((self.flags, self.code, len(self.value))) + self.value


def accept_any(_value: bytes, _context: CodecContext) -> None:
    """The `check` of a row whose length says everything."""


@dataclass(frozen=True, eq=False, slots=True)
class Attribute(Generic[T]):
    """One row of the table of path attributes.

    decode      octets that have the `length`, or are a `multiple`, to a value; raises `Malformed`, nothing else
    encode      value to octets; ValueError for a value that cannot be encoded.  Gives back the same octets
                for what `decode` made, in the same context
    to_json, from_json   value to plain JSON and back.  `from_json` also takes the value itself, and text or
                numbers where those say it all ("65000:100"); ValueError says what is wrong
    flags       the Optional and Transitive bits it must have
    length      its one length in octets; `multiple`: a non-zero multiple of this (else `check` decides)
    check       validates without building the value, on arrival; None: `decode` is the check
    malformed   the outcome for a bad flag, length or value (RFC 7606 section 7)
    error       the RFC 4271 error for a bad value
    pattern     regular expression of values (with the length octet before them where `length` is None) that are
                valid without a closer look; needed beside a `check` of its own to be on the quick way (`quick.py`)
    plain       the whole attribute of an everyday value in one step; no octets where it takes a closer look
    section     of the RFC that says what a malformed one means
    from_external    False: discarded when an external peer sent it (RFC 7606 7.5, 7.9, 7.10)
    from_new_speaker False: discarded on a session with 4-octet AS numbers (RFC 6793 4.1)
    """

    code: int
    name: str
    flags: int
    decode: Callable[[bytes, CodecContext], T]
    encode: Callable[[T, CodecContext], bytes]
    to_json: Callable[[T], object]
    from_json: Callable[[object], T]
    length: int | None = None
    multiple: int | None = None
    check: Callable[[bytes, CodecContext], object] | None = None
    malformed: Outcome = Outcome.TREAT_AS_WITHDRAW
    error: type[ProtocolError] = OptionalAttributeError
    pattern: bytes | None = None
    plain: Callable[[object], bytes] | None = None
    section: str = "RFC 4271 6.3"
    from_external: bool = True
    from_new_speaker: bool = True

    def __repr__(self) -> str:
        return f"<Attribute {self.code} {self.name}>"


def encode_tlv(flags: int, code: int, value: bytes) -> bytes:
    """One attribute in its shortest form; ValueError when the value has more than 65535 octets."""
    size = len(value)
    if size <= 0xFF:
        return bytes((flags & ~0x10, code, size)) + value
    if size > 0xFFFF:
        raise ValueError(f"attribute {code}: {size} octets do not fit, 65535 do")
    return bytes((flags | 0x10, code, size >> 8, size & 0xFF)) + value


def unsigned(value: object, what: str, maximum: int = 0xFFFFFFFF) -> int:
    """`value` when it is an integer in range, else ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise ValueError(f"{what} is an integer from 0 to {maximum}, not {value!r}")
    return int(value)


def decode_uint32(value: bytes, _context: CodecContext) -> int:
    return int.from_bytes(value, "big")
