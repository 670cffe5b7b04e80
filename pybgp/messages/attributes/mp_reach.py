"""MP_REACH_NLRI (RFC 4760 section 3), next hops of IPv6 (RFC 2545) and of IPv4 over IPv6 (RFC 8950).

The value keeps the octets of its fields: whether the family was negotiated, its next-hop lengths and its NLRI
are looked at when the whole UPDATE is decoded.
"""

from typing import NamedTuple

from pybgp.family import Family
from pybgp.messages.attributes.base import OPTIONAL_NON_TRANSITIVE, Attribute, Malformed, Outcome, unsigned
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF, codec_of
from pybgp.messages.nlri.base import nlri_from_json, nlri_to_json
from pybgp.prefix import format_address, pack_address


class MpReach(NamedTuple):
    """`nlri` is the field's octets, with path identifiers where `add_path`; `reserved` is the octet before it."""

    family: Family
    next_hop: bytes
    nlri: bytes
    reserved: int = 0
    add_path: bool = False


def _decode(value: bytes, context: CodecContext) -> MpReach:
    if len(value) < 5:
        raise Malformed(f"{len(value)} octets, at least 5 are needed (RFC 7606 5.3)")
    family = Family(value[0] << 8 | value[1], value[2])
    stop = 4 + value[3]
    if stop >= len(value):
        raise Malformed(f"a next hop of {value[3]} octets runs over the end of the attribute")
    return MpReach(family, value[4:stop], value[stop + 1 :], value[stop], family in context.add_path_receive)


def _encode(value: MpReach, _context: CodecContext) -> bytes:
    return mp_reach_head(value.family, value.next_hop) + bytes((value.reserved,)) + value.nlri


def mp_reach_head(family: Family, next_hop: bytes) -> bytes:
    """Family and next hop, up to the reserved octet."""
    if len(next_hop) > 255:
        raise ValueError(f"a next hop of {len(next_hop)} octets does not fit, 255 do")
    return family.afi.to_bytes(2, "big") + bytes((family.safi, len(next_hop))) + next_hop


def family_to_json(family: Family) -> dict[str, object]:
    return {"afi": family.afi, "safi": family.safi}


def family_from_json(value: dict[str, object]) -> Family:
    return Family(unsigned(value["afi"], "an AFI", 0xFFFF), unsigned(value["safi"], "a SAFI", 0xFF))


def _to_json(value: MpReach) -> object:
    next_hop = value.next_hop
    addresses: object
    if len(next_hop) in (4, 16):
        addresses = [format_address(next_hop)]
    elif len(next_hop) == 32:
        addresses = [format_address(next_hop[:16]), format_address(next_hop[16:])]
    else:
        addresses = next_hop.hex()
    result = {
        **family_to_json(value.family),
        "next_hop": addresses,
        "nlri": nlri_to_json(CODEC_OF.get(value.family), value.nlri, value.add_path),
    }
    if value.reserved:
        result["reserved"] = value.reserved
    return result


def _from_json(value: object) -> MpReach:
    if isinstance(value, MpReach):
        return value
    if not isinstance(value, dict) or not {"afi", "safi", "next_hop", "nlri"} <= set(value):
        raise ValueError(f'mp_reach has "afi", "safi", "next_hop" and "nlri", this has not: {value!r}')
    next_hop = value["next_hop"]
    try:
        if isinstance(next_hop, str):
            raw = bytes.fromhex(next_hop)
        else:
            raw = b"".join(pack_address(address) for address in next_hop)
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"next_hop is a list of addresses or hexadecimal digits, not {next_hop!r}") from None
    family = family_from_json(value)
    return MpReach(
        family=family,
        next_hop=raw,
        nlri=nlri_from_json(codec_of(family), value["nlri"]),
        reserved=unsigned(value.get("reserved", 0), "the reserved octet", 0xFF),
    )


MP_REACH = Attribute(
    code=14,
    section="RFC 7606 7.11",
    name="mp_reach",
    flags=OPTIONAL_NON_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=_to_json,
    from_json=_from_json,
    # "session reset" is what RFC 7606 7.11 asks for, and what RFC 4760 section 7 permits.
    malformed=Outcome.SESSION_RESET,
)
