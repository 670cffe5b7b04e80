"""Whole tables against a plain dict: what neighbours say, in any order, and what each other neighbour must then hold.

The three RIBs of a router together: implicit withdraws, ADD-PATH, policies that change, graceful restart with stale
routes, refreshes of both kinds, sessions that come and go, neighbours that take nothing for a while. What is expected
is worked out anew for each prefix from the dict, in the words of RFC 4271 sections 9.1 and 5.1, by nothing of
`pybgp.rib`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pybgp.family import IPV4_UNICAST
from pybgp.messages import MessageType, RouteRefresh, encode_message
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.route_refresh import decode_route_refresh
from pybgp.messages.update import decode_update
from pybgp.messages.update_writer import encode_end_of_rib, encode_reach, encode_unreach
from pybgp.policy import Policy, accept_all, per_path, reject_all
from pybgp.prefix import NLRI, pack_address
from pybgp.rib import Route
from tests.raw_router import OWN_ADDRESS, OWN_AS, RawPeer, RawRouter
from tests.rib.make import nlri

PREFIXES = [nlri(f"10.1.{number}.0/24") for number in range(5)]
BEGIN, END = 1, 2


def odd_are_better(route: Route) -> Route | None:
    return route.with_(LOCAL_PREF, 300) if route.nlri[3] % 2 else route


def only_low(route: Route) -> Route | None:
    return route if route.nlri[3] < 3 else None


@per_path
def no_med_five(route: Route) -> Route | None:
    return None if route.attributes.med == 5 else route


POLICIES: list[Policy] = [accept_all, accept_all, reject_all, odd_are_better, only_low, no_med_five]
SETS: tuple[dict[str, Any], ...] = (
    {},
    {"med": 5},
    {"med": 7, "longer": 1},
    {"longer": 2, "origin": "incomplete"},
    {"origin": "egp", "communities": ["65000:7"]},
)
Key = tuple[NLRI, int]


class Said(NamedTuple):
    """One path as a neighbour told it."""

    attributes: PathAttributes
    stale: bool


class Teller:
    """A neighbour that announces, and what the dict holds of it."""

    def __init__(self, raw: RawPeer, number: int, *, add_path: bool) -> None:
        self.raw, self.number, self.add_path = raw, number, add_path
        self.internal = raw.sends.internal
        self.asn = OWN_AS if self.internal else 65000 + number
        self.said: dict[Key, Said] = {}
        self.policy: Policy = accept_all
        self.refreshing = False
        self.restarting = False  # came back and has not sent End-of-RIB

    def attributes(self, which: int) -> PathAttributes:
        values = dict(SETS[which])
        longer = values.pop("longer", 0)
        path = [] if self.internal else [self.asn]
        if self.internal:
            values["local_pref"] = 100
        return PathAttributes.build(as_path=path + [64999] * longer, next_hop=f"192.0.2.{100 + self.number}", **values)

    def ids(self, keys: list[NLRI], path_id: int) -> list[int] | None:
        return [path_id] * len(keys) if self.add_path else None


class Watcher:
    """A neighbour that is told, and what it holds."""

    def __init__(self, raw: RawPeer) -> None:
        self.raw = raw
        self.held: dict[Key, PathAttributes] = {}
        self.policy: Policy = accept_all
        self.again: set[NLRI] | None = None  # announced since a refresh was asked for
        self.markers: list[int] = []

    def listen(self) -> None:
        context = self.raw.context
        for kind, body in self.raw.messages():
            if kind == MessageType.ROUTE_REFRESH:
                self.markers.append(decode_route_refresh(body).subtype)
            if kind != MessageType.UPDATE:
                continue
            update = decode_update(body, context, AttributePool())
            assert not update.faults
            for unreach in update.unreach:
                for at, one in enumerate(unreach.nlri):
                    key = (one, unreach.path_ids[at] if unreach.path_ids else 0)
                    assert key in self.held, "withdrawn, and never told"
                    del self.held[key]
            for reach in update.reach:
                for at, one in enumerate(reach.nlri):
                    key = (one, reach.path_ids[at] if reach.path_ids else 0)
                    assert self.again is not None or self.held.get(key) != reach.attributes, "told twice"
                    self.held[key] = reach.attributes
                    if self.again is not None:
                        self.again.add(one)


class Tables(RuleBasedStateMachine):
    @initialize(
        start=st.lists(
            st.tuples(st.integers(0, 2), st.sampled_from(PREFIXES), st.integers(0, len(SETS) - 1), st.integers(1, 2)),
            min_size=4,
            max_size=12,
        )
    )
    def begin(self, start: list[tuple[int, NLRI, int, int]]) -> None:
        self.around = around = RawRouter()
        restart = {"graceful_restart": True, "ours": {"graceful_restart": True}}
        self.tellers = [
            Teller(around.add(ours={"route_reflector_client": True}), 0, add_path=False),
            Teller(around.add(65001, **restart), 1, add_path=False),
            Teller(around.add(65002, add_path_send=(IPV4_UNICAST,), **restart), 2, add_path=True),
        ]
        self.watchers = [
            Watcher(around.add()),
            Watcher(around.add(65003)),
            Watcher(around.add(65004, add_path_receive=(IPV4_UNICAST,))),
        ]
        for which, one, values, path_id in start:
            self.say(self.tellers[which], [one], values, path_id)

    # what neighbours say

    tellers_ = st.integers(0, 2)
    prefixes = st.lists(st.sampled_from(PREFIXES), min_size=1, max_size=4, unique=True)

    @rule(which=tellers_, keys=prefixes, values=st.integers(0, len(SETS) - 1), path_id=st.integers(1, 2))
    def announce(self, which: int, keys: list[NLRI], values: int, path_id: int) -> None:
        if self.tellers[which].raw.open:
            self.say(self.tellers[which], keys, values, path_id)

    def say(self, teller: Teller, keys: list[NLRI], values: int, path_id: int) -> None:
        attributes = teller.attributes(values)
        for message in encode_reach(IPV4_UNICAST, keys, attributes, teller.raw.context, teller.ids(keys, path_id)):
            teller.raw.receive(message)
        for one in keys:
            teller.said[one, path_id if teller.add_path else 0] = Said(attributes, stale=False)

    @rule(which=tellers_, keys=prefixes, path_id=st.integers(1, 2))
    def withdraw(self, which: int, keys: list[NLRI], path_id: int) -> None:
        teller = self.tellers[which]
        if not teller.raw.open:
            return
        for message in encode_unreach(IPV4_UNICAST, keys, teller.raw.context, teller.ids(keys, path_id)):
            teller.raw.receive(message)
        for one in keys:
            teller.said.pop((one, path_id if teller.add_path else 0), None)

    @rule(which=tellers_)
    def refresh_begins(self, which: int) -> None:
        """RFC 7313 section 4: what is not said again until it ends is gone."""
        teller = self.tellers[which]
        if teller.raw.open and not teller.restarting:
            teller.raw.receive(encode_message(RouteRefresh(IPV4_UNICAST, BEGIN), teller.raw.context))
            teller.said = {key: said._replace(stale=True) for key, said in teller.said.items()}
            teller.refreshing = True

    @rule(which=tellers_)
    def refresh_ends(self, which: int) -> None:
        teller = self.tellers[which]
        if teller.raw.open and teller.refreshing:
            teller.raw.receive(encode_message(RouteRefresh(IPV4_UNICAST, END), teller.raw.context))
            self.sweep(teller)
            teller.refreshing = False

    def sweep(self, teller: Teller) -> None:
        teller.said = {key: said for key, said in teller.said.items() if not said.stale}

    # sessions

    @rule(which=tellers_)
    def goes_away(self, which: int) -> None:
        """RFC 4724 section 4.2: routes of one who restarts stay, as stale ones; those that were stale go."""
        teller = self.tellers[which]
        if not teller.raw.open:
            return
        teller.raw.close()
        teller.refreshing = False
        if teller.internal:  # has no graceful restart here
            teller.said = {}
        else:
            if teller.restarting:
                self.sweep(teller)
            teller.said = {key: said._replace(stale=True) for key, said in teller.said.items()}
        teller.restarting = False

    @rule(which=tellers_)
    def comes_back(self, which: int) -> None:
        teller = self.tellers[which]
        if not teller.raw.open:
            self.around.settle()
            teller.raw.connect(restarting=not teller.internal)
            teller.restarting = not teller.internal and bool(teller.said)

    @rule(which=tellers_)
    def end_of_rib(self, which: int) -> None:
        teller = self.tellers[which]
        if teller.raw.open:
            teller.raw.receive(encode_end_of_rib(IPV4_UNICAST, teller.raw.context))
            if teller.restarting:
                self.sweep(teller)
                teller.restarting = False

    @rule()
    def too_long_away(self) -> None:
        """The restart time is over: nothing of those who did not come back stays."""
        self.around.settle()
        self.pass_time(130.0)
        for teller in self.tellers:
            if not teller.raw.open:
                teller.said = {}

    def pass_time(self, seconds: float) -> None:
        """Only timers of peers without a session matter here: the others' hold timers are kept fed."""
        around = self.around
        for raw in around.peers:
            if raw.open:
                raw.keep_alive()
        end = around.now + seconds
        while True:
            due = [
                (at, raw.peer)
                for raw in around.peers
                if not raw.open and (at := raw.peer.next_deadline()) is not None and at <= end
            ]
            if not due:
                break
            at, peer = min(due, key=lambda item: item[0])
            around.now = max(around.now, at)
            peer.handle_timer(around.now)
        around.now = end
        for raw in around.peers:
            if raw.open:
                raw.keep_alive()

    # ours

    @rule(which=tellers_, policy=st.sampled_from(POLICIES))
    def import_policy(self, which: int, policy: Policy) -> None:
        teller = self.tellers[which]
        teller.policy = policy
        raw = teller.raw
        self.around.router.change_peer(raw.peer, raw.config, import_policy=policy, now=self.around.now)

    @rule(which=st.integers(0, 2), policy=st.sampled_from(POLICIES))
    def export_policy(self, which: int, policy: Policy) -> None:
        watcher = self.watchers[which]
        watcher.policy = policy
        raw = watcher.raw
        self.around.router.change_peer(raw.peer, raw.config, export_policy=policy, now=self.around.now)

    @rule(which=st.integers(0, 2))
    def takes_nothing(self, which: int) -> None:
        self.watchers[which].raw.stuck = True

    @rule(which=st.integers(0, 2), some=st.integers(1, 3))
    def takes_a_little(self, which: int, some: int) -> None:
        raw = self.watchers[which].raw
        if raw.stuck:
            raw.peer.produce(some, self.around.now)
            self.watchers[which].listen()

    @rule(which=st.integers(0, 2))
    def takes_all(self, which: int) -> None:
        raw = self.watchers[which].raw
        raw.stuck = False
        self.around.router.tables.outgoing.add(raw.peer)

    @rule()
    def work(self) -> None:
        self.around.settle()

    @rule(steps=st.integers(1, 3))
    def work_a_little(self, steps: int) -> None:
        for _ in range(steps):
            self.around.router.step(self.around.now)

    @rule(which=st.integers(0, 2))
    def watcher_asks_again(self, which: int) -> None:
        """RFC 2918: everything that it holds is told once more, between the marks of RFC 7313."""
        watcher = self.watchers[which]
        watcher.raw.stuck = False
        self.around.router.tables.outgoing.add(watcher.raw.peer)
        self.settled()
        watcher.again, watcher.markers = set(), []
        watcher.raw.receive(encode_message(RouteRefresh(IPV4_UNICAST), watcher.raw.context))
        self.around.settle()
        watcher.listen()
        assert watcher.again == {one for one, _ in watcher.held}
        assert watcher.markers == [BEGIN, END]
        watcher.again = None

    @rule()
    def settled(self) -> None:
        """With all work done, every neighbour that takes something holds what it should."""
        self.around.settle()
        for watcher in self.watchers:
            watcher.listen()
            if watcher.raw.stuck:
                continue
            for one in PREFIXES:
                paths = self.candidates(one)
                held = [attributes for (key, _), attributes in watcher.held.items() if key == one]
                if watcher.raw.context.add_path_receive:
                    everything = [shown for path in paths if (shown := self.shown(watcher, one, *path)) is not None]
                    assert sorted(map(repr, map(seen, held))) == sorted(map(repr, everything))
                else:
                    expected = self.shown(watcher, one, *self.best(paths)) if paths else None
                    assert list(map(seen, held)) == ([] if expected is None else [expected])

    @precondition(lambda self: hasattr(self, "around"))
    @invariant()
    def nothing_went_wrong(self) -> None:
        assert not self.around.errors
        for watcher in self.watchers:
            assert watcher.raw.open

    def teardown(self) -> None:
        if hasattr(self, "around"):
            for watcher in self.watchers:
                watcher.raw.stuck = False
                self.around.router.tables.outgoing.add(watcher.raw.peer)
            self.settled()
            self.count()

    def count(self) -> None:
        for teller in self.tellers:
            exchange = teller.raw.peer.exchanges.get(IPV4_UNICAST)
            assert exchange is not None
            assert len(exchange.adj_rib_in) == len(teller.said)

    # the slow model

    def candidates(self, one: NLRI) -> list[tuple[Teller, PathAttributes]]:
        """What import policy lets through (9.1.1)."""
        found = []
        for teller in self.tellers:
            for (key, _path_id), said in teller.said.items():
                if key == one:
                    attributes = judged(teller.policy, one, said.attributes, teller.raw)
                    if attributes is not None:
                        found.append((teller, attributes))
        return found

    def best(self, paths: list[tuple[Teller, PathAttributes]]) -> tuple[Teller, PathAttributes]:
        """RFC 4271 9.1.2.2, one step after the other."""

        def least(key: Any) -> None:
            nonlocal paths
            limit = min(key(*path) for path in paths)
            paths = [path for path in paths if key(*path) == limit]

        least(lambda _, a: -preference(a))
        least(lambda _, a: a.as_path.length)
        least(lambda _, a: a.origin)
        paths = [
            (teller, a)
            for teller, a in paths
            if not any(a.as_path.neighbor_as == b.as_path.neighbor_as and (b.med or 0) < (a.med or 0) for _, b in paths)
        ]
        least(lambda teller, _: teller.internal)
        least(lambda teller, _: teller.raw.mine.bgp_identifier)
        if len(paths) > 1:  # of one neighbour, told with ADD-PATH: all the same to the RFC
            teller = paths[0][0]
            least(lambda _, a: self.path_id(teller, a))
        return paths[0]

    def path_id(self, teller: Teller, attributes: PathAttributes) -> int:
        key = attributes.without(LOCAL_PREF)
        return min(path_id for (_, path_id), said in teller.said.items() if said.attributes.without(LOCAL_PREF) == key)

    def shown(self, watcher: Watcher, one: NLRI, teller: Teller, a: PathAttributes) -> tuple[object, ...] | None:
        """What a neighbour is told of a path (5.1, 9.1.3), None for nothing."""
        internal = watcher.raw.context.internal
        if not internal:
            a = a.with_next_hop(pack_address(OWN_ADDRESS))
        hop = a.next_hop_text if internal else OWN_ADDRESS
        policy_view = a if internal else without_med(a)
        if internal and a.local_pref is None:
            policy_view = a.with_(LOCAL_PREF, 100)
        told = judged(watcher.policy, one, policy_view, teller.raw)
        if told is None:
            return None
        path = str(told.as_path)
        if not internal:
            path = f"{OWN_AS} {path}".strip()
        return (
            path,
            hop,
            told.med,
            (told.local_pref if internal else None),
            told.origin,
            tuple(sorted(told.communities)),
        )


def without_med(attributes: PathAttributes) -> PathAttributes:
    """RFC 4271 5.1.4: what another AS said is not for a third one."""
    return attributes.without(MED)


def judged(policy: Policy, one: NLRI, attributes: PathAttributes, raw: RawPeer) -> PathAttributes | None:
    exchange = raw.peer.exchanges.get(IPV4_UNICAST)
    assert exchange is not None
    route = policy(Route.of(IPV4_UNICAST, one, attributes, exchange.source))
    return None if route is None else route.attributes


def preference(attributes: PathAttributes) -> int:
    return 100 if attributes.local_pref is None else attributes.local_pref


def seen(a: PathAttributes) -> tuple[object, ...]:
    return (str(a.as_path), a.next_hop_text, a.med, a.local_pref, a.origin, tuple(sorted(a.communities)))


Tables.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestTables = Tables.TestCase
