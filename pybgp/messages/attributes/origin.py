"""ORIGIN (RFC 4271 5.1.1)."""

from enum import IntEnum

from pybgp.errors import InvalidOrigin
from pybgp.messages.attributes.base import WELL_KNOWN, Attribute, Malformed
from pybgp.messages.context import CodecContext


class Origin(IntEnum):
    IGP = 0
    EGP = 1
    INCOMPLETE = 2


def _check(value: bytes, _context: CodecContext) -> None:
    if value[0] > 2:
        raise Malformed(f"undefined ORIGIN {value[0]}")


def _decode(value: bytes, context: CodecContext) -> Origin:
    _check(value, context)
    return Origin(value[0])


def _encode(value: Origin, _context: CodecContext) -> bytes:
    return bytes((Origin(value),))


def _from_json(value: object) -> Origin:
    if isinstance(value, str) and value.upper() in Origin.__members__:
        return Origin[value.upper()]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2:
        return Origin(value)
    raise ValueError(f'an origin is "igp", "egp" or "incomplete", not {value!r}')


ORIGIN = Attribute(
    code=1,
    section="RFC 7606 7.1",
    name="origin",
    flags=WELL_KNOWN,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: value.name.lower(),
    from_json=_from_json,
    length=1,
    check=_check,
    error=InvalidOrigin,
    pattern=rb"[\0-\2]",
)
