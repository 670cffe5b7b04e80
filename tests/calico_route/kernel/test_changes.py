"""What others do to the kernel while we run: links, addresses, routes in the way, thieves, lost messages."""

from __future__ import annotations

import asyncio
import struct

import pytest

from calico_route.kernel import IPV4, IPV6, Kernel, KernelError, ProblemKind

from .conftest import Namespace, eventually, nlri, raw

pytestmark = pytest.mark.netns

PEER = raw("192.168.78.22")
FAR = raw("10.0.0.2")
WORKLOAD = nlri("192.168.0.2")
LINE = "192.168.0.2 via 192.168.78.22 dev eth0"


def many(count: int) -> list[bytes]:
    return [b" " + struct.pack(">I", 0x0A400000 + number) for number in range(count)]


async def test_a_foreign_route_in_the_way_is_left_alone_until_it_goes(namespace: Namespace) -> None:
    namespace.ip("route", "add", "192.168.0.2", "via", "192.168.78.99", "proto", "static")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        (problem,) = kernel.problems()
        assert problem.kind is ProblemKind.FOREIGN
        assert problem.prefix == "192.168.0.2/32"
        assert "protocol static (via 192.168.78.99 dev eth0, metric 0)" in problem.text
        assert namespace.bird() == []
        namespace.ip("route", "del", "192.168.0.2")
        await eventually(lambda: namespace.bird() == [LINE])
        assert kernel.problems() == []


async def test_a_foreign_route_with_another_metric_is_not_in_the_way(namespace: Namespace) -> None:
    namespace.ip("route", "add", "192.168.0.2", "via", "192.168.78.99", "proto", "static", "metric", "10")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        assert kernel.problems() == []
        assert namespace.bird() == [LINE]
        kernel.update(IPV4, [WORKLOAD], None)
        await kernel.flush()
        assert "proto static metric 10" in namespace.ip("route")


async def test_a_foreign_route_that_replaces_ours_wins_until_it_goes(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        namespace.ip("route", "replace", "192.168.0.2", "via", "192.168.78.99", "proto", "static")
        await eventually(lambda: [problem.kind for problem in kernel.problems()] == [ProblemKind.FOREIGN])
        assert "192.168.0.2 via 192.168.78.99 dev eth0 proto static" in namespace.ip("route")
        kernel.update(IPV4, [WORKLOAD], (FAR,))
        await kernel.flush()
        kernel.update(IPV4, [WORKLOAD], None)
        await kernel.flush()
        assert kernel.problems() == []
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        assert "192.168.0.2 via 192.168.78.99 dev eth0 proto static" in namespace.ip("route")
        namespace.ip("route", "del", "192.168.0.2")
        await eventually(lambda: namespace.bird() == [LINE])


async def test_connected_and_own_destinations_are_refused(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        over = ["192.168.78.0/24", "192.168.78.21/32", "192.168.78.22/32", "192.168.78.0/26", "10.0.0.1/32"]
        kernel.update(IPV4, [nlri(text) for text in over], (PEER,))
        inside = ["192.168.78.100/32", "192.168.0.0/16"]  # the article's hosts live inside its pool
        kernel.update(IPV4, [nlri(text) for text in inside], (PEER,))
        await kernel.flush()
        assert {problem.prefix for problem in kernel.problems()} == set(over)
        assert {problem.kind for problem in kernel.problems()} == {ProblemKind.CONNECTED}
        assert namespace.bird() == [
            "192.168.0.0/16 via 192.168.78.22 dev eth0",
            "192.168.78.100 via 192.168.78.22 dev eth0",
        ]
        words = {problem.prefix: problem.text for problem in kernel.problems()}
        assert "directly connected on eth0 (protocol kernel)" in words["192.168.78.0/24"]
        assert "address of this host itself" in words["10.0.0.1/32"]
        assert "covers 192.168.78.22" in words["192.168.78.0/26"]


async def test_a_prefix_that_becomes_connected_later_gives_way(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("10.20.0.0/24"), nlri("10.20.0.1/32")], (PEER,))
        await kernel.flush()
        assert len(namespace.bird()) == 2
        # The address alone: a connected route would have the very place, and the kernel would refuse it.
        namespace.ip("addr", "add", "10.20.0.1/32", "dev", "eth1")
        await eventually(lambda: namespace.bird() == ["10.20.0.0/24 via 192.168.78.22 dev eth0"])
        namespace.ip("addr", "del", "10.20.0.1/32", "dev", "eth1")
        await eventually(lambda: len(namespace.bird()) == 2)


async def test_a_protected_host_is_not_led_off_its_link(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [nlri("192.168.78.50/32"), nlri("192.168.78.51/32")], (PEER,))
        await kernel.flush()
        assert len(namespace.bird()) == 2
        kernel.protect([raw("192.168.78.50")])
        await kernel.flush()
        assert namespace.bird() == ["192.168.78.51 via 192.168.78.22 dev eth0"]


async def test_a_recursive_next_hop_is_followed(namespace: Namespace) -> None:
    namespace.ip("route", "add", "172.30.0.0/16", "via", "192.168.78.22", "proto", "static")
    next_hop = raw("172.30.1.1")
    told: list[set[bytes] | None] = []
    async with Kernel(netns=namespace.name) as kernel:
        kernel.on_next_hops_changed = told.append
        assert kernel.resolve(next_hop) == 1
        kernel.update(IPV4, many(1000), (next_hop,))
        await kernel.flush()
        assert namespace.bird()[0] == "10.64.0.0 via 192.168.78.22 dev eth0"
        monitor = namespace.monitor()
        namespace.ip("route", "replace", "172.30.0.0/16", "via", "10.0.0.2", "proto", "static")
        await eventually(lambda: namespace.bird()[0] == "10.64.0.0 via 10.0.0.2 dev eth1")
        namespace.ip("route", "add", "172.30.1.0/24", "via", "192.168.78.23", "proto", "static", "metric", "5")
        await eventually(lambda: namespace.bird()[-1] == "10.64.3.231 via 192.168.78.23 dev eth0")
        assert not [line for line in monitor.lines() if "Deleted" in line]
        await eventually(lambda: told == [{next_hop}])  # the cost went from 1 to 5
        assert kernel.resolve(next_hop) == 5


async def test_an_unreachable_next_hop_is_told_and_lingers_for_bgp_to_choose(namespace: Namespace) -> None:
    namespace.ip("route", "add", "172.30.0.0/16", "via", "192.168.78.22", "proto", "static")
    next_hop = raw("172.30.1.1")
    told: list[set[bytes] | None] = []
    async with Kernel(netns=namespace.name) as kernel:
        kernel.on_next_hops_changed = told.append
        kernel.resolve(next_hop)
        kernel.update(IPV4, [WORKLOAD, nlri("192.168.0.3")], (next_hop,))
        await kernel.flush()
        monitor = namespace.monitor()
        namespace.ip("route", "del", "172.30.0.0/16")
        await eventually(lambda: told == [{next_hop}])
        assert kernel.resolve(next_hop) is None
        assert kernel.why_unreachable(next_hop) == "no route to next hop 172.30.1.1"
        kernel.update(IPV4, [WORKLOAD], (FAR,))  # what BGP would say in the same moment
        await eventually(lambda: namespace.bird() == ["192.168.0.2 via 10.0.0.2 dev eth1"])
        (problem,) = kernel.problems()
        assert problem.kind is ProblemKind.NEXT_HOP
        deleted = [line for line in monitor.lines() if "Deleted" in line]
        assert deleted == ["Deleted 192.168.0.3 via 192.168.78.22 dev eth0 proto bird "]
        namespace.ip("route", "add", "default", "via", "192.168.78.23")
        await eventually(lambda: "192.168.0.3 via 192.168.78.23 dev eth0" in namespace.bird())


async def test_a_next_hop_behind_learned_routes(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (raw("172.30.1.1"),))
        await kernel.flush()
        assert namespace.bird() == []
        kernel.update(IPV4, [nlri("172.30.0.0/16")], (PEER,))
        await kernel.flush()
        assert namespace.bird() == ["172.30.0.0/16 via 192.168.78.22 dev eth0", LINE]
        kernel.update(IPV4, [nlri("172.30.1.0/24")], (raw("172.30.1.1"),))  # through itself: by way of the /16
        await kernel.flush()
        assert "172.30.1.0/24 via 192.168.78.22 dev eth0" in namespace.bird()
        kernel.update(IPV4, [nlri("172.30.0.0/16")], (FAR,))
        await kernel.flush()
        assert namespace.bird() == [
            "172.30.0.0/16 via 10.0.0.2 dev eth1",
            "172.30.1.0/24 via 10.0.0.2 dev eth1",
            "192.168.0.2 via 10.0.0.2 dev eth1",
        ]
        kernel.update(IPV4, [nlri("172.30.0.0/16")], None)
        await kernel.flush()
        await eventually(lambda: namespace.bird() == [])


async def test_link_down_and_up(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        destinations = many(2000)
        kernel.update(IPV4, destinations, (PEER,))
        kernel.update(IPV4, [WORKLOAD], (PEER, FAR))
        await kernel.flush()
        namespace.ip("link", "set", "eth0", "down")  # IPv4 routes go without a message
        await eventually(lambda: namespace.bird() == ["192.168.0.2 via 10.0.0.2 dev eth1"])
        await eventually(lambda: len(kernel.problems()) == 2000)
        assert kernel.routes().installed[IPV4].keys() == {WORKLOAD}
        namespace.ip("link", "set", "eth0", "up")
        await eventually(lambda: len(namespace.bird()) == 2001)
        await kernel.flush()
        assert kernel.problems() == []
        assert await kernel.resync() == 0
        assert len(namespace.bird()) == 2001


async def test_link_without_carrier_is_left_out_of_a_set_only(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER, FAR))
        kernel.update(IPV4, [nlri("192.168.0.3")], (PEER,))
        await kernel.flush()
        monitor = namespace.monitor()
        namespace.ip("link", "set", "far0", "down")
        await eventually(lambda: "192.168.0.2 via 10.0.0.2 dev eth1" in namespace.bird())
        assert "192.168.0.3 via 192.168.78.22 dev eth0 linkdown" in namespace.bird()
        namespace.ip("link", "set", "far0", "up")
        await eventually(lambda: any("nexthop via 192.168.78.22" in line for line in namespace.bird()))
        assert not [line for line in monitor.lines() if "Deleted" in line]


async def test_an_interface_that_vanishes_and_comes_back(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, many(10), (FAR,))
        await kernel.flush()
        namespace.ip("link", "del", "eth1")
        await eventually(lambda: len(kernel.problems()) == 10)
        assert not kernel.interface_exists("eth1")
        namespace.ip("link", "add", "eth1", "type", "veth", "peer", "name", "far1")
        namespace.ip("addr", "add", "10.0.0.1/24", "dev", "eth1")
        namespace.ip("link", "set", "eth1", "up")
        await eventually(lambda: len(namespace.bird()) == 10)


async def test_somebody_deletes_our_routes(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, many(100), (PEER,))
        await kernel.flush()
        monitor = namespace.monitor()
        namespace.ip("route", "flush", "proto", "bird")
        await eventually(lambda: len(namespace.bird()) == 100)
        await eventually(lambda: len(kernel.problems()) == 100)
        assert {problem.kind for problem in kernel.problems()} == {ProblemKind.CONTESTED}
        assert kernel.problems()[0].text.startswith("was deleted by process ")
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(3):  # at once at first, then once a second at most
            namespace.ip("route", "del", "10.64.0.7", "proto", "bird")
            await eventually(lambda: len(namespace.bird()) == 100)
        assert loop.time() - began > 1.0
        added = [line for line in monitor.lines() if line.startswith("10.64.0.7 ")]
        assert len(added) == 4


THEIRS = "192.168.0.2 via 10.0.0.9 dev eth1"


async def test_what_somebody_changes_is_left_to_him_until_he_deletes_it(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        await kernel.sweep_stale()
        namespace.ip("route", "replace", "192.168.0.2", "via", "10.0.0.9", "proto", "bird")
        namespace.ip("route", "add", "192.168.0.9", "via", "10.0.0.9", "proto", "bird")
        await eventually(lambda: len(kernel.problems()) == 2)
        changed, made = sorted(kernel.problems(), key=str)
        assert (changed.kind, made.kind) == (ProblemKind.CONTESTED, ProblemKind.STRANGE)
        assert changed.text.startswith("was changed by process ")
        assert "route of our protocol (bird, via 10.0.0.9 dev eth1, metric 0), which is left alone" in changed.text
        assert "was made by process " in made.text
        kernel.update(IPV4, [WORKLOAD], (FAR,))
        await kernel.flush()
        await kernel.resync()
        await kernel.sweep_stale()
        assert namespace.bird() == [THEIRS, "192.168.0.9 via 10.0.0.9 dev eth1"]
        namespace.ip("route", "del", "192.168.0.2")
        namespace.ip("route", "del", "192.168.0.9")
        await eventually(lambda: namespace.bird() == ["192.168.0.2 via 10.0.0.2 dev eth1"])
        await eventually(lambda: not kernel.problems())


async def test_what_is_no_longer_learned_goes_where_it_is_ours_alone(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD, *many(200)], (PEER,))
        await kernel.flush()
        namespace.ip("route", "replace", "192.168.0.2", "via", "10.0.0.9", "proto", "bird")
        await eventually(kernel.problems)
        kernel.update(IPV4, [WORKLOAD, *many(200)], None)
        await kernel.flush()
        assert namespace.bird() == [THEIRS]
        assert "was made by process" in str(kernel.problems()[0])
        namespace.ip("route", "del", "192.168.0.2")
        await eventually(lambda: not kernel.problems())


async def test_who_makes_what_is_wanted_makes_no_trouble(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        for hop in ("10.0.0.9", "192.168.78.22"):
            namespace.ip("route", "replace", "192.168.0.2", "via", hop, "proto", "bird")
            await eventually(lambda hop=hop: bool(kernel.problems()) == (hop == "10.0.0.9"))
        namespace.ip("route", "replace", "192.168.0.2", "via", "10.0.0.9", "proto", "bird")
        await eventually(kernel.problems)
        kernel.update(IPV4, [WORKLOAD], (bytes((10, 0, 0, 9)),))
        await eventually(lambda: not kernel.problems())
        kernel.update(IPV4, [WORKLOAD], None)
        await eventually(lambda: not namespace.bird())


async def test_a_route_of_another_that_goes_before_ours_is_told(namespace: Namespace) -> None:
    for insist in (False, True):
        async with Kernel(netns=namespace.name, metric=1024, insist=insist) as kernel:
            kernel.update(IPV4, [WORKLOAD], (PEER,))
            await kernel.flush()
            namespace.ip("route", "add", "192.168.0.2", "via", "10.0.0.9", "metric", "50")
            await eventually(kernel.problems)
            (problem,) = kernel.problems()
            assert problem.kind is ProblemKind.OUTRANKED
            assert "protocol boot (via 10.0.0.9 dev eth1, metric 50), made by process " in problem.text
            assert "metric is 1024" in problem.text
            namespace.ip("route", "del", "192.168.0.2", "metric", "50")
            await eventually(lambda: not kernel.problems())


@pytest.mark.parametrize("family", ["-4", "-6"])
async def test_insisting_ours_go_in_over_a_route_of_another_protocol(namespace: Namespace, family: str) -> None:
    afi, one, far, ours = IPV4, "192.168.0.2", "10.0.0.9", LINE
    destination, hop = WORKLOAD, PEER
    if family == "-6":
        afi, one, far = IPV6, "2001:db8:ca11::2", "2001:db8:0:1::2"
        destination, hop = nlri(one), raw("2001:db8:0:78::22")
        ours = "2001:db8:ca11::2 via 2001:db8:0:78::22 dev eth0 metric 1024 pref medium"
    namespace.ip(family, "route", "add", one, "via", far, "proto", "static")
    async with Kernel(netns=namespace.name, insist=True) as kernel:
        kernel.update(afi, [destination], (hop,))
        await eventually(lambda: namespace.bird(family) == [ours])
        for _ in range(2):
            namespace.ip(family, "route", "replace", one, "via", far, "proto", "static")
            await eventually(lambda: namespace.bird(family) == [ours])
        assert "static" not in namespace.ip(family, "route", "show", one)


async def test_insisting_what_somebody_changes_or_makes_more_is_put_right(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name, insist=True) as kernel:
        kernel.update(IPV4, [WORKLOAD], (PEER,))
        await kernel.flush()
        namespace.ip("route", "replace", "192.168.0.2", "via", "10.0.0.9", "proto", "bird")
        await eventually(lambda: namespace.bird() == [LINE])
        await eventually(lambda: "was changed by process" in "".join(map(str, kernel.problems())))
        namespace.ip("route", "add", "192.168.0.9", "via", "10.0.0.9", "proto", "bird")
        namespace.ip("route", "add", "192.168.0.2", "via", "10.0.0.9", "proto", "bird", "metric", "50")
        await eventually(lambda: kernel.routes().unconfirmed == 1)
        await kernel.flush()
        await eventually(lambda: len(namespace.bird()) == 2)  # nobody has asked for the third one yet
        await kernel.sweep_stale()
        await eventually(lambda: namespace.bird() == [LINE])
        namespace.ip("route", "add", "192.168.0.9", "via", "10.0.0.9", "proto", "bird")
        await eventually(lambda: len(namespace.bird()) == 2)
        await eventually(lambda: namespace.bird() == [LINE])


async def test_lost_messages_lead_to_a_comparison_of_everything(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name, monitor_buffer=4096) as kernel:
        kernel.update(IPV4, many(3000), (PEER,))
        await kernel.flush()
        looks = kernel.looks
        # All in one system call each, while nobody reads: far more than the buffer holds.
        namespace.batch([f"route add 172.20.{n // 250}.{n % 250} dev eth1 proto static" for n in range(2000)])
        namespace.ip("route", "flush", "proto", "bird")
        namespace.ip("route", "add", "172.30.0.0/16", "via", "10.0.0.2")
        await eventually(lambda: kernel.looks > looks)
        await eventually(lambda: len(namespace.bird()) == 3000)
        await eventually(lambda: kernel.resolve(raw("172.30.0.1")) == 1)
        assert kernel.resolve(raw("172.20.7.1")) == 0


async def test_resync_finds_what_no_message_told(namespace: Namespace) -> None:
    async with Kernel(netns=namespace.name) as kernel:
        kernel.update(IPV4, many(50), (PEER,))
        await kernel.flush()
        kernel._listen(False)
        for number in range(3):
            namespace.ip("route", "del", f"10.64.0.{number}")
        namespace.ip("route", "replace", "10.64.0.9", "via", "10.0.0.2", "proto", "bird")
        assert await kernel.resync() == 4
        assert len(namespace.bird()) == 50
        assert "10.64.0.9 via 10.0.0.2 dev eth1" in namespace.bird()
        assert await kernel.resync() == 0


async def test_workloads_are_the_routes_to_their_interfaces(namespace: Namespace) -> None:
    told: list[int] = []
    namespace.ip("link", "add", "cali1", "type", "veth", "peer", "name", "cont1")
    namespace.ip("link", "set", "cali1", "up")
    namespace.ip("route", "add", "192.168.0.1", "dev", "cali1", "scope", "link")
    namespace.ip("-6", "route", "add", "2001:db8:ca11::1/128", "dev", "cali1")
    namespace.ip("route", "add", "192.168.0.7", "dev", "eth1", "scope", "link")
    namespace.ip("route", "add", "192.168.5.0/24", "dev", "cali1", "scope", "link")
    async with Kernel(netns=namespace.name) as kernel:
        kernel.on_workloads_changed = lambda: told.append(1)
        assert kernel.link_routes() == {
            (1, nlri("192.168.0.1")): "cali1",
            (2, nlri("2001:db8:ca11::1")): "cali1",
        }
        assert kernel.link_routes("eth") == {(1, nlri("192.168.0.7")): "eth1"}
        assert kernel.local_route(nlri("192.168.0.1"), IPV4)
        assert not kernel.local_route(nlri("192.168.0.7"), IPV4)
        kernel.update(IPV4, [nlri("192.168.0.1")], (PEER,))  # another host claims it as well
        await kernel.flush()
        assert [problem.kind for problem in kernel.problems()] == [ProblemKind.CONNECTED]
        told.clear()
        namespace.ip("route", "add", "192.168.0.8", "dev", "cali1", "scope", "link")
        await eventually(lambda: told)
        assert kernel.local_route(nlri("192.168.0.8"), IPV4)
        namespace.ip("link", "del", "cali1")
        await eventually(lambda: not kernel.link_routes())
        await eventually(lambda: namespace.bird() == ["192.168.0.1 via 192.168.78.22 dev eth0"])


async def test_nothing_without_a_start_or_after_a_close(namespace: Namespace) -> None:
    kernel = Kernel(netns=namespace.name)
    kernel.update(IPV4, [WORKLOAD], (PEER,))
    with pytest.raises(KernelError, match="not open"):
        await kernel.flush()
    await kernel.start()
    await eventually(lambda: namespace.bird() == [LINE])
    await kernel.close()
    await kernel.close()
    kernel.update(IPV4, [WORKLOAD], None)
    with pytest.raises(KernelError, match="not open"):
        await kernel.flush()
    assert namespace.bird() == [LINE]


async def test_a_namespace_that_is_not_there() -> None:
    with pytest.raises(KernelError, match="network namespace no-such-name"):
        await Kernel(netns="no-such-name").start()
