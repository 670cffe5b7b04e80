"""Why a learned route is not in the kernel as it should be, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from .route import KernelRoute, RouteSpec, RouteType, address_text, prefix_text, protocol_name, type_name
from .surroundings import Surroundings

logger = logging.getLogger("calico_route.kernel")


class ProblemKind(StrEnum):
    NEXT_HOP = "next-hop"  # the next hop can't be reached
    CONNECTED = "connected"  # the destination is on a link, or is an address of this host
    FOREIGN = "foreign-route"  # a route of somebody else has the place
    REFUSED = "refused"  # the kernel did not take it
    CONTESTED = "contested"  # somebody else deletes or changes it
    OUTRANKED = "outranked"  # it is in, but a route of somebody else goes before it
    STRANGE = "strange"  # of our protocol, but nobody asked this agent for it


class Reason(NamedTuple):
    """What is wrong, shared by all destinations that it keeps out."""

    kind: ProblemKind
    text: str


class Problem(NamedTuple):
    """One destination (`afi`, `nlri`) that is not in the kernel as learned, why, and what to do."""

    afi: int
    nlri: bytes
    kind: ProblemKind
    text: str

    @property
    def prefix(self) -> str:
        return prefix_text(self.afi, self.nlri)

    def __str__(self) -> str:
        return f"{self.prefix}: {self.text}"


def _looks(here: Surroundings, spec: RouteSpec) -> str:
    ways = ", ".join(
        (f"via {address_text(hop.gateway)} " if hop.gateway else "") + f"dev {here.name(hop.ifindex)}"
        for hop in spec.nexthops
    )
    return f"{ways if spec.type == RouteType.UNICAST else type_name(spec.type)}, metric {spec.metric}"


def _ours(here: Surroundings, spec: RouteSpec) -> str:
    return f"{protocol_name(here.protocol)}, {_looks(here, spec)}"


def deleted(here: Surroundings, spec: RouteSpec, maker: str) -> str:
    return f"was deleted by {maker}, the route of our protocol ({_ours(here, spec)}); it is put back"


def changed(here: Surroundings, spec: RouteSpec, maker: str) -> str:
    return f"was changed by {maker} to another route of our protocol ({_ours(here, spec)}); it is put right"


def made(here: Surroundings, spec: RouteSpec, maker: str) -> str:
    return f"a route of our protocol ({_ours(here, spec)}) was made by {maker}, not by this agent; it is deleted"


def _by(maker: str) -> str:
    return f", made by {maker}," if maker else ""


def _fate(insist: bool) -> str:
    if insist:
        return "overwritten, once a second at most (--contested insist)"
    return "left alone; the learned route goes in as soon as that one is deleted"


def in_the_way(here: Surroundings, route: KernelRoute, maker: str = "", *, insist: bool = False) -> Reason:
    """`maker`: the process that made it, where that is known."""
    return Reason(
        ProblemKind.FOREIGN,
        f"a route of protocol {protocol_name(route.protocol)} ({_looks(here, route.spec)}){_by(maker)} is in the way "
        f"and is {_fate(insist)}",
    )


def goes_before(here: Surroundings, route: KernelRoute, metric: int, maker: str = "") -> Reason:
    return Reason(
        ProblemKind.OUTRANKED,
        f"a route of protocol {protocol_name(route.protocol)} ({_looks(here, route.spec)}){_by(maker)} goes before "
        f"the learned one, whose metric is {metric}; packets take that way until it is deleted",
    )


def taken_over(here: Surroundings, spec: RouteSpec, maker: str, *, insist: bool) -> Reason:
    """Another writer of our protocol has this place."""
    return Reason(
        ProblemKind.CONTESTED,
        f"was changed by {maker} to another route of our protocol ({_ours(here, spec)}), which is {_fate(insist)}. "
        f"Only one program may write routes of that protocol: end the other",
    )


def strange(here: Surroundings, spec: RouteSpec, maker: str, *, insist: bool) -> Reason:
    fate = "it is deleted" if insist else "it is left alone until this agent starts again"
    return Reason(
        ProblemKind.STRANGE,
        f"a route of our protocol ({_ours(here, spec)}) was made by {maker}, not by this agent; {fate}. Only one "
        f"program may write routes of that protocol",
    )


def connected_here(here: Surroundings, route: KernelRoute) -> Reason:
    names = ", ".join(here.name(hop.ifindex) for hop in route.spec.nexthops)
    return Reason(
        ProblemKind.CONNECTED,
        f"is directly connected on {names} (protocol {protocol_name(route.protocol)}), which a learned route "
        f"never replaces; take care that no other host announces it",
    )


OWN_ADDRESS = Reason(
    ProblemKind.CONNECTED,
    "is an address of this host itself; take care that no other host announces it",
)


def covers_next_hop(afi: int, next_hop: bytes, link: bytes) -> Reason:
    return Reason(
        ProblemKind.CONNECTED,
        f"lies in {prefix_text(afi, link)}, which is directly connected, and covers {address_text(next_hop)}, "
        f"through which other routes go: it would lead that host's traffic off its link; keep workload "
        f"addresses apart from the hosts' own",
    )


def refused(words: str) -> Reason:
    return Reason(ProblemKind.REFUSED, f"the kernel refused it: {words}; it is tried again")


_HEADINGS = {
    **dict.fromkeys(ProblemKind, "not in the kernel"),
    ProblemKind.OUTRANKED: "without effect",
    ProblemKind.STRANGE: "not ours",
}


class Reporter:
    """Tells the log about problems: one line a reason, when the number of destinations has changed."""

    def __init__(self) -> None:
        self._told: dict[Reason, int] = {}

    def report(self, problems: Iterable[Problem]) -> None:
        found: dict[Reason, list[Problem]] = {}
        for problem in problems:
            found.setdefault(Reason(problem.kind, problem.text), []).append(problem)
        for reason, kept_out in found.items():
            if self._told.get(reason) != len(kept_out):
                more = f" and {len(kept_out) - 1} more" if len(kept_out) > 1 else ""
                logger.warning("%s: %s%s: %s", _HEADINGS[reason.kind], kept_out[0].prefix, more, reason.text)
        for reason in self._told.keys() - found.keys():
            logger.info("over: %s", reason.text)
        self._told = {reason: len(kept_out) for reason, kept_out in found.items()}
