"""Calico's key names, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.keys import format_path, join_workload_name, parse_path, split_workload_name, watched
from calico_route.model import Kind, ResourceKey

RESOURCES = "/calico/resources/v3/projectcalico.org/"


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (f"{RESOURCES}nodes/rack1-n1", ResourceKey(Kind.NODE, "", "rack1-n1")),
        (f"{RESOURCES}bgpconfigurations/default", ResourceKey(Kind.BGP_CONFIGURATION, "", "default")),
        (f"{RESOURCES}bgpconfigurations/node.n1", ResourceKey(Kind.BGP_CONFIGURATION, "", "node.n1")),
        (f"{RESOURCES}ippools/default-ipv4-ippool", ResourceKey(Kind.IP_POOL, "", "default-ipv4-ippool")),
        (f"{RESOURCES}bgppeers/tor-r1", ResourceKey(Kind.BGP_PEER, "", "tor-r1")),
        (f"{RESOURCES}bgpfilters/only-agg", ResourceKey(Kind.BGP_FILTER, "", "only-agg")),
        (f"{RESOURCES}clusterinformations/default", ResourceKey(Kind.CLUSTER_INFORMATION, "", "default")),
        (
            f"{RESOURCES}workloadendpoints/default/rack1--n1-k8s-web--0-eth0",
            ResourceKey(Kind.WORKLOAD_ENDPOINT, "default", "rack1--n1-k8s-web--0-eth0"),
        ),
        ("/calico/v1/Ready", ResourceKey(Kind.READY_FLAG, "", "Ready")),
        (
            "/calico/ipam/v2/host/n1/ipv4/block/192.168.221.64-26",
            ResourceKey(Kind.BLOCK_AFFINITY, "n1", "192.168.221.64/26"),
        ),
        (
            "/calico/ipam/v2/host/n1/ipv6/block/fd80::40-122",
            ResourceKey(Kind.BLOCK_AFFINITY, "n1", "fd80::40/122"),
        ),
    ],
)
def test_a_path_and_its_key(path: str, key: ResourceKey) -> None:
    assert parse_path(path) == key
    assert parse_path(path.encode()) == key
    assert format_path(key) == path.encode()


@pytest.mark.parametrize(
    "path",
    [
        "",
        RESOURCES,
        f"{RESOURCES}nodes/",
        f"{RESOURCES}nodes",
        f"{RESOURCES}nodes/a/b",
        f"{RESOURCES}nodesfoo/a",
        f"{RESOURCES}profiles/p",
        f"{RESOURCES}workloadendpoints/w",
        f"{RESOURCES}workloadendpoints/ns/w/x",
        f"{RESOURCES}workloadendpoints//w",
        "/calico/v1/Ready/x",
        "/calico/ipam/v2/host/n1",
        "/calico/ipam/v2/host/n1/ipv4/block/nonsense",
        "/calico/ipam/v2/host/n1/ipv4/block/192.168.221.65-26",
        "/calico/ipam/v2/assignment/ipv4/block/192.168.221.64-26",
        b"/calico/\xff",
    ],
)
def test_other_paths_are_none_of_ours(path: bytes | str) -> None:
    assert parse_path(path) is None


def test_everything_that_is_parsed_is_watched_and_no_more() -> None:
    names = watched("n1")
    assert len(set(names)) == len(names) == 9
    assert not any(a != b and a.startswith(b) for a in names for b in names)
    for kind in Kind:
        path = format_path(ResourceKey(kind, "n1", "10.0.0.0/26" if kind is Kind.BLOCK_AFFINITY else "x"))
        covering = [name for name in names if path == name or (name.endswith(b"/") and path.startswith(name))]
        assert len(covering) == 1, path
    assert watched() == names[:-1]
    # Neither other nodes' blocks nor the busy parts of the tree.
    assert not any(b"/calico/ipam/v2/host/n10/x".startswith(name) for name in names)
    assert not any(b"/calico/ipam/v2/handle/x".startswith(name) for name in names)


@pytest.mark.parametrize("name", ["", "a/b"])
def test_a_name_that_would_leave_its_place_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        format_path(ResourceKey(Kind.NODE, "", name))
    with pytest.raises(ValueError, match="cannot be a name"):
        watched(name)


def test_names_of_workloads() -> None:
    assert split_workload_name("rack1--n1-k8s-web--0-eth0") == ("rack1-n1", "k8s", "web-0", "eth0")
    assert join_workload_name("rack1-n1", "k8s", "web-0", "eth0") == "rack1--n1-k8s-web--0-eth0"
    for odd in ("", "wep1", "a-b-c", "a-b-c-d-e", "a-b--c-d", "-a-b-c"):
        assert split_workload_name(odd) is None
    with pytest.raises(ValueError, match="dash at an end"):
        join_workload_name("n1-", "k8s", "w", "eth0")


segment = st.from_regex(r"[a-z0-9.]([a-z0-9.-]{0,8}[a-z0-9.])?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.tuples(segment, segment, segment, segment))
def test_names_of_workloads_survive_the_round_trip(parts: tuple[str, str, str, str]) -> None:
    assert split_workload_name(join_workload_name(*parts)) == parts
