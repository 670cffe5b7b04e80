"""LOCAL_PREF (RFC 4271 5.1.5): between internal peers only; from an external one it is discarded (RFC 7606 7.5)."""

from pybgp.errors import AttributeLengthError
from pybgp.messages.attributes.base import WELL_KNOWN, Attribute, accept_any, decode_uint32, unsigned
from pybgp.messages.context import CodecContext


def _encode(value: int, _context: CodecContext) -> bytes:
    return unsigned(value, "a LOCAL_PREF").to_bytes(4, "big")


LOCAL_PREF = Attribute(
    code=5,
    section="RFC 7606 7.5",
    name="local_pref",
    flags=WELL_KNOWN,
    decode=decode_uint32,
    encode=_encode,
    to_json=int,
    from_json=lambda value: unsigned(value, "a LOCAL_PREF"),
    length=4,
    check=accept_any,
    error=AttributeLengthError,
    from_external=False,
)
