"""Longest match by exact match: the keys that could hold an address, longest first.

The table is a dict of canonical wire prefixes, so the longest match is found by asking for each length in
turn: at most 33 (IPv4) or 129 (IPv6) look-ups, and not a byte of extra memory a route.
"""

from __future__ import annotations

from collections.abc import Iterator

from pybgp.prefix import NLRI


def covering(address: bytes, longest: int | None = None) -> Iterator[NLRI]:
    """Every canonical prefix that contains the address (4 or 16 octets), longest first, down to /0.
    ValueError for any other number of octets. `longest` begins at a shorter length."""
    bits = 8 * len(address)
    if bits not in (32, 128):
        raise ValueError(f"an address has 4 or 16 octets, not {len(address)}")
    number = int.from_bytes(address, "big")
    for length in range(bits if longest is None else min(bits, longest), -1, -1):
        octets = (length + 7) // 8
        network = number >> (bits - length) << (8 * octets - length)
        yield bytes((length,)) + network.to_bytes(octets, "big")


def covers(nlri: NLRI, other: NLRI) -> bool:
    """True when the first prefix contains the second (or is it); both of one family."""
    length = nlri[0]
    if length > other[0]:
        return False
    whole, rest = divmod(length, 8)
    if nlri[1 : 1 + whole] != other[1 : 1 + whole]:
        return False
    return not rest or nlri[1 + whole] >> (8 - rest) == other[1 + whole] >> (8 - rest)


def shortened(nlri: NLRI, length: int) -> NLRI:
    """The canonical prefix of that length that contains `nlri`, which must not be shorter."""
    whole, rest = divmod(length, 8)
    if not rest:
        return bytes((length,)) + nlri[1 : 1 + whole]
    return bytes((length,)) + nlri[1 : 1 + whole] + bytes((nlri[1 + whole] & (0xFF00 >> rest) & 0xFF,))
