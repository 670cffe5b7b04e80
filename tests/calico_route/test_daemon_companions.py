"""What runs beside the agent: entered before it, left after it, told of in status; the agent knows nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calico_route import daemon
from calico_route.config import read_settings
from calico_route.etcd.settings import EtcdSettings
from calico_route.report import Parts
from calico_route.status import _part


@pytest.fixture
def settings(tmp_path: Any) -> Any:
    flags = ["--peer-from-etcd", "http://127.0.0.1:1", "--node-name", "host1", "--metrics", "none"]
    flags += ["--socket", str(tmp_path / "s.sock"), "--state-dir", str(tmp_path)]
    return read_settings(flags, {})


def run(settings: Any, monkeypatch: pytest.MonkeyPatch, companions: daemon.Companions, trace: list[str]) -> int:
    async def agent(*arguments: object) -> int:
        trace.append(f"agent with {sorted(arguments[-1])}")  # type: ignore[call-overload]
        return 0

    kept: list[int] = []
    monkeypatch.setattr(daemon, "_run", agent)
    monkeypatch.setattr(daemon, "drop_privileges", kept.append)
    monkeypatch.setattr(daemon.logs, "configure", lambda *_: None)
    code = daemon.run(settings, {}, companions=companions, capabilities=7)
    assert kept == [7]
    return code


def test_around_the_agent(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    trace: list[str] = []

    @contextlib.asynccontextmanager
    async def companions(etcd: EtcdSettings | None) -> AsyncIterator[Parts]:
        assert etcd is not None
        trace.append(f"in, {etcd.endpoints[0].port}")
        yield {"workloads": lambda: {"count": 1}}
        trace.append("out")

    assert run(settings, monkeypatch, companions, trace) == 0
    assert trace == ["in, 1", "agent with ['workloads']", "out"]


def test_a_companion_that_cannot_be(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trace: list[str] = []

    @contextlib.asynccontextmanager
    async def companions(etcd: EtcdSettings | None) -> AsyncIterator[Parts]:
        raise daemon.CompanionError("no nftables")
        yield {}

    assert run(settings, monkeypatch, companions, trace) == 1
    assert trace == []
    assert "no nftables" in caplog.text


def test_a_part_in_a_line() -> None:
    told = {"count": 3, "in_force": True, "synced": False, "nftables": "libnftables", "problems": ["x"], "owed": None}
    assert _part(told) == "3 count, in force, not synced, nftables libnftables"
