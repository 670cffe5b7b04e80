"""What the RIBs are made of: where a path came from, the path itself, and what changed.

Inside, a destination is its wire form (`NLRI`, bytes) and one `Path` object is shared by every
destination that came with it; `Route` and `Change` are the views a person gets, made only when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from pybgp.family import Family
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI, Prefix, format_address, pack_address

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Source:
    """A peer as the RIB sees it, or the speaker itself as the origin of its own routes (`local`).

    One object a peer for the peer's whole life: identity is what tells two sources apart, so a new
    session updates the fields (BGP Identifier, local address) instead of making a new object.
    `generation` is the age of what the source said: raising it makes all its earlier paths stale at once.
    """

    name: str
    address: bytes = b""
    bgp_identifier: int = 0
    asn: int = 0
    local_as: int = 0
    internal: bool = False
    local: bool = False
    route_reflector_client: bool = False
    local_address: bytes = b""
    generation: int = 0
    role: str | None = None  # ours towards the peer, RFC 9234
    speaker_as: int = 0  # our own, where `local_as` is another one shown to this peer; 0: the same
    group: str = ""  # where its settings came from

    @classmethod
    def own(cls, local_as: int, bgp_identifier: int, name: str = "local") -> Source:
        """The source of routes that this speaker originates."""
        return cls(name=name, bgp_identifier=bgp_identifier, asn=local_as, local_as=local_as, local=True)

    @property
    def external(self) -> bool:
        return not self.internal and not self.local

    def __str__(self) -> str:
        return self.name


class Path:
    """One way to reach destinations: attributes from one source, shared by all prefixes that came with it.

    `received` is what the source sent, `attributes` what import policy made of it; `rejected` says why the
    path may not be used (None: it may). Never changed once it is in a table: a change is a new Path.
    `cost` is the interior cost of the next hop (RFC 4271 section 9.1.2.2 e), `path_id` that of RFC 7911.
    """

    __slots__ = ("attributes", "cost", "generation", "path_id", "received", "rejected", "source")

    def __init__(
        self,
        source: Source,
        received: PathAttributes,
        *,
        path_id: int = 0,
        attributes: PathAttributes | None = None,
        rejected: str | None = None,
        cost: int = 0,
        generation: int | None = None,
    ) -> None:
        self.source = source
        self.path_id = path_id
        self.received = received
        self.attributes = received if attributes is None else attributes
        self.rejected = rejected
        self.cost = cost
        self.generation = source.generation if generation is None else generation

    @property
    def stale(self) -> bool:
        """True when the source's session restarted (RFC 4724) or a refresh began (RFC 7313) since."""
        return self.generation != self.source.generation

    def same_route(self, other: Path) -> bool:
        """True when a reader of the Loc-RIB could not tell the two apart."""
        return self is other or (
            self.source is other.source
            and self.path_id == other.path_id
            and (self.attributes is other.attributes or self.attributes == other.attributes)
        )

    def same_verdict(self, other: Path) -> bool:
        """True when the decision process could not tell the two apart either (staleness aside)."""
        return (
            self.same_route(other)
            and self.cost == other.cost
            and self.rejected == other.rejected
            and (self.received is other.received or self.received == other.received)
        )

    def __repr__(self) -> str:
        text = f"<Path from {self.source.name}"
        if self.path_id:
            text += f" id {self.path_id}"
        if self.attributes.next_hop:
            text += f" via {self.attributes.next_hop_text}"
        if self.stale:
            text += " stale"
        if self.rejected is not None:
            text += f" rejected: {self.rejected}"
        return text + ">"


Entry = Path | tuple[Path, ...]
"""What the table holds for a prefix: a Path alone, or two and more, best first, ineligible ones last."""


class Removed(NamedTuple):
    """What was selected before, where that is not the same for all prefixes of a Delta."""

    paths: frozenset[Path]
    each: list[Path]  # beside the prefixes


class Delta(NamedTuple):
    """Prefixes whose selection changed in the same way. `old` and `new` are what was and is selected (the
    best path, or a tuple of the multipath set, best first); None is nothing. The list is shared: only read it.
    Prefixes that are left with nothing may share a Delta with `removed`, and `old` is None (`LocRib.withdraw`)."""

    family: Family
    nlri: list[NLRI]
    old: Entry | None
    new: Entry | None
    removed: Removed | None = None


def paths_of(entry: Entry | None) -> tuple[Path, ...]:
    """The paths of an entry or a selection, best first."""
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def best_of(selected: Entry | None) -> Path | None:
    """The best path of a selection."""
    return selected[0] if isinstance(selected, tuple) else selected


class Route:
    """A prefix with the attributes of one path: what policies and subscribers are shown. Immutable."""

    __slots__ = ("_nlri", "attributes", "family", "peer")

    def __init__(self, prefix: Prefix, attributes: PathAttributes, peer: Source) -> None:
        self.family = prefix.family
        self._nlri: NLRI | None = prefix.nlri
        self.attributes = attributes
        self.peer = peer

    @classmethod
    def of(cls, family: Family, nlri: NLRI | None, attributes: PathAttributes, peer: Source) -> Route:
        """Made from the wire form. Without an nlri the route stands for any prefix (see `per_path`)."""
        route = cls.__new__(cls)
        route.family = family
        route._nlri = nlri
        route.attributes = attributes
        route.peer = peer
        return route

    @property
    def nlri(self) -> NLRI:
        """The destination on the wire. ValueError where the route stands for many (`per_path`)."""
        if self._nlri is None:
            raise ValueError("a policy marked per_path may not look at the prefix: it is asked once for many")
        return self._nlri

    @property
    def prefix(self) -> Prefix:
        return Prefix.of(self.family, self.nlri)

    @property
    def next_hop(self) -> bytes:
        return self.attributes.next_hop

    def with_(self, row: Attribute[T], value: T) -> Route:
        """The same route with one attribute set: `route.with_(LOCAL_PREF, 200)`. ValueError for a bad value."""
        return self.with_attributes(self.attributes.with_(row, value))

    def without(self, row: Attribute[T]) -> Route:
        """The same route without one attribute."""
        return self.with_attributes(self.attributes.without(row))

    def with_next_hop(self, next_hop: str | bytes) -> Route:
        """The same route with another next hop, as text or octets. ValueError for no address."""
        raw = pack_address(next_hop) if isinstance(next_hop, str) else next_hop
        return self.with_attributes(self.attributes.with_next_hop(raw))

    def with_attributes(self, attributes: PathAttributes) -> Route:
        """The same route with other attributes."""
        return Route.of(self.family, self._nlri, attributes, self.peer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Route):
            return NotImplemented
        return (
            self.family == other.family
            and self._nlri == other._nlri
            and self.peer is other.peer
            and self.attributes == other.attributes
        )

    def __hash__(self) -> int:
        return hash((self.family, self._nlri, self.attributes))

    def __repr__(self) -> str:
        what = "any prefix" if self._nlri is None else str(self.prefix)
        via = f" via {self.attributes.next_hop_text}" if self.attributes.next_hop else ""
        return f"<Route {what}{via} from {self.peer.name}>"


class Change:
    """One prefix whose selection changed, for subscribers. Built from a Delta when it is read."""

    __slots__ = ("_delta", "_nlri")

    def __init__(self, delta: Delta, nlri: NLRI) -> None:
        self._delta = delta
        self._nlri = nlri

    @classmethod
    def each(cls, delta: Delta) -> Iterator[Change]:
        """One Change a prefix of the delta."""
        return (cls(delta, nlri) for nlri in delta.nlri)

    @property
    def prefix(self) -> Prefix:
        return Prefix.of(self._delta.family, self._nlri)

    @property
    def old(self) -> Route | None:
        """The best route before; None: there was none."""
        return self._best(self._delta.old)

    @property
    def new(self) -> Route | None:
        """The best route now; None: the prefix is gone."""
        return self._best(self._delta.new)

    @property
    def old_paths(self) -> tuple[Route, ...]:
        return self._routes(self._delta.old)

    @property
    def new_paths(self) -> tuple[Route, ...]:
        """All routes of the multipath set, best first."""
        return self._routes(self._delta.new)

    def _best(self, selected: Entry | None) -> Route | None:
        path = best_of(selected)
        return None if path is None else Route.of(self._delta.family, self._nlri, path.attributes, path.source)

    def _routes(self, selected: Entry | None) -> tuple[Route, ...]:
        family, nlri = self._delta.family, self._nlri
        return tuple(Route.of(family, nlri, path.attributes, path.source) for path in paths_of(selected))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Change):
            return NotImplemented
        return (self.prefix, self.old_paths, self.new_paths) == (other.prefix, other.old_paths, other.new_paths)

    def __hash__(self) -> int:
        return hash((self._delta.family, self._nlri))

    def __repr__(self) -> str:
        new = self.new
        if new is None:
            return f"<Change {self.prefix} gone>"
        ways = len(self.new_paths)
        via = f" via {new.attributes.next_hop_text}" if new.next_hop else ""
        return f"<Change {self.prefix}{via} from {new.peer.name}{f' and {ways - 1} more' if ways > 1 else ''}>"


def address_text(address: bytes) -> str:
    """A peer address or next hop for a sentence; a pair of IPv6 addresses shows the global one."""
    if len(address) == 32:
        address = address[:16]
    return format_address(address) if address else "none"
