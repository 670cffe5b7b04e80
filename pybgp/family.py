"""Address families: AFI and SAFI (RFC 4760, section 3; numbers assigned by IANA)."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

_NUMBERED = re.compile("afi([0-9]{1,5})-safi([0-9]{1,3})")


class Afi(IntEnum):
    """Address family identifiers that BGP commonly carries."""

    IPV4 = 1
    IPV6 = 2
    L2VPN = 25


class Safi(IntEnum):
    """Subsequent address family identifiers that BGP commonly carries."""

    UNICAST = 1
    MULTICAST = 2
    LABELED_UNICAST = 4
    EVPN = 70
    VPN = 128
    FLOWSPEC = 133


class Family(NamedTuple):
    """One address family. `str()` gives "ipv4-unicast", or "afi25-safi70" where there is no name."""

    afi: int
    safi: int

    def __str__(self) -> str:
        return _NAMES.get(self, f"afi{self.afi}-safi{self.safi}")

    @classmethod
    def parse(cls, text: str) -> Family:
        """The inverse of `str()`. Raises ValueError."""
        family = _BY_NAME.get(text)
        if family is not None:
            return family
        numbers = _NUMBERED.fullmatch(text) if isinstance(text, str) else None
        if numbers is not None:
            family = cls(int(numbers[1]), int(numbers[2]))
            if family.afi <= 0xFFFF and family.safi <= 0xFF:
                return family
        raise ValueError(f"no address family {text!r}: one of {', '.join(_BY_NAME)}, or afiN-safiN")


IPV4_UNICAST = Family(Afi.IPV4, Safi.UNICAST)
IPV6_UNICAST = Family(Afi.IPV6, Safi.UNICAST)

_NAMES = {
    IPV4_UNICAST: "ipv4-unicast",
    IPV6_UNICAST: "ipv6-unicast",
    Family(Afi.IPV4, Safi.MULTICAST): "ipv4-multicast",
    Family(Afi.IPV6, Safi.MULTICAST): "ipv6-multicast",
    Family(Afi.IPV4, Safi.LABELED_UNICAST): "ipv4-labeled-unicast",
    Family(Afi.IPV6, Safi.LABELED_UNICAST): "ipv6-labeled-unicast",
    Family(Afi.IPV4, Safi.VPN): "ipv4-vpn",
    Family(Afi.IPV6, Safi.VPN): "ipv6-vpn",
    Family(Afi.IPV4, Safi.FLOWSPEC): "ipv4-flowspec",
    Family(Afi.IPV6, Safi.FLOWSPEC): "ipv6-flowspec",
    Family(Afi.L2VPN, Safi.EVPN): "l2vpn-evpn",
}
_BY_NAME = {name: family for family, name in _NAMES.items()}
