"""AGGREGATOR (RFC 4271 5.1.7, RFC 6793): the AS number has 2 or 4 octets, as the session has it."""

from typing import NamedTuple

from pybgp.errors import AttributeLengthError
from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, Outcome, unsigned
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address


class Aggregator(NamedTuple):
    """The AS that formed the aggregate, and the BGP speaker's IPv4 address as 4 octets."""

    asn: int
    address: bytes


def decode_aggregator(value: bytes, context: CodecContext) -> Aggregator:
    expected = 8 if context.four_octet_as else 6
    if len(value) != expected:
        raise Malformed(f"{len(value)} octets where {expected} are expected", AttributeLengthError)
    asn = int.from_bytes(value[:-4], "big")
    if asn == 0:
        raise Malformed("AS 0 (RFC 7607)")
    return Aggregator(asn, value[-4:])


def _encode(value: Aggregator, context: CodecContext) -> bytes:
    asn, address = value
    unsigned(asn, "the AS of an aggregator", 0xFFFFFFFF if context.four_octet_as else 0xFFFF)
    if len(address) != 4:
        raise ValueError(f"the address of an aggregator has 4 octets, not {len(address)}")
    return asn.to_bytes(4 if context.four_octet_as else 2, "big") + address


def aggregator_to_json(value: Aggregator) -> object:
    return {"asn": value.asn, "address": format_address(value.address)}


def aggregator_from_json(value: object) -> Aggregator:
    """{"asn": 65000, "address": "192.0.2.1"}, or the pair."""
    if isinstance(value, dict) and set(value) == {"asn", "address"}:
        asn, address = value["asn"], value["address"]
    elif isinstance(value, tuple | list) and len(value) == 2:
        asn, address = value
    else:
        raise ValueError(f'an aggregator is {{"asn": …, "address": …}}, not {value!r}')
    raw = pack_address(address) if isinstance(address, str) else address
    if not isinstance(raw, bytes) or len(raw) != 4:
        raise ValueError(f"the address of an aggregator is an IPv4 address, not {address!r}")
    return Aggregator(unsigned(asn, "the AS of an aggregator"), raw)


AGGREGATOR = Attribute(
    code=7,
    section="RFC 7606 7.7",
    name="aggregator",
    flags=OPTIONAL_TRANSITIVE,
    decode=decode_aggregator,
    encode=_encode,
    to_json=aggregator_to_json,
    from_json=aggregator_from_json,
    malformed=Outcome.ATTRIBUTE_DISCARD,
    pattern=rb"\x08(?!\0{4}).{8}",
)
