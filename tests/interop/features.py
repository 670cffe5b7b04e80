"""The rows of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

from tests.interop import sessions
from tests.interop.cell import Feature


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    feature: Feature
    quick: bool = False
    """Also run in every run of the tests, not by `make interop` alone."""


FEATURES: tuple[Row, ...] = (
    Row("external", "eBGP session, we dial; routes both ways (RFC 4271)", sessions.external, quick=True),
    Row("they_dial", "eBGP session, it dials and we are passive", sessions.they_dial, quick=True),
    Row("internal", "iBGP session", sessions.internal, quick=True),
    Row("withdrawal", "Withdrawals both ways", sessions.withdrawal),
    Row("collision", "Both dial at once (RFC 4271 6.8)", sessions.collision),
    Row("four_octet_as", "4-octet AS numbers (RFC 6793)", sessions.four_octet_as),
    Row("two_octet_as", "AS4_PATH, where we offer two octets only", sessions.two_octet_as),
    Row("over_ipv6", "Session over IPv6", sessions.over_ipv6),
    Row("ipv6_over_ipv4", "IPv6 routes over an IPv4 session (RFC 2545, 4760)", sessions.ipv6_over_ipv4),
    Row("extended_next_hop", "IPv4 routes with IPv6 next hops (RFC 8950)", sessions.extended_next_hop),
    Row("link_local", "Session between link-local addresses", sessions.link_local),
    Row("md5", "TCP MD5 (RFC 2385)", sessions.md5, quick=True),
    Row("md5_wrong", "TCP MD5 with a wrong key: no session", sessions.md5_wrong),
    Row("md5_change", "TCP MD5, key changed at run time", sessions.md5_change),
    Row("gtsm", "TTL security (RFC 5082)", sessions.gtsm),
    Row("gtsm_far", "TTL security, a peer too far away: no session", sessions.gtsm_far),
    Row("hold_time", "Hold time negotiated, either side's, and KEEPALIVEs", sessions.hold_time),
    Row("hold_expiry", "A silent peer: the hold timer ends the session", sessions.hold_expiry),
    Row("our_shutdown", "Shutdown text, ours to it (RFC 9003)", sessions.our_shutdown),
    Row("their_shutdown", "Shutdown text, its to us", sessions.their_shutdown),
    Row("our_reset", "Administrative reset by us", sessions.our_reset),
    Row("their_reset", "Administrative reset by it", sessions.their_reset),
    Row("hostname", "Hostname capability (73)", sessions.hostname),
    Row("software_version", "Software version capability (75)", sessions.software_version),
    Row("our_refresh", "Route refresh, we ask (RFC 2918)", sessions.our_refresh),
    Row("their_refresh", "Route refresh, it asks", sessions.their_refresh),
    Row("enhanced_refresh", "Enhanced route refresh (RFC 7313)", sessions.enhanced_refresh),
    Row("extended_messages", "Extended messages (RFC 8654)", sessions.extended_messages),
    Row("source_address", "We dial from a chosen source address", sessions.source_address),
    Row("their_range", "It takes us from a range of addresses", sessions.their_range),
    Row("our_range", "We take it from a range of addresses", sessions.our_range),
)
