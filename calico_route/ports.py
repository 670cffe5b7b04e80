"""What the agent needs of a kernel: `kernel.Kernel` offers it, and tests have one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from .kernel.route import RouteOptions


class KernelState(Protocol):
    """What is in the kernel: `installed` is AFI -> destination -> route; `problems` print as words."""

    @property
    def installed(self) -> Mapping[int, Mapping[bytes, Any]]: ...

    @property
    def problems(self) -> Sequence[object]: ...

    @property
    def pending(self) -> int: ...

    @property
    def unconfirmed(self) -> int: ...


class KernelPort(Protocol):
    """Learned routes go in; next hops and workload interfaces are found. See `kernel.Kernel`."""

    on_next_hops_changed: Callable[[set[bytes] | None], None] | None
    on_links_changed: Callable[[], None] | None
    on_workloads_changed: Callable[[], None] | None
    adopted: Mapping[tuple[int, bytes], Any]

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def update(
        self,
        afi: int,
        nlri: Sequence[bytes],
        next_hops: tuple[bytes, ...] | None,
        options: RouteOptions = ...,
    ) -> None: ...

    async def flush(self) -> None: ...

    def begin_grace(self) -> None: ...

    async def sweep_stale(self, afi: int | None = None) -> int: ...

    async def resync(self) -> int: ...

    async def remove_all(self) -> None: ...

    def resolve(self, next_hop: bytes) -> int | None: ...

    def protect(self, addresses: Iterable[bytes]) -> None: ...

    def link_routes(self, prefix: str | None = None) -> Mapping[tuple[int, bytes], str]: ...

    def local_route(self, nlri: bytes, afi: int) -> bool: ...

    def interface_exists(self, name: str) -> bool: ...

    def interface_names(self) -> AbstractSet[str]: ...

    def interface_of(self, afi: int, nlri: bytes, next_hop: bytes) -> str | None: ...

    def describe(self, afi: int, nlri: bytes) -> str | None: ...

    def routes(self) -> KernelState: ...
