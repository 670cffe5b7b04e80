"""MP_UNREACH_NLRI (RFC 4760 section 4).  Without NLRI and alone it is an End-of-RIB marker (RFC 4724 section 2)."""

from typing import NamedTuple

from pybgp.family import Family
from pybgp.messages.attributes.base import OPTIONAL_NON_TRANSITIVE, Attribute, Malformed, Outcome
from pybgp.messages.attributes.mp_reach import family_from_json, family_to_json
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri import CODEC_OF, codec_of
from pybgp.messages.nlri.base import nlri_from_json, nlri_to_json


class MpUnreach(NamedTuple):
    """`nlri` is the field's octets, with path identifiers where `add_path`."""

    family: Family
    nlri: bytes
    add_path: bool = False


def _decode(value: bytes, context: CodecContext) -> MpUnreach:
    if len(value) < 3:
        raise Malformed(f"{len(value)} octets, at least 3 are needed (RFC 7606 5.3)")
    family = Family(value[0] << 8 | value[1], value[2])
    return MpUnreach(family, value[3:], family in context.add_path_receive)


def _encode(value: MpUnreach, _context: CodecContext) -> bytes:
    return value.family.afi.to_bytes(2, "big") + bytes((value.family.safi,)) + value.nlri


def _to_json(value: MpUnreach) -> object:
    nlri = nlri_to_json(CODEC_OF.get(value.family), value.nlri, value.add_path, withdrawn=True)
    return {**family_to_json(value.family), "nlri": nlri}


def _from_json(value: object) -> MpUnreach:
    if isinstance(value, MpUnreach):
        return value
    if not isinstance(value, dict) or not {"afi", "safi", "nlri"} <= set(value):
        raise ValueError(f'mp_unreach has "afi", "safi" and "nlri", this has not: {value!r}')
    family = family_from_json(value)
    return MpUnreach(family, nlri_from_json(codec_of(family), value["nlri"], withdrawn=True))


MP_UNREACH = Attribute(
    code=15,
    section="RFC 7606 7.12",
    name="mp_unreach",
    flags=OPTIONAL_NON_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=_to_json,
    from_json=_from_json,
    malformed=Outcome.SESSION_RESET,
)
