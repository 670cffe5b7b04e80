"""Rules in the real kernel: real connections between network namespaces."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from calico_route.etcd.follow import Timing
from calico_route.policy import Flow, Policy
from demo.lab import Host, Lab
from tests.calico_route.policy import lab as probes
from tests.calico_route.policy.lab import Workload, add_workload, answers_ping, answers_udp, connects
from tests.calico_route.policy.memory_store import MemoryStore, profile, workload

pytestmark = pytest.mark.netns
TIMING = Timing(retry=0.01, retry_max=0.05)
_tags = itertools.count()


@pytest.fixture
def place() -> Iterator[tuple[Lab, Host]]:
    with probes.hosted(f"pol{next(_tags)}x") as found:
        yield found


@pytest.fixture
def add(place: tuple[Lab, Host]) -> Iterator[Callable[..., Workload]]:
    made = []

    def one(name: str, *addresses: str) -> Workload:
        made.append(add_workload(*place, name, addresses))
        return made[-1]

    yield one
    for workload in made:
        workload.close()


@contextlib.asynccontextmanager
async def enforcing(host: Host, store: MemoryStore, **settings: object) -> AsyncIterator[Policy]:
    engine = Policy(store, node="n1", netns=host.netns, timing=TIMING, **settings)  # type: ignore[arg-type]
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def settled(engine: Policy, store: MemoryStore) -> None:
    """Wait until all that is in the store is in the kernel."""
    async with asyncio.timeout(10):
        while engine.status()["datastore"]["revision"] < store.revision or not engine.status()["synced"]:
            await asyncio.sleep(0.005)
        await engine.dismiss("nothing")  # returns when what was known before it is in force


async def in_thread(call: Callable[..., bool], *arguments: object, **named: object) -> bool:
    return await asyncio.to_thread(call, *arguments, **named)


WEB = [{"protocol": "tcp", "dst_ports": [80, 443]}, {"src_tag": "web"}]
APP = [{"action": "allow", "src_tag": "web"}, {"action": "allow", "src_tag": "app"}]
DB = [
    {"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [3306]},
    {"action": "allow", "src_tag": "db"},
]
OUT = [{"action": "allow"}]


async def test_the_three_tiers_of_the_article(place: tuple[Lab, Host], add: Callable[..., Workload]) -> None:
    """WEB opens 80 and 443, APP lets WEB in, DB lets APP in on 3306 alone; each lets its own in."""
    _, host = place
    store = MemoryStore()
    await store.write(profile("web", WEB, OUT) | profile("app", APP, OUT) | profile("db", DB, OUT))
    tiers: dict[str, list[Workload]] = {}
    for number, tier in enumerate(("web", "app", "db", "other")):
        tiers[tier] = [add(f"{tier}{at}", f"192.168.0.{10 * number + at}") for at in (1, 2)]
    await store.write(profile("other"))
    for tier, members in tiers.items():
        for one in members:
            one.serve_tcp(80, 443, 3306, 8080)
            await store.write(workload(one.name, one.addresses, [tier]))
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        allowed = {
            *(("any", "web", port) for port in (80, 443)),
            *(("web", "app", port) for port in (80, 443, 3306, 8080)),
            ("app", "db", 3306),
        }
        for source, destination, port in itertools.product(tiers, tiers, (80, 443, 3306, 8080)):
            expected = source == destination or bool(
                {(source, destination, port), ("any", destination, port)} & allowed
            )
            begin, end = tiers[source][0], tiers[destination][1]
            seen = await in_thread(connects, begin, end.address(), port)
            assert seen == expected, f"{source} to {destination} port {port}"
            flow = Flow(begin.address(), end.address(), 6, 40000, port)
            assert engine.explain(flow).allowed == expected
        # From outside: only what WEB has opened.
        assert connects(host.lab.switch or host, "192.168.0.1", 80) is False  # no route there: the lab has no such host
        assert await in_thread(connects, host, "192.168.0.31", 8080), "the host may reach its own workloads"


async def test_established_connections_follow_a_changed_rule(
    place: tuple[Lab, Host], add: Callable[..., Workload]
) -> None:
    _, host = place
    store = MemoryStore()
    await store.write(profile("web") | profile("app", APP, OUT))
    web, app = add("web1", "192.168.0.1", "fd00::1"), add("app1", "192.168.0.2", "fd00::2")
    app.serve_tcp(80, 81)
    await store.write(workload("web1", web.addresses, ["web"]) | workload("app1", app.addresses, ["app"]))
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        for version in (4, 6):
            doomed = probes.open_connection(web, app.address(version), 80)
            kept = probes.open_connection(web, app.address(version), 81)
            doomed_end, kept_end = (app.sockets[at].accept()[0] for at in (0, 1))
            for end in (doomed_end, kept_end):
                end.settimeout(probes.PATIENCE)
            ended = engine.status()["connections_ended"]
            only_81 = [{"src_tag": "web", "protocol": "tcp", "dst_ports": [81]}]
            await store.write(profile("app", only_81, OUT))
            async with asyncio.timeout(5):
                while engine.status()["connections_ended"] == ended:
                    await asyncio.sleep(0.01)
            kept.send(b"still")
            assert kept_end.recv(10) == b"still"
            doomed.send(b"lost")
            with pytest.raises(TimeoutError):
                doomed_end.recv(10)
            # Nor does it come to life from the other end, though all may go out of APP and APP may come into WEB.
            await store.write(profile("web", [{}], OUT))
            await settled(engine, store)
            doomed_end.send(b"back")
            with pytest.raises(TimeoutError):
                doomed.recv(10)
            for one in (doomed, kept, doomed_end, kept_end):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                one.close()
            await store.write(profile("web") | profile("app", APP, OUT))
            await settled(engine, store)


async def test_a_member_that_leaves_loses_its_connections(
    place: tuple[Lab, Host], add: Callable[..., Workload]
) -> None:
    _, host = place
    store = MemoryStore()
    await store.write(profile("web") | profile("app", APP, OUT) | profile("other"))
    web, app = add("web1", "192.168.0.1"), add("app1", "192.168.0.2")
    app.serve_tcp(80)
    await store.write(workload("web1", web.addresses, ["web"]) | workload("app1", app.addresses, ["app"]))
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        with probes.open_connection(web, app.address(), 80) as handle, app.sockets[0].accept()[0] as end:
            end.settimeout(probes.PATIENCE)
            await store.write(workload("web1", web.addresses, ["other"]))
            async with asyncio.timeout(5):
                while not engine.status()["connections_ended"]:
                    await asyncio.sleep(0.01)
            handle.send(b"lost")
            with pytest.raises(TimeoutError):
                end.recv(10)


async def test_what_is_of_no_connection_and_of_no_workload(
    place: tuple[Lab, Host], add: Callable[..., Workload]
) -> None:
    """Spoofed sources, interfaces without rules, and the host itself."""
    lab, host = place
    store = MemoryStore()
    await store.write(profile("a", [{}], OUT))
    one, two, stranger = (add(f"a{at}", f"192.168.0.{at}", f"fd00::{at}") for at in (1, 2, 3))
    two.serve_udp(53, 54)
    await store.write(workload("a1", one.addresses, ["a"]) | workload("a2", two.addresses, ["a"]))
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        for version in (4, 6):
            assert await in_thread(answers_ping, one, two.address(version), 1)
            assert not await in_thread(answers_ping, stranger, two.address(version), 2), "it has no rules"
            assert not await in_thread(answers_ping, one, stranger.address(version), 3), "it has no rules"
        assert await in_thread(answers_udp, one, two.address(), 54)
        one.run("ip", "address", "add", "192.168.0.99/32", "dev", "eth1")
        host.run("ip", "route", "add", "192.168.0.99/32", "dev", one.interface)
        one.run("ip", "route", "replace", "default", "via", "169.254.1.1", "dev", "eth1", "src", "192.168.0.99")
        assert not await in_thread(answers_udp, one, two.address(), 54), "that is not its address"
        one.run("ip", "route", "replace", "default", "via", "169.254.1.1", "dev", "eth1", "src", "192.168.0.1")
        assert await in_thread(answers_udp, one, two.address(), 54)
        # To the host: DNS is answered whatever to_host says, all else is not.
        with contextlib.ExitStack() as stack:
            for port in (53, 54):
                handle = stack.enter_context(host.socket(socket.AF_INET, socket.SOCK_STREAM))
                handle.bind(("0.0.0.0", port))
                handle.listen()
            assert await in_thread(connects, one, "192.168.78.21", 53)
            assert not await in_thread(connects, one, "192.168.78.21", 54)
            assert await in_thread(answers_ping, host, one.address(), 4)
    async with enforcing(host, store, to_host="accept") as engine:
        await settled(engine, store)
        with host.socket(socket.AF_INET, socket.SOCK_STREAM) as handle:
            handle.bind(("0.0.0.0", 55))
            handle.listen()
            assert await in_thread(connects, one, "192.168.78.21", 55)
            await store.write(profile("a", [{}], [{"action": "deny", "protocol": "tcp"}, {}]))
            await settled(engine, store)
            assert not await in_thread(connects, one, "192.168.78.21", 55), "its own rules count there, too"


async def test_rules_stay_without_agent_and_without_etcd(place: tuple[Lab, Host], add: Callable[..., Workload]) -> None:
    _, host = place
    store = MemoryStore()
    await store.write(profile("app", APP, OUT) | profile("web"))
    web, app = add("web1", "192.168.0.1"), add("app1", "192.168.0.2")
    app.serve_tcp(80)
    web.serve_tcp(80)
    await store.write(workload("web1", web.addresses, ["web"]) | workload("app1", app.addresses, ["app"]))

    async def as_before() -> bool:
        return await in_thread(connects, web, app.address(), 80) and not await in_thread(
            connects, app, web.address(), 80
        )

    async with enforcing(host, store) as engine:
        await settled(engine, store)
        assert await as_before()
    assert await as_before(), "the agent is gone"
    await store.leave()
    async with enforcing(host, store) as engine:
        assert await as_before(), "a new agent does not know anything yet"
        assert not engine.status()["synced"]
        # An established connection lives through the replacement of the table.
        with probes.open_connection(web, app.address(), 80) as handle:
            while not connected(app).recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
                pass
            await store.leave(False)
            await settled(engine, store)
            assert engine.status()["in_force"]
            assert await as_before()
            handle.send(b"x")


def connected(one: Workload) -> socket.socket:
    handle, _ = one.sockets[0].accept()
    return handle
