"""Everything known of the kernel, and what follows from each message of it. No I/O: `now` is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .contest import Contest
from .fib import Fib
from .netlink import NLM_F_REPLACE, Event, LinkEvent, RouteEvent
from .problem import Problem, changed, deleted, made
from .reader import Look
from .resolver import Resolver
from .route import IPV4, IPV6, RouteSpec, host_nlri
from .surroundings import Surroundings


@dataclass(slots=True)
class Effects:
    """What others must hear of, after events were taken in.

    `next_hops`: those whose cost or usability is another now. `put_back_in`: seconds until routes that
    somebody else took may be put back. `kernel_loss`: the kernel itself deleted routes; look again soon.
    `link_down`: routes may have gone in silence. `strange`: somebody has made routes of our protocol.
    """

    next_hops: set[bytes] = field(default_factory=set)
    links: bool = False
    workloads: bool = False
    put_back_in: float | None = None
    kernel_loss: bool = False
    link_down: bool = False
    strange: bool = False


class State:
    def __init__(self, table: int, protocol: int, metric: int | None, *, insist: bool = False) -> None:
        self.table = table
        self.protocol = protocol
        self.here = Surroundings(protocol)
        self.fibs = {afi: Fib(afi, self.here, metric, insist=insist) for afi in (IPV4, IPV6)}
        self.resolver = Resolver(
            self.here,
            lambda afi, nlri: self.fibs[afi].learned(nlri),
            lambda afi: self.fibs[afi].lengths,
        )
        for fib in self.fibs.values():
            fib.resolver = self.resolver
        self.contest = Contest(insist=insist)
        self.protected: set[bytes] = set()
        self._lost_to_kernel: list[tuple[int, bytes]] = []

    @property
    def dirty(self) -> bool:
        return any(fib.dirty for fib in self.fibs.values())

    def take_in(self, events: Iterable[Event], now: float) -> Effects:
        effects = Effects()
        asked: set[bytes] = set()
        links: set[int] = set()
        for event in events:
            if isinstance(event, RouteEvent):
                self._route_changed(event, now, effects, asked)
            elif isinstance(event, LinkEvent):
                links.add(event.link.ifindex)
                dropped = self.here.apply_link(event)
                if dropped is not None:
                    self._link_down(event.link.ifindex, dropped, effects, asked)
            else:
                self.here.apply_address(event)
                asked.add(event.address.address)
                effects.links = True
                self.fibs[event.address.afi].touch((host_nlri(event.address.address),))
        if links:
            effects.links = effects.workloads = True
            asked |= self.resolver.on_links(links)
            for fib in self.fibs.values():
                fib.devices_changed()
        effects.next_hops = self.follow(asked)
        return effects

    def _link_down(self, ifindex: int, dropped: list[tuple[int, bytes]], effects: Effects, asked: set[bytes]) -> None:
        self._touch(dropped)
        for afi, nlri in dropped:
            asked |= self.resolver.touched(afi, (nlri,))
        for fib in self.fibs.values():
            if fib.uses(ifindex):  # links of workloads come and go all day
                effects.link_down = True
                fib.links_down()  # now, not later: it may be up again in the next event

    def _route_changed(self, event: RouteEvent, now: float, effects: Effects, asked: set[bytes]) -> None:
        route = event.route
        if route.table != self.table or route.flags:
            return
        fib = self.fibs[event.afi]
        if route.protocol == self.protocol and not route.tos:
            self._ours_changed(fib, event, now, effects)
            return
        self.here.apply_route(event)
        if event.present and event.port and event.nlri in fib.desired:
            self.here.makers[event.afi, event.nlri] = self.contest.who(event.port)
        if event.present and event.flags & NLM_F_REPLACE:
            fib.displaced(event.nlri, route.spec.metric)
        fib.touch((event.nlri,))
        asked |= self.resolver.touched(event.afi, (event.nlri,))
        if route.spec.connected and event.nlri[0] == 8 * (len(event.nlri) - 1):
            effects.workloads = True

    def _ours_changed(self, fib: Fib, event: RouteEvent, now: float, effects: Effects) -> None:
        spec = event.route.spec
        if event.present:
            if event.flags & NLM_F_REPLACE:
                self.here.forget_slot(event.afi, event.nlri, spec.metric)
            harmed = fib.appeared(event.nlri, spec)
            if event.port:
                self._taken(fib, event, now, effects)
                return
        else:
            harmed = fib.vanished(event.nlri, spec)
            if fib.forget_other(event.nlri, spec.metric):
                fib.touch((event.nlri,))
                return
        if not harmed:
            return
        if event.port:
            effects.put_back_in = self._note(event, deleted, now)
        else:  # the kernel itself, because a link goes down: the rest of that story follows
            self._lost_to_kernel.append((event.afi, event.nlri))
            effects.kernel_loss = True

    def _taken(self, fib: Fib, event: RouteEvent, now: float, effects: Effects) -> None:
        if not fib.taken(event.nlri, event.route.spec, self.contest.who(event.port)):
            return
        effects.strange = True
        insist = self.contest.insist
        if insist and event.nlri in fib.desired:
            effects.put_back_in = self._note(event, changed, now)
        elif insist and fib.settled:
            effects.put_back_in = self._note(event, made, now)

    def _note(self, event: RouteEvent, words: Callable[[Surroundings, RouteSpec, str], str], now: float) -> float:
        deed = words(self.here, event.route.spec, self.contest.who(event.port))
        return self.contest.note(event.afi, event.nlri, deed, now)

    def kept_out(self, now: float) -> float | None:
        """By `insist`, routes of other protocols are not left in the way: in how many seconds ours go in."""
        if not self.contest.insist:
            return None
        for afi, fib in self.fibs.items():
            for nlri in fib.kept_out():
                self.contest.wait(afi, nlri, fib.reasons[nlri], now)
        return self.contest.next_in(now)

    def put_back(self, now: float) -> list[Problem]:
        """Put back what somebody else took; gives what that was."""
        places = self.contest.take(now)
        for afi, nlri in places:
            if self.contest.insist:
                self.fibs[afi].grant(nlri)
            else:
                self.fibs[afi].touch((nlri,))
        return [Problem(afi, nlri, *reason) for (afi, nlri), reason in places.items()]

    def put_back_kernel_loss(self) -> None:
        places, self._lost_to_kernel = self._lost_to_kernel, []
        self._touch(places)

    def _touch(self, places: Iterable[tuple[int, bytes]]) -> None:
        for afi, nlri in places:
            self.fibs[afi].touch((nlri,))

    def follow(self, asked: set[bytes]) -> set[bytes]:
        """Resolve these next hops again, then those that depend on the routes over them, and so on.

        Gives all whose cost or usability has changed.
        """
        every: set[bytes] = set()
        for _ in range(16):
            changed, costs = self.resolver.refresh(asked)
            if not changed:
                break
            every |= costs
            asked = set()
            for afi, fib in self.fibs.items():
                affected = fib.next_hops_changed(changed)
                if affected:
                    asked |= self.resolver.touched(afi, affected)
        self.touch_guards()
        return every

    def touch_guards(self) -> None:
        self._touch(self.resolver.guards_changed)
        self.resolver.guards_changed.clear()

    def protect(self, addresses: Iterable[bytes]) -> None:
        self.protected = set(addresses)
        for address in self.protected:
            self.resolver.resolve(address)
        self.touch_guards()

    def prune(self) -> None:
        """Forget the next hops that no wish names."""
        wanted = set(self.protected)
        for fib in self.fibs.values():
            wanted |= fib.next_hops()
        self.resolver.prune(wanted)
        self.touch_guards()

    def show(self, look: Look) -> Iterator[int]:
        """Take a full look in, part by part; the numbers add up to how many routes of ours differed."""
        look.show(self.here)
        for afi, fib in self.fibs.items():
            yield from fib.found(look.ours[afi])
        for fib in self.fibs.values():
            fib.touch([nlri for nlri in fib.reasons if nlri not in fib.failed])
            fib.devices_changed()

    def problems(self, now: float) -> list[Problem]:
        found = [problem for fib in self.fibs.values() for problem in fib.problems()]
        told = {(problem.afi, problem.nlri) for problem in found}
        contested = self.contest.shown(now).items()
        return found + [Problem(afi, nlri, *reason) for (afi, nlri), reason in contested if (afi, nlri) not in told]
