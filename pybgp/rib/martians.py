"""Prefixes that no unicast route may have: multicast, reserved (class E) and loopback (RFC 4271 section 6.3).

"If a prefix in the NLRI field is semantically incorrect (e.g., an unexpected multicast IP address), an error SHOULD be
logged locally, and the prefix SHOULD be ignored."  The default route and prefixes wider than these are none of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.prefix import NLRI

# Octets that say: nothing here begins like a martian.
_HARMLESS_IPV4 = bytes(octet for octet in range(224) if octet != 127)
_HARMLESS_IPV6 = bytes(range(255))
_IPV6_OF_NOBODY = frozenset({b"\x80" + bytes(16), b"\x80" + bytes(15) + b"\x01"})


def martians(family: Family, nlri: Sequence[NLRI]) -> list[NLRI]:
    """Those of `nlri` that are to be ignored; families other than unicast have none."""
    if family == IPV4_UNICAST:
        joined = b"".join(nlri)
        if not joined.translate(None, _HARMLESS_IPV4):
            return []
        sizes = set(map(len, nlri))
        if len(sizes) == 1 and not joined[1 :: sizes.pop()].translate(None, _HARMLESS_IPV4):
            return []  # the first octets stand in a column
        return [
            key for key in nlri if len(key) > 1 and ((key[1] >= 224 and key[0] >= 4) or (key[1] == 127 and key[0] >= 8))
        ]
    if family == IPV6_UNICAST:
        found = [key for key in nlri if key in _IPV6_OF_NOBODY]
        if b"".join(nlri).translate(None, _HARMLESS_IPV6):
            found += [key for key in nlri if key[1:2] == b"\xff" and key[0] >= 8]
        return found
    return []
