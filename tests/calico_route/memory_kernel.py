"""A kernel in memory, with the same promises to the agent as the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from calico_route.kernel import RouteOptions
from pybgp import IPV4_UNICAST, IPV6_UNICAST, Prefix, format_address

Route = tuple[bytes, ...]
PLAIN = RouteOptions()
_FAMILIES = {1: IPV4_UNICAST, 2: IPV6_UNICAST}


@dataclass
class MemoryKernelState:
    installed: Mapping[int, Mapping[bytes, Route]]
    problems: tuple[str, ...]
    pending: int
    unconfirmed: int


@dataclass
class MemoryKernel:
    """`before` are routes that are there at the start; `log` tells what was done to single routes."""

    before: Mapping[str, str] = field(default_factory=dict)
    interfaces: set[str] = field(default_factory=set)
    workloads: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.on_next_hops_changed: Callable[[set[bytes] | None], None] | None = None
        self.on_links_changed: Callable[[], None] | None = None
        self.on_workloads_changed: Callable[[], None] | None = None
        self.adopted: Mapping[tuple[int, bytes], Route] = {}
        self.table: dict[tuple[int, bytes], Route] = {}
        self.options: dict[tuple[int, bytes], RouteOptions] = {}
        self.unconfirmed: set[tuple[int, bytes]] = set()
        self.log: list[str] = []
        self.protected: set[bytes] = set()
        self.started = self.closed = False
        self.looks = 0

    async def start(self) -> None:
        for text, via in self.before.items():
            prefix = Prefix(text)
            key = prefix.family.afi, prefix.nlri
            self.table[key] = (Prefix(via).nlri[1:],)
        self.adopted = dict(self.table)
        self.unconfirmed = set(self.table)
        self.started = True

    async def close(self) -> None:
        self.closed = True

    def update(self, afi: int, nlri: Sequence[bytes], next_hops: Route | None, options: RouteOptions = PLAIN) -> None:
        for one in nlri:
            key = afi, one
            self.unconfirmed.discard(key)
            if next_hops is None:
                if self.table.pop(key, None) is not None:
                    self.log.append(f"delete {self._text(key)}")
                self.options.pop(key, None)
            elif (self.table.get(key), self.options.get(key, PLAIN)) != (next_hops, options):
                self.table[key], self.options[key] = next_hops, options
                self.log.append(f"replace {self._text(key)}")

    async def flush(self) -> None:
        pass

    def begin_grace(self) -> None:
        self.unconfirmed = set(self.table)

    async def sweep_stale(self, afi: int | None = None) -> int:
        count = len(self.unconfirmed)
        for key in self.unconfirmed:
            self.log.append(f"sweep {self._text(key)}")
            del self.table[key]
        self.unconfirmed.clear()
        return count

    async def resync(self) -> int:
        self.looks += 1
        return 3 if self.looks == 1 else 0

    async def remove_all(self) -> None:
        self.table.clear()

    def resolve(self, next_hop: bytes) -> int | None:
        return 0

    def protect(self, addresses: Iterable[bytes]) -> None:
        self.protected = set(addresses)

    def link_routes(self, prefix: str | None = None) -> Mapping[tuple[int, bytes], str]:
        wanted = "cali" if prefix is None else prefix
        found = {Prefix(text): name for text, name in self.workloads.items() if name.startswith(wanted)}
        return {(prefix.family.afi, prefix.nlri): name for prefix, name in found.items()}

    def local_route(self, nlri: bytes, afi: int) -> bool:
        return (afi, nlri) in self.link_routes()

    def interface_exists(self, name: str) -> bool:
        return name in self.interfaces

    def interface_names(self) -> AbstractSet[str]:
        return self.interfaces

    def interface_of(self, afi: int, nlri: bytes, next_hop: bytes) -> str | None:
        return "eth0" if next_hop else self.link_routes("").get((afi, nlri))

    def describe(self, afi: int, nlri: bytes) -> str | None:
        route = self.table.get((afi, nlri))
        return None if route is None else f"{self._text((afi, nlri))} via {', '.join(map(format_address, route))}"

    def routes(self) -> MemoryKernelState:
        installed: dict[int, dict[bytes, Route]] = {1: {}, 2: {}}
        for (afi, nlri), route in self.table.items():
            installed[afi][nlri] = route
        return MemoryKernelState(installed, (), 0, len(self.unconfirmed))

    # for tests

    def add_interface(self, name: str) -> None:
        self.interfaces.add(name)
        if self.on_links_changed is not None:
            self.on_links_changed()

    def add_workload(self, prefix: str, interface: str) -> None:
        self.workloads[prefix] = interface
        if self.on_workloads_changed is not None:
            self.on_workloads_changed()

    @property
    def shown(self) -> dict[str, str]:
        """Destination -> next hops, as text."""
        return {self._text(key): " ".join(map(format_address, route)) for key, route in self.table.items()}

    @staticmethod
    def _text(key: tuple[int, bytes]) -> str:
        return str(Prefix.of(_FAMILIES[key[0]], key[1]))
