"""Adj-RIB-In and Loc-RIB against plain dicts, with slices of long work left open between the steps."""

from collections import Counter
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy, accept_all, per_path, prepare
from pybgp.prefix import NLRI
from pybgp.rib import AdjRibIn, Delta, LocRib, Path, Route, Source, paths_of
from pybgp.rib.adj_rib_in import next_hops_changed
from pybgp.rib.decision import best_first, multipath
from tests.rib.make import adj_rib_in, attributes, mirror, nlri, peer, shown

PREFIXES = [nlri(f"10.1.{number}.0/24") for number in range(7)]


@per_path
def no_med_five(route: Route) -> Route | None:
    return None if route.attributes.med == 5 else route


def odd_are_better(route: Route) -> Route | None:
    return route.with_(LOCAL_PREF, 200) if route.nlri[3] % 2 else route


def only_low(route: Route) -> Route | None:
    return route if route.nlri[3] < 3 else None


POLICIES: list[Policy | None] = [accept_all, None, no_med_five, odd_are_better, only_low]

prefix_lists = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=9)  # with duplicates
sets = st.sampled_from(
    [
        attributes(number, as_path=as_path, med=med)
        for number, as_path, med in [(1, [65001], 5), (1, [65001], 0), (2, [65001, 7], 5), (2, [65001], None)]
    ]
)
peers = st.integers(0, 2)


class Model(RuleBasedStateMachine):
    @initialize(most=st.integers(1, 3))
    def begin(self, most: int) -> None:
        self.costs: dict[bytes, int | None] = {bytes((10, 0, 1, number)): 10 for number in (1, 2)}
        self.rib = LocRib(IPV4_UNICAST, multipath=most)
        sources = [peer(1, asn=65001), peer(2, asn=65001), peer(3)]
        self.ins: list[AdjRibIn] = [adj_rib_in(source, self.rib, resolve=self.resolve) for source in sources]
        self.ins[2].eligibility = self.ins[0].eligibility
        self.policies: list[Policy | None] = [accept_all] * 3
        # (prefix, peer, path identifier) -> (attributes as received, generation)
        self.model: dict[tuple[NLRI, int, int], tuple[PathAttributes, int]] = {}
        self.held: dict[NLRI, tuple[tuple[str, int, PathAttributes], ...]] = {}
        # Work begun and not finished: (what, peer or -1 for all, generation, slices)
        self.open: list[tuple[str, int, int, Iterator[list[Delta]]]] = []

    def resolve(self, next_hop: bytes) -> int | None:
        return self.costs[next_hop]

    @rule(which=peers, prefixes=prefix_lists, values=sets, path_id=st.integers(0, 1))
    def announce(self, which: int, prefixes: list[NLRI], values: PathAttributes, path_id: int) -> None:
        mirror(self.held, self.ins[which].announce(prefixes, values, [path_id] * len(prefixes)))
        for one in prefixes:
            self.model[one, which, path_id] = (values, self.ins[which].source.generation)

    @rule(which=peers, prefixes=prefix_lists, path_id=st.integers(0, 1))
    def withdraw(self, which: int, prefixes: list[NLRI], path_id: int) -> None:
        mirror(self.held, self.ins[which].withdraw(prefixes, [path_id] * len(prefixes)))
        for one in prefixes:
            self.model.pop((one, which, path_id), None)

    @rule(which=peers)
    def mark_stale(self, which: int) -> None:
        self.ins[which].mark_stale()

    @rule(which=peers, chunk=st.integers(1, 8), at_once=st.booleans())
    def sweep(self, which: int, chunk: int, at_once: bool) -> None:
        slices = self.ins[which].sweep(chunk)
        self.begun("remove", which, self.ins[which].source.generation, slices, at_once)

    @rule(which=peers, chunk=st.integers(1, 8), at_once=st.booleans())
    def peer_down(self, which: int, chunk: int, at_once: bool) -> None:
        slices = self.ins[which].remove(chunk)
        self.begun("remove", which, self.ins[which].source.generation, slices, at_once)

    @rule(which=peers, policy=st.sampled_from(POLICIES), chunk=st.integers(1, 8), at_once=st.booleans())
    def change_policy(self, which: int, policy: Policy | None, chunk: int, at_once: bool) -> None:
        source = self.ins[which].source
        self.policies[which] = policy
        slices = self.ins[which].change_policy(prepare(policy, "import", external=source.external), chunk)
        self.begun("judge", which, 0, slices, at_once)

    @rule(
        next_hop=st.sampled_from([bytes((10, 0, 1, 1)), bytes((10, 0, 1, 2))]),
        cost=st.sampled_from([None, 0, 10, 20]),
        chunk=st.integers(1, 8),
        at_once=st.booleans(),
    )
    def next_hop_changes(self, next_hop: bytes, cost: int | None, chunk: int, at_once: bool) -> None:
        self.costs[next_hop] = cost
        ins = {one.source: one for one in self.ins}
        self.begun("judge", -1, 0, next_hops_changed(self.rib, ins, {next_hop}, chunk), at_once)

    def begun(self, what: str, which: int, generation: int, work: Iterator[list[Delta]], at_once: bool) -> None:
        self.open.append((what, which, generation, work))
        while at_once and (what, which, generation, work) in self.open:
            self.go_on(len(self.open) - 1, 1)

    @rule(choice=st.integers(0, 5), slices=st.integers(1, 5))
    def go_on(self, choice: int, slices: int) -> None:
        if not self.open:
            return
        what, which, generation, work = self.open[choice % len(self.open)]
        for _ in range(slices):
            deltas = next(work, None)
            if deltas is None:
                self.open.remove((what, which, generation, work))
                if what == "remove":
                    self.model = {
                        key: value for key, value in self.model.items() if key[1] != which or value[1] >= generation
                    }
                return
            mirror(self.held, deltas)

    @rule()
    def finish(self) -> None:
        while self.open:
            self.go_on(0, 1)

    def doomed(self, which: int, generation: int) -> bool:
        return any(what == "remove" and peer_ == which and generation < limit for what, peer_, limit, _ in self.open)

    def judged(self, which: int) -> bool:
        return not any(what == "judge" and peer_ in (which, -1) for what, peer_, _, _ in self.open)

    @invariant()
    def table_is_the_model(self) -> None:
        if not hasattr(self, "rib"):
            return
        counts: Counter[Source] = Counter()
        for one in PREFIXES:
            paths = {(self.number(path), path.path_id): path for path in paths_of(self.rib.entry(one))}
            assert len(paths) == len(paths_of(self.rib.entry(one)))
            counts.update(path.source for path in paths.values())
            for (prefix, which, path_id), (received, generation) in self.model.items():
                if prefix == one and not self.doomed(which, generation):
                    assert (which, path_id) in paths
                    path = paths[which, path_id]
                    assert path.received == received
                    assert path.stale == (generation != self.ins[which].source.generation)
                    if self.judged(which):
                        self.check_verdict(one, which, path)
            assert all((one, *key) in self.model for key in paths)
        for one in self.ins:
            assert self.rib.count(one.source) == len(one) == counts[one.source]

    def check_verdict(self, one: NLRI, which: int, path: Path) -> None:
        policy, source = self.policies[which], self.ins[which].source
        route: Route | None = Route.of(IPV4_UNICAST, one, path.received, source)
        assert route is not None
        route = route if policy is None and source.internal else None if policy is None else policy(route)
        if route is None:
            assert path.rejected is not None
            assert path.attributes == path.received
        else:
            cost = self.costs[route.next_hop]
            assert (path.rejected is not None) == (cost is None)
            assert path.attributes == route.attributes
            assert path.cost == (cost or 0)

    @invariant()
    def selection_is_the_decision(self) -> None:
        if not hasattr(self, "rib"):
            return
        for one in PREFIXES:
            paths = paths_of(self.rib.entry(one))
            assert paths == best_first(paths[::-1]) if paths else one not in self.rib
            chosen = multipath(paths, self.rib.multipath) if paths else ()
            assert paths_of(self.rib.selected(one)) == chosen
            assert self.rib.best(one) is (chosen[0] if chosen else None)
            assert [verdict.path for verdict in self.rib.explain(one)] == list(paths)
            assert {verdict.path for verdict in self.rib.explain(one) if verdict.selected} == set(chosen)

    @invariant()
    def deltas_add_up(self) -> None:
        if not hasattr(self, "rib"):
            return
        now = {one: shown(self.rib.selected(one)) for one in PREFIXES if self.rib.selected(one) is not None}
        assert self.held == now
        assert {one: shown(selected) for part in self.rib.walk(3) for one, selected in part} == now
        fresh: dict[NLRI, tuple[tuple[str, int, PathAttributes], ...]] = {}
        for deltas in self.rib.snapshot(3):
            mirror(fresh, deltas)
        assert fresh == now

    def number(self, path: Path) -> int:
        return next(number for number, one in enumerate(self.ins) if one.source is path.source)


Model.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestModel = Model.TestCase
