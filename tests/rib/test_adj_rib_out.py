"""Adj-RIB-Out: what a peer holds after drains is the export of what is selected, whatever came in between."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy, accept_all, per_path, prepare, reject_all
from pybgp.prefix import NLRI
from pybgp.rib import AdjRibOut, Delta, Export, LocRib, Path, Route
from tests.rib.make import LOCAL_ID, nlri, own, path, peer

PREFIXES = [nlri(f"10.1.{number}.0/24") for number in range(6)]
A, B, C = PREFIXES[:3]


def adj_rib_out(policy: Policy | None = accept_all) -> AdjRibOut:
    target = peer(9)
    return AdjRibOut(
        IPV4_UNICAST, Export(target, IPV4_UNICAST, prepare(policy, "export", external=False), cluster_id=LOCAL_ID)
    )


def new(prefixes: list[NLRI], one: Path | None, old: Path | None = None) -> Delta:
    return Delta(IPV4_UNICAST, prefixes, old, one)


def drained(out: AdjRibOut, limit: int = 1000) -> list[tuple[int | None, list[NLRI]]]:
    """What goes out, with the last octet of the next hop for the attributes."""
    return [(None if one is None else one.next_hop[3], keys) for one, keys in out.drain(limit)]


@pytest.fixture
def out() -> AdjRibOut:
    return adj_rib_out()


US = own()
ONE, TWO = path(US, 1), path(US, 2)


def test_grouped_by_attributes_with_withdraws_first(out: AdjRibOut) -> None:
    out.apply(new([A, B], ONE))
    out.apply(new([C], TWO))
    out.apply(new(PREFIXES[3:], ONE))
    assert out.pending == len(out) == 6
    assert drained(out) == [(1, [A, B, *PREFIXES[3:]]), (2, [C])]
    assert out.pending == 0
    out.apply(new([B], TWO))
    out.apply(new([A, C], None))
    assert drained(out) == [(None, [A, C]), (2, [B])]
    assert {one for one in PREFIXES if out.told(one)} == {B, *PREFIXES[3:]}
    assert drained(out) == []


def test_equal_attributes_of_different_paths_share_a_group(out: AdjRibOut) -> None:
    """Own routes announced one by one must not become one UPDATE each."""
    for one in PREFIXES:
        out.apply(new([one], path(US, 1)))
    assert drained(out) == [(1, PREFIXES)]


def test_withdraw_of_what_was_never_sent_is_silent(out: AdjRibOut) -> None:
    out.apply(new([A], None))
    assert drained(out) == []
    out.apply(new([A, B], ONE))
    out.apply(new([A], None))
    assert out.pending == 1
    assert drained(out) == [(1, [B])]


def test_the_same_again_is_silent_and_takes_back_what_was_queued(out: AdjRibOut) -> None:
    out.apply(new([A, B], ONE))
    drained(out)
    out.apply(new([A, B], path(US, 1)))
    assert out.pending == 0
    out.apply(new([A, B], TWO))
    out.apply(new([A], ONE))
    assert drained(out) == [(2, [B])]
    out.apply(new([A], None))
    out.apply(new([A], ONE))
    assert drained(out) == []


def test_one_slot_a_prefix_the_newest_counts(out: AdjRibOut) -> None:
    for one in (ONE, TWO, None, ONE, None, TWO):
        out.apply(new([A], one))
    assert drained(out) == [(2, [A])]
    for one in (None, ONE, None):
        out.apply(new([A], one))
    assert drained(out) == [(None, [A])]


def test_partial_drains(out: AdjRibOut) -> None:
    out.apply(new(PREFIXES, ONE))
    assert drained(out, 4) == [(1, PREFIXES[:4])]
    assert out.pending == 2
    out.apply(new([A, B], None))
    out.apply(new([PREFIXES[4]], TWO))
    assert drained(out, 1) == [(None, [A])]
    assert drained(out, 2) == [(None, [B]), (2, [PREFIXES[4]])]
    assert drained(out, 2) == [(1, [PREFIXES[5]])]
    assert out.drain(0) == []


def test_what_is_told_alike_goes_at_once(out: AdjRibOut) -> None:
    def all_at_once() -> list[tuple[int | None, list[NLRI]]]:
        return [(None if one is None else one.next_hop[3], keys) for one, keys in out.drain(1, len(PREFIXES))]

    out.apply(new(PREFIXES[:2], ONE))
    out.apply(new(PREFIXES[2:], ONE))
    assert all_at_once() == [(1, PREFIXES)]
    out.apply(new(PREFIXES[:2], TWO))
    out.apply(new(PREFIXES[2:3], None))
    assert all_at_once() == [(None, PREFIXES[2:3])], "not all is alike"
    assert drained(out) == [(2, PREFIXES[:2])]
    rest = PREFIXES[:2] + PREFIXES[3:]
    out.apply(new(rest, None))
    assert all_at_once() == [(None, rest)]
    assert (out.advertised, out.pending) == (0, 0)


def test_what_may_no_longer_be_told_is_withdrawn(out: AdjRibOut) -> None:
    out.apply(new([A], ONE))
    drained(out)
    out.apply(new([A], path(peer(1))))  # learned by iBGP: not to this peer
    assert drained(out) == [(None, [A])]


def test_refresh_sends_everything_once_more(out: AdjRibOut) -> None:
    out.apply(new(PREFIXES, ONE))
    drained(out)
    deque(out.refresh(), maxlen=0)
    assert out.refreshing
    assert out.pending == 6
    out.apply(new([A], TWO))
    out.apply(new([B], None))
    out.apply(new([C], ONE))  # no news, and still it has to be sent again
    seen: dict[NLRI, int | None] = {}
    while out.pending:
        for next_hop, keys in drained(out, 2):
            for key in keys:
                assert key not in seen
                seen[key] = next_hop
    assert seen == {A: 2, B: None, **dict.fromkeys(PREFIXES[2:], 1)}
    assert not out.refreshing


def test_news_of_a_mixed_batch_is_not_repeated_by_a_refresh(out: AdjRibOut) -> None:
    out.apply(new([A, B, C], ONE))
    drained(out)
    deque(out.refresh(), maxlen=0)
    out.apply(new([A, B], TWO))
    out.apply(new([A], ONE))
    assert out.pending == 4  # B as news, and three that the refresh asked for
    assert drained(out) == [(2, [B]), (1, [C, A])]
    assert out.pending == 0


def test_a_peer_that_does_not_read_costs_no_memory(out: AdjRibOut) -> None:
    """Flapping while nothing drains: the queue stays within a few thousand keys of what is pending."""
    out.apply(new(PREFIXES, ONE))
    drained(out)
    for number in range(9000):
        out.apply(new([A], path(US, 2)))
        out.apply(new([A], None))
        if number % 100 == 0:
            out.apply(new([A], ONE))
        assert out.pending <= 1
    queued = [sum(map(len, queue._batches)) for queue in (out._reach, out._unreach)]
    assert max(queued) <= 5000
    assert drained(out) == [(None, [A])]


@per_path
def without_med_five(route: Route) -> Route | None:
    return None if route.attributes.med == 5 else route.without(MED)


def odd(route: Route) -> Route | None:
    return route if route.nlri[3] % 2 else None


WAYS: list[tuple[Policy, dict[str, bool]]] = [
    (accept_all, {}),
    (accept_all, {"own_only": True}),
    (accept_all, {"graceful_shutdown": True}),
    (reject_all, {}),
    (without_med_five, {}),
    (odd, {}),
]


class Model(RuleBasedStateMachine):
    """A Loc-RIB with an exporting peer. `held` is what a simulated peer has from the drains. What it holds is kept."""

    derives = False

    @initialize()
    def begin(self) -> None:
        self.rib = LocRib(IPV4_UNICAST)
        self.sources = [own(), peer(1, asn=65001), peer(2)]
        self.target = peer(9)
        self.session()

    def session(self) -> None:
        self.out = AdjRibOut(IPV4_UNICAST, self.export(accept_all))
        self.held: dict[NLRI, PathAttributes] = {}
        self.asked: set[NLRI] = set()  # what a refresh has asked for and not got yet
        self.unsent: set[NLRI] = set()
        self.coarse: set[NLRI] = set()  # withdrawn together: what the peer held of it may be said again
        self.asking: Iterator[None] | None = None
        self.changing: Iterator[None] | None = None

    def export(self, policy: Policy, **rules: bool) -> Export:
        prepared = prepare(policy, "export", external=False)
        return Export(self.target, IPV4_UNICAST, prepared, cluster_id=LOCAL_ID, **rules)

    def apply(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            self.out.apply(delta)

    @rule(
        which=st.integers(0, 2),
        prefixes=st.lists(st.sampled_from(PREFIXES), min_size=1),
        number=st.integers(1, 2),
        med=st.sampled_from([None, 5]),
    )
    def announce(self, which: int, prefixes: list[NLRI], number: int, med: int | None) -> None:
        self.apply(self.rib.announce(prefixes, path(self.sources[which], number, med=med)))

    @rule(which=st.integers(0, 2), prefixes=st.lists(st.sampled_from(PREFIXES), min_size=1), together=st.booleans())
    def withdraw(self, which: int, prefixes: list[NLRI], together: bool) -> None:
        deltas = self.rib.withdraw(prefixes, self.sources[which], together=together)
        self.coarse.update(one for delta in deltas if delta.removed is not None for one in delta.nlri)
        self.apply(deltas)

    @rule(which=st.integers(1, 2))
    def source_is_gone(self, which: int) -> None:
        for deltas in self.rib.remove(self.sources[which]):
            self.apply(deltas)

    @rule(limit=st.integers(1, 4), at_once=st.sampled_from([0, 3, 100]), too_long=st.booleans())
    def drain(self, limit: int, at_once: int = 0, too_long: bool = False) -> None:
        refreshing = self.out.refreshing
        before = len(self.held)
        groups = self.out.drain(limit, at_once)
        assert sum(len(keys) for _, keys in groups) <= limit + at_once
        assert all(one is not None for one, _ in groups[1:])
        for values, keys in groups:
            assert keys
            for key in keys:
                if values is None:
                    del self.held[key]
                else:
                    again = refreshing or key in self.coarse
                    assert again or self.held.get(key) != values, "nothing is said twice"
                    self.held[key] = values
            self.asked.difference_update(keys)
            self.unsent.difference_update(keys)
            self.coarse.difference_update(keys)
        assert self.out.most is None or len(self.held) <= max(before, self.out.most)
        if too_long and groups and groups[-1][0] is not None:
            keys = groups[-1][1]
            self.out.unsent(keys)
            self.unsent.update(keys)
            for key in keys:
                del self.held[key]

    @rule(way=st.sampled_from(WAYS), slices=st.integers(0, 3))
    def change_policy(self, way: tuple[Policy, dict[str, bool]], slices: int) -> None:
        self.finish()
        self.out.kept += 1
        self.changing = self.change(self.export(way[0], **way[1]))
        deque(islice(self.changing, slices), maxlen=0)

    def change(self, export: Export) -> Iterator[None]:
        yield from self.out.keep(2)
        self.out.export = export
        for deltas in self.rib.snapshot(2):
            self.apply(deltas)
            yield
        self.out.release()

    @rule(most=st.sampled_from([None, 0, 2, 4]))
    def limit(self, most: int | None) -> None:
        self.out.most = most

    @rule(slices=st.integers(0, 2))
    def refresh(self, slices: int) -> None:
        self.asked = set(self.held)
        self.asking = self.out.refresh(2)
        deque(islice(self.asking, slices), maxlen=0)

    @rule()
    def finish(self) -> None:
        for job in (self.changing, self.asking):
            deque(job or (), maxlen=0)
        self.changing = self.asking = None

    @rule()
    def session_ends_and_comes_back(self) -> None:
        self.session()
        for deltas in self.rib.snapshot(2):
            self.apply(deltas)

    @rule()
    def drain_all(self) -> None:
        self.finish()
        self.drain(3)  # there may be room for what was held back
        while self.out.pending:
            self.drain(3)
        assert not self.asked & self.held.keys()
        assert not self.out.refreshing
        unsaid = self.out._unsaid - self.out.held.keys()
        assert unsaid <= self.unsent
        expected = {}
        for key in PREFIXES:
            best = self.rib.best(key)
            values = None if best is None else self.out.export.attributes_for(best, key)
            if values is not None and key not in unsaid:
                expected[key] = values
        assert self.held.items() <= expected.items()
        full = self.out.most is not None and len(self.held) >= self.out.most
        assert full or self.held == expected
        assert not self.out.drain(1)
        if not (self.derives and self.out.export.policy.constant):
            assert self.out.sent is not None
        elif not self.out.held:
            assert self.out.sent is None

    @invariant()
    def it_is_known_what_the_peer_holds(self) -> None:
        if hasattr(self, "out"):
            assert self.out.advertised == len(self.held)
            for key in PREFIXES:
                assert self.out.told(key) == self.held.get(key) or (key in self.coarse and self.out.waits(key))
            assert {one for one in self.out.destinations() if self.out.told(one)} <= self.held.keys()

    def teardown(self) -> None:
        if hasattr(self, "out"):
            self.drain_all()


class WorkedOut(Model):
    """The same where what the peer holds follows from the table, when nothing stands against that."""

    derives = True

    def session(self) -> None:
        super().session()
        self.out = AdjRibOut(IPV4_UNICAST, self.export(accept_all), self.rib)
        self.out.kept += 1
        self.changing = self.change(self.out.export)


for one in (Model, WorkedOut):
    one.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase
TestWorkedOut = WorkedOut.TestCase
