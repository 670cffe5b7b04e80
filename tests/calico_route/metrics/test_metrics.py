"""What monitoring sees of agents, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from calico_route import agent as agent_module
from calico_route import believed
from calico_route.metrics import MetricsServer, families, server
from tests.calico_route.cluster import Running, cluster, until
from tests.calico_route.memory_kernel import MemoryKernel
from tests.calico_route.resources import endpoint, node

A, B = "127.0.1.1", "127.0.1.2"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(believed, "FIRST_ANSWER", 0.1)


@asynccontextmanager
async def served(running: Running, *, per_peer: bool = False) -> AsyncIterator[MetricsServer]:
    made = MetricsServer(running.agent, "127.0.0.1", 0, per_peer=per_peer)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def asked(made: MetricsServer, request: bytes) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to some octets."""
    reader, writer = await asyncio.open_connection(made.address, made.port)
    writer.write(request)
    whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.split(": ", 1) for line in headers), body.decode()


async def get(made: MetricsServer, path: str) -> tuple[int, str]:
    status, headers, body = await asked(made, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert int(headers["Content-Length"]) == len(body.encode())
    return status, body


async def samples(made: MetricsServer) -> Mapping[str, float]:
    """Of the metrics as a parser reads them: name and labels -> value."""
    status, body = await get(made, "/metrics")
    assert status == 200
    found = {}
    for family in text_string_to_metric_families(body):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_metrics_in_aggregate() -> None:
    async with cluster("abc", endpoint("wa", "a", "10.0.0.1/32"), endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        async with served(a) as made:
            await until(lambda: a.kernel.shown and B in a.agent.mesh.complete())
            found = await samples(made)
            assert found["calico_route_sessions_wanted"] == 2
            assert found["calico_route_sessions{state=Established}"] == 1
            assert found["calico_route_sessions_converged"] == 1
            assert found["calico_route_learned_prefixes{family=ipv4}"] == 1
            assert found["calico_route_announced_prefixes{family=ipv4}"] == 1
            assert found["calico_route_announced_prefixes{family=ipv6}"] == 0
            assert found["calico_route_kernel_routes{family=ipv4}"] == 1
            assert found["calico_route_datastore_up"] == 1
            assert found["calico_route_datastore_away_seconds"] == 0
            assert 0 <= found["calico_route_datastore_lag_seconds"] < 60
            assert found["calico_route_datastore_revision"] == a.agent.datastore.status.revision
            assert found["calico_route_session_losses_total"] == 0
            assert found["calico_route_updates_total{way=in}"] >= 1
            assert found["calico_route_ready"] == 1
            assert not any("peer" in name for name in found)
            await b.stop()
            await until(lambda: not a.established(B))
            found = await samples(made)
            assert found["calico_route_session_losses_total"] == 1
            assert found["calico_route_sessions_stale"] == 1


async def test_a_counter_never_goes_back() -> None:
    """Also when a neighbour is taken away, and when BGP starts anew."""
    async with cluster("ab", endpoint("wa", "a", "10.0.0.1/32"), endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        await until(lambda: a.kernel.shown and B in a.agent.mesh.complete())
        before = a.agent.mesh.updates()
        assert min(before) >= 1
        await mesh.datastore.delete(node("b", B).key)
        await until(lambda: not a.agent.mesh.peers)
        assert all(now >= then for now, then in zip(a.agent.mesh.updates(), before, strict=True))
        before = a.agent.mesh.updates()
        await a.agent.mesh.stop(restart=True)
        assert a.agent.mesh.updates() == before


async def test_how_old_what_is_known_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster("a") as mesh:
        a = mesh.start("a")
        async with served(a) as made:
            await until(lambda: a.agent.mesh.speaker is not None)
            mesh.datastore.go_away()
            heard = a.agent.datastore.status.heard
            assert heard is not None
            monkeypatch.setattr(families.time, "time", lambda: heard + 77)
            found = await samples(made)
            assert found["calico_route_datastore_lag_seconds"] == 77
            assert found["calico_route_datastore_up"] == 0


async def test_metrics_of_each_session_by_choice() -> None:
    async with cluster("ab", endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        a, _ = mesh.start("a"), mesh.start("b")
        async with served(a, per_peer=True) as made:
            await until(lambda: a.kernel.shown)
            found = await samples(made)
            assert found["calico_route_peer_up{address=127.0.1.2,node=b}"] == 1
            assert found["calico_route_peer_received_prefixes{address=127.0.1.2,node=b}"] == 1
            assert found["calico_route_peer_established_total{address=127.0.1.2,node=b}"] == 1
            assert found["calico_route_peer_updates_total{address=127.0.1.2,node=b,way=in}"] >= 1


async def test_ready_when_the_sessions_that_stand_have_brought_all_their_routes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with cluster("abc", endpoint("wb", "b", "10.0.0.2/32")) as mesh:
        a = mesh.start("a")
        async with served(a) as made:
            with monkeypatch.context() as before:
                before.setattr(a.agent, "wanted", None)
                assert await get(made, "/readyz") == (503, "the datastore has not been read yet\n")
                assert await get(made, "/healthz") == (200, "ok\n")
            await until(lambda: a.agent.mesh.speaker is not None and a.agent.mesh.peers)
            status, body = await get(made, "/readyz")
            assert status == 503
            assert [line.split(":")[0] for line in body.splitlines()] == [
                "no session with node b at 127.0.1.2",
                "no session with node c at 127.0.1.3",
            ]
            mesh.start("b")
            await until(lambda: B in a.agent.mesh.complete())
            assert await get(made, "/readyz") == (200, "ok\n"), "one node that is away is not waited for"
            monkeypatch.setattr(a.agent.mesh, "complete", set)
            status, body = await get(made, "/readyz")
            assert (status, body) == (503, "node b at 127.0.1.2 has not sent all its routes yet\n")


async def test_a_lone_node_is_ready() -> None:
    async with cluster("a") as mesh:
        a = mesh.start("a")
        async with served(a) as made:
            await until(lambda: a.agent.mesh.speaker is not None)
            assert await get(made, "/readyz") == (200, "ok\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz?x=1 HTTP/1.0\r\n\r\n", 200),
    ],
)
async def test_other_requests(request_: bytes, status: int) -> None:
    async with cluster("a") as mesh, served(mesh.start("a")) as made:
        assert (await asked(made, request_))[0] == status


async def test_head_has_no_body() -> None:
    async with cluster("a") as mesh, served(mesh.start("a")) as made:
        status, headers, body = await asked(made, b"HEAD /healthz HTTP/1.1\r\n\r\n")
        assert (status, body) == (200, "")
        assert headers["Content-Type"].startswith("text/plain")
        assert headers["Content-Length"] == "3", "as GET has it (RFC 9110 section 8.6)"


async def test_clients_that_say_nothing_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.1)
    async with cluster("a") as mesh, served(mesh.start("a")) as made:
        reader, writer = await asyncio.open_connection(made.address, made.port)
        writer.write(b"GET /met")
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        assert (await get(made, "/healthz"))[0] == 200


async def test_a_health_check_finds_room_among_hundreds_that_say_nothing() -> None:
    async with cluster("a") as mesh, served(mesh.start("a")) as made:
        silent = [await asyncio.open_connection(made.address, made.port) for _ in range(300)]
        assert await get(made, "/healthz") == (200, "ok\n")
        for _, writer in silent:
            writer.close()


async def test_without_the_library_and_with_a_mistake_of_ours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with cluster("a") as mesh:
        a = mesh.start("a", kernel=MemoryKernel())
        async with served(a) as made:
            assert (await get(made, "/metrics"))[0] == 200
            monkeypatch.setattr(a.agent.mesh, "snapshots", lambda: 1 / 0)
            status, body = await get(made, "/metrics")
            assert (status, "log says more" in body) == (503, True)
            assert "the metrics failed" in caplog.text
            monkeypatch.undo()
            monkeypatch.setitem(sys.modules, "calico_route.metrics.families", None)
            status, body = await get(made, "/metrics")
            assert (status, "pip install 'pybgp[calico]'" in body) == (503, True)
