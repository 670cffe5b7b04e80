"""What may be asked for, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calico_route.keys import split_workload_name
from calico_route.workload import WorkloadError, WorkloadRequest
from calico_route.workload.journal import Record, Stage, read_record
from calico_route.workload.names import endpoint_key, host_interface, peer_interface, workload_mac
from calico_route.workload.request import read_request

GOOD = {"container": "c1", "netns": "/run/netns/c1"}


def test_what_is_not_said_is_as_usual() -> None:
    request = read_request(GOOD)
    assert (request.interface, request.addresses, request.versions) == ("eth1", "auto", (4,))
    assert (request.network, request.orchestrator, request.namespace) == ("calico", "cni", "default")
    assert request.create_profiles
    assert not request.held


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"container": ""}, "container ''"),
        ({"container": "a/b"}, "container 'a/b'"),
        ({"container": "-a"}, "container '-a'"),
        ({"container": 7}, "container '7': must be a text"),
        ({"interface": "a" * 16}, "at most 15"),
        ({"interface": "."}, "interface '.'"),
        ({"interface": "eth1-"}, "interface 'eth1-'"),
        ({"netns": "c1"}, "give the path"),
        ({"netns": "/run/\0"}, "give the path"),
        ({"addresses": "automatic"}, "automatic"),
        ({"addresses": []}, "0 addresses"),
        ({"addresses": ["192.168.0.1/24"]}, "192.168.0.1/24"),
        ({"addresses": ["127.0.0.1"]}, "no container can have it"),
        ({"addresses": ["fe80::1"]}, "no container can have it"),
        ({"addresses": [f"10.0.0.{last}" for last in range(17)]}, "17 addresses"),
        ({"addresses": 5}, "must be a list of texts"),
        ({"profiles": "db"}, "profiles 'db': must be a list"),
        ({"profiles": ["a b"]}, "profile 'a b'"),
        ({"labels": {"app": 1}}, "must be an object of texts"),
        ({"labels": {"": "x"}}, "label ''"),
        ({"labels": {"app": "x" * 64}}, "label value"),
        ({"network": "a/b"}, "network"),
        ({"orchestrator": "CNI"}, "orchestrator"),
        ({"namespace": ""}, "namespace"),
        ({"mtu": 100}, "from 576"),
        ({"mtu": True}, "must be a number"),
        ({"mac": "01:00:00:00:00:01"}, "one host"),
        ({"mac": "zz"}, "one host"),
        ({"create_profiles": "yes"}, "must be true or false"),
        ({"colour": "red", "size": 1}, "unknown: colour, size"),
    ],
)
def test_what_cannot_be_meant(members: dict[str, Any], words: str) -> None:
    with pytest.raises(WorkloadError) as refused:
        read_request({**GOOD, **members})
    assert words in str(refused.value)
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("missing", ["container", "netns"])
def test_what_has_to_be_said(missing: str) -> None:
    with pytest.raises(WorkloadError, match=f"{missing} is missing"):
        read_request({name: value for name, value in GOOD.items() if name != missing})


def test_spellings() -> None:
    request = read_request(
        {**GOOD, "addresses": ["192.168.0.1/32", "FD80:0::1/128", "fd80::1"], "mac": "02-00-00-00-00-0A"}
    )
    assert request.addresses == ("192.168.0.1", "fd80::1")
    assert request.versions == ()
    assert request.mac == "02:00:00:00:00:0a"
    assert read_request({**GOOD, "addresses": "AUTO46"}).versions == (4, 6)
    assert read_request({**GOOD, "addresses": "192.168.0.1"}).addresses == ("192.168.0.1",)


SCALARS = st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "auto", "/x", "10.0.0.1", "db-", "\0"])
VALUES = (
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.sampled_from(["a", "", "a/b"]), SCALARS, max_size=2)
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other tests may want the processor
@given(st.dictionaries(st.sampled_from([*WorkloadRequest.__slots__, "other"]), VALUES, max_size=5))
def test_whatever_comes_is_a_request_or_an_error(members: dict[str, Any]) -> None:
    try:
        request = read_request({**GOOD, **members})
    except WorkloadError:
        return
    assert read_request(request.document()) == request


def test_names_follow_from_container_and_interface() -> None:
    names = {
        host_interface("cali", container, interface) for container in ("a", "ab") for interface in ("eth1", "beth1")
    }
    assert len(names) == 4
    assert all(len(name) == 15 for name in names)
    assert host_interface("cali", "a", "eth1") == host_interface("cali", "a", "eth1")
    assert peer_interface("a", "eth1").startswith("tmp")
    first = int(workload_mac("a", "eth1")[:2], 16)
    assert first & 3 == 2, "of one host, locally administered"
    with pytest.raises(WorkloadError, match="at most 7"):
        host_interface("workload", "a", "eth1")


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        ({}, ("rack1-n1", "cni", "c1", "eth1")),
        ({"orchestrator": "libnetwork"}, ("rack1-n1", "libnetwork", "libnetwork", "c1")),
        ({"orchestrator": "docker"}, ("rack1-n1", "docker", "c1", "eth1")),
        ({"orchestrator": "k8s", "name": "web-0"}, ("rack1-n1", "k8s", "web-0", "eth1")),
    ],
)
def test_endpoint_names_are_calicos(members: dict[str, Any], parts: tuple[str, ...]) -> None:
    key = endpoint_key("rack1-n1", read_request({**GOOD, **members}))
    assert split_workload_name(key.name) == parts
    with pytest.raises(WorkloadError, match="cannot be part"):
        endpoint_key("rack1-n1", read_request({**GOOD, "orchestrator": "k8s"}))


def test_a_record_is_read_as_it_was_written() -> None:
    request = read_request(
        {**GOOD, "addresses": ["192.168.0.1"], "labels": {"a": "b"}, "profiles": ["db"], "mtu": 1400}
    )
    record = Record(
        request=request,
        stage=Stage.ADDING,
        host_interface="cali1",
        peer="tmp1",
        mac="02:00:00:00:00:01",
        handle="calico.c1",
        endpoint="host1-cni-c1-eth1",
        uid="u",
        created="2026-11-23T00:00:00Z",
        addresses=("192.168.0.1",),
        profiles=("db",),
        namespace_identity="4:5",
    )
    assert read_record(record.document()) == record
    for broken in ({"format": 2}, {"stage": "odd"}, {"mac": 5}, {"addresses": [1]}, {"request": {"container": "/"}}):
        with pytest.raises((ValueError, KeyError, TypeError)):
            read_record({**record.document(), **broken})
