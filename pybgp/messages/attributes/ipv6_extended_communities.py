"""IPv6 ADDRESS SPECIFIC EXTENDED COMMUNITIES (RFC 5701): twenty octets each.

In text: "rt:[2001:db8::1]:100", "soo:[2001:db8::1]:100" ("ro:" is read as well), "redirect:[2001:db8::1]:100" of a
flow specification (RFC 8956 section 6.1), and forty hexadecimal digits after "0x" for every other one.
"""

import re
from collections.abc import Collection, Iterable

from pybgp.messages.attributes.base import OPTIONAL_TRANSITIVE, Attribute, Malformed, accept_any
from pybgp.messages.context import CodecContext
from pybgp.prefix import format_address, pack_address

_SIZE = 20
_TRANSITIVE = 0
_SUBTYPES = {"rt": 2, "soo": 3, "redirect": 13}
_ALIASES = {"ro": "soo"}
_SUBTYPE_NAMES = {code: name for name, code in _SUBTYPES.items()}
_TEXT = re.compile(r"(rt|soo|ro|redirect):\[([0-9A-Fa-f:.]+)\]:([0-9]{1,5})")


def format_ipv6_extended_community(value: bytes) -> str:
    name = _SUBTYPE_NAMES.get(value[1])
    if name and value[0] == _TRANSITIVE:
        return f"{name}:[{format_address(value[2:18])}]:{int.from_bytes(value[18:], 'big')}"
    return "0x" + value.hex()


def parse_ipv6_extended_community(value: object) -> bytes:
    """Twenty octets, or the text of `format_ipv6_extended_community`; ValueError otherwise."""
    if isinstance(value, bytes) and len(value) == _SIZE:
        return value
    if isinstance(value, str):
        try:
            found = _TEXT.fullmatch(value)
            if found is not None:
                address = pack_address(found[2])
                raw = (
                    bytes((_TRANSITIVE, _SUBTYPES[_ALIASES.get(found[1], found[1])]))
                    + address
                    + int(found[3]).to_bytes(2, "big")
                )
            else:
                raw = bytes.fromhex(value.removeprefix("0x")) if value.startswith("0x") else b""
            if len(raw) == _SIZE:
                return raw
        except (ValueError, OverflowError):
            pass
    raise ValueError(
        f'an IPv6 extended community is "rt:[address]:value", "soo:[address]:value" or "0x" and 40 hexadecimal '
        f"digits, not {value!r}"
    )


def _decode(value: bytes, _context: CodecContext) -> Collection[bytes]:
    if len(value) % _SIZE:
        raise Malformed(f"{len(value)} octets are no multiple of {_SIZE}")
    return tuple(value[i : i + _SIZE] for i in range(0, len(value), _SIZE))


def _encode(value: Collection[bytes], _context: CodecContext) -> bytes:
    ordered = sorted(value) if isinstance(value, set | frozenset) else value
    return b"".join([parse_ipv6_extended_community(item) for item in ordered])


def _from_json(value: object) -> Collection[bytes]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"IPv6 extended communities are a list, not {value!r}")
    if isinstance(value, set | frozenset):
        return frozenset(map(parse_ipv6_extended_community, value))
    return tuple(map(parse_ipv6_extended_community, value))


IPV6_EXTENDED_COMMUNITIES: Attribute[Collection[bytes]] = Attribute(
    code=25,
    section="RFC 7606 7.15",
    name="ipv6_extended_communities",
    flags=OPTIONAL_TRANSITIVE,
    decode=_decode,
    encode=_encode,
    to_json=lambda value: [format_ipv6_extended_community(item) for item in value],
    from_json=_from_json,
    multiple=_SIZE,
    check=accept_any,
)
