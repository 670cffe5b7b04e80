"""Messages: pyroute2 reads what is written and writes what is read; and damage."""

from __future__ import annotations

import errno
import socket
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from calico_route.kernel.netlink import (
    ADD,
    DELETE,
    HEADER,
    NLM_F_ACK_TLVS,
    NLMSG_ERROR,
    REPLACE,
    RTM_DELROUTE,
    RTM_NEWROUTE,
    Parser,
    RouteEvent,
    attribute,
)
from calico_route.kernel.packer import RoutePacker
from calico_route.kernel.route import (
    ADDRESS_BYTES,
    IPV4,
    IPV6,
    NextHop,
    RouteSpec,
    RouteType,
    cover,
    host_nlri,
    prefix_text,
)

from .conftest import nlri, raw

PACKER = RoutePacker(254, 12)


def split(data: bytes) -> list[bytes]:
    messages = []
    while data:
        length = HEADER.unpack_from(data)[0]
        messages.append(data[:length])
        data = data[(length + 3) & ~3 :]
    return messages


def decoded(message: bytes) -> Any:
    parsed = rtmsg(message)
    parsed.decode()
    return parsed


def test_a_message_reads_the_same_in_pyroute2() -> None:
    spec = RouteSpec((NextHop(raw("192.168.78.22"), 7),), metric=1024)
    (message,) = split(PACKER.pack(RTM_NEWROUTE, ADD, IPV4, spec, [nlri("192.168.0.2")]))
    route = decoded(message)
    assert (route["family"], route["dst_len"], route["table"], route["proto"]) == (socket.AF_INET, 32, 254, 12)
    assert (route["scope"], route["type"]) == (0, 1)
    assert route.get("dst") == "192.168.0.2"
    assert route.get("gateway") == "192.168.78.22"
    assert route.get("oif") == 7
    assert route.get("priority") == 1024
    assert route["header"]["flags"] == 0x601  # request, create, exclusive
    (message,) = split(PACKER.pack(RTM_NEWROUTE, REPLACE, IPV4, spec, [nlri("192.168.0.2")]))
    assert decoded(message)["header"]["flags"] == 0x501  # request, create, replace


def test_several_next_hops_read_the_same_in_pyroute2() -> None:
    hops = (NextHop(raw("2001:db8::1"), 7), NextHop(raw("fe80::2"), 9, onlink=True, weight=3))
    spec = RouteSpec(hops, metric=1024)
    (message,) = split(PACKER.pack(RTM_NEWROUTE, REPLACE, IPV6, spec, [nlri("2001:db8:5::/48")]))
    route = decoded(message)
    assert (route["family"], route["dst_len"]) == (socket.AF_INET6, 48)
    assert route.get("dst") == "2001:db8:5::"
    first, second = route.get("multipath")
    assert (first["oif"], first["hops"], first["flags"], first.get("gateway")) == (7, 0, 0, "2001:db8::1")
    assert (second["oif"], second["hops"], second["flags"], second.get("gateway")) == (9, 2, 4, "fe80::2")


def test_an_ipv6_gateway_of_an_ipv4_route_reads_the_same_in_pyroute2() -> None:
    spec = RouteSpec((NextHop(raw("2001:db8::1"), 7),))
    (message,) = split(PACKER.pack(RTM_NEWROUTE, ADD, IPV4, spec, [nlri("192.168.0.2")]))
    assert decoded(message).get("via") == {"family": socket.AF_INET6, "addr": "2001:db8::1"}


def test_a_route_made_by_pyroute2_is_understood() -> None:
    message = rtmsg()
    message["header"]["type"] = RTM_NEWROUTE
    message.update({"family": socket.AF_INET, "dst_len": 24, "table": 254, "proto": 4, "type": 1, "scope": 0})
    message["attrs"] = [
        ("RTA_GATEWAY", "10.0.0.2"),
        ("RTA_DST", "172.16.3.0"),
        ("RTA_OIF", 5),
        ("RTA_PRIORITY", 20),
        ("RTA_PREFSRC", "10.0.0.1"),
    ]
    message.encode()
    (event,) = Parser().parse(bytes(message.data)).events
    assert isinstance(event, RouteEvent)
    assert (event.afi, prefix_text(event.afi, event.nlri)) == (IPV4, "172.16.3.0/24")
    assert event.route.protocol == 4
    assert event.route.spec.nexthops == (NextHop(raw("10.0.0.2"), 5),)
    assert event.route.spec.metric == 20
    assert event.route.spec.extra == attribute(7, raw("10.0.0.1"))


def test_messages_of_a_batch_differ_in_their_destination_only() -> None:
    spec = RouteSpec((NextHop(raw("192.168.78.22"), 7),))
    wanted = [nlri(f"192.168.{third}.0/24") for third in range(100)]
    messages = split(PACKER.pack(RTM_NEWROUTE, ADD, IPV4, spec, wanted))
    assert [decoded(message).get("dst") for message in messages] == [f"192.168.{n}.0" for n in range(100)]
    assert len({message[:32] + message[36:] for message in messages}) == 1


def test_a_table_above_255_is_an_attribute() -> None:
    packer = RoutePacker(1000, 12)
    (message,) = split(packer.pack(RTM_DELROUTE, DELETE, IPV4, RouteSpec(), [nlri("10.0.0.0/8")], exact=False))
    route = decoded(message)
    assert (route["table"], route.get("table")) == (0, 1000) or route.get("RTA_TABLE") == 1000


def addresses(afi: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=ADDRESS_BYTES[afi], max_size=ADDRESS_BYTES[afi])


@st.composite
def routes(draw: st.DrawFn) -> tuple[int, RouteSpec, list[bytes]]:
    afi = draw(st.sampled_from([IPV4, IPV6]))
    kind = draw(st.sampled_from([RouteType.UNICAST, RouteType.BLACKHOLE, RouteType.UNREACHABLE]))
    hop = st.builds(
        NextHop,
        st.one_of(addresses(afi), addresses(IPV6)),
        st.integers(1, 2**31 - 1),
        st.booleans(),
        st.integers(1, 256),
    )
    hops: list[NextHop] = []
    if kind == RouteType.UNICAST:
        hops = draw(st.lists(hop, min_size=1, max_size=4, unique=True))
        if len(hops) == 1:
            hops = [hops[0]._replace(weight=1)]
    spec = RouteSpec(tuple(sorted(hops)), kind, draw(st.integers(0, 2**32 - 1)))
    length = draw(st.integers(0, 8 * ADDRESS_BYTES[afi]))
    found = draw(st.lists(addresses(afi).map(lambda address: cover(address, length)), min_size=1, max_size=5))
    return afi, spec, found


@given(routes())
@settings(max_examples=200, deadline=None)
def test_what_is_packed_is_parsed_again(route: tuple[int, RouteSpec, list[bytes]]) -> None:
    afi, spec, destinations = route
    parser = Parser()
    for _ in range(2):  # the second time from what is remembered
        events = parser.parse(PACKER.pack(RTM_NEWROUTE, ADD, afi, spec, destinations)).events
        assert [event.nlri for event in events if isinstance(event, RouteEvent)] == destinations
        for event in events:
            assert isinstance(event, RouteEvent)
            assert (event.present, event.afi, event.route.spec) == (True, afi, spec)
            assert (event.route.protocol, event.route.table) == (12, 254)


@given(routes(), st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_messages_never_raise(route: tuple[int, RouteSpec, list[bytes]], data: st.DataObject) -> None:
    afi, spec, destinations = route
    message = bytearray(PACKER.pack(RTM_NEWROUTE, ADD, afi, spec, destinations))
    error = struct.pack("=IHHIIi", 20 + len(message), NLMSG_ERROR, NLM_F_ACK_TLVS, 0, 0, -17) + message
    for victim in (message, bytearray(error)):
        for _ in range(data.draw(st.integers(0, 4))):
            position = data.draw(st.integers(0, len(victim) - 1))
            victim[position] = data.draw(st.integers(0, 255))
        Parser().parse(bytes(victim[: data.draw(st.integers(0, len(victim)))]))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_anything_is_parsed(data: bytes) -> None:
    Parser().parse(data)


def test_a_refusal_names_its_route_and_gives_the_kernel_s_words() -> None:
    spec = RouteSpec((NextHop(raw("192.168.78.22"), 7),))
    request = PACKER.pack(RTM_NEWROUTE, ADD, IPV4, spec, [nlri("192.168.0.2")])
    words = attribute(1, b"Nexthop has invalid gateway\0")
    body = struct.pack("=i", -errno.ENETUNREACH) + request + words
    message = HEADER.pack(16 + len(body), NLMSG_ERROR, NLM_F_ACK_TLVS, 0, 0) + body
    (refusal,) = Parser().parse(message).refusals
    assert refusal.errno == errno.ENETUNREACH
    assert refusal.reason == "Nexthop has invalid gateway"
    assert refusal.request is not None
    assert (refusal.request.nlri, refusal.request.present) == (nlri("192.168.0.2"), True)


def test_an_acknowledgement_is_no_refusal() -> None:
    body = struct.pack("=i", 0) + HEADER.pack(16, RTM_NEWROUTE, 0, 0, 0)
    assert Parser().parse(HEADER.pack(16 + len(body), NLMSG_ERROR, 0, 0, 0) + body).refusals == []


@pytest.mark.parametrize(
    ("address", "length", "expected"),
    [("10.1.2.3", 32, "10.1.2.3/32"), ("10.1.2.3", 20, "10.1.0.0/20"), ("10.1.255.3", 23, "10.1.254.0/23"),
     ("10.1.2.3", 0, "0.0.0.0/0"), ("2001:db8:ffff::1", 33, "2001:db8:8000::/33")],
)  # fmt: skip
def test_the_destination_of_a_length_that_covers_an_address(address: str, length: int, expected: str) -> None:
    found = cover(raw(address), length)
    assert prefix_text(IPV6 if ":" in address else IPV4, found) == expected
    assert cover(raw(address), 8 * len(raw(address))) == host_nlri(raw(address))
