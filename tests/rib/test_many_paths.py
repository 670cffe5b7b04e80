"""Several paths a prefix on their way out: identifiers stay with their paths, and the peer's copy is always right."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy, accept_all, prepare
from pybgp.prefix import NLRI
from pybgp.rib import AdjRibOut, Export, LocRib, Source, paths_of
from pybgp.rib.many_paths import BestAllowed, ManyPaths, untagged
from pybgp.rib.route import Route
from tests.rib.make import LOCAL_ID, nlri, path, peer

ONE, TWO = nlri("10.0.1.0/24"), nlri("10.0.2.0/24")


class Told:
    """A peer with ADD-PATH, and what it holds after each drain."""

    def __init__(self, rib: LocRib, limit: int = 0, policy: Policy = accept_all) -> None:
        target = peer(9, client=True)
        export = Export(target, IPV4_UNICAST, prepare(policy, "export", external=False), cluster_id=LOCAL_ID)
        self.out = AdjRibOut(IPV4_UNICAST, export)
        self.many = ManyPaths(self.out, limit)
        self.held: dict[tuple[NLRI, int], PathAttributes] = {}
        rib.watch = self.many.apply

    def drain(self) -> int:
        """Returns the number of destinations in the messages."""
        count = 0
        while self.out.pending:
            for attributes, keys in self.out.drain(3):
                count += len(keys)
                for key in zip(*untagged(keys), strict=True):
                    if attributes is None:
                        del self.held[key]
                    else:
                        self.held[key] = attributes
        return count

    def next_hops(self, prefix: NLRI) -> dict[int, str | None]:
        return {path_id: a.next_hop_text for (one, path_id), a in self.held.items() if one == prefix}


@pytest.mark.rfc("7911", "2", "pybgp.rib.many_paths:_placed", "an identifier a path, which stays")
def test_every_path_has_an_identifier_which_stays() -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib)
    rib.announce([ONE, TWO], path(peer(1), 1))
    rib.announce([ONE], path(peer(2), 2))
    told.drain()
    assert told.next_hops(ONE) == {1: "10.0.1.1", 2: "10.0.1.2"}
    assert told.next_hops(TWO) == {1: "10.0.1.1"}
    first = peer(3)
    rib.announce([ONE], path(first, 3, local_pref=200))  # becomes the best, and takes no other's number
    told.drain()
    assert told.next_hops(ONE) == {1: "10.0.1.1", 2: "10.0.1.2", 3: "10.0.1.3"}
    rib.withdraw([ONE], first)
    assert told.drain() == 1
    assert told.next_hops(ONE) == {1: "10.0.1.1", 2: "10.0.1.2"}


def test_a_number_is_free_again_when_its_path_is_gone() -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib)
    sources = [peer(number) for number in (1, 2, 3)]
    for number, source in enumerate(sources):
        rib.announce([ONE], path(source, number))
    rib.withdraw([ONE], sources[1])
    told.drain()
    assert set(told.next_hops(ONE)) == {1, 3}
    rib.announce([ONE], path(peer(4), 4))
    told.drain()
    assert told.next_hops(ONE)[2] == "10.0.1.4"


def test_one_source_may_have_several_paths() -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib)
    source = peer(1)
    rib.announce([ONE], path(source, 1, path_id=7))
    rib.announce([ONE], path(source, 2, path_id=9))
    told.drain()
    assert sorted(filter(None, told.next_hops(ONE).values())) == ["10.0.1.1", "10.0.1.2"]


@pytest.mark.rfc("7911", "5", "pybgp.rib.many_paths:ManyPaths._told", "the best so many")
def test_only_the_best_so_many() -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib, limit=2)
    for number in (1, 2, 3):
        rib.announce([ONE], path(peer(number), number, local_pref=100 * number))
    told.drain()
    assert set(told.next_hops(ONE).values()) == {"10.0.1.3", "10.0.1.2"}


def test_what_came_from_the_peer_does_not_go_back() -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib)
    rib.announce([ONE], path(told.out.export.target, 9, local_pref=500))
    rib.announce([ONE], path(peer(1), 1))
    told.drain()
    assert list(told.next_hops(ONE).values()) == ["10.0.1.1"]


def test_a_policy_that_looks_at_prefixes() -> None:
    def only_two(route: Route) -> Route | None:
        return route if route.nlri == TWO else None

    rib = LocRib(IPV4_UNICAST)
    told = Told(rib, policy=only_two)
    rib.announce([ONE, TWO], path(peer(1), 1))
    rib.announce([ONE, TWO], path(peer(2), 2))
    told.drain()
    assert told.next_hops(ONE) == {}
    assert len(told.next_hops(TWO)) == 2


@pytest.mark.rfc("7947", "2.3.2", "pybgp.rib.many_paths:BestAllowed.apply", "no client loses the second best")
def test_the_best_that_export_lets_through() -> None:
    """RFC 7947 section 2.3.2: a client of a route server is not left without a route because another's is better."""

    def no_fifty(route: Route) -> Route | None:
        return None if route.attributes.med == 50 else route

    rib = LocRib(IPV4_UNICAST)
    told = Told(rib, policy=no_fifty)
    best = BestAllowed(told.out)
    rib.watch = best.apply
    allowed = peer(1)
    rib.announce([ONE, TWO], path(allowed, 1, local_pref=100))
    rib.announce([ONE], path(peer(2), 2, local_pref=200, med=50))
    drained = {key: attributes for attributes, keys in told.out.drain(10) for key in keys}
    assert {key: a and a.next_hop_text for key, a in drained.items()} == {ONE: "10.0.1.1", TWO: "10.0.1.1"}
    rib.withdraw([ONE], allowed)
    assert told.out.drain(10) == [(None, [ONE])]


steps = st.lists(
    st.tuples(
        st.sampled_from(["announce", "withdraw", "drain", "remove"]),
        st.integers(0, 3),  # source
        st.integers(0, 1),  # its path identifier
        st.lists(st.sampled_from([ONE, TWO, nlri("10.0.3.0/24")]), min_size=1, max_size=3, unique=True),
        st.integers(1, 4),  # next hop and preference
    ),
    max_size=30,
)


def not_all(route: Route) -> Route | None:
    """Two paths of one prefix do not go out, and those of another look different."""
    if route.nlri == TWO and route.attributes.local_pref in (200, 300):
        return None
    return route.with_(MED, 7) if route.nlri == ONE else route


@given(steps, st.sampled_from([0, 1, 2]), st.booleans())
def test_the_peer_holds_the_best_paths(
    done: list[tuple[str, int, int, list[NLRI], int]], limit: int, looking: bool
) -> None:
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib, limit, not_all if looking else accept_all)
    sources: list[Source] = [told.out.export.target, *(peer(number) for number in (1, 2, 3))]
    for what, who, path_id, prefixes, value in done:
        if what == "announce":
            rib.announce(prefixes, path(sources[who], value, path_id=path_id, local_pref=100 * value))
        elif what == "withdraw":
            rib.withdraw(prefixes, sources[who], path_id)
        elif what == "remove":
            for _ in rib.remove(sources[who]):
                pass
        else:
            told.drain()
    told.drain()
    for prefix in (ONE, TWO, nlri("10.0.3.0/24")):
        allowed = [one for one in paths_of(rib.entry(prefix)) if one.source is not told.out.export.target]
        if looking and prefix == TWO:
            allowed = [one for one in allowed if one.attributes.local_pref not in (200, 300)]
        wanted = [one.attributes.next_hop_text for one in (allowed[:limit] if limit else allowed)]
        held = told.next_hops(prefix)
        assert sorted(map(str, held.values())) == sorted(map(str, wanted))
        assert set(held) == set(told.many.path_ids(prefix))
        seven = {attributes.med == 7 for (one, _), attributes in told.held.items() if one == prefix}
        assert seven <= {looking and prefix == ONE}


def test_prefixes_with_the_same_answer_go_together() -> None:
    """A policy that looks at prefixes costs a question a batch, not one a prefix."""
    rib = LocRib(IPV4_UNICAST)
    told = Told(rib, policy=not_all)
    many = [nlri(f"10.1.{number}.0/24") for number in range(200)]
    announced: list[int] = []
    announce = told.out.announce
    told.out.announce = lambda keys, attributes: (announced.append(len(keys)), announce(keys, attributes))[1]  # type: ignore[method-assign,func-returns-value]
    rib.announce([ONE, *many], path(peer(1), 1))
    assert sorted(announced) == [1, 200]
