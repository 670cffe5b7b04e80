"""Why a learned route is not in the kernel as it should be, in words."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from .route import KernelRoute, RouteType, address_text, prefix_text, protocol_name, type_name
from .surroundings import Surroundings

logger = logging.getLogger("calico_route.kernel")


class ProblemKind(StrEnum):
    NEXT_HOP = "next-hop"  # the next hop can't be reached
    CONNECTED = "connected"  # the destination is on a link, or is an address of this host
    FOREIGN = "foreign-route"  # a route of somebody else has the place
    REFUSED = "refused"  # the kernel did not take it
    CONTESTED = "contested"  # somebody else deletes or changes it


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


def in_the_way(here: Surroundings, route: KernelRoute) -> Reason:
    spec = route.spec
    if spec.type != RouteType.UNICAST:
        ways = type_name(spec.type)
    else:
        ways = ", ".join(
            (f"via {address_text(hop.gateway)} " if hop.gateway else "") + f"dev {here.name(hop.ifindex)}"
            for hop in spec.nexthops
        )
    return Reason(
        ProblemKind.FOREIGN,
        f"a route of protocol {protocol_name(route.protocol)} ({ways}, metric {spec.metric}) is in the way and "
        f"is left alone; the learned route goes in as soon as that one is deleted",
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
                logger.warning("not in the kernel: %s%s: %s", kept_out[0].prefix, more, reason.text)
        for reason in self._told.keys() - found.keys():
            logger.info("keeps no route out of the kernel any more: %s", reason.text)
        self._told = {reason: len(kept_out) for reason, kept_out in found.items()}
