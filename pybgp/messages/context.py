"""What the codec may know of a session: what was negotiated, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.family import IPV4_UNICAST, Family

MAXIMUM_LENGTH = 4096  # octets, header included (RFC 4271, section 4.1)
EXTENDED_MAXIMUM_LENGTH = 65535  # RFC 8654, section 3


@dataclass(frozen=True, slots=True)
class CodecContext:
    """The outcome of negotiation as far as messages look different for it.

    four_octet_as: AS numbers in AS_PATH and AGGREGATOR have four octets (RFC 6793).
    internal: the peer is in our own AS; LOCAL_PREF and the reflection attributes are valid (RFC 4271, RFC 4456).
    add_path_receive, add_path_send: families whose NLRI carry a path identifier (RFC 7911), by direction.
    extended_next_hop: IPv4 families which may have an IPv6 next hop (RFC 8950).
    """

    four_octet_as: bool = False
    extended_message: bool = False
    internal: bool = False
    families: frozenset[Family] = frozenset({IPV4_UNICAST})
    add_path_receive: frozenset[Family] = frozenset()
    add_path_send: frozenset[Family] = frozenset()
    extended_next_hop: frozenset[Family] = frozenset()

    @property
    def maximum_length(self) -> int:
        """Octets that one message may have, header included."""
        return EXTENDED_MAXIMUM_LENGTH if self.extended_message else MAXIMUM_LENGTH
