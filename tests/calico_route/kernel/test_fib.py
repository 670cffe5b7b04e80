"""Wanted against installed, with a small model in the kernel's place."""

from __future__ import annotations

import errno

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from calico_route.kernel.fib import LINGER
from calico_route.kernel.netlink import NLM_F_REPLACE, Event, Link, LinkEvent, RouteEvent
from calico_route.kernel.problem import ProblemKind
from calico_route.kernel.route import (
    IPV4,
    KernelRoute,
    NextHop,
    RouteOptions,
    RouteSpec,
    RouteType,
)
from calico_route.kernel.state import State
from calico_route.kernel.work import Op

from .conftest import nlri, raw

PEER, OTHER = raw("192.168.78.22"), raw("192.168.78.23")
A, B = nlri("192.168.0.2"), nlri("192.168.0.3")


def connected(state: State) -> None:
    state.take_in(
        [
            LinkEvent(True, Link(2, "eth0", True, True, False)),
            RouteEvent(True, 0, 0, IPV4, nlri("192.168.78.0/24"), foreign(RouteSpec((NextHop(b"", 2),)))),
        ],
        0.0,
    )


def foreign(spec: RouteSpec) -> KernelRoute:
    return KernelRoute(4, 254, 0, 0, 0, spec)


def ours(spec: RouteSpec) -> KernelRoute:
    return KernelRoute(12, 254, 0, 0, 0, spec)


def made(*, insist: bool = False) -> State:
    state = State(254, 12, None, insist=insist)
    connected(state)
    return state


def via(gateway: bytes) -> RouteSpec:
    return RouteSpec((NextHop(gateway, 2),))


def test_one_group_for_all_that_share_next_hops() -> None:
    fib = made().fibs[IPV4]
    many = [bytes((32, 10, 0, 0, last)) for last in range(100)]
    fib.want(many[:50], (PEER,), RouteOptions())
    fib.want(many[50:], (OTHER,), RouteOptions())
    fib.want([nlri("10.1.0.0/16")], (PEER,), RouteOptions())
    works = fib.plan(1000, 0.0)
    assert sorted((work.op, work.spec, len(work.nlri)) for work in works) == [
        (Op.ADD, via(PEER), 1),
        (Op.ADD, via(PEER), 50),
        (Op.ADD, via(OTHER), 50),
    ]
    fib.settle(works, {})
    fib.want(many[:50], (PEER,), RouteOptions())
    assert fib.plan(1000, 0.0) == []


def test_plan_takes_no_more_than_it_is_told() -> None:
    fib = made().fibs[IPV4]
    fib.want([bytes((32, 10, 0, 0, last)) for last in range(100)], (PEER,), RouteOptions())
    assert [len(work.nlri) for work in fib.plan(30, 0.0)] == [30]
    assert len(fib.dirty) == 70


def test_a_refused_change_leaves_the_old_route_and_is_tried_again() -> None:
    fib = made().fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    fib.want([A], (OTHER,), RouteOptions())
    (work,) = works = fib.plan(10, 0.0)
    assert work.op is Op.REPLACE
    assert not fib.settle(works, {(A, False): (errno.ENETUNREACH, "Nexthop has invalid gateway")})
    assert fib.installed == {A: via(PEER)}
    (problem,) = fib.problems()
    assert str(problem) == "192.168.0.2/32: the kernel refused it: Nexthop has invalid gateway; it is tried again"
    assert fib.retry() == 1
    fib.settle(fib.plan(10, 0.0), {})
    assert fib.installed == {A: via(OTHER)}
    assert fib.problems() == []


def test_a_deletion_of_what_is_gone_is_fine() -> None:
    fib = made().fibs[IPV4]
    fib.want([A, B], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    fib.want([A, B], None, RouteOptions())
    (work,) = works = fib.plan(10, 0.0)
    assert work.op is Op.DELETE
    fib.settle(works, {(A, True): (errno.ESRCH, "No such process")})
    assert fib.installed == {}
    assert fib.problems() == []


def test_an_unknown_route_in_the_way_is_a_surprise_and_a_known_one_a_problem() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    assert fib.settle(fib.plan(10, 0.0), {(A, False): (errno.EEXIST, "File exists")})
    assert fib.unblock()  # nothing explains it: a full look has to
    state.take_in([RouteEvent(True, 0, 77, IPV4, A, foreign(via(OTHER)))], 0.0)
    assert not fib.unblock()
    assert fib.plan(10, 0.0) == []
    assert [problem.kind for problem in fib.problems()] == [ProblemKind.FOREIGN]
    state.take_in([RouteEvent(False, 0, 77, IPV4, A, foreign(via(OTHER)))], 0.0)
    assert [work.op for work in fib.plan(10, 0.0)] == [Op.ADD]


def test_a_route_outlives_its_next_hop_for_a_moment() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A, B], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    gone = RouteEvent(False, 0, 0, IPV4, nlri("192.168.78.0/24"), foreign(RouteSpec((NextHop(b"", 2),))))
    assert state.take_in([gone], 5.0).next_hops == {PEER}
    assert fib.plan(10, 5.0) == []
    assert fib.installed.keys() == {A, B}
    assert fib.expire(5.0 + LINGER / 2) == 5.0 + LINGER
    assert not fib.dirty
    fib.want([A], (), RouteOptions(type=RouteType.BLACKHOLE))
    assert [(work.op, work.nlri) for work in fib.plan(10, 5.1)] == [(Op.REPLACE, [A])]
    assert fib.expire(5.0 + LINGER) is None
    works = fib.plan(10, 5.0 + LINGER)
    assert [(work.op, work.nlri) for work in works if work.op is Op.DELETE] == [(Op.DELETE, [B])]


def test_a_next_hop_that_is_back_in_time_costs_nothing() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    route = foreign(RouteSpec((NextHop(b"", 2),)))
    for present in (False, True):
        state.take_in([RouteEvent(present, 0, 0, IPV4, nlri("192.168.78.0/24"), route)], 5.0)
        assert fib.plan(10, 5.0) == []
    fib.expire(9.0)
    assert fib.plan(10, 9.0) == []
    assert fib.problems() == []


def test_a_link_that_was_down_between_two_reads_has_lost_its_routes() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    down, up = (LinkEvent(True, Link(2, "eth0", flag, flag, False)) for flag in (False, True))
    route = foreign(RouteSpec((NextHop(b"", 2),)))
    back = RouteEvent(True, 0, 0, IPV4, nlri("192.168.78.0/24"), route)  # it went without a message
    assert state.take_in([down, up, back], 1.0).link_down
    assert fib.installed == {}
    assert [work.op for work in fib.plan(10, 1.0)] == [Op.REPLACE]  # it may be there after all


def test_a_route_of_before_that_somebody_deletes_leaves_its_place_to_whoever_comes() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    fib.grace()
    state.take_in([RouteEvent(False, 0, 77, IPV4, A, ours(via(PEER)))], 0.0)
    fib.want([A], (PEER,), RouteOptions())
    assert [work.op for work in fib.plan(10, 0.0)] == [Op.ADD], "a REPLACE would overwrite what is not known yet"


def test_a_link_that_no_route_of_ours_uses_may_come_and_go() -> None:
    state = made()
    state.take_in([LinkEvent(True, Link(9, "cali9", True, True, False))], 0.0)
    workload = RouteEvent(True, 0, 0, IPV4, B, foreign(RouteSpec((NextHop(b"", 9),))))
    assert state.take_in([workload], 0.0).workloads
    assert state.here.host_routes("cali") == {(IPV4, B): "cali9"}
    effects = state.take_in([LinkEvent(False, Link(9, "cali9", False, False, False))], 1.0)
    assert effects.links
    assert not effects.link_down
    assert state.here.host_routes("cali") == {}


def test_what_somebody_takes_again_and_again_is_put_back_after_longer_pauses() -> None:
    state = made()
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    theft = RouteEvent(False, 0, 4711, IPV4, A, ours(via(PEER)))
    now, pauses = 100.0, []
    for _ in range(9):
        pause = state.take_in([theft], now).put_back_in
        assert pause is not None
        pauses.append(pause)
        assert state.put_back(now + pause - 0.1) == [] or not pause
        now += pause
        state.put_back(now)
        fib.settle(fib.plan(10, now), {})
        assert fib.installed == {A: via(PEER)}
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    state.put_back(now + 61.0)
    assert state.take_in([theft], now + 100.0).put_back_in == 0.0  # it is another story by then


def test_what_somebody_takes_is_put_back_once_a_second() -> None:
    state = made(insist=True)
    fib = state.fibs[IPV4]
    fib.want([A], (PEER,), RouteOptions())
    fib.settle(fib.plan(10, 0.0), {})
    theft = RouteEvent(False, 0, 4711, IPV4, A, ours(via(PEER)))
    assert state.take_in([theft], 100.0).put_back_in == 0.0
    assert not fib.dirty
    (problem,) = state.put_back(100.0)
    assert problem.kind is ProblemKind.CONTESTED
    fib.settle(fib.plan(10, 100.0), {})
    assert fib.installed == {A: via(PEER)}
    assert state.take_in([theft], 100.25).put_back_in == 0.75
    assert [p.kind for p in state.problems(100.5)] == [ProblemKind.CONTESTED]
    state.put_back(101.0)
    fib.settle(fib.plan(10, 101.0), {})
    assert state.problems(200.0) == []
    assert state.contest.count == 2


def test_pause_between_parts_of_a_look_takes_wishes_in() -> None:
    fib = made().fibs[IPV4]
    found = {bytes((32, 10, 0, high, low)): [via(PEER)] for high in range(20) for low in range(250)}
    first, last = next(iter(found)), list(found)[-1]
    parts = fib.found(found)
    assert next(parts) == 2000
    fib.want([first, last, A], (PEER,), RouteOptions())
    assert sum(parts) == 3000
    fib.settle(fib.plan(10_000, 0.0), {})
    assert fib.sweep() == 4998
    works = fib.plan(10_000, 0.0)
    assert [(work.op, len(work.nlri)) for work in works] == [(Op.DELETE, 4998)]
    fib.settle(works, {})
    assert fib.installed.keys() == {first, last, A}


DESTINATIONS = [bytes((32, 10, 0, 0, last)) for last in range(4)] + [nlri("10.0.0.0/24")]
METRICS = [0, 50]
Slot = tuple[bytes, int]


class FibAgainstModel(RuleBasedStateMachine):
    """Wishes, strangers, thieves and full looks in any order end with the kernel as wanted.

    By `yield` what strangers have made last stays; by `insist` nothing of it. The model kernel knows what the real
    one does: EXCL, REPLACE by destination and metric, deletion by protocol. Events reach the state late, in their
    order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.start(insist=False)
        self.kernel: dict[Slot, KernelRoute] = {}
        self.events: list[Event] = []
        self.wanted: dict[bytes, tuple[bytes, int]] = {}
        self.strangers: dict[Slot, RouteSpec] = {}  # routes of our protocol that are left to others
        self.now = 0.0

    @initialize(insist=st.booleans())
    def start(self, insist: bool) -> None:
        self.insist = insist
        self.state = made(insist=insist)
        self.fib = self.state.fibs[IPV4]

    def wish(self, nlri: bytes) -> tuple[Slot, RouteSpec] | None:
        if nlri not in self.wanted:
            return None
        gateway, metric = self.wanted[nlri]
        return (nlri, metric), RouteSpec((NextHop(gateway, 2),), 1, metric)

    def tell(self, present: bool, slot: Slot, route: KernelRoute, flags: int = 0) -> None:
        self.events.append(RouteEvent(present, flags, 4711, IPV4, slot[0], route))

    @rule(nlri=st.sampled_from(DESTINATIONS), gateway=st.sampled_from([PEER, OTHER]), metric=st.sampled_from(METRICS))
    def want(self, nlri: bytes, gateway: bytes, metric: int) -> None:
        self.wanted[nlri] = (gateway, metric)
        self.fib.want([nlri], (gateway,), RouteOptions(metric=metric or None))

    @rule(nlri=st.sampled_from(DESTINATIONS))
    def want_none(self, nlri: bytes) -> None:
        self.wanted.pop(nlri, None)
        self.fib.want([nlri], None, RouteOptions())

    @rule(
        nlri=st.sampled_from(DESTINATIONS),
        metric=st.sampled_from(METRICS),
        protocol=st.sampled_from([4, 12]),
        gateway=st.sampled_from([PEER, OTHER]),
    )
    def stranger_replaces(self, nlri: bytes, metric: int, protocol: int, gateway: bytes) -> None:
        route = KernelRoute(protocol, 254, 0, 0, 0, RouteSpec((NextHop(gateway, 2),), 1, metric))
        if self.kernel.get((nlri, metric)) != route:
            self.kernel[nlri, metric] = route
            self.tell(True, (nlri, metric), route, NLM_F_REPLACE)

    @precondition(lambda self: self.kernel)
    @rule(data=st.data())
    def somebody_deletes(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.kernel)))
        self.tell(False, slot, self.kernel.pop(slot))

    @rule()
    def events_arrive(self) -> None:
        events, self.events = self.events, []
        self.state.take_in(events, self.now)
        for event in events:
            assert isinstance(event, RouteEvent)
            slot, spec = (event.nlri, event.route.spec.metric), event.route.spec
            if event.route.protocol == 12 and event.present and self.wish(event.nlri) != (slot, spec):
                self.strangers[slot] = spec
            elif event.route.protocol == 12 or event.flags & NLM_F_REPLACE:
                self.strangers.pop(slot, None)

    @rule()
    def work(self) -> None:
        self.events_arrive()
        self.now += 2.0
        self.state.put_back(self.now)
        self.fib.retry()
        self.carry_out()

    @rule()
    def full_look(self) -> None:
        """As Kernel: a look, then the events that came meanwhile."""
        routes: dict[bytes, list[RouteSpec]] = {}
        self.state.here.clear()
        connected(self.state)
        for (place, _), route in sorted(self.kernel.items(), key=lambda item: item[0]):
            if route.protocol == 12:
                routes.setdefault(place, []).append(route.spec)
            else:
                self.state.here.apply_route(RouteEvent(True, 0, 0, IPV4, place, route))
        for _ in self.fib.found(routes):
            pass
        seen = {slot: route.spec for slot, route in self.kernel.items() if route.protocol == 12}
        self.strangers = {slot: spec for slot, spec in self.strangers.items() if seen.get(slot) == spec}
        self.fib.touch(list(self.fib.reasons))
        self.events_arrive()

    def carry_out(self) -> None:
        for wanted in self.wanted:  # what ours would be is ours
            slot, spec = self.wish(wanted) or ((wanted, 0), None)
            if self.strangers.get(slot) == spec:
                self.strangers.pop(slot, None)
        for _ in range(6):
            works = self.fib.plan(100, self.now)
            refusals: dict[tuple[bytes, bool], tuple[int, str]] = {}
            for work in works:
                for place in work.nlri:
                    code = self.kernel_does(work.op, place, work.spec)
                    if code:
                        refusals[place, work.op not in (Op.ADD, Op.REPLACE)] = (code, "refused")
            if self.fib.settle(works, refusals) and self.fib.unblock():
                return
            if not self.fib.dirty:
                return

    def kernel_does(self, op: Op, nlri: bytes, spec: RouteSpec) -> int:
        slot = (nlri, spec.metric)
        there = self.kernel.get(slot)
        if op is Op.ADD:
            if there is not None:
                return errno.EEXIST
            self.kernel[slot] = ours(spec)
        elif op is Op.REPLACE:
            assert self.insist or there is None or there.protocol == 12, "a route of somebody else was overwritten"
            assert self.insist or slot not in self.strangers, "a route of a stranger was overwritten"
            self.kernel[slot] = ours(spec)
            self.strangers.pop(slot, None)
        elif there is None or there.protocol != 12:
            return errno.ESRCH
        else:
            assert self.insist or slot not in self.strangers, "a route of a stranger was deleted"
            del self.kernel[slot]
            self.strangers.pop(slot, None)
        return 0

    @invariant()
    def never_two_of_a_kind(self) -> None:
        assert set(self.fib.reasons) <= set(self.wanted) | set(self.fib.dirty)

    def teardown(self) -> None:
        self.full_look()
        self.now += 60.0
        self.state.put_back(self.now)
        self.fib.sweep()
        self.fib.retry()
        self.carry_out()
        self.full_look()
        self.fib.retry()
        self.carry_out()
        if self.insist:
            self.state.kept_out(self.now)
            self.now += 60.0
            self.state.put_back(self.now)
            self.carry_out()
        mine = {slot: route.spec for slot, route in self.kernel.items() if route.protocol == 12}
        wishes = dict(wish for nlri in self.wanted if (wish := self.wish(nlri)))
        foreign = {slot for slot, route in self.kernel.items() if route.protocol != 12}
        if self.insist:
            assert mine == wishes
        else:
            free = {slot: spec for slot, spec in wishes.items() if slot not in foreign}
            assert mine == {**free, **self.strangers}
        kinds: dict[str, set[bytes]] = {"contested": set(), "foreign-route": set(), "outranked": set()}
        for problem in self.fib.problems():
            kinds.setdefault(problem.kind, set()).add(problem.nlri)
        blocked = {slot[0] for slot in wishes if slot in foreign}
        assert kinds["foreign-route"] == (set() if self.insist else blocked)
        taken = {slot[0] for slot in wishes if slot in self.strangers}
        assert kinds["contested"] == taken - blocked
        before = {slot[0] for slot in mine if slot[1] and (slot[0], 0) in foreign and slot in wishes}
        assert before - taken <= kinds["outranked"] <= before


TestFibAgainstModel = FibAgainstModel.TestCase
TestFibAgainstModel.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
