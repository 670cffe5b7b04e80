"""Learned routes of one address family: what is wanted, what the kernel has of ours, and the way between.

Level-triggered: whatever happens only marks destinations as dirty; `plan` compares what is wanted with
what is installed and says which messages make them equal, `settle` takes in what the kernel answered. So
a lost or doubled event can't hurt, and the last of several wishes for a destination is the one that counts.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice, repeat

from .installed import Installed, Other, Wish
from .problem import (
    OWN_ADDRESS,
    Problem,
    ProblemKind,
    Reason,
    connected_here,
    covers_next_hop,
    goes_before,
    in_the_way,
    refused,
    strange,
    taken_over,
)
from .resolver import NO_CARRIER_COST, Resolver
from .route import NextHop, RouteOptions, RouteSpec, RouteType
from .surroundings import Surroundings
from .work import Op, Work, Works, bare

INTERESTING = 64  # fewer destinations are planned one by one
LINGER = 0.2  # seconds that a route outlives its next hop, for BGP to name another: then no hole appears


class Fib(Installed):
    """No I/O: `now` is an argument."""

    def __init__(
        self, afi: int, surroundings: Surroundings, metric: int | None = None, *, insist: bool = False
    ) -> None:
        super().__init__(afi, surroundings, metric)
        self.insist = insist
        self.resolver: Resolver  # set by whoever joins the two families to one resolver
        self.failed: dict[bytes, None] = {}
        self.lingering: dict[bytes, float] = {}
        self.lengths: dict[int, int] = {}
        self._overdue: set[bytes] = set()
        self._wishes: dict[Wish, Wish] = {}
        self._wish_limit = 8192
        self._resolved: dict[Wish, RouteSpec | Reason] = {}

    # --- wishes ---

    def want(self, nlri: Sequence[bytes], next_hops: tuple[bytes, ...] | None, options: RouteOptions) -> None:
        desired = self.desired
        if next_hops is None:
            deque(map(desired.pop, nlri, repeat(None)), maxlen=0)
        else:
            if len(self._wishes) > self._wish_limit:
                self._forget_wishes()
            wish = Wish(next_hops, options)
            wish = self._wishes.setdefault(wish, wish)
            desired.update(dict.fromkeys(nlri, wish))
            for length in {destination[0] for destination in nlri}:
                self.lengths[length] = 1
        self.dirty.update(dict.fromkeys(nlri))

    def _forget_wishes(self) -> None:
        live = {id(wish): wish for wish in self.desired.values()}
        self._wishes = {wish: wish for wish in live.values()}
        self._resolved = {wish: spec for wish, spec in self._resolved.items() if wish in self._wishes}
        self._wish_limit = max(8192, 2 * len(live))

    def _renew_specs(self) -> None:
        super()._renew_specs()
        self._resolved.clear()

    def learned(self, nlri: bytes) -> tuple[bytes, ...] | None:
        """The next hops of a wanted unicast route, for the resolver."""
        wish = self.desired.get(nlri)
        if wish is None or wish.options.type != RouteType.UNICAST or wish.options.device is not None:
            return None
        return wish.next_hops

    def next_hops_changed(self, raws: set[bytes]) -> list[bytes]:
        """These next hops resolve otherwise than before; gives the destinations that go over them."""
        return self._rethink({wish for wish in self._wishes if not raws.isdisjoint(wish.next_hops)})

    def devices_changed(self) -> None:
        """Links came, went or changed: think again about what names one."""
        self._rethink({wish for wish in self._wishes if wish.options.device is not None})

    def _rethink(self, wishes: set[Wish]) -> list[bytes]:
        if not wishes:
            return []
        for wish in wishes:
            self._resolved.pop(wish, None)
        which = {id(wish) for wish in wishes}
        affected = [nlri for nlri, wish in self.desired.items() if id(wish) in which]
        self.dirty.update(dict.fromkeys(affected))
        return affected

    # --- from what is installed to what is wanted ---

    def waits_for(self, written: frozenset[bytes], limit: int) -> bool:
        """Whether one of the next `limit` dirty destinations is among these, which the kernel is working on: what is
        there is known when it has answered."""
        return not written.isdisjoint(islice(self.dirty, limit))

    def again(self, works: Sequence[Work]) -> None:
        """These were planned, and the kernel has not taken them."""
        for work in works:
            self.dirty.update(dict.fromkeys(work.nlri))

    def plan(self, limit: int, now: float) -> list[Work]:
        """Messages for the next `limit` dirty destinations, those that make before those that delete."""
        dirty = self.dirty
        nlri = list(islice(dirty, limit))
        if len(nlri) == len(dirty):
            dirty.clear()
        else:
            for destination in nlri:
                del dirty[destination]
        works = Works()
        desired, installed, lost = self.desired, self.installed, self._lost
        reasons, unconfirmed, surplus, others = self.reasons, self.unconfirmed, self.surplus, self.others
        foreign, local = self._here.routes[self.afi], self._here.local_nlri
        guards = self.resolver.guards(self.afi)
        if self._plain(nlri, works):
            if not dirty:
                self._overdue.clear()
            return works.sorted()
        for destination in self.granted.intersection(nlri):
            others.pop(destination, None)
            unconfirmed.pop(destination, None)
        removed: tuple[int, int] | None = None  # metric and prefix length of the group that `remove` adds to
        nowhere: list[bytes] = []
        remove = nowhere.append
        last: Wish | None = None
        spec: RouteSpec | Reason = Reason(ProblemKind.NEXT_HOP, "")
        group: tuple[Op, RouteSpec | Reason, int] | None = None
        for destination in nlri:
            have = installed.get(destination)
            wish = desired.get(destination)
            if wish is None:
                if have is None or surplus or unconfirmed or reasons or lost or others:
                    self._plan_removal(destination, have, works)
                    continue
                kind = (have.metric, destination[0])
                if kind != removed:
                    removed = kind
                    remove = works.group(Op.DELETE, bare(have.metric), destination[0]).append
                remove(destination)
                continue
            if wish is not last:  # neighbours mostly share their wish
                last, spec, group = wish, self._resolved_wish(wish), None
            if (
                type(spec) is Reason
                or destination in foreign
                or destination in guards
                or destination in local
                or destination in surplus
                or destination in others
            ):
                reason = self._why_not(destination, spec)
                if reason is not None:
                    self._plan_refusal(destination, have, reason, now, works)
                    continue
                have = self._of_metric(destination, have, spec)
            elif have is not None and have is not spec:
                have = self._of_metric(destination, have, spec)
            if destination in reasons:
                del reasons[destination]
            if unconfirmed:
                unconfirmed.pop(destination, None)
            if have is spec:
                for other in self._surplus(destination):
                    works.add(Op.DELETE_EXACT, other, destination)
                continue
            known = have is not None or destination in lost or destination in self.granted
            op = Op.REPLACE if known else Op.ADD
            if group is None or group[0] is not op or group[2] != destination[0]:
                assert isinstance(spec, RouteSpec)
                group = (op, spec, destination[0])
                append = works.group(op, spec, destination[0]).append
            append(destination)
        self.granted.difference_update(nlri)
        if not dirty:
            self._overdue.clear()
        return works.sorted()

    def _plain(self, nlri: list[bytes], works: Works) -> bool:
        """Plan destinations that are all alike in one go, as they mostly are: new ones with one wish, or those that
        nobody wants any more with one route. False: nothing was planned."""
        odd = self.surplus or self.unconfirmed or self.reasons or self._lost or self.others or self.granted
        if odd or len(nlri) < INTERESTING:
            return False
        wishes, haves = list(map(self.desired.get, nlri)), list(map(self.installed.get, nlri))
        wish, have = wishes[0], haves[0]
        length = nlri[0][0]
        alike = wishes.count(wish) == haves.count(have) == len(nlri) == [one[0] for one in nlri].count(length)
        if not alike or (wish is None) == (have is None):
            return False
        if wish is None:
            assert have is not None
            works.group(Op.DELETE, bare(have.metric), length).extend(nlri)
            return True
        spec = self._resolved_wish(wish)
        if isinstance(spec, Reason):
            return False
        here, chosen = self._here, set(nlri)
        for others in (here.routes[self.afi], self.resolver.guards(self.afi), here.local_nlri):
            if not chosen.isdisjoint(others):
                return False
        works.group(Op.ADD, spec, length).extend(nlri)
        return True

    def _resolved_wish(self, wish: Wish) -> RouteSpec | Reason:
        spec = self._resolved.get(wish)
        if spec is None:
            spec = self._resolved[wish] = self._resolve(wish)
        return spec

    def _of_metric(self, nlri: bytes, have: RouteSpec | None, spec: RouteSpec | Reason) -> RouteSpec | None:
        """What of ours has the metric of the route to be; any other becomes surplus, deleted afterwards."""
        assert isinstance(spec, RouteSpec)
        if have is not None and have.metric == spec.metric:
            return have
        mine = [other for other in self.surplus.get(nlri, ()) if other.metric == spec.metric]
        rest = [other for other in self.surplus.get(nlri, ()) if other.metric != spec.metric]
        if have is not None:
            rest.append(have)
            del self.installed[nlri]
        if mine:
            rest += mine[1:]
            self.installed[nlri] = self.intern(mine[0])
        if rest:
            self.surplus[nlri] = rest
        else:
            self.surplus.pop(nlri, None)
        return self.installed.get(nlri)

    def _plan_removal(self, nlri: bytes, have: RouteSpec | None, works: Works) -> None:
        if have is not None and have.metric not in self.others.get(nlri, ()):
            works.add(Op.DELETE, bare(have.metric), nlri)
        for other in self._surplus(nlri):
            works.add(Op.DELETE_EXACT, other, nlri)
        if self.unconfirmed:
            self.unconfirmed.pop(nlri, None)
        if self.reasons:
            self.reasons.pop(nlri, None)
        if self._lost:
            self._lost.discard(nlri)

    def _plan_refusal(self, nlri: bytes, have: RouteSpec | None, reason: Reason, now: float, works: Works) -> None:
        self.reasons[nlri] = reason
        if nlri in self.unconfirmed:
            return  # what was found at the start stands until the sweep
        for other in self._surplus(nlri):
            works.add(Op.DELETE_EXACT, other, nlri)
        if have is None or reason.kind == ProblemKind.FOREIGN or have.metric in self.others.get(nlri, ()):
            return
        if reason.kind == ProblemKind.NEXT_HOP and nlri not in self._overdue:
            self.lingering.setdefault(nlri, now + LINGER)
            return
        works.add(Op.DELETE, bare(have.metric), nlri)

    def _why_not(self, nlri: bytes, spec: RouteSpec | Reason) -> Reason | None:
        here = self._here
        connected = here.connected(self.afi, nlri)
        if connected is not None:
            return connected_here(here, connected)
        if nlri in here.local_nlri:
            return OWN_ADDRESS
        if nlri in self.resolver.guards(self.afi):
            return covers_next_hop(self.afi, *self.resolver.guarded_by(self.afi, nlri))
        if isinstance(spec, Reason):
            return spec
        if nlri in self.granted:
            return None
        foreign = here.in_slot(self.afi, nlri, spec.metric)
        if foreign is not None:
            return in_the_way(here, foreign, here.makers.get((self.afi, nlri), ""), insist=self.insist)
        other = self.others.get(nlri, {}).get(spec.metric)
        if other is None:
            return None
        if other.spec == spec:  # what ours would be
            self.forget_other(nlri, spec.metric)
            return None
        return taken_over(here, other.spec, other.maker, insist=self.insist)

    def _surplus(self, nlri: bytes) -> list[RouteSpec]:
        """Routes of ours that are of another metric than the one that counts, and nobody else's."""
        theirs = self.others.get(nlri, ())
        return [spec for spec in self.surplus.get(nlri, ()) if spec.metric not in theirs]

    # --- other writers ---

    def taken(self, nlri: bytes, spec: RouteSpec, maker: str) -> bool:
        """Another process has made or changed a route of our protocol; False: it is the one that ours would be."""
        wish = self.desired.get(nlri)
        same = wish is not None and self._resolved_wish(wish) == spec
        if same:
            self.forget_other(nlri, spec.metric)
        else:
            self.others.setdefault(nlri, {})[spec.metric] = Other(spec, maker)
        self.touch((nlri,))
        return not same

    def grant(self, nlri: bytes) -> None:
        """Ours has its way there once: what somebody else has made is overwritten, or deleted."""
        if nlri in self.desired or nlri in self.others:
            self.granted.add(nlri)
            self.dirty[nlri] = None

    def kept_out(self) -> list[bytes]:
        """Where a route of another protocol keeps ours out."""
        return [nlri for nlri, reason in self.reasons.items() if reason.kind == ProblemKind.FOREIGN]

    def _resolve(self, wish: Wish) -> RouteSpec | Reason:
        options = wish.options
        metric = self.metric if options.metric is None else options.metric
        if options.type != RouteType.UNICAST:
            return self.intern(RouteSpec((), options.type, metric))
        hops: list[NextHop] = []
        if options.device is not None:
            index = self._here.names.get(options.device)
            if index is None or not self._here.is_up(index):
                state = "does not exist" if index is None else "is down"
                return Reason(ProblemKind.NEXT_HOP, f"interface {options.device} {state}")
            hops = [NextHop(raw, index, options.onlink) for raw in wish.next_hops]
        else:
            found = [self.resolver.resolve(raw) for raw in wish.next_hops]
            costs = [resolution.cost for resolution in found if resolution.cost is not None]
            if not costs:
                words = "; ".join(dict.fromkeys(resolution.reason for resolution in found)) or "no next hop"
                return Reason(ProblemKind.NEXT_HOP, f"{words}; it goes in as soon as that changes")
            dead = min(costs) >= NO_CARRIER_COST
            for resolution in found:
                if resolution.cost is not None and (dead or resolution.cost < NO_CARRIER_COST):
                    hops += resolution.hops
            if options.onlink:
                hops = [hop._replace(onlink=True) for hop in hops]
        return self.intern(RouteSpec(tuple(sorted(set(hops))), RouteType.UNICAST, metric))

    def settle(self, works: Sequence[Work], refusals: Mapping[tuple[bytes, bool], tuple[int, str]]) -> bool:
        """Take in the kernel's answer: (destination, whether it was to be deleted) -> (errno, words).

        True: somebody else's route was met that should have been known; a look at all routes must tell.
        """
        surprise = False
        for work in works:
            if work.op in (Op.ADD, Op.REPLACE):
                surprise |= self._settle_made(work, refusals)
                continue
            if work.op == Op.DELETE and not refusals:
                deque(map(self.installed.pop, work.nlri, repeat(None)), maxlen=0)
                continue
            for nlri in work.nlri:
                code, words = refusals.get((nlri, True), (0, ""))
                if code not in (0, errno.ESRCH):
                    self._failed(nlri, words)
                elif work.op == Op.DELETE:
                    self.installed.pop(nlri, None)
                else:
                    left = [spec for spec in self.surplus.get(nlri, ()) if spec != work.spec]
                    if left:
                        self.surplus[nlri] = left
                    else:
                        self.surplus.pop(nlri, None)
        return surprise

    def _settle_made(self, work: Work, refusals: Mapping[tuple[bytes, bool], tuple[int, str]]) -> bool:
        surprise = False
        bad: dict[bytes, RouteSpec | None] = {}
        if refusals:
            bad = {n: self.installed.get(n) for n in work.nlri if (n, False) in refusals}
        self.installed.update(dict.fromkeys(work.nlri, work.spec))
        if self._lost:
            self._lost.difference_update(work.nlri)
        if self.insist and work.op == Op.REPLACE:
            for nlri in self._here.routes[self.afi].keys() & set(work.nlri):
                self._here.forget_slot(self.afi, nlri, work.spec.metric)
        for nlri, before in bad.items():
            if before is None:
                del self.installed[nlri]
            else:
                self.installed[nlri] = before
            code, words = refusals[nlri, False]
            surprise |= code == errno.EEXIST
            self._failed(nlri, words)
        if self.surplus:
            self.touch(n for n in work.nlri if n in self.surplus and n not in bad)
        return surprise

    def _failed(self, nlri: bytes, words: str) -> None:
        self.reasons[nlri] = refused(words)
        self.failed[nlri] = None

    def unblock(self) -> bool:
        """After newer events: look again at what was refused where a foreign route is now known.

        True where something was refused and nothing is known that explains it.
        """
        foreign = self._here.routes[self.afi]
        blocked = [nlri for nlri in self.failed if nlri in foreign]
        for nlri in blocked:
            del self.failed[nlri]
        self.touch(blocked)
        return bool(self.failed)

    def next_hops(self) -> set[bytes]:
        """All BGP next hops that are wanted now."""
        self._forget_wishes()
        return {raw for wish in self._wishes for raw in wish.next_hops}

    def retry(self) -> int:
        """Try again what the kernel refused."""
        again = list(self.failed)
        self.failed.clear()
        self.dirty.update(dict.fromkeys(again))
        return len(again)

    def expire(self, now: float) -> float | None:
        """Give up routes whose next hop has been away too long; gives when to look again."""
        due = [nlri for nlri, deadline in self.lingering.items() if deadline <= now]
        for nlri in due:
            del self.lingering[nlri]
        self._overdue.update(due)
        self.touch(due)
        return min(self.lingering.values(), default=None)

    def sweep(self) -> int:
        """Mark for deletion what was found and nobody asked for; gives how many destinations."""
        if self.insist:
            self.granted.update(self.others)
            self.dirty.update(dict.fromkeys(self.others))
        left = set(self.others) - self.granted
        stale = [nlri for nlri in self.unconfirmed if nlri not in self.desired and nlri not in left]
        self.dirty.update(dict.fromkeys(self.unconfirmed))
        self.dirty.update(dict.fromkeys(self.surplus))
        self.unconfirmed.clear()
        self.settled = True
        return len(stale)

    def grace(self) -> None:
        """From now on everything installed counts as found, until it is asked for again."""
        self.desired.clear()
        self.dirty.clear()
        self.failed.clear()
        self.lingering.clear()
        self.reasons.clear()
        self._count_as_found()
        self._graced = True
        self.settled = False

    def problems(self) -> list[Problem]:
        """Every destination that is not as it should be."""
        every = {**self._outranked(), **self._strange(), **self.reasons}
        return [Problem(self.afi, nlri, *reason) for nlri, reason in every.items()]

    def _strange(self) -> dict[bytes, Reason]:
        here, insist = self._here, self.insist
        return {
            nlri: strange(here, other.spec, other.maker, insist=insist)
            for nlri, by_metric in self.others.items()
            for other in by_metric.values()
        }

    def _outranked(self) -> dict[bytes, Reason]:
        here, found = self._here, {}
        foreign, installed = here.routes[self.afi], self.installed
        for nlri in foreign.keys() & installed.keys():
            if nlri in self.desired:
                best, metric = foreign[nlri][0], installed[nlri].metric
                if best.spec.metric < metric and not best.tos:
                    found[nlri] = goes_before(here, best, metric, here.makers.get((self.afi, nlri), ""))
        return found
