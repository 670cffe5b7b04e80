"""Learned routes in a real kernel: in, changed without a hole, out, adopted, swept."""

from __future__ import annotations

import struct

import pytest

from calico_route.kernel import IPV4, Kernel, ProblemKind, RouteOptions, RouteType

from .conftest import Namespace, eventually, nlri, raw

pytestmark = pytest.mark.netns

PEER = raw("192.168.78.22")
OTHER = raw("192.168.78.23")
FAR = raw("10.0.0.2")


def many(count: int) -> list[bytes]:
    return [b" " + struct.pack(">I", 0x0A400000 + number) for number in range(count)]


async def test_the_article_s_route(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        await kernel.flush()
        assert namespace.bird() == ["192.168.0.2 via 192.168.78.22 dev eth0"]
        line = "192.168.0.2 via 192.168.78.22 dev eth0 proto bird"
        assert namespace.ip("route", "get", "192.168.0.2").startswith("192.168.0.2 via 192.168.78.22 dev eth0")
        assert line in namespace.ip("route")
        assert kernel.describe(IPV4, nlri("192.168.0.2")) == line
        kernel.update(IPV4, [nlri("192.168.0.2")], None)
        await kernel.flush()
        assert namespace.bird() == []
        assert kernel.routes().installed[IPV4] == {}


async def test_the_task_in_the_background_writes_without_flush(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        await eventually(lambda: namespace.bird() == ["192.168.0.2 via 192.168.78.22 dev eth0"])


async def test_the_last_wish_for_a_destination_counts(namespace: Namespace) -> None:
    monitor = namespace.monitor()
    async with Kernel(netns=namespace.name) as kernel:
        for next_hops in ((PEER,), None, (OTHER,), (FAR,), (PEER,)):
            kernel.update(IPV4, [nlri("192.168.0.2")], next_hops)
        await kernel.flush()
        kernel.update(IPV4, [nlri("192.168.0.2")], None)
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        await kernel.flush()
    assert monitor.lines() == ["192.168.0.2 via 192.168.78.22 dev eth0 proto bird "]


async def test_prefixes_of_all_lengths(namespace: Namespace) -> None:
    wanted = [nlri(f"172.16.0.0/{length}") for length in range(12, 33)] + [nlri("0.0.0.0/0")]
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, wanted, (PEER,))
        await kernel.flush()
        assert kernel.problems() == []
        shown = {line.split()[0] for line in namespace.bird()}
        assert shown == {f"172.16.0.0/{length}" for length in range(12, 32)} | {"172.16.0.0", "default"}
        kernel.update(IPV4, wanted, None)
        await kernel.flush()
        assert namespace.bird() == []


async def test_next_hops_of_ten_thousand_routes_change_without_a_hole(namespace: Namespace) -> None:
    monitor = namespace.monitor()
    destinations = many(10_000)
    async with Kernel(netns=namespace.name) as kernel:
        for step, next_hops in enumerate(((PEER,), (OTHER,), (OTHER, FAR), (FAR, PEER), (FAR,)), 1):
            for start in range(0, 10_000, 2500):  # `ip monitor` is slow and would miss some of more at once
                kernel.update(IPV4, destinations[start : start + 2500], next_hops)
                await kernel.flush()
                lines = monitor.lines()
            assert len(lines) == 10_000 * step
            assert not [line for line in lines if "Deleted" in line]
        assert len(namespace.bird()) == 10_000


async def test_ecmp(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER, FAR))
        await kernel.flush()
        (line,) = namespace.bird()
        assert line.split("\\")[0].strip() == "192.168.0.2"
        assert sorted(part.strip() for part in line.split("\\")[1:]) == [
            "nexthop via 10.0.0.2 dev eth1 weight 1",
            "nexthop via 192.168.78.22 dev eth0 weight 1",
        ]


async def test_a_hundred_thousand_routes(namespace: Namespace) -> None:
    destinations = many(100_000)
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, destinations, (PEER,))
        await kernel.flush()
        assert len(kernel.routes().installed[IPV4]) == 100_000
        assert kernel.problems() == []
        assert len(namespace.bird()) == 100_000
        assert await kernel.resync() == 0
        kernel.update(IPV4, destinations, None)
        await kernel.flush()
        assert namespace.bird() == []


async def test_what_the_kernel_refuses_is_told_of_that_route_alone(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        good, bad = many(600), [nlri("172.16.0.1"), nlri("172.16.0.9")]
        options = RouteOptions(device="eth0", onlink=False)
        kernel.update(IPV4, good[:300], (PEER,))
        kernel.update(IPV4, bad, (raw("203.0.113.1"),), options)  # not on that link
        kernel.update(IPV4, good[300:], (PEER,))
        await kernel.flush()
        assert len(namespace.bird()) == 600
        problems = kernel.problems()
        assert {problem.nlri for problem in problems} == set(bad)
        assert {problem.kind for problem in problems} == {ProblemKind.REFUSED}
        assert "invalid gateway" in problems[0].text
        namespace.ip("route", "add", "203.0.113.0/24", "dev", "eth0")
        await eventually(lambda: not kernel.problems())
        assert "172.16.0.9 via 203.0.113.1 dev eth0" in namespace.bird()


async def test_every_route_of_many_batches_refused(namespace: Namespace) -> None:
    destinations = many(5_000)
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, destinations, (raw("203.0.113.1"),), RouteOptions(device="eth0"))
        await kernel.flush()
        assert {problem.nlri for problem in kernel.problems()} == set(destinations)


async def test_blackhole_metric_and_onlink(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.221.64/26")], (), RouteOptions(type=RouteType.BLACKHOLE))
        kernel.update(IPV4, [nlri("192.168.99.0/26")], (PEER,), RouteOptions(metric=1024))
        kernel.update(IPV4, [nlri("10.244.1.0/26")], (raw("172.17.0.3"),), RouteOptions(device="eth1", onlink=True))
        await kernel.flush()
        assert sorted(namespace.ip("route", "show", "proto", "bird").splitlines()) == [
            "10.244.1.0/26 via 172.17.0.3 dev eth1 onlink ",
            "192.168.99.0/26 via 192.168.78.22 dev eth0 metric 1024 ",
            "blackhole 192.168.221.64/26 ",
        ]
        for destination in ("192.168.221.64/26", "192.168.99.0/26", "10.244.1.0/26"):
            kernel.update(IPV4, [nlri(destination)], None)
        await kernel.flush()
        assert namespace.bird() == []


async def test_a_device_that_is_not_there_yet(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("10.244.1.0/26")], (raw("172.17.0.3"),), RouteOptions(device="tunl9", onlink=True))
        await kernel.flush()
        (problem,) = kernel.problems()
        assert str(problem) == "10.244.1.0/26: interface tunl9 does not exist"
        assert not kernel.interface_exists("tunl9")
        namespace.ip("link", "add", "tunl9", "type", "veth", "peer", "name", "far9")
        namespace.ip("link", "set", "tunl9", "up")
        await eventually(lambda: namespace.bird() == ["10.244.1.0/26 via 172.17.0.3 dev tunl9 onlink linkdown"])
        assert kernel.interface_exists("tunl9")


async def test_a_change_of_metric_adds_before_it_deletes(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.99.0/26")], (PEER,), RouteOptions(metric=1024))
        await kernel.flush()
        monitor = namespace.monitor()
        kernel.update(IPV4, [nlri("192.168.99.0/26")], (PEER,))
        await kernel.flush()
        assert [line.split("metric")[0].strip() for line in monitor.lines()] == [
            "192.168.99.0/26 via 192.168.78.22 dev eth0 proto bird",
            "Deleted 192.168.99.0/26 via 192.168.78.22 dev eth0 proto bird",
        ]
        assert namespace.bird() == ["192.168.99.0/26 via 192.168.78.22 dev eth0"]


async def test_only_our_protocol_and_table_are_touched(namespace: Namespace) -> None:
    others = [
        "blackhole 203.0.113.1 proto static",
        "203.0.113.2 via 192.168.78.99 dev eth0 proto zebra",
        "203.0.113.3 via 192.168.78.99 dev eth0 table 100 proto bird",
    ]
    for route in others:
        namespace.ip("route", "add", *route.split())
    before = namespace.ip("route", "show", "table", "all")
    namespace.ip("route", "add", "203.0.113.4", "via", "192.168.78.99", "proto", "bird")
    async with Kernel(netns=namespace.name) as kernel:
        assert kernel.adopted.keys() == {(IPV4, nlri("203.0.113.4"))}
        assert await kernel.sweep_stale() == 1
        await kernel.remove_all()
    assert namespace.ip("route", "show", "table", "all") == before


async def test_adopted_routes_are_confirmed_in_silence_changed_in_place_or_swept(namespace: Namespace) -> None:
    same, changed, stale = many(300)[:100], many(300)[100:200], many(300)[200:]
    lines = [f"route add {'.'.join(map(str, n[1:]))} via 192.168.78.22 proto bird" for n in (*same, *changed, *stale)]
    lines.append("route add 172.16.7.0/24 proto bird nexthop via 10.0.0.2 nexthop via 192.168.78.22")
    namespace.batch(lines)
    monitor = namespace.monitor()
    async with Kernel(netns=namespace.name) as kernel:
        assert len(kernel.adopted) == 301
        kernel.update(IPV4, same, (PEER,))
        kernel.update(IPV4, [nlri("172.16.7.0/24")], (PEER, FAR))
        await kernel.flush()
        assert monitor.lines() == []
        kernel.update(IPV4, changed, (OTHER,))
        await kernel.flush()
        assert len(monitor.lines()) == 100
        assert not [line for line in monitor.lines() if "Deleted" in line]
        assert kernel.routes().unconfirmed == 100
        assert await kernel.sweep_stale(afi=2) == 0
        assert await kernel.sweep_stale() == 100
        assert len([line for line in monitor.lines() if "Deleted" in line]) == 100
        assert len(namespace.bird()) == 201


async def test_adopted_with_another_metric(namespace: Namespace) -> None:
    namespace.ip("route", "add", "192.168.0.2", "via", "192.168.78.22", "proto", "bird", "metric", "1024")
    namespace.ip("route", "add", "192.168.0.3", "via", "192.168.78.22", "proto", "bird", "metric", "77")
    monitor = namespace.monitor()
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        await kernel.flush()
        assert [line.startswith("Deleted") for line in monitor.lines()] == [False, True]
        assert namespace.bird() == [
            "192.168.0.2 via 192.168.78.22 dev eth0",
            "192.168.0.3 via 192.168.78.22 dev eth0 metric 77",
        ]
        assert await kernel.sweep_stale() == 1
        assert namespace.bird() == ["192.168.0.2 via 192.168.78.22 dev eth0"]


async def test_an_adopted_route_that_is_not_as_ours(namespace: Namespace) -> None:
    namespace.ip(
        "route", "add", "192.168.0.2", "via", "192.168.78.22", "proto", "bird", "src", "192.168.78.21", "mtu", "1400"
    )
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.0.2")], (PEER,))
        await kernel.flush()
        assert namespace.bird() == ["192.168.0.2 via 192.168.78.22 dev eth0"]


async def test_grace_again_and_routes_stay_when_it_closes(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, many(20), (PEER,))
        await kernel.flush()
        kernel.begin_grace()
        kernel.update(IPV4, many(10), (PEER,))
        await kernel.flush()
        assert len(namespace.bird()) == 20
        assert await kernel.sweep_stale() == 10
    assert len(namespace.bird()) == 10


async def test_remove_all(namespace: Namespace) -> None:
    namespace.ip("route", "add", "192.168.0.9", "via", "192.168.78.22", "proto", "bird", "metric", "9")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, many(20), (PEER,))
        await kernel.flush()
        await kernel.remove_all()
        assert namespace.bird() == []
        assert kernel.routes().installed[IPV4] == {}
