"""Sets of prefixes with ranges of lengths, asked about a batch of prefixes at once, and the conditions made of them.

    PrefixSet("10.0.0.0/8 le 24", "192.0.2.0/24", "2001:db8::/32 ge 40 le 48")

A prefix is in the set when it lies inside of one of the entries and its length is in that entry's range: `ge` and
`le` are lengths in bits, `le` alone begins at the entry's own length, `ge` alone ends at single addresses, and
without both it is the entry itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pybgp.family import Afi, Family
from pybgp.policy.condition import Condition
from pybgp.prefix import IP_PREFIXES, NLRI, Prefix
from pybgp.rib.lookup import shortened
from pybgp.rib.route import Route

_ENTRY = re.compile(r"\s*(\S+?)\s*(?:\+|((?:\s+(?:ge|le)\s+\d{1,3})*))\s*", re.ASCII)
_BITS = {Afi.IPV4: 32, Afi.IPV6: 128}


class PrefixSet:
    """Immutable. `name` is for reasons and errors. ValueError for an entry that is none, or without any entry.

    `ge` and `le` given by name serve the entries that have none of their own. "10.0.0.0/8+" is short for
    "10.0.0.0/8 le 32".
    """

    def __init__(self, *entries: str | Prefix, ge: int | None = None, le: int | None = None, name: str = "") -> None:
        if not entries:
            raise ValueError("a set of prefixes needs at least one")
        self.name = name
        self.entries = tuple(map(str, entries))
        self._default = (ge, le)
        self._by_length: dict[int, list[_Row]] = {}  # afi -> what to look for, by the length of the prefix asked about
        self._networks: dict[int, dict[int, set[NLRI]]] = {}  # afi -> length -> the entries
        self._exact = True
        for entry in entries:
            self._add(*self._read(entry))

    def _read(self, entry: str | Prefix) -> tuple[Prefix, int, int]:
        if isinstance(entry, Prefix):
            prefix, (ge, le) = entry, self._default
        else:
            found = _ENTRY.fullmatch(entry)
            if found is None:
                raise ValueError(f'{entry!r} is no entry of a prefix set, as "10.0.0.0/8 ge 16 le 24" is')
            prefix = Prefix(found[1])
            bounds = dict(re.findall(r"(ge|le)\s+(\d+)", found[2] or ""))
            if found[2] is None:
                ge, le = None, _BITS[Afi(prefix.family.afi)]
            elif bounds:
                ge, le = (int(bounds[word]) if word in bounds else None for word in ("ge", "le"))
            else:
                ge, le = self._default
        bits = _BITS[Afi(prefix.family.afi)]
        if ge is None and le is None:
            return prefix, prefix.length, prefix.length
        lowest, highest = prefix.length if ge is None else ge, bits if le is None else le
        if not prefix.length <= lowest <= highest <= bits:
            raise ValueError(
                f"{prefix}: lengths from {lowest} to {highest} are no range from {prefix.length} to {bits}"
            )
        return prefix, lowest, highest

    def _add(self, prefix: Prefix, lowest: int, highest: int) -> None:
        afi, at = prefix.family.afi, prefix.length
        self._exact &= lowest == highest == at
        self._networks.setdefault(afi, {}).setdefault(at, set()).add(prefix.nlri)
        rows = self._by_length.setdefault(afi, [[] for _ in range(_BITS[Afi(afi)] + 1)])
        stop, mask = 1 + (at + 7) // 8, 0xFF00 >> (at % 8) & 0xFF
        for length in range(lowest, highest + 1):
            row = rows[length]
            group = next((group for end, bits, group in row if (end, bits) == (stop, mask)), None)
            if group is None:
                group = set()
                row.append((stop, mask, group))
            group.add(prefix.nlri[1:])

    def has(self, family: Family, nlri: NLRI) -> bool:
        """Whether one prefix, as its wire octets, is in the set."""
        return self.which(family, (nlri,))[0]

    def which(self, family: Family, nlri: Sequence[NLRI]) -> list[bool]:
        """For each prefix whether it is in the set."""
        rows = self._by_length.get(family.afi)
        if rows is None or family.safi not in IP_PREFIXES:
            return [False] * len(nlri)
        if self._exact:
            networks = self._networks[family.afi]
            if len(networks) == 1:
                ((_length, entries),) = networks.items()
                return [one in entries for one in nlri]
            return [one in networks.get(one[0], ()) for one in nlri]
        return [_in_row(one, rows[one[0]]) for one in nlri]

    def __contains__(self, prefix: object) -> bool:
        if isinstance(prefix, str):
            prefix = Prefix(prefix)
        return isinstance(prefix, Prefix) and self.has(prefix.family, prefix.nlri)

    def holds_address(self, address: bytes) -> bool:
        """Whether an address (4 or 16 octets) lies inside of one of the entries; the ranges of lengths do not count."""
        networks = self._networks.get({4: Afi.IPV4, 16: Afi.IPV6}.get(len(address), 0), {})
        host = bytes((8 * len(address),)) + address
        return any(shortened(host, length) in entries for length, entries in networks.items())

    def __str__(self) -> str:
        ge, le = self._default
        bounds = ("" if ge is None else f" ge {ge}") + ("" if le is None else f" le {le}")
        return self.name or ", ".join(self.entries) + bounds

    def __repr__(self) -> str:
        return f"<PrefixSet {self.name or len(self.entries)}>"


_Row = list[tuple[int, int, set[bytes]]]
"""For entries of one length: where their octets end in an NLRI, the bits of the last one that count (0: all), and the
octets, without that of the length."""
_OCTETS = tuple(bytes((octet,)) for octet in range(256))


def _in_row(nlri: NLRI, row: _Row) -> bool:
    # A plain loop: the rows have a few entries, and a generator would cost more than they do.
    for stop, mask, group in row:
        if mask:
            if nlri[1 : stop - 1] + _OCTETS[nlri[stop - 1] & mask] in group:
                return True
        elif nlri[1:stop] in group:
            return True
    return False


def prefix_in(*prefixes: str | Prefix | PrefixSet, ge: int | None = None, le: int | None = None) -> Condition:
    """The prefix is one of these, or in one of these sets. With `ge` or `le` (lengths in bits): it is inside one of
    these and its length is in the range, as in a prefix list; `ge` alone goes up to the host, `le` alone begins at
    the length given. ValueError for a bad prefix or an empty range."""
    if not prefixes:
        raise ValueError("prefix_in needs at least one prefix")
    sets = [one for one in prefixes if isinstance(one, PrefixSet)]
    entries = [one for one in prefixes if not isinstance(one, PrefixSet)]
    if entries:
        sets.insert(0, PrefixSet(*entries, ge=ge, le=le))
    text = "prefix in " + ", ".join(map(str, sets))
    if len(sets) == 1:
        (only,) = sets
        return Condition(
            lambda route: only.has(route.family, route.nlri),
            text,
            per_path=False,
            each=lambda route, nlri: only.which(route.family, nlri),
        )
    return Condition(
        lambda route: any(one.has(route.family, route.nlri) for one in sets),
        text,
        per_path=False,
        each=lambda route, nlri: list(map(any, zip(*(one.which(route.family, nlri) for one in sets), strict=True))),
    )


def next_hop_in(*prefixes: str | Prefix | PrefixSet) -> Condition:
    """The next hop (the global one of two) lies inside one of these prefixes, or of those of these sets."""
    if not prefixes:
        raise ValueError("next_hop_in needs at least one prefix")
    sets = [one if isinstance(one, PrefixSet) else PrefixSet(one) for one in prefixes]

    def inside(route: Route) -> bool:
        address = route.next_hop[:16]
        return any(one.holds_address(address) for one in sets)

    return Condition(inside, "next hop in " + ", ".join(map(str, sets)))
