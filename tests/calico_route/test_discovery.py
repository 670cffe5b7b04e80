"""Finding an address of this host, with the kernel's answers played."""

from __future__ import annotations

import pytest

from calico_route import discovery
from calico_route.discovery import Found, find_ipv4, interface_addresses, owned, source_address, with_length
from calico_route.fields import host_address

DOCKER = ("docker0", host_address("172.17.0.1/16"))
LAN6 = ("enp0s8", host_address("2001:db8::21/64"))
LAN = ("enp0s8", host_address("192.168.78.21/24"))
WAN = ("eth0", host_address("198.51.100.7/24"))
LOOPBACK = ("lo", host_address("127.0.0.1/8"))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Sources by destination; the interfaces are DOCKER, LAN, WAN and LOOPBACK."""
    sources: dict[str, str] = {}
    monkeypatch.setattr(discovery, "interface_addresses", lambda: [LOOPBACK, DOCKER, LAN, WAN, LAN6])
    monkeypatch.setattr(discovery, "source_address", sources.get)
    return sources


def test_the_address_that_leads_to_etcd(host: dict[str, str]) -> None:
    host["192.168.78.10"], host[discovery._ANYWHERE] = "192.168.78.21", "198.51.100.7"
    found = find_ipv4(["192.168.78.10"])
    assert found == Found(LAN[1], "enp0s8", "it leads to etcd at 192.168.78.10")
    assert not found.doubtful


def test_etcd_on_this_host_tells_nothing(host: dict[str, str]) -> None:
    host["127.0.0.1"], host[discovery._ANYWHERE] = "127.0.0.1", "198.51.100.7"
    assert find_ipv4(["127.0.0.1"]) == Found(WAN[1], "eth0", "default route")


def test_a_bridge_of_docker_only_if_there_is_nothing_else(
    host: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    host[discovery._ANYWHERE] = "172.17.0.1"
    found = find_ipv4()
    assert found is not None
    assert found.interface == "enp0s8"
    monkeypatch.setattr(discovery, "interface_addresses", lambda: [LOOPBACK, DOCKER])
    found = find_ipv4()
    assert found is not None
    assert (found.interface, found.doubtful) == ("docker0", True)


def test_a_host_without_network_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "interface_addresses", lambda: [LOOPBACK])
    monkeypatch.setattr(discovery, "source_address", lambda destination: None)
    assert find_ipv4(["192.0.2.1"]) is None


def test_the_length_of_the_subnet(host: dict[str, str]) -> None:
    assert with_length(host_address("192.168.78.21")) == LAN[1]
    assert with_length(host_address("192.168.78.21/16")) == host_address("192.168.78.21/16")
    assert with_length(host_address("203.0.113.1")) == host_address("203.0.113.1")
    assert with_length(host_address("2001:db8::1")) == host_address("2001:db8::1")
    assert with_length(host_address("2001:db8::21")) == host_address("2001:db8::21/64")


def test_this_very_host() -> None:
    assert ("lo", host_address("127.0.0.1/8")) in interface_addresses()
    assert source_address("127.0.0.1") == "127.0.0.1"
    assert source_address("no address") is None
    assert owned("127.0.0.1")
    assert not owned("203.0.113.77")
