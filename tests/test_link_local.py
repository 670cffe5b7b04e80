"""The link-local address that goes beside a global IPv6 next hop (RFC 2545 section 3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybgp.family import IPV6_UNICAST
from pybgp.link_local import link_local_beside
from pybgp.prefix import pack_address
from tests.network import Net

LISTED = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000010000000000000001 02 40 00 80     eth0
fe80000000000000021122fffe334455 02 40 20 80     eth0
20010db8000000020000000000000001 03 40 00 80     eth1
20010db8000000050000000000000001 05 40 00 80     eth3
fe80000000000000021122fffe334477 05 40 20 c0     eth3
20010db8000000030000000000000001 04 80 00 80     eth2
fe80000000000000021122fffe334466 04 40 20 80     eth2
"""


@pytest.mark.rfc("2545", "2", "pybgp.link_local:link_local_beside", "a link-local address goes with its own link alone")
def test_the_address_of_the_same_interface_where_the_peer_is_on_it() -> None:
    assert link_local_beside("2001:db8:0:1::1", "2001:db8:0:1::9", LISTED) == "fe80::211:22ff:fe33:4455"


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:9::9"),  # the peer is elsewhere
        ("2001:db8:0:2::1", "2001:db8:0:2::9"),  # the interface has none
        ("2001:db8:0:3::1", "2001:db8:0:3::2"),  # a /128 has nobody beside it
        ("2001:db8:0:4::1", "2001:db8:0:4::2"),  # not an address of this machine
        ("fe80::211:22ff:fe33:4455", "fe80::1"),  # the session itself is link-local
        ("2001:db8:0:5::1", "2001:db8:0:5::2"),  # it is tentative: another host may have it
        ("::1", "::1"),
        ("192.0.2.1", "192.0.2.2"),
    ],
)
def test_none_in_every_other_case(local: str, remote: str) -> None:
    assert link_local_beside(local, remote, LISTED) == ""


def test_a_machine_without_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pybgp.link_local.ADDRESSES", tmp_path / "none")
    assert link_local_beside("2001:db8:0:1::1", "2001:db8:0:1::9") == ""


class Line:
    """Three in a row: `first` is on a link with `second`, and `third`, in the AS of `second`, is not."""

    def __init__(self) -> None:
        self.net = net = Net()
        self.first = net.node("2001:db8::1", 64512)
        self.second, self.third = net.node("2001:db8::2", 64513), net.node("2001:db8::3", 64513)
        self.first.add(self.second, families=(IPV6_UNICAST,))
        self.second.add(self.first, families=(IPV6_UNICAST,))
        self.second.add(self.third, families=(IPV6_UNICAST,))
        self.third.add(self.second, families=(IPV6_UNICAST,))
        net.link_local[self.first.address, self.second.address] = "fe80::1"
        self.first.announce("2001:db8:65::/48")
        net.run(5)


@pytest.mark.rfc("2545", "3", "pybgp.peer:Peer._up", "our link-local address goes beside ours to who is on the link")
def test_who_is_on_the_link_is_told_both_addresses_and_nobody_else() -> None:
    line = Line()
    both = line.second.path("2001:db8:65::/48").next_hop
    assert both == pack_address("2001:db8::1") + pack_address("fe80::1")
    assert line.third.path("2001:db8:65::/48").next_hop == pack_address("2001:db8::1")
