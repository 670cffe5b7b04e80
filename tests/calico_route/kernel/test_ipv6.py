"""IPv6, whose REPLACE, metrics and link-local next hops have rules of their own."""

from __future__ import annotations

import struct

import pytest

from calico_route.kernel import IPV4, IPV6, Kernel, ProblemKind, RouteOptions, RouteType

from .conftest import Namespace, eventually, nlri, raw

pytestmark = pytest.mark.netns

PEER = raw("2001:db8:0:78::22")
OTHER = raw("2001:db8:0:78::23")
FAR = raw("2001:db8:0:1::2")
LINK_LOCAL = raw("fe80::22")
WORKLOAD = nlri("2001:db8:ca11::2")
TAIL = "metric 1024 pref medium"


def many(count: int) -> list[bytes]:
    return [b"\x80" + raw("2001:db8:ca11::")[:12] + struct.pack(">I", 16 + number) for number in range(count)]


async def test_in_and_out(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV6, [WORKLOAD, nlri("2001:db8:5::/48"), nlri("::/0")], (PEER,))
        await kernel.flush()
        assert namespace.bird("-6") == [
            f"2001:db8:5::/48 via 2001:db8:0:78::22 dev eth0 {TAIL}",
            f"2001:db8:ca11::2 via 2001:db8:0:78::22 dev eth0 {TAIL}",
            f"default via 2001:db8:0:78::22 dev eth0 {TAIL}",
        ]
        kernel.update(IPV6, [WORKLOAD, nlri("2001:db8:5::/48"), nlri("::/0")], None)
        await kernel.flush()
        assert namespace.bird("-6") == []


async def test_next_hops_change_without_a_hole(namespace: Namespace) -> None:
    monitor = namespace.monitor("-6")
    destinations = many(2000)
    async with Kernel(netns=namespace.name) as kernel:
        for next_hops in ((PEER,), (OTHER,), (OTHER, FAR), (FAR, PEER), (PEER, OTHER, FAR), (FAR,), (PEER,)):
            kernel.update(IPV6, destinations, next_hops)
            await kernel.flush()
            assert kernel.problems() == []
        assert len(namespace.bird("-6")) == 2000
        kernel.update(IPV6, destinations[:100], (), RouteOptions(type=RouteType.BLACKHOLE))
        await kernel.flush()
        kernel.update(IPV6, destinations[:100], (PEER, FAR))
        await kernel.flush()
        assert await kernel.resync() == 0
    assert not [line for line in monitor.lines() if "Deleted" in line]
    lines = [line for line in namespace.bird("-6") if line.startswith("2001:db8:ca11::10 ")]
    assert len(lines) == 1
    assert lines[0].count("nexthop") == 2


async def test_a_link_local_next_hop_takes_the_interface_of_the_global_one(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV6, [WORKLOAD], (PEER + LINK_LOCAL,))
        kernel.update(IPV6, [nlri("2001:db8:ca11::3")], (LINK_LOCAL + FAR,))
        kernel.update(IPV6, [nlri("2001:db8:ca11::4")], (LINK_LOCAL,))
        await kernel.flush()
        assert namespace.bird("-6") == [
            f"2001:db8:ca11::2 via fe80::22 dev eth0 {TAIL}",
            f"2001:db8:ca11::3 via fe80::22 dev eth1 {TAIL}",
        ]
        (problem,) = kernel.problems()
        assert "fe80::22 is link-local and could be on any interface" in problem.text
        assert await kernel.resync() == 0


async def test_a_lone_link_local_next_hop_where_only_one_interface_can_be_meant(namespace: Namespace) -> None:
    for link in ("eth1", "far0", "far1"):
        namespace.ip("link", "set", link, "addrgenmode", "none")
        namespace.ip("-6", "addr", "flush", "dev", link)
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV6, [WORKLOAD], (LINK_LOCAL,))
        await eventually(lambda: namespace.bird("-6") == [f"2001:db8:ca11::2 via fe80::22 dev eth0 {TAIL}"])


async def test_ipv4_over_an_ipv6_next_hop(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        kernel.update(IPV4, [nlri("192.168.0.3")], (PEER, raw("192.168.78.23")))
        await kernel.flush()
        assert kernel.problems() == []
        first, second = namespace.bird()
        assert first == "192.168.0.2 via inet6 2001:db8:0:78::22 dev eth0"
        assert "nexthop via inet6 2001:db8:0:78::22 dev eth0" in second
        assert "nexthop via 192.168.78.23 dev eth0" in second
        assert await kernel.resync() == 0


async def test_adoption_confirmation_and_sweep(namespace: Namespace) -> None:
    via = ("via", "2001:db8:0:78::22", "proto", "bird")
    for last in range(2, 6):
        namespace.ip("-6", "route", "add", f"2001:db8:ca11::{last}", *via)
    hops = "nexthop via 2001:db8:0:78::22 nexthop via 2001:db8:0:1::2"
    namespace.ip("-6", "route", "add", "2001:db8:5::/48", "proto", "bird", *hops.split())
    namespace.ip("-6", "route", "add", "blackhole", "2001:db8:6::/48", "proto", "bird")
    namespace.ip("-6", "route", "add", "2001:db8:7::/48", *via, "metric", "77")
    monitor = namespace.monitor("-6")
    async with Kernel(netns=namespace.name) as kernel:
        assert len(kernel.adopted) == 7
        kernel.update(IPV6, [nlri(f"2001:db8:ca11::{last}") for last in (2, 3)], (PEER,))
        kernel.update(IPV6, [nlri("2001:db8:5::/48")], (FAR, PEER))
        kernel.update(IPV6, [nlri("2001:db8:6::/48")], (), RouteOptions(type=RouteType.BLACKHOLE))
        await kernel.flush()
        assert monitor.lines() == []
        kernel.update(IPV6, [nlri("2001:db8:ca11::4")], (OTHER,))
        kernel.update(IPV6, [nlri("2001:db8:7::/48")], (PEER,))
        await kernel.flush()
        assert [line.startswith("Deleted") for line in monitor.lines()] == [False, False, True]
        assert await kernel.sweep_stale() == 1
        assert [line.split()[0] for line in namespace.bird("-6")].count("2001:db8:ca11::5") == 0
        assert len(namespace.bird("-6")) == 6


async def test_a_foreign_route_in_the_way(namespace: Namespace) -> None:
    namespace.ip("-6", "route", "add", "2001:db8:ca11::2", "via", "2001:db8:0:78::99", "proto", "static")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV6, [WORKLOAD], (PEER,))
        await kernel.flush()
        (problem,) = kernel.problems()
        assert problem.kind is ProblemKind.FOREIGN
        assert "metric 1024" in problem.text
        namespace.ip("-6", "route", "del", "2001:db8:ca11::2")
        await eventually(lambda: len(namespace.bird("-6")) == 1)


async def test_connected_and_own_destinations_are_refused(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        over = ["2001:db8:0:78::/64", "2001:db8:0:78::21/128", "2001:db8:0:78::22/128", "2001:db8:0:78::/80"]
        kernel.update(IPV6, [nlri(text) for text in over], (PEER,))
        kernel.update(IPV6, [nlri("2001:db8::/32"), nlri("2001:db8:0:78:1::/80")], (PEER,))
        await kernel.flush()
        assert {problem.prefix for problem in kernel.problems()} == set(over)
        assert len(namespace.bird("-6")) == 2


async def test_recursive_next_hop(namespace: Namespace) -> None:
    namespace.ip("-6", "route", "add", "2001:db8:30::/48", "via", "2001:db8:0:78::22", "proto", "static")
    async with Kernel(netns=namespace.name) as kernel:
        assert kernel.resolve(raw("2001:db8:30::1")) == 1024
        kernel.update(IPV6, [WORKLOAD], (raw("2001:db8:30::1"),))
        await kernel.flush()
        assert namespace.bird("-6") == [f"2001:db8:ca11::2 via 2001:db8:0:78::22 dev eth0 {TAIL}"]
        namespace.ip("-6", "route", "replace", "2001:db8:30::/48", "via", "2001:db8:0:1::2", "proto", "static")
        await eventually(lambda: namespace.bird("-6") == [f"2001:db8:ca11::2 via 2001:db8:0:1::2 dev eth1 {TAIL}"])


async def test_link_down_and_up(namespace: Namespace) -> None:
    namespace.sysctl("net.ipv6.conf.eth0.keep_addr_on_down", "1")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV6, many(500), (PEER,))
        kernel.update(IPV6, [WORKLOAD], (PEER, FAR))
        await kernel.flush()
        namespace.ip("link", "set", "eth0", "down")
        await eventually(lambda: namespace.bird("-6") == [f"2001:db8:ca11::2 via 2001:db8:0:1::2 dev eth1 {TAIL}"])
        namespace.ip("link", "set", "eth0", "up")
        await eventually(lambda: len(namespace.bird("-6")) == 501)
        await eventually(lambda: not kernel.problems())


async def test_somebody_deletes_one_next_hop_of_several(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name, insist=True) as kernel:
        kernel.update(IPV6, [WORKLOAD], (PEER, FAR))
        await kernel.flush()
        namespace.ip("-6", "route", "del", "2001:db8:ca11::2", "via", "2001:db8:0:1::2")
        await eventually(lambda: "nexthop via 2001:db8:0:1::2" in "".join(namespace.bird("-6")))
        namespace.ip("-6", "route", "append", "2001:db8:ca11::2", "via", "2001:db8:0:78::99", "proto", "bird")
        await eventually(lambda: "".join(namespace.bird("-6")).count("nexthop") == 2)
        namespace.ip("-6", "route", "del", "2001:db8:ca11::2")
        await eventually(lambda: "".join(namespace.bird("-6")).count("nexthop") == 2)
        assert {problem.kind for problem in kernel.problems()} == {ProblemKind.CONTESTED}
