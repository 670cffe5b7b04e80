"""How the octets of a fuzzer are read: the first ones choose the session, the rest is what the peer sends."""

from __future__ import annotations

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages import CodecContext
from pybgp.messages.nlri import CODEC_OF

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})
EVPN = Family(25, 70)  # nobody knows it
OTHERS = frozenset(CODEC_OF) - BOTH | {EVPN}
NONE: frozenset[Family] = frozenset()

# What an octet says of a session, bit by bit; both of the last two: all families but unicast.
FOUR_OCTET_AS, EXTENDED_MESSAGE, INTERNAL, ADD_PATH_V4, ADD_PATH_V6, EXTENDED_NEXT_HOP, ONLY_V6, ONLY_V4 = (
    1 << bit for bit in range(8)
)


def context_of(octet: int) -> CodecContext:
    """One of the 256 sessions."""
    add_path = frozenset(
        family for family, bit in ((IPV4_UNICAST, ADD_PATH_V4), (IPV6_UNICAST, ADD_PATH_V6)) if octet & bit
    )
    families = BOTH
    if octet & ONLY_V6 and octet & ONLY_V4:
        families = OTHERS
        if octet & ADD_PATH_V4:
            add_path |= OTHERS - {EVPN}
    elif octet & ONLY_V6:
        families = frozenset({IPV6_UNICAST})
    elif octet & ONLY_V4:
        families = frozenset({IPV4_UNICAST})
    return CodecContext(
        four_octet_as=bool(octet & FOUR_OCTET_AS),
        extended_message=bool(octet & EXTENDED_MESSAGE),
        internal=bool(octet & INTERNAL),
        families=families,
        add_path_receive=add_path,
        add_path_send=add_path,
        extended_next_hop=frozenset({IPV4_UNICAST}) if octet & EXTENDED_NEXT_HOP else NONE,
    )


class Octets:
    """A reader that never ends: behind the last octet there are zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return max(len(self.data) - self.at, 0)

    def octet(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self) -> bytes:
        return self.take(self.left)
