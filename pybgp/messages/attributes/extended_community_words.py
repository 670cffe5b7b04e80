"""One extended community in words, and back (IANA's registry of BGP Extended Communities).

    rt:65000:100  rt:192.0.2.1:100  rt:65000L:100     route target: 2-octet AS, address, 4-octet AS (RFC 4360, 5668)
    soo:65000:100                                     route origin, "site of origin"; "ro:" is read as well
    redirect:65000:100                                flow specification: to the VRF with this target (RFC 8955)
    traffic-rate:65000:1250000                        octets a second, 0 drops; traffic-rate-packets: packets a second
    traffic-action:sample,terminal  traffic-marking:46
    link-bandwidth:65000:1250000                      octets a second, for this AS only
    link-bandwidth-transitive:65000:1250000
    color:100  encapsulation:8  default-gateway       RFC 9012
    validation:valid | not-found | invalid            RFC 8097
    mac-mobility:5  mac-mobility:sticky:5             RFC 7432
    es-import:02:00:00:00:00:01  router-mac:02:00:00:00:00:01
    opaque:0b:00000000002a                            another subtype, and its six octets
    0x4304000000000001                                every other one

A number above 65535 says a 4-octet AS by itself: "rt:4200000000:7" and "rt:4200000000L:7" are the same.  Whatever a
form above cannot say exactly (reserved bits that are set, a rate that is no number) is shown as octets, so that
`parse_extended_community` gives back what `format_extended_community` was given.
"""

import re
import struct
from collections.abc import Callable
from math import isfinite

from pybgp.prefix import format_address, pack_address

_TWO_OCTET_AS, _IPV4_ADDRESS, _FOUR_OCTET_AS = 0, 1, 2
_OPAQUE = 3
_VALIDATION = ("valid", "not-found", "invalid")
_ACTIONS = {"sample": 2, "terminal": 1}
_DIGITS = re.compile("[0-9]{1,10}")
_RATE = re.compile(r"[0-9]{1,50}(\.[0-9]{1,50})?(e[+-]?[0-9]{1,3})?")


def format_extended_community(value: bytes) -> str:
    """Text of eight octets."""
    try:
        if value[0] == _OPAQUE and value[:2] not in _SHOWN:
            text = f"opaque:{value[1]:02x}:{value[2:].hex()}"
        else:
            word, show = _SHOWN[value[:2]]
            text = f"{word}:{show(value[2:])}".removesuffix(":")
        if _parse_text(text) == value:
            return text
    except (KeyError, ValueError, OverflowError):
        pass
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
        'an extended community is "rt:AS:value", "soo:AS:value", another word with its values, or "0x" and 16 '
        f"hexadecimal digits, not {value!r}"
    )


def _parse_text(text: str) -> bytes:
    if text.startswith("0x"):
        return _octets(text[2:], 8)
    word, _, rest = text.partition(":")
    if word == "opaque":
        subtype, _, rest = rest.partition(":")
        return bytes((_OPAQUE,)) + _octets(subtype, 1) + _octets(rest, 6)
    word = _ALIASES.get(word, word)
    if word in _SPECIFIC:
        kind, number = _SPECIFIC[word]
        low, octets = _read_administrator(rest)
        return bytes((kind | low, number)) + octets
    if word not in _READ:
        raise ValueError(text)
    head, read = _READ[word]
    return head + read(rest)


def _octets(digits: str, size: int) -> bytes:
    raw = bytes.fromhex(digits)
    if len(raw) != size or len(digits) != 2 * size:
        raise ValueError(digits)
    return raw


def _number(text: str, size: int) -> bytes:
    if not _DIGITS.fullmatch(text):
        raise ValueError(text)
    return int(text).to_bytes(size, "big")


def _read_administrator(text: str) -> tuple[int, bytes]:
    """What the type is, and the six octets: administrator and number."""
    administrator, _, number = text.partition(":")
    if "." in administrator:
        return _IPV4_ADDRESS, pack_address(administrator) + _number(number, 2)
    digits = administrator.removesuffix("L")
    if digits == administrator and (len(digits) < 5 or (len(digits) == 5 and digits <= "65535")):
        return _TWO_OCTET_AS, _number(digits, 2) + _number(number, 4)
    return _FOUR_OCTET_AS, _number(digits, 4) + _number(number, 2)


def _two_octet_as(value: bytes) -> str:
    return f"{int.from_bytes(value[:2], 'big')}:{int.from_bytes(value[2:], 'big')}"


def _ipv4_address(value: bytes) -> str:
    return f"{format_address(value[:4])}:{int.from_bytes(value[4:], 'big')}"


def _four_octet_as(value: bytes) -> str:
    return f"{int.from_bytes(value[:4], 'big')}L:{int.from_bytes(value[4:], 'big')}"


def _rate(value: bytes) -> str:
    number = struct.unpack(">f", value[2:])[0]
    whole = abs(number) < 1e15 and number == int(number)
    return f"{int.from_bytes(value[:2], 'big')}:{int(number) if whole else repr(number)}"


def _read_rate(text: str) -> bytes:
    asn, _, rate = text.partition(":")
    if not _RATE.fullmatch(rate) or not isfinite(float(rate)):
        raise ValueError(text)
    return _number(asn, 2) + struct.pack(">f", float(rate))


def _action(value: bytes) -> str:
    return ",".join(word for word, bit in _ACTIONS.items() if value[5] & bit) or "none"


def _read_action(text: str) -> bytes:
    words = () if text == "none" else text.split(",")
    bits = 0
    for word in words:
        if word not in _ACTIONS or bits & _ACTIONS[word]:
            raise ValueError(text)
        bits |= _ACTIONS[word]
    return bytes(5) + bytes((bits,))


def _last(size: int) -> tuple[Callable[[str], bytes], Callable[[bytes], str]]:
    """A number in the last octets, zeros before it."""
    return (
        lambda text: bytes(6 - size) + _number(text, size),
        lambda value: str(int.from_bytes(value[-size:], "big")),
    )


def _read_mobility(text: str) -> bytes:
    """RFC 7432 section 7.7: flags, a reserved octet, sequence number."""
    number = text.removeprefix("sticky:")
    return bytes((number != text, 0)) + _number(number, 4)


def _mobility(value: bytes) -> str:
    return ("sticky:" if value[0] else "") + str(int.from_bytes(value[2:], "big"))


def _read_validation(text: str) -> bytes:
    return bytes(5) + bytes((_VALIDATION.index(text),))


def _validation(value: bytes) -> str:
    return _VALIDATION[value[5]] if value[5] < len(_VALIDATION) else "?"


def _read_mac(text: str) -> bytes:
    octets = _octets(text.replace(":", ""), 6)
    if text.lower() != octets.hex(":"):
        raise ValueError(text)
    return octets


def _nothing(text: str) -> bytes:
    if text:
        raise ValueError(text)
    return bytes(6)


# Words with an administrator: the type without its low bits (2-octet AS, address, 4-octet AS), and the subtype.
_SPECIFIC = {"rt": (0x00, 2), "soo": (0x00, 3), "redirect": (0x80, 8)}
_ALIASES = {"ro": "soo"}
# Type and subtype, word, text to six octets, six octets to text.
_TABLE: tuple[tuple[bytes, str, Callable[[str], bytes], Callable[[bytes], str]], ...] = (
    (b"\x00\x04", "link-bandwidth-transitive", _read_rate, _rate),
    (b"\x40\x04", "link-bandwidth", _read_rate, _rate),
    (b"\x03\x0b", "color", *_last(4)),
    (b"\x03\x0c", "encapsulation", *_last(2)),
    (b"\x03\x0d", "default-gateway", _nothing, lambda _value: ""),
    (b"\x43\x00", "validation", _read_validation, _validation),
    (b"\x06\x00", "mac-mobility", _read_mobility, _mobility),
    (b"\x06\x02", "es-import", _read_mac, lambda value: value.hex(":")),
    (b"\x06\x03", "router-mac", _read_mac, lambda value: value.hex(":")),
    (b"\x80\x06", "traffic-rate", _read_rate, _rate),
    (b"\x80\x0c", "traffic-rate-packets", _read_rate, _rate),
    (b"\x80\x07", "traffic-action", _read_action, _action),
    (b"\x80\x09", "traffic-marking", *_last(1)),
)
_READ = {word: (head, read) for head, word, read, _show in _TABLE}
_SHOWN = {head: (word, show) for head, word, _read, show in _TABLE} | {
    bytes((kind | low, subtype)): (word, show)
    for word, (kind, subtype) in _SPECIFIC.items()
    for low, show in ((_TWO_OCTET_AS, _two_octet_as), (_IPV4_ADDRESS, _ipv4_address), (_FOUR_OCTET_AS, _four_octet_as))
}
