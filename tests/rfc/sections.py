"""The RFCs, and those of their sections that ask something of a speaker.

A section with "not done" below it is not done, or not testable here, and the words say why. Every other one needs
a test that is marked with it: `page.py` tells which have none.
"""

from __future__ import annotations

from typing import NamedTuple


class Section(NamedTuple):
    number: str
    title: str
    not_done: str = ""


class Rfc(NamedTuple):
    number: str
    title: str
    sections: tuple[Section, ...]


_TEXT = """
RFC 4271 A Border Gateway Protocol 4
4.1 Message header format
4.2 OPEN message format
4.3 UPDATE message format
4.4 KEEPALIVE message format
4.5 NOTIFICATION message format
5.1.1 ORIGIN
5.1.2 AS_PATH
5.1.3 NEXT_HOP
5.1.4 MULTI_EXIT_DISC
5.1.5 LOCAL_PREF
5.1.6 ATOMIC_AGGREGATE
5.1.7 AGGREGATOR
6.1 Message header error handling
6.2 OPEN message error handling
6.3 UPDATE message error handling
6.4 NOTIFICATION message error handling
6.5 Hold timer expired error handling
6.6 Finite state machine error handling
6.7 Cease
6.8 Connection collision detection
7 BGP version negotiation
8.1 Events for the BGP FSM
8.2.2 Finite state machine
9.1.1 Phase 1: degree of preference
9.1.2 Phase 2: route selection
9.1.2.1 Route resolvability condition
9.1.2.2 Breaking ties
9.1.3 Phase 3: route dissemination
9.1.4 Overlapping routes
9.2.1.1 Frequency of route advertisement
not done: no MinRouteAdvertisementInterval: what waits for a peer has one slot a prefix and goes out when TCP takes it
9.2.2 Efficient organization of routing information
not done: aggregation is left to who announces; attributes are shared by the prefixes of an UPDATE, see 4.3
9.3 Route selection criteria
9.4 Originating BGP routes
10 BGP timers
RFC 7606 Revised error handling for UPDATE messages
2 Error-handling approaches
3 Revision to BGP UPDATE message error handling
4 Attribute length fields
5.1 Encoding NLRI
5.2 Missing NLRI
5.3 Syntactic correctness of NLRI fields
5.4 Typed NLRI
not done: no family with typed NLRI is taken apart; the octets of such families are kept as they come
6 Operational considerations
7.1 ORIGIN
7.2 AS_PATH
7.3 NEXT_HOP
7.4 MULTI_EXIT_DISC
7.5 LOCAL_PREF
7.6 ATOMIC_AGGREGATE
7.7 AGGREGATOR
7.8 Community
7.9 ORIGINATOR_ID
7.10 CLUSTER_LIST
7.11 MP_REACH_NLRI
7.12 MP_UNREACH_NLRI
7.13 Traffic Engineering path attribute
not done: the attribute is unknown here: passed on or dropped as its flags say
7.14 Extended Community
7.15 IPv6 Address Specific Extended Community
7.16 ATTR_SET
not done: the attribute is unknown here: passed on as its flags say
RFC 6608 Subcodes for finite state machine error
3 Finite state machine error subcodes
RFC 4486 Subcodes for Cease
3 Subcode definition
4 Subcode usage
RFC 6793 Four-octet AS numbers
4.1 Interaction between NEW BGP speakers
4.2.1 BGP peering
4.2.2 Generating updates
4.2.3 Processing received updates
6 Error handling
RFC 7607 AS 0
2 Behavior
RFC 5492 Capabilities advertisement
3 Overview of operations
4 Capabilities optional parameter
5 Extensions to error handling
RFC 9072 Extended optional parameters length
2 Update to RFC 4271
RFC 6286 AS-wide unique BGP Identifier
2.1 Definition
2.2 Open message error handling
2.3 Connection collision
RFC 4760 Multiprotocol extensions
3 MP_REACH_NLRI
4 MP_UNREACH_NLRI
5 NLRI encoding
6 Subsequent address family identifier
7 Error handling
8 Use of capability advertisement
RFC 2545 IPv6 inter-domain routing
2 IPv6 address scopes
3 Constructing the next hop field
4 Transport
RFC 2918 Route refresh
2 Capability
3 ROUTE-REFRESH message
4 Operation
RFC 7313 Enhanced route refresh
3.1 Capability
3.2 Subtypes of ROUTE-REFRESH
4 Operation
5 Error handling
RFC 4724 Graceful restart
2 Marker for End-of-RIB
3 Capability
4.1 Procedures for the restarting speaker
4.2 Procedures for the receiving speaker
5 Changes to the BGP finite state machine
RFC 8538 Graceful restart after a NOTIFICATION
2 Modifications to the capability
3.1 Hard Reset subcode
4 Operation
5 Use of Hard Reset
RFC 9494 Long-lived graceful restart
3.1 Capability
3.2 LLGR_STALE community
3.3 NO_LLGR community
4.2 Session resets
4.3 Processing LLGR_STALE routes
4.4 Route selection
4.6 Optional partial deployment procedure
RFC 7911 Advertisement of multiple paths
2 How to identify a path
3 Extended NLRI encodings
4 ADD-PATH capability
5 Operation
RFC 8654 Extended messages
3 Capability
4 Operation
5 Error handling
RFC 8950 IPv4 NLRI with an IPv6 next hop
3 Extension of AFI/SAFI definitions
4 Use of capability advertisement
RFC 4456 Route reflection
6 Operation
7 Redundant route reflectors
8 Avoiding routing information loops
9 Impact on route selection
10 Implementation considerations
RFC 9234 Roles and Only-to-Customer
4.1 Role capability
4.2 Role correctness
5 Only to Customer attribute
RFC 1997 Communities
2 Well-known communities
RFC 4360 Extended communities
2 Extended Communities attribute
3 Defined types
6 Operations
RFC 5701 IPv6 address specific extended community
2 Attribute
RFC 8092 Large communities
3 Attribute
4 Aggregation
not done: nothing is aggregated here
5 Canonical representation
6 Error handling
RFC 8326 Graceful shutdown
4.1 Pre-configuration
4.2 Operations at maintenance time
RFC 7999 BLACKHOLE community
2 BLACKHOLE community
3.2 Local scope of blackholes
3.3 Accepting blackholed prefixes
RFC 9003 Shutdown communication
2 Shutdown communication
4 Error handling
RFC 7947 Route server
2.1 Client UPDATE messages
2.2.1 NEXT_HOP
2.2.2 AS_PATH
2.2.3 MULTI_EXIT_DISC
2.3.2 Path hiding
RFC 8212 Default eBGP route propagation
2 Changes to RFC 4271
RFC 5065 Confederations
4 AS_CONFED segments
not done: own membership in a confederation is not offered
5 Error handling
RFC 2385 TCP MD5
2 Proposal
RFC 5082 TTL security
3 GTSM procedure
RFC 9687 Send hold timer
3.1 Session attributes
3.2 Timer expiry
RFC 8277 Labels in NLRI
2.2 Encoding
2.4 Withdrawing
RFC 8955 Flow specification
4.1 Length encoding
4.2 NLRI value encoding
4.2.1 Operators
7 Actions
RFC 8956 Flow specification for IPv6
3 Components
"""


def _read(text: str) -> tuple[Rfc, ...]:
    rfcs: list[Rfc] = []
    for line in text.strip().splitlines():
        first, _, rest = line.partition(" ")
        if first == "RFC":
            number, _, title = rest.partition(" ")
            rfcs.append(Rfc(number, title, ()))
            continue
        last = rfcs[-1]
        if line.startswith("not done: "):
            undone = last.sections[-1]._replace(not_done=line.removeprefix("not done: "))
            rfcs[-1] = last._replace(sections=(*last.sections[:-1], undone))
        else:
            rfcs[-1] = last._replace(sections=(*last.sections, Section(first, rest)))
    return tuple(rfcs)


RFCS: tuple[Rfc, ...] = _read(_TEXT)
