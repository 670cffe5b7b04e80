"""What others have put into the kernel: links, addresses, and the routes of one table that are not ours."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from .netlink import NLM_F_APPEND, NLM_F_REPLACE, AddressEvent, Link, LinkEvent, RouteEvent
from .route import ADDRESS_BYTES, IPV4, IPV6, PROTOCOL_BIRD, KernelRoute, RouteType, cover, host_nlri


class Surroundings:
    """A mirror of links, addresses and foreign routes, kept by events. No I/O. `protocol` is ours."""

    def __init__(self, protocol: int = PROTOCOL_BIRD) -> None:
        self.protocol = protocol
        self.links: dict[int, Link] = {}
        self.names: dict[str, int] = {}
        self.routes: dict[int, dict[bytes, tuple[KernelRoute, ...]]] = {IPV4: {}, IPV6: {}}
        self.makers: dict[tuple[int, bytes], str] = {}  # processes that made foreign routes where ours would be
        self._addresses: dict[tuple[int, bytes], int] = {}  # (interface, address) -> prefix length
        self._local: dict[bytes, int] = {}  # address -> on how many interfaces
        self.local_nlri: set[bytes] = set()  # the same as destinations
        self._lengths: dict[int, dict[int, int]] = {IPV4: {}, IPV6: {}}  # prefix length -> how many

    # --- events ---

    def apply_link(self, event: LinkEvent) -> list[tuple[int, bytes]] | None:
        """Take a link event in.

        If that link was up and is so no longer: the destinations (AFI, wire form) of the routes that the
        kernel has dropped because of that, for IPv4 without a message. Otherwise None.
        """
        link = event.link
        before = self.links.get(link.ifindex)
        if before is not None and self.names.get(before.name) == link.ifindex:
            del self.names[before.name]
        if event.present:
            self.links[link.ifindex] = link
            self.names[link.name] = link.ifindex
        else:
            self.links.pop(link.ifindex, None)
        if before is None or not before.up or (event.present and link.up):
            return None
        return [(afi, nlri) for afi in self.routes for nlri in self._drop_dead(afi)]

    def _drop_dead(self, afi: int) -> list[bytes]:
        table = self.routes[afi]
        changed = [nlri for nlri, routes in table.items() if not all(map(self.usable, routes))]
        for nlri in changed:
            left = tuple(filter(self.usable, table[nlri]))
            if left:
                table[nlri] = left
            else:
                del table[nlri]
                self._count(afi, nlri[0], -1)
        return changed

    def apply_address(self, event: AddressEvent) -> None:
        place = (event.address.ifindex, event.address.address)
        known = place in self._addresses
        if event.present:
            self._addresses[place] = event.address.length
            if not known:
                self._local[place[1]] = self._local.get(place[1], 0) + 1
                self.local_nlri.add(host_nlri(place[1]))
        elif known:
            del self._addresses[place]
            self._local[place[1]] -= 1
            if not self._local[place[1]]:
                del self._local[place[1]]
                self.local_nlri.discard(host_nlri(place[1]))

    def apply_route(self, event: RouteEvent) -> None:
        """Take in a foreign route that came or went. One that replaced others says so in its flags."""
        table = self.routes[event.afi]
        before = table.get(event.nlri, ())
        route = event.route
        if event.present:
            if event.flags & NLM_F_REPLACE and not event.flags & NLM_F_APPEND:
                kept = tuple(r for r in before if (r.spec.metric, r.tos) != (route.spec.metric, route.tos))
            elif event.afi == IPV6 and len(route.spec.nexthops) > 1:
                kept = tuple(r for r in before if not _extends(route, r))
            else:  # the very same told again, as a rule not; there may be a thousand, as of fe80::/64
                kept = tuple(r for r in before if r != route) if route in before else before
            place = bisect_right(kept, route.spec.metric, key=_metric)
            after = (*kept[:place], route, *kept[place:])
        else:
            after = _without(event.afi, before, route)
        if after:
            table[event.nlri] = after
        else:
            table.pop(event.nlri, None)
            self.makers.pop((event.afi, event.nlri), None)
        self._count(event.afi, event.nlri[0], bool(after) - bool(before))

    def forget_slot(self, afi: int, nlri: bytes, metric: int) -> None:
        """A route of our protocol replaced whatever had this destination and metric."""
        before = self.routes[afi].get(nlri, ())
        after = tuple(route for route in before if route.spec.metric != metric or route.tos)
        if after != before:
            if after:
                self.routes[afi][nlri] = after
            else:
                del self.routes[afi][nlri]
                self._count(afi, nlri[0], -1)

    def clear(self) -> None:
        """Forget everything, before a full look."""
        self.links.clear()
        self.names.clear()
        self._addresses.clear()
        self._local.clear()
        for afi in self.routes:
            self.routes[afi].clear()
            self._lengths[afi].clear()
        self.local_nlri.clear()

    def _count(self, afi: int, length: int, change: int) -> None:
        if change:
            counts = self._lengths[afi]
            counts[length] = counts.get(length, 0) + change
            if not counts[length]:
                del counts[length]

    # --- questions ---

    def is_local(self, address: bytes) -> bool:
        """Whether this host has the address itself."""
        return address in self._local

    def usable(self, route: KernelRoute) -> bool:
        """Whether any of its ways leads over a link that is up (IPv4 keeps dead ways of a multipath route)."""
        if route.spec.type != RouteType.UNICAST:
            return True
        return any(self.is_up(hop.ifindex) for hop in route.spec.nexthops)

    def is_up(self, ifindex: int) -> bool:
        link = self.links.get(ifindex)
        return link is not None and link.up

    def has_carrier(self, ifindex: int) -> bool:
        link = self.links.get(ifindex)
        return link is not None and link.carrier

    def name(self, ifindex: int) -> str:
        link = self.links.get(ifindex)
        return link.name if link is not None else f"interface {ifindex}"

    def lengths(self, afi: int) -> Iterable[int]:
        return self._lengths[afi].keys()

    def lookup(self, afi: int, address: bytes) -> tuple[bytes, KernelRoute] | None:
        """The foreign route that the kernel takes to an address: longest match, then lowest metric."""
        table = self.routes[afi]
        for length in sorted(self._lengths[afi], reverse=True):
            nlri = cover(address, length)
            for route in table.get(nlri, ()):
                if not route.tos and self.usable(route):
                    return nlri, route
        return None

    def connected(self, afi: int, nlri: bytes) -> KernelRoute | None:
        """The foreign route by which exactly this destination is on a link, if there is one."""
        for route in self.routes[afi].get(nlri, ()):
            if route.spec.connected and self.usable(route):
                return route
        return None

    def in_slot(self, afi: int, nlri: bytes, metric: int) -> KernelRoute | None:
        """The foreign route that has the place (destination and metric) that ours would take."""
        for route in self.routes[afi].get(nlri, ()):
            if route.spec.metric == metric and not route.tos:
                return route
        return None

    def link_local_interfaces(self) -> list[int]:
        """Interfaces on which IPv6 link-local neighbours can be: those with a connected fe80::/64 (or /10)."""
        found: set[int] = set()
        address = b"\xfe\x80" + bytes(14)
        for length in (64, 10):
            for route in self.routes[IPV6].get(cover(address, length), ()):
                if route.spec.connected:
                    found.update(hop.ifindex for hop in route.spec.nexthops if self.is_up(hop.ifindex))
        return sorted(index for index in found if not self.links[index].loopback)

    def host_routes(self, interface_prefix: str) -> dict[tuple[int, bytes], str]:
        """Whole addresses that are on a link of that name's beginning: (AFI, destination) -> interface."""
        found: dict[tuple[int, bytes], str] = {}
        for afi, table in self.routes.items():
            bits = 8 * ADDRESS_BYTES[afi]
            if bits not in self._lengths[afi]:
                continue
            for nlri, routes in table.items():
                if nlri[0] == bits:
                    name = self._interface(routes, interface_prefix)
                    if name is not None:
                        found[afi, nlri] = name
        return found

    def host_route(self, afi: int, nlri: bytes, interface_prefix: str) -> str | None:
        """The interface, its name beginning so, that a whole address is on."""
        return self._interface(self.routes[afi].get(nlri, ()), interface_prefix)

    def _interface(self, routes: tuple[KernelRoute, ...], prefix: str) -> str | None:
        for route in routes:
            for hop in route.spec.nexthops:
                link = self.links.get(hop.ifindex)
                if link is not None and link.up and link.name.startswith(prefix) and route.spec.connected:
                    return link.name
        return None


def _metric(route: KernelRoute) -> int:
    return route.spec.metric


def _extends(new: KernelRoute, old: KernelRoute) -> bool:
    """Whether `new`, of IPv6, tells `old` anew: the very same route, or with one more next hop."""
    if new == old:
        return True
    return (
        new.protocol == old.protocol
        and new.spec.metric == old.spec.metric
        and set(old.spec.nexthops) <= set(new.spec.nexthops)
    )


def _without(afi: int, before: tuple[KernelRoute, ...], gone: KernelRoute) -> tuple[KernelRoute, ...]:
    """Routes left after one went: that very one if it is known, else what it may have been."""
    if gone in before:
        position = before.index(gone)
        return before[:position] + before[position + 1 :]
    same = [r for r in before if (r.protocol, r.spec.metric, r.tos) == (gone.protocol, gone.spec.metric, gone.tos)]
    if not same:
        return before
    old = same[0]
    remaining = tuple(hop for hop in old.spec.nexthops if hop not in gone.spec.nexthops)
    left = tuple(route for route in before if route is not old)
    if afi == IPV6 and remaining and len(remaining) < len(old.spec.nexthops):  # one of several next hops went
        left = tuple(sorted((*left, old._replace(spec=old.spec._replace(nexthops=remaining))), key=_metric))
    return left
