"""ATOMIC_AGGREGATE (RFC 4271 5.1.6): its presence is its value, True."""

from pybgp.errors import AttributeLengthError
from pybgp.messages.attributes.base import WELL_KNOWN, Attribute, Outcome, accept_any
from pybgp.messages.context import CodecContext


def _decode(_value: bytes, _context: CodecContext) -> bool:
    return True


def _encode(value: bool, _context: CodecContext) -> bytes:
    if value is not True:
        raise ValueError("ATOMIC_AGGREGATE is True, or not there at all")
    return b""


def _from_json(value: object) -> bool:
    if value is not True:
        raise ValueError(f"atomic_aggregate is true, or left out, not {value!r}")
    return True


ATOMIC_AGGREGATE = Attribute(
    code=6,
    section="RFC 7606 7.6",
    name="atomic_aggregate",
    flags=WELL_KNOWN,
    decode=_decode,
    encode=_encode,
    to_json=bool,
    from_json=_from_json,
    length=0,
    check=accept_any,
    malformed=Outcome.ATTRIBUTE_DISCARD,
    error=AttributeLengthError,
)
