"""BGPPeers, affinities and configurations as they are read where something in them is odd."""

from __future__ import annotations

from typing import Any

import pytest

from calico_route.documents import Reading, read_document, read_value
from calico_route.model import AffinityState, BgpPeer, BlockAffinity, Kind, ResourceKey

PEER = ResourceKey(Kind.BGP_PEER, "", "p")


def read(key: ResourceKey = PEER, **spec: Any) -> Reading:
    return read_document(key, {"kind": str(key.kind), "metadata": {"name": key.name}, "spec": spec})


def peer(**spec: Any) -> BgpPeer:
    found = read(**spec)
    assert isinstance(found.resource, BgpPeer), found.problems
    return found.resource


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"nodeSelector": "rack =="}, "spec.nodeSelector", "expected a text in quotes"),
        ({"peerSelector": "has("}, "spec.peerSelector", "expected a label"),
        ({"peerIP": "10.0.0.1", "reachableBy": "fd00::1"}, "spec.reachableBy", "another IP version"),
        ({"peerIP": "10.0.0.1", "reachableBy": "10.0.0"}, "spec.reachableBy", "not an IP address"),
        ({"peerIP": "fd00::1", "reachableBy": "fe80::1%eth0"}, "spec.reachableBy", "zone"),
        ({"peerIP": "fe80::1%eth0"}, "spec.peerIP", "zone"),
        ({"peerIP": "[10.0.0.1"}, "spec.peerIP", "brackets"),
        ({"peerIP": "10.0.0.1:0"}, "spec.peerIP", "port"),
        ({"maxRestartTime": "-5s"}, "spec.maxRestartTime", "negative"),
        ({"maxRestartTime": 90}, "spec.maxRestartTime", "not a duration"),
        ({"asNumber": "1.65536"}, "spec.asNumber", "below 65536"),
        ({"asNumber": 1.5}, "spec.asNumber", "quotes"),
        ({"asNumber": 4294967296}, "spec.asNumber", "from 1"),
        ({"ttlSecurity": 256}, "spec.ttlSecurity", "from 0 to 255"),
    ],
)
def test_what_cannot_be_used_keeps_the_last_good_form(spec: dict[str, Any], field: str, words: str) -> None:
    found = read(**spec)
    assert found.resource is None
    (problem,) = found.problems
    assert (problem.field, problem.fatal) == (field, True)
    assert words in problem.why


@pytest.mark.parametrize("nothing", [None, "", "absent"])
def test_null_and_empty_are_as_good_as_absent(nothing: str | None) -> None:
    names = ("node", "nodeSelector", "peerSelector", "asNumber", "localASNumber", "nextHopMode", "sourceAddress")
    names += ("maxRestartTime", "keepaliveTime", "reachableBy", "reversePeering")
    spec = {} if nothing == "absent" else dict.fromkeys(names, nothing)
    assert peer(peerIP="10.0.0.1", **spec) == BgpPeer(name="p", peer_ip=peer(peerIP="10.0.0.1").peer_ip)


@pytest.mark.parametrize("zero", [0, "0", None])
def test_the_as_number_zero_is_none(zero: object) -> None:
    assert peer(asNumber=zero).asn is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"node": "a", "nodeSelector": "all()"}, "spec.nodeSelector"),
        ({"peerSelector": "all()", "peerIP": "10.0.0.1"}, "spec.peerIP"),
        ({"peerSelector": "all()", "asNumber": 64512}, "spec.asNumber"),
    ],
)
def test_what_excludes_each_other_is_said(spec: dict[str, Any], field: str) -> None:
    found = read(**spec)
    assert found.resource is not None
    assert [(problem.field, problem.fatal) for problem in found.problems] == [(field, False)]


@pytest.mark.parametrize("text", ["2001:DB8:0:0::00a", "[2001:db8::A]", "2001:db8:0:0:0:0:0:a"])
def test_one_text_for_each_ipv6_address(text: str) -> None:
    found = peer(peerIP=text).peer_ip
    assert found is not None
    assert found.address == "2001:db8::a"


@pytest.mark.parametrize("value", [b"", b" ", b'""', b"null", b"{}", b'{"state":""}', b'{"state":null}'])
def test_old_affinities_are_confirmed(value: bytes) -> None:
    found = read_value(ResourceKey(Kind.BLOCK_AFFINITY, "n", "10.0.0.0/26"), value).resource
    assert isinstance(found, BlockAffinity)
    assert (found.state, found.deleted) == (AffinityState.CONFIRMED, False)


@pytest.mark.parametrize("value", [b"[]", b"confirmed", b'{"state":"Confirmed"}', b'{"state":1}', b'{"deleted":"no"}'])
def test_other_affinities_are_told(value: bytes) -> None:
    found = read_value(ResourceKey(Kind.BLOCK_AFFINITY, "n", "10.0.0.0/26"), value)
    assert found.resource is None
    assert found.problems[0].key.name == "10.0.0.0/26"


def test_a_configuration_with_another_name_is_not_used_and_said() -> None:
    found = read(ResourceKey(Kind.BGP_CONFIGURATION, "", "mine"), asNumber=64600)
    assert found.resource is not None
    assert [(problem.field, problem.fatal) for problem in found.problems] == [("metadata.name", False)]
    assert read(ResourceKey(Kind.BGP_CONFIGURATION, "", "node.a.example-1")).problems == ()
