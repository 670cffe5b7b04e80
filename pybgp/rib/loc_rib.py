"""Loc-RIB: one table a family, prefix -> all its paths, best first, and what a change of it selects.

The paths of every peer (the Adj-RIBs-In) and the selection (the Loc-RIB) share this one table:
`prefix -> Path`, or a tuple of Paths where there are several. Tuples are shared by all prefixes with
the same candidates, so the decision process runs once for a set of candidates and not once a prefix.
Work comes and goes in batches: lists of prefixes in, lists of `Delta` out.

What callers must know:
* Lists handed in and lists in Deltas are kept and shared: never change one.
* `remove`, `reconsider`, `snapshot` and `walk` are generators of slices. The table may change between
  two slices, and nothing is lost or undone by it: a slice always looks at the table as it is then.
* `remove` first makes all paths of the source stale, so a peer that comes back while its old paths are
  still being removed loses none of its new ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, cast

from pybgp.family import Family
from pybgp.prefix import NLRI
from pybgp.rib.decision import PLAIN, DecisionRules, Step, best_first, multipath, rank, reason
from pybgp.rib.lookup import covering
from pybgp.rib.route import Delta, Entry, Path, Removed, Source, best_of, paths_of

CHUNK = 2048
"""Prefixes a slice: a few milliseconds of work."""
MEMO_LIMIT = 1 << 15

Replacement = Callable[[Path, list[NLRI]], Iterable[tuple[Path, list[NLRI]]]]
"""What a path has become for some of its prefixes; the parts together are those prefixes. Source and
path identifier stay."""


Watch = Callable[[list[NLRI], Entry | None], None]
"""Hears of every change of candidates, selected or not: the prefixes, and all that they have now."""


class Verdict(NamedTuple):
    """One candidate of a prefix: `step` is where it lost (None: the best), `reason` says so in words."""

    path: Path
    step: Step | None
    selected: bool
    reason: str


class LocRib:
    """The table of one family. `multipath` is the most paths that are selected for a prefix. `watch` is for who
    needs more than what is selected (ADD-PATH); it is called while the table changes, and may not change it."""

    def __init__(self, family: Family, *, multipath: int = 1, rules: DecisionRules = PLAIN) -> None:
        if multipath < 1:
            raise ValueError(f"multipath is a number of paths from 1 up, not {multipath}")
        self.family = family
        self.multipath = multipath
        self.rules = rules
        self.watch: Watch | None = None
        self._table: dict[NLRI, Entry] = {}
        self._counts: dict[Source, int] = {}
        self._refused: dict[Source, int] = {}  # of these, what may not be used
        self._joined: dict[tuple[Entry, Path], Entry] = {}  # (what was held, path put in) -> what is held then
        self._tuples: dict[tuple[Path, ...], tuple[Path, ...]] = {}
        self._selections: dict[tuple[Path, ...], Entry | None] = {}

    # changes ----------------------------------------------------------------------------------

    def announce(self, nlri: list[NLRI], path: Path) -> list[Delta]:
        """Put a path in for prefixes, in place of what its source had there under its path identifier.
        The same again gives no Delta, but what was stale is fresh afterwards."""
        fresh = dict.fromkeys(nlri, path)
        keys = nlri if len(fresh) == len(nlri) else list(fresh)
        if self._table.keys().isdisjoint(fresh):
            self._table.update(fresh)
            self._count(path, len(fresh))
            if self.watch is not None and keys:
                self.watch(keys, path)
            return [Delta(self.family, keys, None, path)] if path.rejected is None and keys else []
        deltas: list[Delta] = []
        for old, group in self._by_entry(keys):
            new = self._put(old, group, path)
            if new is not old:
                self._compare(deltas, group, old, new)
        return deltas

    def withdraw(self, nlri: list[NLRI], source: Source, path_id: int = 0, *, together: bool = False) -> list[Delta]:
        """Take the path of a source out; prefixes where it has none are passed over. With `together` prefixes that are
        left with nothing may share a Delta, with what they had in its `removed`: not for who looks at `old`."""
        if together and len(nlri) > 1:
            removed = self._take_out(nlri, source, path_id)
            if removed is not None:
                if self.watch is not None:
                    self.watch(nlri, None)
                return [Delta(self.family, nlri, None, None, removed)]
        keys = nlri if len(set(nlri)) == len(nlri) else list(dict.fromkeys(nlri))
        deltas: list[Delta] = []
        for old, group in self._by_entry(keys):
            kept = [path for path in paths_of(old) if path.source is not source or path.path_id != path_id]
            self._keep(deltas, group, old, kept, source)
        return deltas

    def remove(self, source: Source, *, stale_only: bool = False, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """Take out all that a source has (or all of its stale paths, as they are at this call), slice by
        slice. What the source announces from this call on stays."""
        if not stale_only:
            source.generation += 1
        return self._remove(source, source.generation, chunk)

    def _remove(self, source: Source, generation: int, chunk: int) -> Iterator[list[Delta]]:
        if not self.count(source):
            return
        for keys in self._slices(chunk):
            deltas: list[Delta] = []
            for old, group in self._by_entry(keys):
                if old is not None and any(path.source is source for path in paths_of(old)):
                    kept = [p for p in paths_of(old) if p.source is not source or p.generation >= generation]
                    self._keep(deltas, group, old, kept, source)
            yield deltas
            if not self.count(source):
                return

    def reconsider(
        self,
        replace: Replacement,
        *,
        where: Callable[[Path], bool] | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[list[Delta]]:
        """Ask again about each path for which `where` holds, after a change of policy or of a next hop.
        Only what is selected otherwise than before is yielded."""
        for keys in self._slices(chunk):
            deltas: list[Delta] = []
            for old, group in self._by_entry(keys):
                if old is None:
                    continue
                touched = False
                for path in paths_of(old):
                    if where is None or where(path):
                        for new_path, part in replace(path, group):
                            if new_path is not path:
                                touched = True
                                for entry, members in self._by_entry(part):
                                    self._put(entry, members, new_path)
                if touched:
                    for new, members in self._by_entry(group):
                        self._compare(deltas, members, old, new)
            yield deltas

    def retell(self, source: Source, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """All that has a path from `source`, told once more: who may hear of it is otherwise now."""
        for groups in self.entries(chunk):
            deltas = []
            for entry, keys in groups:
                if any(path.source is source for path in paths_of(entry)):
                    if self.watch is not None:
                        self.watch(keys, entry)
                    selected = self._selection(entry)
                    deltas.append(Delta(self.family, keys, selected, selected))
            yield deltas

    # readings ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Prefixes with at least one path, eligible or not."""
        return len(self._table)

    def __contains__(self, nlri: object) -> bool:
        return nlri in self._table

    def prefixes(self) -> list[NLRI]:
        """Every prefix of the table as it is now."""
        return list(self._table)

    def entry(self, nlri: NLRI) -> Entry | None:
        """All paths of a prefix, best first, the ineligible ones last."""
        return self._table.get(nlri)

    def best(self, nlri: NLRI) -> Path | None:
        return best_of(self.selected(nlri))

    def selected(self, nlri: NLRI) -> Entry | None:
        """The best path of a prefix, or a tuple of the multipath set, best first; None: nothing usable."""
        return self._selection(self._table.get(nlri))

    def selections(self, nlri: Sequence[NLRI]) -> list[Entry | None]:
        """The same of many prefixes, in their order."""
        entries = list(map(self._table.get, nlri))
        different = {id(entry): entry for entry in entries}
        if len(different) == 1:
            return [self._selection(entries[0])] * len(entries)
        selected = {key: self._selection(entry) for key, entry in different.items()}
        return list(map(selected.__getitem__, map(id, entries)))

    def count(self, source: Source) -> int:
        """Paths that a source has in the table, ineligible and stale ones too."""
        return self._counts.get(source, 0)

    def accepted(self, source: Source) -> int:
        """Of these, the ones that may be used."""
        return self._counts.get(source, 0) - self._refused.get(source, 0)

    def snapshot(self, chunk: int = CHUNK) -> Iterator[list[Delta]]:
        """The selection as Deltas from nothing, in slices: for a new peer, a refresh or a new reader.
        Prefixes are grouped by selection within a slice."""
        for keys in self._slices(chunk):
            yield [
                Delta(self.family, group, None, selected)
                for entry, group in self._by_entry(keys)
                if (selected := self._selection(entry)) is not None
            ]

    def entries(self, chunk: int = CHUNK) -> Iterator[list[tuple[Entry, list[NLRI]]]]:
        """All candidates of every prefix, in slices; prefixes are grouped by them within a slice."""
        for keys in self._slices(chunk):
            yield [(entry, group) for entry, group in self._by_entry(keys) if entry is not None]

    def walk(self, chunk: int = CHUNK) -> Iterator[list[tuple[NLRI, Entry]]]:
        """Each selected prefix with its selection, in slices."""
        for keys in self._slices(chunk):
            yield [
                (nlri, selected) for nlri in keys if (selected := self._selection(self._table.get(nlri))) is not None
            ]

    def paths_from(self, source: Source, chunk: int = CHUNK) -> Iterator[list[tuple[NLRI, Path]]]:
        """What one source has in the table, in slices: its Adj-RIB-In."""
        for keys in self._slices(chunk):
            yield [(nlri, path) for nlri in keys for path in paths_of(self._table.get(nlri)) if path.source is source]

    def explain(self, nlri: NLRI) -> list[Verdict]:
        """Every path of a prefix, best first, each with the step of the decision process at which it lost."""
        ranked = rank(paths_of(self._table.get(nlri)), self.rules)
        chosen = set(paths_of(self.selected(nlri)))
        return [
            Verdict(path, step, path in chosen, _words(path, step, ranked[0][0], path in chosen))
            for path, step in ranked
        ]

    def lookup(self, address: bytes) -> tuple[NLRI, Entry] | None:
        """The longest selected prefix that contains an address (4 or 16 octets), and its selection."""
        for nlri in covering(address):
            selected = self.selected(nlri)
            if selected is not None:
                return nlri, selected
        return None

    # inside -----------------------------------------------------------------------------------

    def _by_entry(self, keys: list[NLRI]) -> Iterable[tuple[Entry | None, list[NLRI]]]:
        """The prefixes grouped by what the table holds for them now."""
        if len(keys) == 1:
            return ((self._table.get(keys[0]), keys),)
        entries = list(map(self._table.get, keys))
        if len(set(map(id, entries))) == 1:
            return ((entries[0], keys),)
        groups: dict[int, tuple[Entry | None, list[NLRI]]] = {}
        for key, entry in zip(keys, entries, strict=True):
            group = groups.get(id(entry))
            if group is None:
                groups[id(entry)] = (entry, [key])
            else:
                group[1].append(key)
        return groups.values()

    def _take_out(self, nlri: list[NLRI], source: Source, path_id: int) -> Removed | None:
        """Take these out of the table, where each has a path of this source, usable, and no other. Otherwise, or where
        one is there twice, all stays as it is: None."""
        table = self._table
        if not isinstance(table.get(nlri[0]), Path):  # as it is where every prefix has several paths
            return None
        entries = list(map(table.pop, nlri, repeat(None)))
        kinds = frozenset(entries)
        for entry in kinds:
            if not isinstance(entry, Path) or (
                entry.source is not source or entry.path_id != path_id or entry.rejected is not None
            ):
                table.update((key, held) for key, held in zip(nlri, entries, strict=True) if held is not None)
                return None
        if not table:
            table.clear()  # gives back the room that the keys had
        _add(self._counts, source, -len(nlri))
        return Removed(cast("frozenset[Path]", kinds), cast("list[Path]", entries))

    def _slices(self, chunk: int) -> Iterator[list[NLRI]]:
        """The keys as they are now. Taking them all (10 ms for a million) is what makes any change
        between slices harmless; whoever gets a slice looks each key up again."""
        keys = list(self._table)
        for start in range(0, len(keys), chunk):
            yield keys[start : start + chunk]

    def _put(self, old: Entry | None, keys: list[NLRI], path: Path) -> Entry:
        """Store a path for prefixes that all hold `old`; returns what they hold now."""
        if old is None:
            new: Entry = path
            self._count(path, len(keys))
        else:
            source, path_id = path.source, path.path_id
            paths = paths_of(old)
            mine = next((p for p in paths if p.source is source and p.path_id == path_id), None)
            if mine is None:
                self._count(path, len(keys))
            elif mine is path or (mine.generation == path.generation and mine.same_verdict(path)):
                return old
            elif (mine.rejected is None) != (path.rejected is None):
                _add(self._refused, source, len(keys) if mine.rejected is None else -len(keys))
            found = self._joined.get((old, path))
            if found is None:
                others = [p for p in paths if p is not mine]
                found = self._shared(best_first((*others, path), self.rules)) if others else path
                if len(self._joined) >= MEMO_LIMIT:
                    self._joined.clear()
                self._joined[old, path] = found
            new = found
        self._table.update(dict.fromkeys(keys, new))
        return new

    def _keep(self, deltas: list[Delta], keys: list[NLRI], old: Entry | None, kept: list[Path], source: Source) -> None:
        """Leave only some of the paths that `keys` hold; the others are all of one source."""
        gone = len(paths_of(old)) - len(kept)
        if not gone:
            return
        for path in paths_of(old):
            if path.source is source and path not in kept:
                self._count(path, -len(keys))
        new: Entry | None = None
        if not kept:
            deque(map(self._table.pop, keys, repeat(None)), maxlen=0)
            if not self._table:
                self._table.clear()  # gives back the room that the keys had
        else:
            new = kept[0] if len(kept) == 1 else self._shared(best_first(kept, self.rules))
            self._table.update(dict.fromkeys(keys, new))
        self._compare(deltas, keys, old, new)

    def _shared(self, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        """One tuple for all prefixes with these candidates."""
        if len(self._tuples) >= MEMO_LIMIT:
            self._tuples.clear()
        return self._tuples.setdefault(paths, paths)

    def _count(self, path: Path, change: int) -> None:
        """A path has come to, or is gone from, so many prefixes."""
        _add(self._counts, path.source, change)
        if path.rejected is not None:
            _add(self._refused, path.source, change)

    def _selection(self, entry: Entry | None) -> Entry | None:
        if not isinstance(entry, tuple):
            return None if entry is None or entry.rejected is not None else entry
        if self.multipath == 1 or entry[0].rejected is not None or entry[1].rejected is not None:
            return None if entry[0].rejected is not None else entry[0]
        try:
            return self._selections[entry]
        except KeyError:
            chosen = multipath(entry, self.multipath, self.rules)
            if len(self._selections) >= MEMO_LIMIT:
                self._selections.clear()
            selected = chosen if len(chosen) > 1 else chosen[0]
            self._selections[entry] = selected
            return selected

    def _compare(self, deltas: list[Delta], keys: list[NLRI], old: Entry | None, new: Entry | None) -> None:
        """Add a Delta if the selection of old and of new differ to a reader."""
        if self.watch is not None:
            self.watch(keys, new)
        before, after = self._selection(old), self._selection(new)
        if before is after:
            return
        was, now = paths_of(before), paths_of(after)
        if len(was) != len(now) or not all(map(Path.same_route, was, now)):
            deltas.append(Delta(self.family, keys, before, after))


def _add(counts: dict[Source, int], source: Source, change: int) -> None:
    count = counts.get(source, 0) + change
    if count:
        counts[source] = count
    else:
        counts.pop(source, None)


def _words(path: Path, step: Step | None, best: Path, selected: bool) -> str:
    text = reason(path, step, best)
    return f"multipath with the best path; {text}" if selected and step is not None else text
