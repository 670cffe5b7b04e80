"""Messages by the thousand, from a seed: octets put together here from the RFCs' pictures, without the codec.

`valid` makes messages of all types with all attributes; `mutated` breaks them; `line` is anything at all.
"""

from __future__ import annotations

import struct
from random import Random
from typing import NamedTuple


class Kind(NamedTuple):
    """One way to have negotiated: the options of `pybgp decode` and what they mean for octets."""

    options: tuple[str, ...]
    as4: bool = True
    internal: bool = True
    add_path: bool = False
    maximum: int = 4096
    every: bool = False


UNICAST = ("--families", "ipv4-unicast,ipv6-unicast")
KINDS = (
    Kind((), every=True),
    Kind(("--no-as4", "--ebgp", *UNICAST), as4=False, internal=False),
    Kind(("--add-path", "--ebgp", *UNICAST), internal=False, add_path=True),
    Kind(
        ("--extended-message", "--no-as4", "--add-path", "ipv4-unicast,ipv6-unicast", *UNICAST),
        False,
        True,
        True,
        65535,
    ),
)


def message(kind: int, body: bytes) -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


def nlri(chance: Random, bits: int, kind: Kind, most: int = 6, least: int = 1) -> bytes:
    field = b""
    for _ in range(chance.randint(least, most)):
        length = chance.choice((0, 8, 16, 19, 24, 31, bits))
        address = chance.getrandbits(length) << (-length % 8) if length else 0
        path_id = chance.randbytes(4) if kind.add_path else b""
        field += path_id + bytes((length,)) + address.to_bytes((length + 7) // 8)
    return field


def as_path(chance: Random, size: int, segments: tuple[int, ...], least: int = 0) -> bytes:
    value = b""
    for _ in range(chance.randint(least, 3)):
        count = chance.randint(1, 5)
        asns = b"".join(chance.randrange(1, 1 << 8 * size).to_bytes(size) for _ in range(count))
        value += bytes((chance.choice(segments), count)) + asns
    return value


def attribute(chance: Random, flags: int, code: int, value: bytes) -> bytes:
    if flags & 0xC0 == 0xC0 and chance.random() < 0.2:
        flags |= 0x20  # Partial
    if len(value) > 255 or chance.random() < 0.2:
        return bytes((flags | 0x10, code)) + struct.pack("!H", len(value)) + value
    return bytes((flags, code, len(value))) + value


def address(chance: Random) -> bytes:
    return bytes((chance.randint(1, 126),)) + chance.randbytes(3)


def next_hop_ipv6(chance: Random) -> bytes:
    value = b"\x20\x01" + chance.randbytes(14)
    return value + b"\xfe\x80" + bytes(6) + chance.randbytes(8) if chance.random() < 0.3 else value


def labelled(chance: Random, bits: int, most: int) -> bytes:
    """RFC 8277 section 2: one label or several, the last one with the Bottom of Stack bit."""
    field = b""
    for _ in range(chance.randint(1, 5)):
        labels = [chance.getrandbits(20) << 4 for _ in range(min(chance.choice((1, 1, 1, 2, 3)), most))]
        labels[-1] |= 1
        length = chance.choice((0, 8, 19, 24, 32, bits))
        address = chance.getrandbits(length) << (-length % 8) if length else 0
        stack = b"".join(label.to_bytes(3) for label in labels)
        field += bytes((8 * len(stack) + length,)) + stack + address.to_bytes((length + 7) // 8)
    return field


def flow(chance: Random, ipv6: bool) -> bytes:
    """RFC 8955 section 4.2, RFC 8956 section 3: some components in order."""
    octets = b""
    for kind in sorted(chance.sample(range(1, 14 if ipv6 else 13), chance.randint(1, 5))):
        octets += bytes((kind,))
        if kind < 3:
            length = chance.choice((0, 8, 16, 24, 32))
            octets += bytes((length, 0) if ipv6 else (length,)) + chance.randbytes(length // 8)
            continue
        count = chance.choice((1, 1, 2, 20))
        meaning = 0x43 if kind in (9, 12) else 0x47
        for number in range(count):
            width = 0 if kind in (11, 12) else 2 if kind == 13 else chance.randint(0, 1)
            operator = chance.getrandbits(8) & meaning & (0xFF if number else 0x0F) | width << 4
            octets += bytes((operator | 0x80 * (number == count - 1),)) + chance.randbytes(1 << width)
    return (bytes((len(octets),)) if len(octets) < 240 else (0xF000 | len(octets)).to_bytes(2)) + octets


def other_family(chance: Random, *, labels: int = 3) -> tuple[bytes, bytes, bytes]:
    """Family, next hop and NLRI of what is no unicast: labels, flow specifications, and what nobody knows."""
    what = chance.randrange(5)
    if what == 0:
        return b"\0\x01\x04", address(chance), labelled(chance, 32, labels)
    if what == 1:
        return b"\0\x02\x04", next_hop_ipv6(chance), labelled(chance, 128, labels)
    if what == 2:
        return b"\0\x01\x85", b"", b"".join(flow(chance, False) for _ in range(chance.randint(1, 4)))
    if what == 3:
        return b"\0\x02\x85", b"", b"".join(flow(chance, True) for _ in range(chance.randint(1, 4)))
    unknown = chance.choice((b"\0\x19\x46", b"\0\x01\x80", b"\x40\x04\x47", b"\0\x01\x02"))
    return unknown, chance.randbytes(chance.choice((4, 12, 16, 24))), chance.randbytes(chance.randint(1, 80))


def update(chance: Random, kind: Kind, *, spoiled: bool = False) -> bytes:
    """The body of an UPDATE without any fault; `spoiled`: one attribute is, but not its place in the block."""
    if chance.random() < 0.05:
        return chance.choice((bytes(4), b"\0\0\0\x06\x80\x0f\x03\0\x02\x01", b"\0\0\0\x06\x80\x0f\x03\0\x01\x01"))
    size = 4 if kind.as4 else 2
    withdrawn = nlri(chance, 32, kind, least=0)
    classic = chance.random() < 0.6
    parts: list[tuple[int, int, bytes]] = []
    if classic or chance.random() < 0.8:
        segments = (1, 2, 3, 4) if kind.internal else (1, 2)
        parts += [(0x40, 1, bytes((chance.randint(0, 2),))), (0x40, 2, as_path(chance, size, segments))]
        if classic:
            parts.append((0x40, 3, address(chance)))
        else:
            family = b"\0\x02\x01", next_hop_ipv6(chance), nlri(chance, 128, kind)
            if chance.random() < 0.3:
                family = b"\0\x01\x01", address(chance), nlri(chance, 32, kind)
            if kind.every and chance.random() < 0.5:
                family = other_family(chance)
            parts.append((0x80, 14, family[0] + bytes((len(family[1]),)) + family[1] + b"\0" + family[2]))
        if kind.internal:
            parts.append((0x40, 5, chance.randbytes(4)))
        parts += [part for part in optional(chance, kind, size) if chance.random() < 0.25]
    if kind.every and chance.random() < 0.1:
        afi_safi, _next_hop, field = other_family(chance, labels=1)
        parts.append((0x80, 15, afi_safi + field))
    elif chance.random() < 0.2:
        parts.append((0x80, 15, b"\0\x02\x01" + nlri(chance, 128, kind)))
    if not parts and not withdrawn:
        withdrawn = nlri(chance, 32, kind)
    chance.shuffle(parts)
    if spoiled and parts:
        flags, code, value = parts.pop()
        value = chance.choice((value + b"\0", value[:-1], b"", chance.randbytes(len(value))))
        parts += [(chance.choice((flags, flags, flags ^ 0x80, flags ^ 0x40)), code, value)] * chance.choice((1, 1, 2))
    block = b"".join(attribute(chance, *part) for part in parts)
    field = nlri(chance, 32, kind) if classic else b""
    return struct.pack("!H", len(withdrawn)) + withdrawn + struct.pack("!H", len(block)) + block + field


def optional(chance: Random, kind: Kind, size: int) -> list[tuple[int, int, bytes]]:
    many = kind.maximum > 4096 and chance.random() < 0.05
    parts = [
        (0x80, 4, chance.randbytes(4)),
        (0x40, 6, b""),
        (0xC0, 7, chance.randrange(1, 1 << 8 * size).to_bytes(size) + address(chance)),
        (0xC0, 8, chance.randbytes(4 * (3000 if many else chance.randint(1, 8)))),
        (0xC0, 16, chance.randbytes(8 * chance.randint(1, 5))),
        (0xC0, 32, chance.randbytes(12 * chance.randint(1, 5))),
        (chance.choice((0x80, 0xC0)), chance.randint(60, 250), chance.randbytes(chance.randint(0, 300))),
    ]
    if kind.internal:
        parts += [(0x80, 9, chance.randbytes(4)), (0x80, 10, chance.randbytes(4 * chance.randint(1, 4)))]
    if not kind.as4:
        parts += [(0xC0, 17, as_path(chance, 4, (1, 2), least=1)), (0xC0, 18, b"\0\x01\0\0" + address(chance))]
    return parts


def capability(chance: Random) -> bytes:
    family = b"\0" + chance.choice((b"\x01\x01", b"\x02\x01"))
    code, value = chance.choice(
        (
            (1, family[:2] + b"\0" + family[2:]),
            (2, b""),
            (5, family[:2] + b"\0" + family[2:] + b"\0\x02"),
            (6, b""),
            (64, chance.choice((b"\0\x78", b"\xc0\x05" + family + b"\x80"))),
            (69, family + bytes((chance.randint(1, 3),))),
            (70, b""),
            (73, b"\x05node1\x07example"),
            (chance.randint(128, 255), chance.randbytes(chance.randint(0, 60))),
        )
    )
    return bytes((code, len(value))) + value


def open_(chance: Random) -> bytes:
    listed = [capability(chance) for _ in range(chance.randint(0, 9))]
    asn = chance.randint(1, 0xFFFF)
    if chance.random() < 0.5:
        asn = chance.choice((asn, 23456))
        listed.append(b"\x41\x04" + (chance.randint(1, 0xFFFFFFFF) if asn == 23456 else asn).to_bytes(4))
    extended = chance.random() < 0.3
    groups = [b"".join(listed)] if chance.random() < 0.5 else listed
    if not extended and (any(len(group) > 255 for group in groups) or sum(len(g) + 2 for g in groups) > 255):
        extended = True
    width = "!BH" if extended else "!BB"
    parameters = b"".join(struct.pack(width, 2, len(group)) + group for group in groups)
    head = struct.pack("!BHHI", 4, asn, chance.choice((0, 3, 90, 65535)), chance.randint(1, 0xFFFFFFFF))
    if extended:
        return head + struct.pack("!BBH", 255, 255, len(parameters)) + parameters
    return head + bytes((len(parameters),)) + parameters


def notification(chance: Random) -> bytes:
    if chance.random() < 0.5:
        text = chance.choice(("", "maintenance", "wartung \u00fc\u2192\U0001f600", "\x1b[2J\r\n")).encode()
        return bytes((6, chance.choice((2, 4)), len(text))) + text
    return chance.randbytes(2) + chance.randbytes(chance.randint(0, 40))


def valid(chance: Random, kind: Kind) -> bytes:
    """One whole message that nothing is wrong with; mostly UPDATEs."""
    choice = chance.random()
    if choice < 0.7:
        return message(2, update(chance, kind))
    if choice < 0.85:
        return message(1, open_(chance))
    if choice < 0.92:
        return message(3, notification(chance))
    if choice < 0.95:
        return message(4, b"")
    return message(5, b"\0" + chance.choice((b"\x01", b"\x02")) + bytes((chance.randint(0, 2),)) + b"\x01")


def mutated(chance: Random, octets: bytes) -> bytes:
    """Some octets changed, inserted or cut away; half of the time only behind the header, which then fits again."""
    inside = chance.random() < 0.5
    changed = bytearray(octets[19:] if inside else octets)
    for _ in range(chance.randint(1, 4)):
        position = chance.randint(0, len(changed))
        what = chance.random()
        if what < 0.5 and position < len(changed):
            changed[position] = chance.choice((0, 1, 4, 0x10, 0x40, 0x80, 0xC0, 0xFF, chance.randrange(256)))
        elif what < 0.7:
            changed[position:position] = chance.randbytes(chance.randint(1, 5))
        elif what < 0.9:
            del changed[position : position + chance.randint(1, 5)]
        elif changed:
            del changed[position:]
    return message(octets[18], bytes(changed)) if inside else bytes(changed)


def line(chance: Random, kind: Kind) -> bytes:
    """A line of `decode`'s input, without its end: mutated and random messages, and things that are none."""
    choice = chance.random()
    if choice < 0.55:
        return mutated(chance, valid(chance, kind)).hex().encode()
    if choice < 0.7:
        return message(2, update(chance, kind, spoiled=True)).hex().encode()
    if choice < 0.8:  # from a session of another kind
        return valid(chance, chance.choice(KINDS)).hex().encode()
    if choice < 0.9:
        return message(chance.randint(0, 6), chance.randbytes(chance.randint(0, 120))).hex().encode()
    if choice < 0.97:
        return chance.randbytes(chance.randint(0, 60)).hex().encode()
    return chance.randbytes(chance.randint(0, 30)).replace(b"\n", b"")
