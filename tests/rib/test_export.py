"""Who is told what, and how it looks: iBGP, eBGP, reflection, communities, next hops, policy."""

import pytest

from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.base import RawAttribute
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import (
    Policy,
    accept,
    accept_all,
    match,
    per_path,
    prepare,
    prepend,
    reject_all,
    rules,
    set_communities,
)
from pybgp.prefix import pack_address
from pybgp.rib import Export, Path, Route, Source
from tests.rib.make import LOCAL_ADDRESS, LOCAL_AS, attributes, nlri, own, path, peer

CLUSTER = 0x0A0A0A0A
A, B = nlri("10.0.0.0/24"), nlri("10.0.1.0/24")

EBGP, OTHER_EBGP = peer(1, asn=65001), peer(2, asn=65002)
IBGP, OTHER_IBGP = peer(3), peer(4)
CLIENT, OTHER_CLIENT = peer(5, client=True), peer(6, client=True)
OWN = own()


def export(
    target: Source, policy: Policy | None = accept_all, family: Family = IPV4_UNICAST, **options: object
) -> Export:
    made = prepare(policy, "export", external=target.external)
    return Export(target, family, made, cluster_id=CLUSTER, **options)  # type: ignore[arg-type]


def told(target: Source, one: Path, policy: Policy | None = accept_all, **options: object) -> PathAttributes:
    answer = export(target, policy, **options).judge(one)  # type: ignore[arg-type]
    assert isinstance(answer, PathAttributes), answer
    return answer


@pytest.mark.parametrize(
    ("source", "to_ebgp", "to_ibgp", "to_client"),
    [
        (OWN, True, True, True),
        (EBGP, True, True, True),
        (IBGP, True, False, True),
        (CLIENT, True, True, True),
    ],
)
@pytest.mark.rfc("4271", "9.1.3", "pybgp.rib.export:Export._forbidden", "who is told of what was learned where")
@pytest.mark.rfc("4456", "6", "pybgp.rib.export:Export._forbidden", "clients and non-clients")
def test_who_is_told(source: Source, to_ebgp: bool, to_ibgp: bool, to_client: bool) -> None:
    one = path(source, as_path=[65001] if source is EBGP else [])
    targets = {OTHER_EBGP: to_ebgp, OTHER_IBGP: to_ibgp, OTHER_CLIENT: to_client}
    for target, expected in targets.items():
        assert (export(target).attributes_for(one) is not None) is expected
        assert (export(target).reason(one) is None) is expected


@pytest.mark.parametrize("source", [EBGP, IBGP, CLIENT])
def test_never_back_to_where_it_came_from(source: Source) -> None:
    assert export(source).reason(path(source)) == "learned from this peer"


def test_reason_of_ibgp() -> None:
    assert export(OTHER_IBGP).reason(path(IBGP)) == "learned by iBGP, and neither peer is a route reflector client"


@pytest.mark.parametrize(
    ("community", "target", "allowed"),
    [
        ("no-export", OTHER_EBGP, False),
        ("no-export", IBGP, True),
        ("no-export-subconfed", OTHER_EBGP, False),
        ("no-export-subconfed", IBGP, True),
        ("no-advertise", OTHER_EBGP, False),
        ("no-advertise", IBGP, False),
        ("no-peer", OTHER_EBGP, True),
        ("65535:4660", OTHER_EBGP, True),
    ],
)
@pytest.mark.rfc("1997", "2", "pybgp.rib.export:Export._forbidden", "NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED")
def test_well_known_communities(community: str, target: Source, allowed: bool) -> None:
    one = path(EBGP, as_path=[65001], communities=[community, "65000:1"])
    why = export(target).reason(one)
    assert (why is None) is allowed
    if why is not None:
        assert why.startswith(community.upper().replace("-", "_"))


def test_well_known_communities_bind_what_was_received_only() -> None:
    """RFC 1997 speaks of routes received: with an own route the community is a request to the neighbor."""
    assert told(EBGP, path(OWN, communities=["no-export"])).communities == {0xFFFFFF01}
    policy = rules(match() >> set_communities("no-export"), default=accept())
    assert told(EBGP, path(OTHER_EBGP, as_path=[65002]), policy).communities == {0xFFFFFF01}


@pytest.mark.rfc("4271", "5.1.4", "pybgp.rib.export:Export._before", "MED is not passed on to other ASes")
@pytest.mark.rfc("4271", "9.1.3", "pybgp.rib.export:Export._after", "what another AS is told")
def test_to_an_external_peer() -> None:
    values = attributes(
        1, as_path="65002 {7,8}", med=5, local_pref=300, originator_id=9, cluster_list=[1], communities=["65002:1"]
    )
    got = told(EBGP, Path(CLIENT, values))
    assert str(got.as_path) == "65000 65002 {7,8}"  # 5.1.2
    assert got.next_hop == LOCAL_ADDRESS  # 5.1.3
    assert got.med is None  # 5.1.4
    assert got.local_pref is None  # 5.1.5
    assert (got.originator_id, got.cluster_list) == (None, ())  # RFC 4456: non-transitive
    assert got.communities == values.communities
    assert (got.as_path_length, got.neighbor_as) == (3, LOCAL_AS)


@pytest.mark.rfc("4271", "9.4", "pybgp.rib.export:Export._before", "own routes")
def test_own_route_to_an_external_peer() -> None:
    got = told(EBGP, path(OWN, next_hop=None, med=5, local_pref=300))
    assert (str(got.as_path), got.next_hop, got.med, got.local_pref) == ("65000", LOCAL_ADDRESS, 5, None)


@pytest.mark.rfc("4271", "5.1.5", "pybgp.rib.export:Export._before", "internal peers get a LOCAL_PREF")
def test_to_an_internal_peer() -> None:
    got = told(IBGP, path(EBGP, 7, as_path="65001 65009", med=5))
    assert (str(got.as_path), got.med, got.local_pref) == ("65001 65009", 5, 100)
    assert got.next_hop == bytes((10, 0, 1, 7))
    assert got.originator_id is None
    assert told(IBGP, path(EBGP, as_path="65001", local_pref=250)).local_pref == 250


def test_own_route_to_an_internal_peer() -> None:
    got = told(IBGP, path(OWN, next_hop=None))
    assert (str(got.as_path), got.next_hop, got.local_pref) == ("", LOCAL_ADDRESS, 100)


@pytest.mark.parametrize(("source", "target"), [(CLIENT, IBGP), (IBGP, CLIENT), (CLIENT, OTHER_CLIENT)])
@pytest.mark.rfc("4456", "6", "pybgp.rib.export:Export._after", "ORIGINATOR_ID and CLUSTER_LIST")
def test_reflection(source: Source, target: Source) -> None:
    first = told(target, path(source, 7, local_pref=100, med=3))
    assert first.originator_id == source.bgp_identifier
    assert first.cluster_list == (CLUSTER,)
    assert (first.next_hop, first.med, first.local_pref) == (bytes((10, 0, 1, 7)), 3, 100)
    again = told(target, path(source, local_pref=100, originator_id=77, cluster_list=[5, 6]))
    assert again.originator_id == 77
    assert again.cluster_list == (CLUSTER, 5, 6)


@pytest.mark.rfc("4456", "8", "pybgp.rib.export:Export._forbidden", "not back to its originator")
def test_a_route_is_not_reflected_to_its_originator() -> None:
    one = path(IBGP, local_pref=100, originator_id=CLIENT.bgp_identifier)
    assert export(CLIENT).reason(one) == "this peer originated it"
    assert export(OTHER_CLIENT).reason(one) is None


@pytest.mark.parametrize(
    ("source", "target", "next_hop_self", "given", "expected"),
    [
        (EBGP, OTHER_EBGP, None, "10.0.1.7", "10.0.0.254"),
        (EBGP, OTHER_EBGP, True, "10.0.1.7", "10.0.0.254"),
        (EBGP, OTHER_EBGP, False, "10.0.1.7", "10.0.1.7"),
        (EBGP, IBGP, None, "10.0.1.7", "10.0.1.7"),
        (EBGP, IBGP, True, "10.0.1.7", "10.0.0.254"),
        (EBGP, IBGP, False, "10.0.1.7", "10.0.1.7"),
        (OWN, EBGP, None, None, "10.0.0.254"),
        (OWN, EBGP, False, None, "10.0.0.254"),
        (OWN, IBGP, None, None, "10.0.0.254"),
        (OWN, EBGP, None, "10.0.1.7", "10.0.1.7"),
        (OWN, IBGP, True, "10.0.1.7", "10.0.1.7"),
    ],
)
@pytest.mark.rfc("4271", "5.1.3", "pybgp.rib.export:Export._before", "next hop self, as learned, or given")
def test_next_hop(source: Source, target: Source, next_hop_self: bool | None, given: str | None, expected: str) -> None:
    got = told(target, path(source, next_hop=given, as_path=[65001]), next_hop_self=next_hop_self)
    assert got.next_hop_text == expected


@pytest.mark.rfc("4271", "5.1.3", "pybgp.rib.export:Export._next_hop_fault", "never the peer's own address")
def test_next_hop_that_is_the_peer_itself() -> None:
    one = path(EBGP, next_hop="10.0.0.3", as_path=[65001])
    assert export(IBGP).reason(one) == "the next hop is the peer's own address"
    assert export(OTHER_IBGP).reason(one) is None


def test_next_hop_of_the_other_family() -> None:
    six = bytes.fromhex("20010db8" + "00" * 11 + "01")
    assert "extended next hop" in str(export(EBGP, own_next_hop=six).reason(path(OWN, next_hop=None)))
    got = told(EBGP, path(OWN, next_hop=None), own_next_hop=six, extended_next_hop=True)
    assert got.next_hop == six
    assert "IPv6 one" in str(export(EBGP, family=IPV6_UNICAST).reason(path(OWN, next_hop=None)))
    assert export(EBGP, family=IPV6_UNICAST, own_next_hop=six).reason(path(OWN, next_hop=None)) is None
    assert "no address" in str(export(EBGP, own_next_hop=b"").reason(path(OWN, next_hop=None)))


@pytest.mark.rfc("2545", "3", "pybgp.rib.export:Export._before", "a link-local next hop stays on its link")
def test_link_local_next_hop_stays_on_its_link() -> None:
    pair = pack_address("2001:db8::1") + pack_address("fe80::1")
    got = told(IBGP, path(EBGP, next_hop=pair, as_path=[65001]), family=IPV6_UNICAST)
    assert got.next_hop == pair[:16]


def test_without_policy_an_external_peer_is_told_nothing() -> None:
    assert "RFC 8212" in str(export(EBGP, None).reason(path(OWN)))
    assert export(IBGP, None).reason(path(OWN)) is None
    assert export(EBGP, reject_all).reason(path(OWN)) == "rejected by export policy reject_all"


def test_policy_sees_and_decides_between_the_rewritings() -> None:
    seen: list[Route] = []

    @per_path
    def policy(route: Route) -> Route | None:
        seen.append(route)
        return route.with_(MED, 77).with_next_hop("10.9.9.9").with_(LOCAL_PREF, 1)

    got = told(EBGP, path(OTHER_EBGP, as_path=[65002], med=5), policy)
    assert seen[0].next_hop == LOCAL_ADDRESS
    assert seen[0].attributes.med is None
    assert seen[0].peer is OTHER_EBGP
    assert (got.med, got.next_hop_text, got.local_pref) == (77, "10.9.9.9", None)
    prepending = rules(match() >> prepend(65077, 2), default=accept())
    assert str(told(EBGP, path(OTHER_EBGP, as_path=[65002]), prepending).as_path) == "65000 65077 65077 65002"


def test_policy_that_looks_at_prefixes() -> None:
    asked: list[bytes] = []

    def policy(route: Route) -> Route | None:
        asked.append(route.nlri)
        return None if route.nlri == B else route.with_(COMMUNITIES, (1,))

    out = export(IBGP, policy)
    one = path(OWN)
    (yes, first), (no, second) = out.each(one, [A, B])
    assert yes is not None
    assert (yes.communities, first, no, second) == ({1}, [A], None, [B])
    assert out.attributes_for(one, A) is yes
    assert out.reason(one, B) == "rejected by export policy policy"
    assert asked == [A, B, A, B]
    with pytest.raises(ValueError, match="prefix"):
        out.judge(one)
    assert out.each(path(OTHER_IBGP), [A, B]) == [(None, [A, B])]
    assert asked == [A, B, A, B]  # policy is not asked about what may not be told anyway


def test_answers_are_remembered_until_forgotten() -> None:
    asked: list[Route] = []

    @per_path
    def policy(route: Route) -> Route | None:
        asked.append(route)
        return route

    out, one = export(IBGP, policy), path(OWN, next_hop=None)
    ((first, _),) = out.each(one, [A])
    ((second, _),) = out.each(one, [B, A])
    assert first is second is out.attributes_for(one)
    assert len(asked) == 1
    out.own_next_hop = bytes((10, 3, 3, 3))
    out.forget()
    (answer,) = out.each(one, [A])
    assert answer[0] is not None
    assert answer[0].next_hop == bytes((10, 3, 3, 3))


def test_memory_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pybgp.rib.export.CACHE_LIMIT", 4)
    every, each = export(IBGP), export(IBGP, lambda route: route)
    for number in range(12):
        for out in (every, each):
            assert out.attributes_for(path(OWN, number), A) is not None
    assert all(len(memo) <= 4 for out in (every, each) for memo in (out._answers, out._finished, out._pool))


def test_withholding_what_the_peer_would_drop() -> None:
    one = path(OTHER_EBGP, as_path="65002 65001")
    assert export(EBGP).reason(one) is None
    assert export(EBGP, withhold_peer_as=True).reason(one) == "the peer's AS 65001 is in the AS_PATH"
    assert export(IBGP, withhold_peer_as=True).reason(path(EBGP, as_path=[LOCAL_AS, 65001])) is None


def test_unknown_transitive_attributes_go_along() -> None:
    raw = RawAttribute(0xE0, 200, b"odd")
    one = Path(EBGP, PathAttributes.build(as_path=[65001], next_hop="10.0.1.1", unknown=[raw]))
    for target in (OTHER_EBGP, IBGP):
        assert told(target, one).unknown == (raw,)


@pytest.mark.rfc("5065", "5", "pybgp.messages.attributes.as_path:AsPath.without_confederation", "segments stay inside")
def test_confederation_segments_stay_inside() -> None:
    """RFC 5065 section 5.3: they are removed before another AS is told; an internal peer keeps them."""
    one = path(CLIENT, as_path="(65100 65101) 65001 [65102]")
    assert str(told(EBGP, one).as_path) == "65000 65001"
    assert str(told(IBGP, one).as_path) == "(65100 65101) 65001 [65102]"


@pytest.mark.rfc("4360", "6", "pybgp.rib.export:_transitive", "non-transitive ones do not leave the AS")
def test_non_transitive_extended_communities_stay_inside() -> None:
    """RFC 4360 section 6: removed "before advertising the route across the Autonomous System boundary"."""
    kept, local = bytes.fromhex("0002fde800000001"), bytes.fromhex("4004fde800000002")
    one = path(CLIENT, as_path=[65001], extended_communities=[kept, local])
    assert told(EBGP, one).get(EXTENDED_COMMUNITIES) == (kept,)
    assert set(told(IBGP, one)[EXTENDED_COMMUNITIES]) == {kept, local}
    assert EXTENDED_COMMUNITIES not in told(EBGP, path(CLIENT, as_path=[65001], extended_communities=[local]))
    own_one = path(OWN, extended_communities=[local])
    assert told(EBGP, own_one)[EXTENDED_COMMUNITIES] == (local,)
