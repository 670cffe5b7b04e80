"""Where a BGP next hop really is: resolved through the kernel's own table, and followed as that changes.

A next hop on a link is its own gateway. Any other is reached as the longest match says: a route that
somebody else made gives its gateways (the kernel takes only gateways that are on a link, so one step is
all), one of our own learned routes gives its next hops, which are resolved in turn. A learned route never
resolves a next hop through itself (RFC 4271, 9.1.2.1): on the way down every learned route is used once
at most, and the next shorter match is asked instead. The answer depends on nothing but the tables, so
it can't swing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .route import ADDRESS_BYTES, IPV4, IPV6, NextHop, RouteType, address_text, cover, prefix_text, type_name
from .surroundings import Surroundings

NO_CARRIER_COST = 1 << 30  # a link without carrier: only when there is nothing else
TRACKED_MAXIMUM = 50_000

LearnedNextHops = Callable[[int, bytes], "tuple[bytes, ...] | None"]


class Resolution(NamedTuple):
    """What a next hop stands for now. `cost` None: unusable, for the `reason`.

    `link`: the connected destination that the next hop lies in, if it is on a link.
    """

    hops: tuple[NextHop, ...]
    cost: int | None
    reason: str = ""
    link: bytes | None = None


def split_next_hop(raw: bytes) -> tuple[bytes, bytes]:
    """(address to look up, link-local address to send to or b"") of a next hop of 4, 16 or 32 octets."""
    if len(raw) != 32:
        return raw, b""
    first, second = raw[:16], raw[16:]
    if is_link_local(first):  # some speakers put the link-local one first, or twice
        first, second = second, first
    return first, second if is_link_local(second) else b""


def is_link_local(address: bytes) -> bool:
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


class Resolver:
    """Knows every next hop that was asked for, and which of them a change in the tables touches. No I/O."""

    def __init__(
        self,
        surroundings: Surroundings,
        learned: LearnedNextHops,
        learned_lengths: Callable[[int], Iterable[int]],
    ) -> None:
        self._surroundings = surroundings
        self._learned = learned
        self._learned_lengths = learned_lengths
        self._known: dict[bytes, Resolution] = {}
        self._guards: dict[int, dict[bytes, int]] = {IPV4: {}, IPV6: {}}
        self._watch: dict[int, dict[bytes, set[bytes]]] = {IPV4: {}, IPV6: {}}
        self._watched_lengths: dict[int, set[int]] = {IPV4: set(), IPV6: set()}
        self.guards_changed: set[tuple[int, bytes]] = set()

    def __len__(self) -> int:
        return len(self._known)

    def resolve(self, raw: bytes) -> Resolution:
        """The resolution of a next hop, which is followed from now on."""
        known = self._known.get(raw)
        if known is not None:
            return known
        resolution = self._resolve(raw, frozenset())
        self._known[raw] = resolution
        self._guard(raw, resolution, 1)
        address, _ = split_next_hop(raw)
        afi = _afi(address)
        if afi is not None:
            watch = self._watch[afi]
            for length in self._watched_lengths[afi]:
                watch.setdefault(cover(address, length), set()).add(raw)
        for hop in resolution.hops:  # the gateways on the way must stay reachable as well
            if hop.gateway and hop.gateway != address and not is_link_local(hop.gateway):
                self.resolve(hop.gateway)
        return resolution

    def touched(self, afi: int, nlri: Iterable[bytes]) -> set[bytes]:
        """The next hops that may resolve otherwise after routes to these destinations have changed."""
        nlri = nlri if isinstance(nlri, (list, tuple, set, dict)) else list(nlri)
        watch = self._watch[afi]
        for length in {destination[0] for destination in nlri} - self._watched_lengths[afi]:
            self._watched_lengths[afi].add(length)
            for raw in self._known:
                address, _ = split_next_hop(raw)
                if _afi(address) == afi:
                    watch.setdefault(cover(address, length), set()).add(raw)
        if watch.keys().isdisjoint(nlri):
            return set()
        return set().union(*(watch[destination] for destination in nlri if destination in watch))

    def on_links(self, ifindexes: set[int]) -> set[bytes]:
        """The next hops that use one of these interfaces, or have none to use."""
        return {
            raw
            for raw, known in self._known.items()
            if known.cost is None or not ifindexes.isdisjoint(hop.ifindex for hop in known.hops)
        }

    def known(self) -> set[bytes]:
        return set(self._known)

    def refresh(self, raws: Iterable[bytes]) -> tuple[set[bytes], set[bytes]]:
        """Resolve again; gives (those whose ways changed, those of them whose cost or usability changed)."""
        changed: set[bytes] = set()
        costs: set[bytes] = set()
        for raw in raws:
            before = self._known.get(raw)
            if before is None:
                continue
            after = self._resolve(raw, frozenset())
            if after == before:
                continue
            self._known[raw] = after
            if after.link != before.link:
                self._guard(raw, before, -1)
                self._guard(raw, after, 1)
            changed.add(raw)
            if after.cost != before.cost:
                costs.add(raw)
            for hop in after.hops:
                if hop.gateway and hop.gateway not in self._known and not is_link_local(hop.gateway):
                    self.resolve(hop.gateway)
        return changed, costs

    def prune(self, wanted: Iterable[bytes]) -> None:
        """Forget the next hops that nobody wants any longer; whoever asks again is told anew."""
        keep = set(wanted)
        for raw in list(keep):
            known = self._known.get(raw)
            if known is not None:
                keep.update(hop.gateway for hop in known.hops)
        for raw in [raw for raw in self._known if raw not in keep]:
            self._guard(raw, self._known.pop(raw), -1)
        for watch in self._watch.values():
            watch.clear()
        for lengths in self._watched_lengths.values():
            lengths.clear()

    # --- destinations that must not be covered ---

    def guards(self, afi: int) -> Mapping[bytes, int]:
        """The destinations, to which a route would take a next hop off the link that it is on."""
        return self._guards[afi]

    def guarded_by(self, afi: int, nlri: bytes) -> tuple[bytes, bytes]:
        """(next hop, connected destination) for whose sake a destination is among `guards`."""
        for raw, known in self._known.items():
            address, _ = split_next_hop(raw)
            if (
                known.link is not None
                and _afi(address) == afi
                and nlri[0] > known.link[0]
                and cover(address, nlri[0]) == nlri
            ):
                return address, known.link
        return b"", b""

    def _guard(self, raw: bytes, resolution: Resolution, count: int) -> None:
        address, _ = split_next_hop(raw)
        afi = _afi(address)
        if resolution.link is None or afi is None or not resolution.link[0]:
            return
        guards = self._guards[afi]
        for length in range(resolution.link[0] + 1, 8 * len(address) + 1):
            nlri = cover(address, length)
            before = guards.get(nlri, 0)
            after = before + count
            if after:
                guards[nlri] = after
            else:
                del guards[nlri]
            if not before or not after:
                self.guards_changed.add((afi, nlri))

    # --- the resolution itself ---

    def _resolve(self, raw: bytes, used: frozenset[bytes]) -> Resolution:
        address, link_local = split_next_hop(raw)
        afi = _afi(address)
        if afi is None:
            return Resolution((), None, f"next hop {address_text(raw)} is no address")
        text = address_text(address)
        if not any(address):
            return Resolution((), None, f"next hop {text} is no address")
        here = self._surroundings
        if here.is_local(address):
            return Resolution((), None, f"next hop {text} is an address of this host itself")
        if is_link_local(address):
            return self._resolve_link_local(address)
        match = here.lookup(afi, address)
        if match is not None and match[1].spec.connected and match[0][0]:
            return self._on_link(match[0], match[1].spec.nexthops, link_local or address)
        bound = match[0][0] if match is not None else -1
        learned = self._through_learned(afi, address, bound, used)
        if learned is not None:
            return learned
        if match is None:
            return Resolution((), None, f"no route to next hop {text}")
        nlri, route = match
        spec = route.spec
        if spec.connected:  # a default route without a gateway: everything is on that link
            return self._on_link(nlri, spec.nexthops, link_local or address)
        if spec.type != RouteType.UNICAST:
            behind = f"a route of type {type_name(spec.type)} to {prefix_text(afi, nlri)}"
            return Resolution((), None, f"next hop {text} is behind {behind}")
        hops = [hop._replace(weight=1) for hop in spec.nexthops if here.is_up(hop.ifindex) and hop.gateway]
        if not hops:
            return Resolution((), None, f"the route to next hop {text} has no usable gateway")
        return self._with_cost(hops, max(spec.metric, 1), None)

    def _through_learned(self, afi: int, address: bytes, bound: int, used: frozenset[bytes]) -> Resolution | None:
        """By way of a learned route more specific than `bound`, unless it is in use above already."""
        if len(used) >= 16:
            return None
        for length in sorted(self._learned_lengths(afi), reverse=True):
            if length <= bound:
                break
            nlri = cover(address, length)
            if nlri in used:
                continue
            next_hops = self._learned(afi, nlri)
            if not next_hops:
                continue
            below = [self._resolve(raw, used | {nlri}) for raw in next_hops]
            usable = [r for r in below if r.cost is not None]
            if usable:
                hops = [hop for resolution in usable for hop in resolution.hops]
                return self._with_cost(hops, 1 + max(r.cost or 0 for r in usable), None)
        return None

    def _resolve_link_local(self, address: bytes) -> Resolution:
        interfaces = self._surroundings.link_local_interfaces()
        if len(interfaces) == 1:
            return self._with_cost([NextHop(address, interfaces[0])], 0, None)
        names = ", ".join(self._surroundings.name(index) for index in interfaces) or "none has IPv6"
        text = address_text(address)
        return Resolution((), None, f"next hop {text} is link-local and could be on any interface ({names})")

    def _on_link(self, nlri: bytes, ways: tuple[NextHop, ...], gateway: bytes) -> Resolution:
        up = [NextHop(gateway, hop.ifindex) for hop in ways if self._surroundings.is_up(hop.ifindex)]
        return self._with_cost(up, 0, nlri)

    def _with_cost(self, hops: list[NextHop], cost: int, link: bytes | None) -> Resolution:
        live = [hop for hop in hops if self._surroundings.has_carrier(hop.ifindex)]
        if not live:
            cost += NO_CARRIER_COST
        return Resolution(tuple(sorted(set(live or hops))), cost, "", link)


def _afi(address: bytes) -> int | None:
    for afi, size in ADDRESS_BYTES.items():
        if len(address) == size:
            return afi
    return None
