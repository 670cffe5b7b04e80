"""Whose addresses a selection stands for, kept up to date endpoint by endpoint.

Endpoints with the same labels are of one class, and a selection is asked once a class: a profile with 5,000 endpoints
is one question. What comes and goes is told as `Change`s, of which the kernel's sets are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from .model import EndpointKey, Selection


class Change(NamedTuple):
    """An address became a member of a selection, or is none any more."""

    selection: Selection
    address: str
    added: bool


@dataclass(slots=True)
class _Class:
    labels: Mapping[str, str]
    endpoints: set[EndpointKey] = field(default_factory=set)
    selected_by: set[Selection] = field(default_factory=set)


class Members:
    """Selections that are wanted, each counted, and the addresses of those whom they select."""

    def __init__(self) -> None:
        self._classes: dict[frozenset[tuple[str, str]], _Class] = {}
        self._class_of: dict[EndpointKey, frozenset[tuple[str, str]]] = {}
        self._addresses: dict[EndpointKey, tuple[str, ...]] = {}
        self._wanted: Counter[Selection] = Counter()
        self._counts: dict[Selection, Counter[str]] = {}  # several endpoints may have one address for a while
        self._labels: Counter[str] = Counter()

    @property
    def labels(self) -> Iterable[str]:
        """The names of all labels that somebody carries."""
        return (label for label, count in self._labels.items() if count)

    def want(self, selection: Selection) -> bool:
        """Follow a selection once more. True: it was not followed before, and `of` has its members now."""
        self._wanted[selection] += 1
        if self._wanted[selection] > 1:
            return False
        counts = self._counts[selection] = Counter()
        for one in self._classes.values():
            if selection.selects(one.labels):
                one.selected_by.add(selection)
                for key in one.endpoints:
                    counts.update(self._addresses[key])
        return True

    def unwant(self, selection: Selection) -> bool:
        """Undo one `want`. True: nobody follows it any more."""
        self._wanted[selection] -= 1
        if self._wanted[selection] > 0:
            return False
        del self._wanted[selection], self._counts[selection]
        for one in self._classes.values():
            one.selected_by.discard(selection)
        return True

    def carrying(self, selection: Selection) -> set[EndpointKey]:
        """The endpoints whose labels it selects, wanted or not."""
        found: set[EndpointKey] = set()
        return found.union(*(one.endpoints for one in self._classes.values() if selection.selects(one.labels)))

    def follows(self, selection: Selection) -> bool:
        return selection in self._counts

    def of(self, selection: Selection) -> Iterable[str]:
        """The addresses that it selects; nothing for one that is not wanted."""
        return self._counts.get(selection, {}).keys()

    def has(self, selection: Selection, address: str) -> bool:
        return address in self._counts.get(selection, {})

    def put(self, key: EndpointKey, labels: Mapping[str, str], addresses: tuple[str, ...]) -> list[Change]:
        """An endpoint with all its labels, new or changed."""
        made = frozenset(labels.items())
        if self._class_of.get(key) == made and self._addresses[key] == addresses:
            return []
        before = self._leave(key)
        one = self._classes.get(made)
        if one is None:
            selected_by = {selection for selection in self._wanted if selection.selects(labels)}
            one = self._classes[made] = _Class(dict(labels), selected_by=selected_by)
        one.endpoints.add(key)
        self._class_of[key], self._addresses[key] = made, addresses
        self._labels.update(labels.keys())
        after = []
        for selection in one.selected_by:
            counts = self._counts[selection]
            for address in addresses:
                counts[address] += 1
                if counts[address] == 1:
                    after.append((selection, address))
        return _difference(before, after)

    def remove(self, key: EndpointKey) -> list[Change]:
        return _difference(self._leave(key), [])

    def _leave(self, key: EndpointKey) -> list[tuple[Selection, str]]:
        made = self._class_of.pop(key, None)
        if made is None:
            return []
        one = self._classes[made]
        one.endpoints.discard(key)
        self._labels.subtract(one.labels.keys())
        addresses = self._addresses.pop(key)
        gone = []
        for selection in one.selected_by:
            counts = self._counts[selection]
            for address in addresses:
                counts[address] -= 1
                if counts[address] == 0:
                    del counts[address]
                    gone.append((selection, address))
        if not one.endpoints:
            del self._classes[made]
        return gone


def _difference(before: list[tuple[Selection, str]], after: list[tuple[Selection, str]]) -> list[Change]:
    same = set(before).intersection(after)
    gone = [Change(selection, address, False) for selection, address in before if (selection, address) not in same]
    come = [Change(selection, address, True) for selection, address in after if (selection, address) not in same]
    return gone + come
