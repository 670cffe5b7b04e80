"""ORIGINATOR_ID (RFC 4456 section 8): the BGP Identifier of the route's originator in the local AS."""

from pybgp.messages.attributes.base import OPTIONAL_NON_TRANSITIVE, Attribute, accept_any, decode_uint32, unsigned
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address


def format_identifier(value: int) -> str:
    """A 32-bit identifier as BGP people write it, 192.0.2.1."""
    return format_address(value.to_bytes(4, "big"))


def parse_identifier(value: object, what: str) -> int:
    """An integer or a dotted quad; ValueError otherwise."""
    if isinstance(value, str):
        raw = pack_address(value)
        if len(raw) == 4:
            return int.from_bytes(raw, "big")
        raise ValueError(f"{what} is four octets like 192.0.2.1, not {value!r}")
    return unsigned(value, what)


def _encode(value: int, _context: CodecContext) -> bytes:
    return unsigned(value, "an originator id").to_bytes(4, "big")


ORIGINATOR_ID = Attribute(
    code=9,
    section="RFC 7606 7.9",
    name="originator_id",
    flags=OPTIONAL_NON_TRANSITIVE,
    decode=decode_uint32,
    encode=_encode,
    to_json=format_identifier,
    from_json=lambda value: parse_identifier(value, "an originator id"),
    length=4,
    check=accept_any,
    from_external=False,
)
