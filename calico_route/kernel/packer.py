"""Route messages for the kernel: pyroute2 encodes one a next-hop set, the destinations are joined into it.

pyroute2 takes about half a millisecond a message: so it is asked once for each template, and imported in the
writer's thread after the start (`RoutePacker.warm`), not before it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from .netlink import DELETE, HEADER, RTM_DELROUTE, RTNH_F_ONLINK, SCOPE_LINK, SCOPE_UNIVERSE
from .route import ADDRESS_BYTES, ADDRESS_FAMILY, IPV4, IPV6, NextHop, RouteSpec, RouteType
from .rtmsg import route_message

_BEFORE_ADDRESS = HEADER.size + 12 + 4  # nlmsghdr, rtmsg, and the header of RTA_DST, which comes first
SCOPE_NOWHERE = 255
_PROBE = struct.Struct("=BBBBBBBBIHH4s")


def probe(table: int, protocol: int) -> bytes:
    """A deletion that only a process which may change routes is refused with ESRCH: of 0.0.0.0/32."""
    kept = table if table <= 255 else 0
    family = ADDRESS_FAMILY[IPV4]
    body = _PROBE.pack(family, 32, 0, 0, kept, protocol, SCOPE_NOWHERE, 0, 0, 8, 1, bytes(4))
    return HEADER.pack(HEADER.size + len(body), RTM_DELROUTE, 1, 0, 0) + body


def scope_of(afi: int, spec: RouteSpec) -> int:
    """IPv4 calls a route without a gateway one of scope link; IPv6 has no scopes."""
    return SCOPE_LINK if afi == IPV4 and spec.connected else SCOPE_UNIVERSE


class RoutePacker:
    """Makes route messages for one table and protocol. A template is made once a next-hop set and length."""

    def __init__(self, table: int, protocol: int) -> None:
        self.table = table
        self.protocol = protocol
        self._templates: dict[tuple[int, int, int, int, bool, RouteSpec], tuple[bytes, bytes]] = {}

    def pack(
        self, kind: int, flags: int, afi: int, spec: RouteSpec, nlri: Sequence[bytes], *, exact: bool = True
    ) -> bytes:
        """Messages for destinations that all have one prefix length.

        `exact`: the next hops are named. A deletion leaves them out where any route of ours with that
        metric is meant, since one that the kernel changed (a dead next hop) would no longer match.
        """
        length = nlri[0][0]
        key = (kind, flags, afi, length, exact, spec)
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) > 4096:
                self._templates.clear()
            template = self._templates[key] = self._template(kind, flags, afi, length, spec, exact)
        head, tail = template
        size = ADDRESS_BYTES[afi]
        if length == 8 * size:
            addresses = [destination[1:] for destination in nlri]
        else:
            addresses = [destination[1:].ljust(size, b"\0") for destination in nlri]
        return head + (tail + head).join(addresses) + tail

    def warm(self, metrics: Mapping[int, int]) -> None:
        """Make what the deletion of a whole address needs, so that the routes of a lost node do not wait for it."""
        for afi, metric in metrics.items():
            address = bytes(ADDRESS_BYTES[afi])
            nlri = bytes((8 * len(address), *address))
            self.pack(RTM_DELROUTE, DELETE, afi, RouteSpec(metric=metric), [nlri], exact=False)

    def _template(
        self, kind: int, flags: int, afi: int, length: int, spec: RouteSpec, exact: bool
    ) -> tuple[bytes, bytes]:
        """What stands before and after the destination's address."""
        any_route = kind == RTM_DELROUTE and not exact
        attributes: list[tuple[str, Any]] = [("RTA_DST", "0.0.0.0" if afi == IPV4 else "::")]
        if self.table > 255:
            attributes.append(("RTA_TABLE", self.table))
        if spec.metric:
            attributes.append(("RTA_PRIORITY", spec.metric))
        hops = spec.nexthops if exact and spec.type == RouteType.UNICAST else ()
        if len(hops) == 1:
            attributes += [*_gateway(afi, hops[0]), ("RTA_OIF", hops[0].ifindex)]
        elif hops:
            attributes.append(("RTA_MULTIPATH", [_next_hop(afi, hop) for hop in hops]))
        message = route_message()()
        message["header"]["type"], message["header"]["flags"] = kind, flags
        message.update(
            {
                "family": ADDRESS_FAMILY[afi],
                "dst_len": length,
                "table": self.table if self.table <= 255 else 0,
                "proto": self.protocol,
                "scope": SCOPE_NOWHERE if any_route else scope_of(afi, spec),
                "type": 0 if any_route else int(spec.type),
                "flags": RTNH_F_ONLINK if len(hops) == 1 and hops[0].onlink else 0,
            }
        )
        message["attrs"] = attributes
        message.encode()
        octets = bytes(message.data)
        return octets[:_BEFORE_ADDRESS], octets[_BEFORE_ADDRESS + ADDRESS_BYTES[afi] :]


def _gateway(afi: int, hop: NextHop) -> list[tuple[str, Any]]:
    if not hop.gateway:
        return []
    family = ADDRESS_FAMILY[IPV4 if len(hop.gateway) == 4 else IPV6]
    text = socket.inet_ntop(family, hop.gateway)
    if len(hop.gateway) == ADDRESS_BYTES[afi]:
        return [("RTA_GATEWAY", text)]
    return [("RTA_VIA", {"family": int(family), "addr": text})]


def _next_hop(afi: int, hop: NextHop) -> dict[str, Any]:
    flags = RTNH_F_ONLINK if hop.onlink else 0
    return {"oif": hop.ifindex, "hops": hop.weight - 1, "flags": flags, "attrs": _gateway(afi, hop)}
