"""The rows of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

from tests.interop import families, restarts, routes, sessions
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
    Row("hold_zero", "Hold time 0: no KEEPALIVE after the first", sessions.hold_zero),
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
    Row("helper", "Graceful restart: it is killed, we help (RFC 4724)", restarts.helper),
    Row("restarting", "Graceful restart: we restart, it helps", restarts.restarting),
    Row("notification", "Graceful restart after its NOTIFICATION (RFC 8538)", restarts.notification),
    Row("bits", "Graceful restart: its restart bit", restarts.bits),
    Row("long_lived", "Long-lived graceful restart: it is gone, we keep (RFC 9494)", restarts.long_lived),
    Row("attributes", "Attributes both ways, unchanged", routes.attributes, quick=True),
    Row("transit", "Its routes through us to a third AS, and back", routes.transit),
    Row("thousands", "10,000 routes of ours through it, unchanged", routes.thousands),
    Row("thousands_to_us", "10,000 routes of its own to us, unchanged", routes.thousands_to_us),
    Row("add_path_receive", "ADD-PATH, it sends (RFC 7911)", routes.add_path_receive),
    Row("add_path_send", "ADD-PATH, we send", routes.add_path_send),
    Row("we_reflect", "Route reflector: we, it is a client (RFC 4456)", routes.we_reflect),
    Row("it_reflects", "Route reflector: it, we are clients", routes.it_reflects),
    Row("roles", "BGP roles (RFC 9234)", routes.roles),
    Row("wrong_roles", "BGP roles that do not fit: no session", routes.wrong_roles),
    Row("well_known", "NO_EXPORT and NO_ADVERTISE (RFC 1997)", routes.well_known),
    Row("graceful_shutdown", "GRACEFUL_SHUTDOWN both ways (RFC 8326)", routes.graceful_shutdown),
    Row("blackhole", "BLACKHOLE (RFC 7999)", routes.blackhole),
    Row("our_limit", "Maximum of prefixes, ours", routes.our_limit),
    Row("their_limit", "Maximum of prefixes, its", routes.their_limit),
    Row("allow_own_as", "Our AS allowed in what it sends", routes.allow_own_as),
    Row("they_allow_own_as", "Its AS allowed in what we send", routes.they_allow_own_as),
    Row("our_local_as", "Another AS of ours for this neighbour", routes.our_local_as),
    Row("their_local_as", "Another AS of its for this neighbour", routes.their_local_as),
    Row("remove_private_as", "Private AS numbers removed from what we send", routes.remove_private_as),
    Row("as_override", "AS override, ours", routes.as_override),
    Row("they_override", "AS override, its", routes.they_override),
    Row("next_hop_unchanged", "Next hop unchanged, and self", routes.next_hop_unchanged),
    Row("multipath", "Multipath with a path of its", routes.multipath),
    Row("med", "MED of its paths compared", routes.med),
    Row("labelled", "Labelled unicast, routes with labels both ways (RFC 8277)", families.labelled),
    Row("flowspec", "Flow specifications both ways (RFC 8955)", families.flowspec),
)
