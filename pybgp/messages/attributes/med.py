"""MULTI_EXIT_DISC (RFC 4271 5.1.4)."""

from pybgp.messages.attributes.base import OPTIONAL_NON_TRANSITIVE, Attribute, accept_any, decode_uint32, unsigned
from pybgp.messages.context import CodecContext


def _encode(value: int, _context: CodecContext) -> bytes:
    return unsigned(value, "a MED").to_bytes(4, "big")


MED = Attribute(
    code=4,
    section="RFC 7606 7.4",
    name="med",
    flags=OPTIONAL_NON_TRANSITIVE,
    decode=decode_uint32,
    encode=_encode,
    to_json=int,
    from_json=lambda value: unsigned(value, "a MED"),
    length=4,
    check=accept_any,
)
