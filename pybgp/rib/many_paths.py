"""What a neighbour is told where the best path alone does not say it: several paths of a prefix (RFC 7911), or the
best of those that it may have (RFC 7947 section 2.3.2.2).

Both feed an ordinary `AdjRibOut`. For ADD-PATH its keys are the path identifier's four octets and then the NLRI, so
that each path has its pending slot. Identifiers are this speaker's own: a small number, unique among the paths of a
prefix, that stays with a path (its source, and the identifier that the source gave it) as long as that is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import NLRI
from pybgp.rib.adj_rib_out import AdjRibOut
from pybgp.rib.route import Entry, Path, Source, paths_of

MEMO_LIMIT = 1 << 15

_Key = tuple[Source, int]  # where a path came from, and the identifier that it had there
_Slots = tuple[_Key | None, ...]  # index + 1 is the identifier that we send


def tagged(path_id: int, nlri: NLRI) -> bytes:
    """The key of one path in the Adj-RIB-Out."""
    return path_id.to_bytes(4, "big") + nlri


def untagged(keys: Iterable[bytes]) -> tuple[list[NLRI], list[int]]:
    """What `tagged` put together: NLRI, and the path identifiers beside them."""
    listed = list(keys)
    return [key[4:] for key in listed], [int.from_bytes(key[:4], "big") for key in listed]


class ManyPaths:
    """The best `limit` paths (0: all) that the neighbour may have, each under an identifier of its own."""

    def __init__(self, out: AdjRibOut, limit: int = 0) -> None:
        self.out = out
        self.limit = limit
        self._slots: dict[NLRI, _Slots] = {}
        self._shared: dict[_Slots, _Slots] = {}

    def apply(self, nlri: list[NLRI], entry: Entry | None) -> None:
        """Queue what follows from the candidates that prefixes have now."""
        for paths, part in self._told(nlri, entry):
            for before, group in self._by_slots(part):
                after = _placed(before, [(path.source, path.path_id) for path, _ in paths])
                after = self._remember(group, after)
                for index, key in enumerate(before):
                    if key is not None and (index >= len(after) or after[index] is None):
                        self.out.withdraw([tagged(index + 1, one) for one in group])
                for path, attributes in paths:
                    path_id = after.index((path.source, path.path_id)) + 1
                    self.out.announce([tagged(path_id, one) for one in group], attributes)

    def path_ids(self, nlri: NLRI) -> dict[int, tuple[Source, int]]:
        """The identifiers under which paths of a prefix are told, and where each came from."""
        return {index + 1: key for index, key in enumerate(self._slots.get(nlri, ())) if key is not None}

    def _told(
        self, nlri: list[NLRI], entry: Entry | None
    ) -> list[tuple[list[tuple[Path, PathAttributes]], list[NLRI]]]:
        """Which paths go out, with what attributes, and for which of the prefixes: all of them alike where policy
        does not look at prefixes."""
        parts: list[tuple[list[tuple[Path, PathAttributes]], list[NLRI]]] = [([], nlri)]
        for path in paths_of(entry):
            if path.rejected is not None:
                continue
            split: list[tuple[list[tuple[Path, PathAttributes]], list[NLRI]]] = []
            for paths, part in parts:
                if self.limit and len(paths) == self.limit:
                    split.append((paths, part))
                    continue
                for attributes, some in self.out.export.each(path, part):
                    split.append((paths if attributes is None else [*paths, (path, attributes)], some))
            parts = split
        return parts

    def _by_slots(self, nlri: list[NLRI]) -> Iterable[tuple[_Slots, list[NLRI]]]:
        groups: dict[int, tuple[_Slots, list[NLRI]]] = {}
        for one in nlri:
            slots = self._slots.get(one, ())
            groups.setdefault(id(slots), (slots, []))[1].append(one)
        return groups.values()

    def _remember(self, nlri: list[NLRI], slots: _Slots) -> _Slots:
        if not slots:
            for one in nlri:
                self._slots.pop(one, None)
            return slots
        if len(self._shared) >= MEMO_LIMIT:
            self._shared.clear()
        slots = self._shared.setdefault(slots, slots)
        self._slots.update(dict.fromkeys(nlri, slots))
        return slots


def _placed(before: _Slots, keys: list[_Key]) -> _Slots:
    """Known paths where they are, new ones in the first free places, nothing behind the last."""
    wanted = set(keys)
    slots = [key if key in wanted else None for key in before]
    held = set(slots)
    for key in keys:
        if key in held:
            continue
        if None in slots:
            slots[slots.index(None)] = key
        else:
            slots.append(key)
    while slots and slots[-1] is None:
        slots.pop()
    return tuple(slots)


class BestAllowed:
    """One path a prefix: the best of those that export lets through."""

    def __init__(self, out: AdjRibOut) -> None:
        self.out = out

    def apply(self, nlri: list[NLRI], entry: Entry | None) -> None:
        """Queue what follows from the candidates that prefixes have now."""
        left = nlri
        for path in paths_of(entry):
            if path.rejected is not None or not left:
                break
            refused: list[NLRI] = []
            for attributes, part in self.out.export.each(path, left):
                if attributes is None:
                    refused += part
                else:
                    self.out.announce(part, attributes)
            left = refused
        if left:
            self.out.withdraw(left)
