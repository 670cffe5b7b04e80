"""What etcd says, taken in: last good values, a datastore that is empty, members by labels."""

from __future__ import annotations

import json
import struct

import pytest

from calico_route.etcd.store import Head, KeySnapshot
from calico_route.policy import Flow
from calico_route.policy.changes import ChangeListener
from calico_route.policy.cluster import Cluster
from calico_route.policy.conntrack import read_connection
from calico_route.policy.judge import judge
from calico_route.policy.keys import NETWORK_SETS, profile_path
from calico_route.policy.model import Selection
from calico_route.policy.source import Source, endpoint_of
from tests.calico_route.policy.memory_store import as_endpoint, policy, profile, workload

ALLOWED = Flow("192.168.0.1", "192.168.0.2", 6, 40000, 80)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def source(told: list[str]) -> Source:
    return Source(Cluster("n1"), told.append)


def take(source: Source, *written: dict[bytes, bytes]) -> None:
    for values in written:
        for path, value in values.items():
            source.take(path, value)


def snapshot(values: dict[bytes, bytes]) -> KeySnapshot:
    return KeySnapshot(Head(1, 1, 5), values, len(values))


PAIR = (workload("w1", ["192.168.0.1"], ["web"]), workload("w2", ["192.168.0.2"], ["web"]))


def test_a_value_that_cannot_be_read_leaves_the_last_good_one(source: Source, told: list[str]) -> None:
    take(source, profile("web"), *PAIR)
    assert judge(source.cluster, ALLOWED).allowed
    source.take(profile_path("web"), b"{")
    assert judge(source.cluster, ALLOWED).allowed
    assert "last good one stays" in told[-1]
    ((path, _),) = PAIR[0].items()
    source.take(path, b"[]")
    assert judge(source.cluster, ALLOWED).allowed
    assert len(source.problems) == 2
    source.take(profile_path("web"), b"{")
    assert len(told) == 2, "told once"
    take(source, profile("web"), PAIR[0])
    assert source.problems == {}


def test_a_profile_that_was_never_good_is_closed(source: Source, told: list[str]) -> None:
    bad = {"spec": {"ingress": [{"action": "Allow", "source": {"nets": ["x"]}}], "egress": [{"action": "Allow"}]}}
    take(source, {profile_path("web"): json.dumps(bad).encode()}, *PAIR)
    assert not judge(source.cluster, ALLOWED).allowed
    assert "closed otherwise" in told[0]


def test_a_missing_profile_drops_all_and_the_built_in_one_lets_all_through(source: Source) -> None:
    take(source, profile("open", [{}], [{}]), workload("w1", ["192.168.0.1"], ["nowhere", "open"]))
    verdict = judge(source.cluster, ALLOWED)
    assert not verdict.allowed
    assert "profile nowhere does not exist" in verdict.why
    take(source, workload("w1", ["192.168.0.1"], ["projectcalico-default-allow"]))
    assert judge(source.cluster, ALLOWED).allowed
    take(source, workload("w1", ["192.168.0.1"]))
    assert "it has no profile" in judge(source.cluster, ALLOWED).why


def test_profiles_in_order(source: Source) -> None:
    """A rule that matches decides, deny as well as allow; else the next profile is asked."""
    no_tcp = profile("first", [{"action": "deny", "protocol": "tcp"}], [{}])
    take(source, no_tcp, profile("second", [{}], [{}]), profile("web"), PAIR[0])
    for order, allowed in ((["first", "second"], False), (["second", "first"], True), (["first"], False)):
        take(source, workload("w2", ["192.168.0.2"], order))
        assert judge(source.cluster, ALLOWED).allowed is allowed
        assert judge(source.cluster, ALLOWED._replace(protocol=17)).allowed is ("second" in order)


async def test_an_empty_datastore_is_not_believed(source: Source, told: list[str]) -> None:
    values = profile("web") | PAIR[0] | PAIR[1]
    await source.replace(snapshot(values))
    assert judge(source.cluster, ALLOWED).allowed
    await source.replace(snapshot({}))
    assert judge(source.cluster, ALLOWED).allowed
    assert "empty while workloads are here" in told[-1]
    await source.replace(snapshot(profile("web") | PAIR[1]))
    assert "192.168.0.1" not in set(source.cluster.members.of(Selection("web == ''")))
    assert source.problems == {}
    assert list(source.cluster.local) == ["caliw2"]


async def test_an_admitted_workload_is_not_taken_for_a_deleted_one(source: Source) -> None:
    take(source, profile("web"))
    admitted = endpoint_of(as_endpoint(PAIR[0]))
    source.cluster.put_endpoint(admitted.key, admitted)
    await source.replace(snapshot(profile("web")))
    assert list(source.cluster.local) == ["caliw1"]


def test_labels_that_a_profile_gives_come_and_go(source: Source) -> None:
    take(source, profile("web"), *PAIR)
    tag = Selection("web == ''")
    assert set(source.cluster.members.of(tag)) == {"192.168.0.1", "192.168.0.2"}
    take(source, profile("web", None, None, "other"))
    assert set(source.cluster.members.of(tag)) == set()
    assert not judge(source.cluster, ALLOWED).allowed
    take(source, profile("web"))
    assert set(source.cluster.members.of(tag)) == {"192.168.0.1", "192.168.0.2"}


def test_an_address_that_two_have_stays_until_both_are_gone(source: Source) -> None:
    take(source, profile("web"), *PAIR)
    moved = workload("w2", ["192.168.0.2"], ["web"], node="n2")
    tag = Selection("web == ''")
    take(source, moved)
    for written in (PAIR[1], moved):
        assert "192.168.0.2" in set(source.cluster.members.of(tag))
        source.take(next(iter(written)), None)
    assert "192.168.0.2" not in set(source.cluster.members.of(tag))


def test_what_is_concerned_by_a_change(source: Source) -> None:
    """A member more takes nothing from anybody, unless a rule denies by it; one less does."""
    take(source, profile("web"), *PAIR)
    source.cluster.take_delta()
    far = workload("far", ["192.168.0.9"], ["web"], node="n2")
    take(source, far)
    assert source.cluster.take_delta().concerned == set()
    source.take(next(iter(far)), None)
    assert source.cluster.take_delta().concerned == {"192.168.0.9"}
    take(source, profile("web", [{"action": "deny", "src_tag": "web"}, {}], [{}]))
    assert source.cluster.take_delta().concerned == {"192.168.0.1", "192.168.0.2"}
    take(source, far)
    assert source.cluster.take_delta().concerned == {"192.168.0.9"}
    take(source, policy("p", {"selector": "all()", "ingress": []}))
    assert source.cluster.take_delta().concerned == {"192.168.0.1", "192.168.0.2"}


def test_interfaces_and_kinds_that_are_not_ours_are_told(source: Source, told: list[str]) -> None:
    take(source, workload("w1", ["192.168.0.1"], ["web"], interface="eth7"))
    take(source, workload("w2", ["192.168.0.2"], ["web"], interface="cali*"))
    take(source, {NETWORK_SETS + b"default/outside": b"{}"})
    assert source.cluster.local == {}
    assert [text.split(":")[0] for text in told] == [
        "WorkloadEndpoint(default/n1-cni-w1-eth1)",
        "WorkloadEndpoint(default/n1-cni-w2-eth1)",
        "NetworkSet(default/outside)",
    ]
    source.take(NETWORK_SETS + b"\xff", b"")
    source.take(NETWORK_SETS + b"default/outside", None)
    assert len(source.problems) == 2


def attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + b"\0" * (-len(content) % 4)


def test_a_connection_behind_translation_ends_at_whoever_answers() -> None:
    """A service's address was asked for; the workload behind it answers."""

    def side(source: bytes, destination: bytes, ports: tuple[int, int]) -> bytes:
        addresses = attribute(1, attribute(1, source) + attribute(2, destination))
        numbers = attribute(2, struct.pack("!H", ports[0])) + attribute(3, struct.pack("!H", ports[1]))
        return addresses + attribute(2, attribute(1, b"\x06") + numbers)

    client, service, server = bytes((10, 0, 0, 1)), bytes((10, 96, 0, 1)), bytes((192, 168, 0, 2))
    original, reply = side(client, service, (40000, 80)), side(server, client, (8080, 40000))
    message = struct.pack("=BBH", 2, 0, 0) + attribute(1, original) + attribute(2, reply) + attribute(12, b"abcd")
    found = read_connection(message)
    assert found is not None
    assert found.flow == Flow("10.0.0.1", "192.168.0.2", 6, 40000, 8080)
    assert found.identity == attribute(0x8001, original) + attribute(12, b"abcd")
    assert read_connection(struct.pack("=BBH", 2, 0, 0)) is None


def test_a_listener_that_is_not_open_can_be_closed() -> None:
    ChangeListener(None, lambda name: True, lambda name: None).close()
