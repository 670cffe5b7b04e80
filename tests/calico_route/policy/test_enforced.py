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
from calico_route.workload.ports import WorkloadError
from demo.lab import Host, Lab
from tests.calico_route.kernel.conftest import eventually
from tests.calico_route.policy import lab as probes
from tests.calico_route.policy.lab import Workload, add_workload, answers_ping, answers_udp, connects
from tests.calico_route.policy.memory_store import MemoryStore, as_endpoint, policy, profile, workload

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
    for one_made in made:
        one_made.close()


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
    await eventually(lambda: engine.status()["synced"] and engine.status()["datastore"]["revision"] >= store.revision)
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
        outside = host.lab.host("outside", "192.168.78.99/24")
        outside.run("ip", "route", "add", "192.168.0.0/16", "via", "192.168.78.21")
        for tier, port in itertools.product(tiers, (80, 8080)):
            seen = await in_thread(connects, outside, tiers[tier][0].address(), port)
            assert seen == ((tier, port) == ("web", 80)), f"outside to {tier} port {port}"
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
            await eventually(lambda before=ended: engine.status()["connections_ended"] > before)
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
            await eventually(lambda: engine.status()["connections_ended"])
            handle.send(b"lost")
            with pytest.raises(TimeoutError):
                end.recv(10)


async def test_what_is_of_no_connection_and_of_no_workload(
    place: tuple[Lab, Host], add: Callable[..., Workload]
) -> None:
    """Spoofed sources, interfaces without rules, and the host itself."""
    _, host = place
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
            await store.leave(False)
            await settled(engine, store)
            assert engine.status()["in_force"]
            assert await as_before()
            assert echoed(handle, app)


def echoed(handle: socket.socket, server: Workload) -> bool:
    """Whether what is sent arrives, at the one of the waiting connections that is its other end."""
    handle.send(b"still")
    name = handle.getsockname()[:2]
    server.sockets[0].settimeout(probes.PATIENCE)
    while True:
        end, peer = server.sockets[0].accept()
        with end:
            if (peer[0].removeprefix("::ffff:"), peer[1]) == name:
                end.settimeout(probes.PATIENCE)
                return end.recv(10) == b"still"


async def test_admit_and_dismiss(place: tuple[Lab, Host], add: Callable[..., Workload]) -> None:
    """Before its endpoint is in etcd a workload has its rules, and a profile that was written just now counts."""
    _, host = place
    store = MemoryStore()
    await store.write(profile("web"))
    web, app = add("web1", "192.168.0.1"), add("app1", "192.168.0.2")
    app.serve_tcp(80)
    async with enforcing(host, store) as engine:
        await engine.admit(as_endpoint(workload("web1", web.addresses, ["web"])))
        with pytest.raises(WorkloadError, match="no profile app") as refused:
            await engine.admit(as_endpoint(workload("app1", app.addresses, ["app"])))
        assert refused.value.code == "unknown-profile"
        await store.write(profile("app", APP, OUT))
        await engine.admit(as_endpoint(workload("app1", app.addresses, ["app"])))
        assert await in_thread(connects, web, app.address(), 80)
        with pytest.raises(WorkloadError, match="eth0"):
            await engine.admit(as_endpoint(workload("x", app.addresses, ["app"], interface="eth0")))
        await engine.dismiss(app.interface)
        assert not await in_thread(connects, web, app.address(), 80)
        assert "caliapp1" not in host.run("nft", "list", "table", "inet", "calico_route")
        assert list(engine.status()["interfaces"]) == ["caliweb1"]


async def test_an_admission_without_etcd_is_refused(place: tuple[Lab, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calico_route.policy.engine._PATIENCE", 0.1)
    store = MemoryStore()
    store.away = True
    async with enforcing(place[1], store) as engine:
        with pytest.raises(WorkloadError, match="away") as refused:
            await engine.admit(as_endpoint(workload("web1", ["192.168.0.1"], ["web"])))
        assert refused.value.code == "unavailable"


def table_of(host: Host) -> list[str]:
    """Sorted: sets and chains come in the order in which they were made."""
    return sorted(host.run("nft", "-s", "list", "table", "inet", "calico_route").splitlines())


@pytest.mark.parametrize("command", [False, True], ids=["libnftables", "nft"])
@pytest.mark.parametrize(
    "harm",
    [
        "delete table inet calico_route",
        "flush table inet calico_route",
        "insert rule inet calico_route from_workload accept",
    ],
)
async def test_what_others_do_to_our_table_is_mended(
    place: tuple[Lab, Host], harm: str, command: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command `nft` its events look like ours for a moment, and a comparison finds what it did."""
    monkeypatch.setattr("calico_route.policy.engine._COMPARE", 0.2)
    _, host = place
    store = MemoryStore()
    await store.write(profile("web") | workload("web1", ["192.168.0.1"], ["web"]))
    told: list[str] = []
    host.run("nft", "add", "table", "inet", "other")
    async with enforcing(host, store, nft_command=command, on_problem=told.append) as engine:
        await settled(engine, store)
        before = table_of(host)
        assert any("caliweb1" in line for line in before)
        host.run("nft", *harm.split())
        await eventually(lambda: engine.status()["mended"] == 1)
        assert table_of(host) == before
        assert any("calico_route was changed by" in text for text in told)
        # Other people's tables are theirs.
        host.run("nft", "add", "chain", "inet", "other", "mine")
        await store.write(profile("web", [{}], OUT))
        await settled(engine, store)
        assert engine.status()["mended"] == 1
        assert "chain mine" in host.run("nft", "list", "table", "inet", "other")


async def test_lost_events_ask_for_a_comparison(place: tuple[Lab, Host]) -> None:
    """They may have been our own: nothing is mended that is whole; what is not is."""
    _, host = place
    store = MemoryStore()
    await store.write(profile("web") | workload("web1", ["192.168.0.1"], ["web"]))
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        before, done = table_of(host), engine.transactions
        engine._touched("")
        await eventually(lambda: not engine._doubt.is_set())
        assert await engine.differences() == []  # by the same thread, after the engine's own comparison
        await settled(engine, store)
        assert engine.transactions == done
        engine._listener.close()  # nothing is heard from now on
        host.run("nft", "flush", "table", "inet", "calico_route")
        engine._touched("")
        await eventually(lambda: engine.status()["mended"] == 1)
        assert table_of(host) == before


async def test_network_policies_in_force(place: tuple[Lab, Host], add: Callable[..., Workload]) -> None:
    """A policy that selects an endpoint decides in its direction; Pass asks the profiles."""
    _, host = place
    store = MemoryStore()
    await store.write(profile("all", [{}], OUT))
    one, two = add("one", "192.168.0.1", "fd00::1"), add("two", "192.168.0.2", "fd00::2")
    two.serve_tcp(80, 81, 82)
    await store.write(workload("one", one.addresses, ["all"], labels={"role": "client"}))
    await store.write(workload("two", two.addresses, ["all"], labels={"role": "server"}))

    async def open_ports() -> list[int]:
        found = {}
        for version in (4, 6):
            found[version] = [
                port for port in (80, 81, 82) if await in_thread(connects, one, two.address(version), port)
            ]
        assert found[4] == found[6]
        return found[4]

    def ingress(*rules: dict[str, object]) -> dict[str, object]:
        return {"selector": "role == 'server'", "types": ["Ingress"], "ingress": list(rules)}

    tcp80: dict[str, object] = {"protocol": "TCP", "destination": {"ports": [80]}}
    client: dict[str, object] = {"protocol": "TCP", "source": {"selector": "role == 'client'"}}
    async with enforcing(host, store) as engine:
        await settled(engine, store)
        assert await open_ports() == [80, 81, 82]
        await store.write(policy("none", ingress()))
        await settled(engine, store)
        assert await open_ports() == []
        await store.write(policy("none", ingress({"action": "Allow", **tcp80})))
        await settled(engine, store)
        assert await open_ports() == [80]
        await store.write(policy("first", {**ingress({"action": "Deny", **tcp80}), "order": 1}, "default"))
        await settled(engine, store)
        assert await open_ports() == []
        await store.write(policy("none", ingress({"action": "Pass", **client})))
        await settled(engine, store)
        assert await open_ports() == [81, 82]
        # Of another tier, which is not known here: closed, and said so.
        await store.write(policy("none", {**ingress({"action": "Allow"}), "tier": "platform"}))
        await settled(engine, store)
        assert await open_ports() == []
        assert any("tier" in text for text in engine.status()["problems"])
        await store.write(dict.fromkeys(policy("none", {}) | policy("first", {}, "default")))
        await settled(engine, store)
        assert await open_ports() == [80, 81, 82]
