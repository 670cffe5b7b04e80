"""Which addresses of this node's workloads have a way here, kept up to date by what is another than before: no I/O.

Nothing has to be told: the table of the datastore and the interfaces of the host are compared with those of the last
time, as sets, and only the addresses of workloads that differ are looked at one by one. So a workload that comes costs
about the same beside ten others as beside a thousand, and an event that was lost is made up for by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from itertools import filterfalse
from typing import TypeAlias, TypeVar

from pybgp import Prefix

from .model import ResourceKey, WorkloadEndpoint
from .view import Table

Present: TypeAlias = Callable[[str, Prefix], bool]
"""Whether an interface of this name exists here, or else a local route to this prefix."""

_Name = TypeVar("_Name")


class LocalWorkloads:
    """`reachable` are the addresses with a way, `obstacles` those that (also) belong to a workload without one, with
    the reason. `version` is another one after each change of the two."""

    def __init__(self) -> None:
        self.reachable: set[Prefix] = set()
        self.obstacles: dict[Prefix, str] = {}
        self.version = 0
        self._table: Table = {}
        self._by: tuple[str, bool] = ("", False)
        self._endpoints: dict[ResourceKey, WorkloadEndpoint] = {}
        self._on: dict[str, set[ResourceKey]] = {}  # by interface
        self._holders: dict[Prefix, set[ResourceKey]] = {}
        self._missing: set[str] = set()  # of their interfaces, those that do not exist
        self._doubtful: set[Prefix] = set()  # somebody who has it has no interface that exists: asked each time

    def look(
        self, table: Table, node: str, *, present: Present, interfaces: AbstractSet[str] = frozenset(), unchecked: bool
    ) -> None:
        """Take in how things are. `interfaces` are names that exist, which spare the question for `present`;
        `unchecked`: every address counts as one that has a way."""
        touched: set[Prefix] = set()
        if self._by != (node, unchecked):
            touched.update(self._holders)
            self._forget()
            self._by = (node, unchecked)
        if table is not self._table:
            self._compare(table, node, touched)
            self._table = table
        missing = set(filterfalse(interfaces.__contains__, self._on))
        for interface in missing ^ self._missing:
            touched.update(self._networks(self._on.get(interface, ())))
        self._missing = missing
        touched |= self._doubtful
        changes = [self._judge(prefix, present, unchecked=unchecked) for prefix in touched]
        self.version += any(changes)

    def _forget(self) -> None:
        self._table = {}
        for one in (self._endpoints, self._on, self._holders):
            one.clear()

    def _compare(self, table: Table, node: str, touched: set[Prefix]) -> None:
        before = self._table
        for key in before.keys() - table.keys():
            self._drop(key, touched)
        for key, one in table.items():
            if before.get(key) is not one:
                self._drop(key, touched)
                if isinstance(one, WorkloadEndpoint) and one.node == node:
                    self._take(key, one, touched)

    def _take(self, key: ResourceKey, one: WorkloadEndpoint, touched: set[Prefix]) -> None:
        self._endpoints[key] = one
        self._on.setdefault(one.interface, set()).add(key)
        for prefix in one.networks:
            self._holders.setdefault(prefix, set()).add(key)
        touched.update(one.networks)

    def _drop(self, key: ResourceKey, touched: set[Prefix]) -> None:
        one = self._endpoints.pop(key, None)
        if one is None:
            return
        _discard(self._on, one.interface, key)
        for prefix in one.networks:
            _discard(self._holders, prefix, key)
        touched.update(one.networks)

    def _networks(self, keys: Iterable[ResourceKey]) -> Iterable[Prefix]:
        return (prefix for key in keys for prefix in self._endpoints[key].networks)

    def _judge(self, prefix: Prefix, present: Present, *, unchecked: bool) -> bool:
        """Whether something is another about it than before."""
        reachable, doubtful, obstacle = False, False, None
        for key in sorted(self._holders.get(prefix, ())):
            one = self._endpoints[key]
            if unchecked or one.interface not in self._missing:
                reachable = True
                continue
            doubtful = True
            if present(one.interface, prefix):
                reachable = True
            else:
                obstacle = obstacle or _absence(one)
        (self._doubtful.add if doubtful else self._doubtful.discard)(prefix)
        if (prefix in self.reachable) == reachable and self.obstacles.get(prefix) == obstacle:
            return False
        (self.reachable.add if reachable else self.reachable.discard)(prefix)
        if obstacle is None:
            self.obstacles.pop(prefix, None)
        else:
            self.obstacles[prefix] = obstacle
        return True


def _discard(index: dict[_Name, set[ResourceKey]], name: _Name, key: ResourceKey) -> None:
    keys = index.get(name)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[name]


def _absence(endpoint: WorkloadEndpoint) -> str:
    interface = f"interface {endpoint.interface} does not exist" if endpoint.interface else "no interface named"
    return f"{interface}, and no local route leads to it (workload endpoint {endpoint.namespace}/{endpoint.name})"
