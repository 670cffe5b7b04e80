"""ONLY_TO_CUSTOMER (RFC 9234 section 5): the AS that first told the route to a customer, a peer or an RS client."""

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, accept_any, decode_uint32, unsigned
from pybgp.messages.context import CodecContext


def _encode(value: int, _context: CodecContext) -> bytes:
    return unsigned(value, "an AS number").to_bytes(4, "big")


ONLY_TO_CUSTOMER = Attribute(
    code=35,
    section="RFC 9234 5",
    name="only_to_customer",
    flags=OPTIONAL_TRANSITIVE,
    decode=decode_uint32,
    encode=_encode,
    to_json=lambda value: value,
    from_json=lambda value: unsigned(value, "an AS number"),
    length=4,
    check=accept_any,
)
