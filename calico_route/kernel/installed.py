"""Routes of ours of one address family: what the kernel has of them, and how that becomes known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .problem import Reason
from .route import IPV6, IPV6_DEFAULT_METRIC, PLAIN, RouteOptions, RouteSpec
from .surroundings import Surroundings


class Wish(NamedTuple):
    """What was asked for: BGP next hops, not yet resolved, and how the route goes in."""

    next_hops: tuple[bytes, ...]
    options: RouteOptions = PLAIN


class Other(NamedTuple):
    """A route of our protocol that another process has made."""

    spec: RouteSpec
    maker: str


_DAMAGED = RouteSpec(extra=b"damaged")  # ours, but no longer as we made it


class Installed:
    """What is believed to be in the kernel, beside what is wanted there; `dirty` marks what to compare."""

    def __init__(self, afi: int, surroundings: Surroundings, metric: int | None) -> None:
        self.afi = afi
        self.metric = (IPV6_DEFAULT_METRIC if afi == IPV6 else 0) if metric is None else metric
        self.desired: dict[bytes, Wish] = {}
        self.installed: dict[bytes, RouteSpec] = {}
        self.unconfirmed: dict[bytes, RouteSpec] = {}  # found at the start, not asked for yet
        self.surplus: dict[bytes, list[RouteSpec]] = {}  # ours too, of another metric
        self.dirty: dict[bytes, None] = {}
        self.reasons: dict[bytes, Reason] = {}  # why what is wanted is not in
        self.others: dict[bytes, dict[int, Other]] = {}  # of our protocol, by metric, made by somebody else
        self.granted: set[bytes] = set()  # where ours may go in over what somebody else has made
        self.settled = False  # nothing of before is waited for any more
        self._here = surroundings
        self._lost: set[bytes] = set()  # gone from the kernel without our doing
        self._graced = False  # since the last full look began
        self._specs: dict[RouteSpec, RouteSpec] = {}
        self._spec_limit = 16384

    def touch(self, nlri: Iterable[bytes]) -> None:
        """Look again at these destinations, as far as anything is wanted there."""
        self.dirty.update({destination: None for destination in nlri if destination in self.desired})

    def intern(self, spec: RouteSpec) -> RouteSpec:
        known = self._specs.get(spec)
        if known is None:
            if len(self._specs) > self._spec_limit:
                self._renew_specs()
            known = self._specs[spec] = spec
        return known

    def _renew_specs(self) -> None:
        """Forget the routes that are nowhere any more."""
        live = {id(spec): spec for spec in self.installed.values()}
        self._specs = {spec: spec for spec in live.values()}
        self._spec_limit = max(16384, 2 * len(live))

    def found(self, routes: Mapping[bytes, list[RouteSpec]]) -> Iterator[int]:
        """The routes of ours that a full look has shown; gives, part by part, how many were not believed so.

        Between the parts nothing but wishes may be taken in.
        """
        self._graced = False
        before, self.installed, self.surplus = self.installed, {}, {}
        installed, desired = self.installed, self.desired
        last: RouteSpec | None = None
        for part in slices(routes):
            wrong: list[bytes] = []
            for nlri in part:
                specs = routes[nlri]
                spec = specs[0]
                if len(specs) > 1 or spec.metric != self._metric_of(nlri):
                    wrong.append(nlri)
                    self._found_odd(nlri, specs)
                    continue
                if spec is not last:  # the parser gives one object for all that are alike
                    last, interned = spec, self.intern(spec)
                installed[nlri] = interned
                if before.get(nlri) is not interned:
                    wrong.append(nlri)
                    if nlri not in desired:
                        self.unconfirmed.setdefault(nlri, interned)
            self.touch(wrong)
            yield sum(1 for nlri in wrong if before.get(nlri) is not installed.get(nlri))
        gone = [nlri for nlri in before if nlri not in installed]
        for nlri in [nlri for nlri in self.unconfirmed if nlri not in routes]:
            del self.unconfirmed[nlri]
        if self._graced:
            self._count_as_found()
        for nlri, by_metric in list(self.others.items()):
            for other in [other for other in by_metric.values() if other.spec not in routes.get(nlri, ())]:
                self.forget_other(nlri, other.spec.metric)
        self._lost.update(nlri for nlri in gone if nlri in desired)
        self.touch(gone)
        self.dirty.update({n: None for n in desired if n not in installed and n not in self.reasons})
        yield len(gone)

    def _found_odd(self, nlri: bytes, specs: list[RouteSpec]) -> None:
        """Several routes for one destination, or one of another metric than it would get."""
        metric = self._metric_of(nlri)
        rest = list(specs)
        for spec in specs:
            if spec.metric == metric:
                self.installed[nlri] = self.intern(spec)
                rest.remove(spec)
                break
        if rest:
            self.surplus[nlri] = rest
        if nlri not in self.desired:
            self.unconfirmed.setdefault(nlri, specs[0])

    def _metric_of(self, nlri: bytes) -> int:
        wish = self.desired.get(nlri)
        if wish is not None and wish.options.metric is not None:
            return wish.options.metric
        return self.metric

    def appeared(self, nlri: bytes, spec: RouteSpec) -> bool:
        """Somebody else made or changed a route of our protocol; True if one of ours was changed by that."""
        spec = self.intern(spec)
        if spec.metric != self._metric_of(nlri):
            specs = self.surplus.setdefault(nlri, [])
            if spec not in specs:
                specs.append(spec)
            if nlri not in self.desired:
                self.unconfirmed.setdefault(nlri, spec)
            return False
        before = self.installed.get(nlri)
        self.installed[nlri] = spec
        if nlri not in self.desired:
            self.unconfirmed[nlri] = spec
            return False
        return before is not spec

    def vanished(self, nlri: bytes, spec: RouteSpec) -> bool:
        """Somebody else deleted a route of our protocol; True if it was one that is wanted."""
        specs = self.surplus.get(nlri)
        if specs is not None and spec in specs:
            specs.remove(spec)
            if not specs:
                del self.surplus[nlri]
            return False
        have = self.installed.get(nlri)
        if have is None or have.metric != spec.metric:
            return False
        if self.afi == IPV6 and set(spec.nexthops) < set(have.nexthops):
            self.installed[nlri] = _DAMAGED._replace(metric=have.metric)
        else:
            del self.installed[nlri]
            self.unconfirmed.pop(nlri, None)
            if nlri in self.desired:
                self._lost.add(nlri)
        return nlri in self.desired

    def forget_other(self, nlri: bytes, metric: int) -> bool:
        """Another writer's route is gone, or ours; False if there was none."""
        by_metric = self.others.get(nlri, {})
        known = by_metric.pop(metric, None) is not None
        if not by_metric:
            self.others.pop(nlri, None)
        return known

    def displaced(self, nlri: bytes, metric: int) -> None:
        """A foreign route has taken the place of ours (`ip route replace`)."""
        have = self.installed.get(nlri)
        if have is not None and have.metric == metric:
            del self.installed[nlri]
            self.unconfirmed.pop(nlri, None)
            self.touch((nlri,))

    def uses(self, ifindex: int) -> bool:
        """Whether any route of ours may lead over an interface."""
        return any(hop.ifindex == ifindex for spec in self._specs for hop in spec.nexthops)

    def links_down(self) -> int:
        """The kernel has dropped, in silence, every route all of whose links are down; gives how many."""
        here = self._here
        every = {id(spec): spec for spec in self.installed.values()}
        dead = {
            which
            for which, spec in every.items()
            if spec.nexthops and not any(here.is_up(hop.ifindex) for hop in spec.nexthops)
        }
        gone = [nlri for nlri, spec in self.installed.items() if id(spec) in dead] if dead else []
        for nlri in gone:
            del self.installed[nlri]
            self.unconfirmed.pop(nlri, None)
        self._lost.update(nlri for nlri in gone if nlri in self.desired)
        self.touch(gone)
        return len(gone)

    def _count_as_found(self) -> None:
        wanted = self.desired
        self.unconfirmed.update({nlri: spec for nlri, spec in self.installed.items() if nlri not in wanted})
        self.unconfirmed.update({nlri: specs[0] for nlri, specs in self.surplus.items() if nlri not in wanted})


def slices(nlri: Iterable[bytes], size: int = 2000) -> Iterator[list[bytes]]:
    """Parts of a table small enough for one turn of an event loop; the table may change in between."""
    every = list(nlri)
    for start in range(0, len(every), size):
        yield every[start : start + size]
