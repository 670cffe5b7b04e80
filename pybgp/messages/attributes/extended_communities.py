"""EXTENDED COMMUNITIES (RFC 4360, RFC 5668): eight octets each.

In text: "rt:65000:100" and "soo:65000:100" with a 2-octet AS, "rt:192.0.2.1:100" with an address,
"rt:65000L:100" with a 4-octet AS, and sixteen hexadecimal digits after "0x" for every other one.
"""

from collections.abc import Collection, Iterable

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, accept_any
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address

_SUBTYPES = {"rt": 2, "soo": 3}
_SUBTYPE_NAMES = {2: "rt", 3: "soo"}
_TWO_OCTET_AS, _IPV4_ADDRESS, _FOUR_OCTET_AS = 0, 1, 2


def format_extended_community(value: bytes) -> str:
    name = _SUBTYPE_NAMES.get(value[1])
    if name and value[0] == _TWO_OCTET_AS:
        return f"{name}:{int.from_bytes(value[2:4], 'big')}:{int.from_bytes(value[4:], 'big')}"
    if name and value[0] == _IPV4_ADDRESS:
        return f"{name}:{format_address(value[2:6])}:{int.from_bytes(value[6:], 'big')}"
    if name and value[0] == _FOUR_OCTET_AS:
        return f"{name}:{int.from_bytes(value[2:6], 'big')}L:{int.from_bytes(value[6:], 'big')}"
    return "0x" + value.hex()


def parse_extended_community(value: object) -> bytes:
    """Eight octets, or the text of `format_extended_community`; ValueError otherwise."""
    if isinstance(value, bytes) and len(value) == 8:
        return value
    if isinstance(value, str):
        try:
            return _parse_text(value)
        except (ValueError, OverflowError):
            pass
    raise ValueError(
        f'an extended community is "rt:AS:value", "soo:AS:value" or "0x" and 16 hexadecimal digits, not {value!r}'
    )


def _parse_text(text: str) -> bytes:
    if text.startswith("0x"):
        raw = bytes.fromhex(text[2:])
        if len(raw) != 8:
            raise ValueError(text)
        return raw
    name, administrator, number = text.split(":")
    if not (number.isascii() and number.isdigit()) or name not in _SUBTYPES:
        raise ValueError(text)
    if "." in administrator:
        head, middle, size = _IPV4_ADDRESS, pack_address(administrator), 2
    elif administrator.endswith("L") and administrator[:-1].isdigit():
        head, middle, size = _FOUR_OCTET_AS, int(administrator[:-1]).to_bytes(4, "big"), 2
    elif administrator.isascii() and administrator.isdigit():
        head, middle, size = _TWO_OCTET_AS, int(administrator).to_bytes(2, "big"), 4
    else:
        raise ValueError(text)
    return bytes((head, _SUBTYPES[name])) + middle + int(number).to_bytes(size, "big")


def _decode(value: bytes, _context: CodecContext) -> Collection[bytes]:
    if len(value) % 8:
        raise Malformed(f"{len(value)} octets are no multiple of 8")
    return tuple(value[i : i + 8] for i in range(0, len(value), 8))


def _encode(value: Collection[bytes], _context: CodecContext) -> bytes:
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return b"".join([parse_extended_community(item) for item in ordered])


def _from_json(value: object) -> Collection[bytes]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"extended communities are a list, not {value!r}")
    if isinstance(value, set | frozenset):
        return frozenset(map(parse_extended_community, value))
    return tuple(map(parse_extended_community, value))


EXTENDED_COMMUNITIES: Attribute[Collection[bytes]] = Attribute(
    code=16,
    name="extended_communities",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: [format_extended_community(item) for item in value],
    from_json=_from_json,
    multiple=8,
    check=accept_any,
)
