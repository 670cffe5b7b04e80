"""A node that is about to go: what neighbours hear, when, and when it is safe to stop."""

from __future__ import annotations

import asyncio
import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from calico_route import agent as agent_module
from calico_route import believed, drain_command, status
from calico_route.drain import Drain
from calico_route.report import answer, report
from pybgp import ControlSocket
from tests.calico_route.cluster import Running, cluster, until
from tests.calico_route.resources import endpoint

A, B = "127.0.1.1", "127.0.1.2"
ON_B = endpoint("wb", "b", "10.0.0.2/32")
GRACEFUL_SHUTDOWN = 0xFFFF0000


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "RETRY", 0.05)
    monkeypatch.setattr(believed, "FIRST_ANSWER", 0.1)


def heard(running: Running) -> list[tuple[int | None, bool]]:
    """LOCAL_PREF of B's route as its neighbour has it, and whether it says that B is about to go."""
    speaker = running.agent.mesh.speaker
    found = [] if speaker is None else [one for part in speaker.table("10.0.0.2/32") for one in part]
    return [(one.attributes.local_pref, GRACEFUL_SHUTDOWN in one.attributes.communities) for one in found]


async def test_first_it_says_so_and_then_it_withdraws() -> None:
    async with cluster("ab", ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: heard(a) == [(100, False)])
        b.agent.drain(0.3)
        await until(lambda: heard(a) == [(0, True)])
        drain = report(b.agent)["draining"]
        assert (drain["withdrawn"], drain["safe"]) == (False, False)
        assert "is about to go; routes are withdrawn in" in status.text(report(b.agent), drain["since"])
        await until(lambda: heard(a) == [] and report(b.agent)["draining"]["safe"])
        assert a.established(B)
        assert "safe to stop" in status.text(report(b.agent), drain["since"])
        await mesh.datastore.put(endpoint("wb", "b", "10.0.0.2/32", "10.0.0.3/32"))
        await until(lambda: b.agent.believed is not None and b.agent.believed.view is not None)
        await asyncio.sleep(0.05)
        assert a.kernel.shown == {}, "nothing new is announced meanwhile"
        b.agent.drain(None)
        await until(lambda: heard(a) == [(100, False)] and len(a.kernel.shown) == 2)
        assert report(b.agent)["draining"] is None
        assert b.agent.mesh.snapshots()[A].established_count == 1


async def test_requests_that_make_no_sense() -> None:
    async with cluster("a") as mesh:
        a = mesh.start("a")
        for seconds in (-1, "10", True, 1e9):
            with pytest.raises(ValueError, match="seconds is a number"):
                answer(a.agent, {"request": "drain", "seconds": seconds})
        with pytest.raises(ValueError, match="there are status and drain"):
            answer(a.agent, {"request": "stop"})
        assert a.agent.draining is None


async def test_the_command(tmp_path: Path) -> None:
    async with cluster("ab", ON_B) as mesh:
        a, b = mesh.start("a"), mesh.start("b")
        await until(lambda: heard(a) == [(100, False)])
        control = ControlSocket(tmp_path / "agent.sock", partial(answer, b.agent), what="agent")
        await control.open()

        def drain(*words: str) -> tuple[int, str, str]:
            out, err = io.StringIO(), io.StringIO()
            code = drain_command.main([*words, "--socket", str(control.path)], {}, out, err)
            return code, out.getvalue(), err.getvalue()

        code, out, err = await asyncio.to_thread(drain, "--wait", "0.1")
        assert (code, err) == (0, "")
        assert out.splitlines() == [
            "1 neighbours are told that b is about to go",
            "routes are withdrawn",
            "every neighbour knows: it is safe to stop",
        ]
        await until(lambda: heard(a) == [])
        code, out, err = await asyncio.to_thread(drain, "--end")
        assert (code, out.startswith("ended"), err) == (0, True, "")
        await until(lambda: heard(a) == [(100, False)])
        await control.close()
        code, _, err = await asyncio.to_thread(drain)
        assert code == 1
        assert "no agent is running here" in err


@pytest.mark.parametrize("wait", ["-1", "x", "1e9", "nan"])
def test_a_wait_that_is_none(wait: str) -> None:
    err = io.StringIO()
    assert drain_command.main(["--wait", wait], {}, io.StringIO(), err) == 2
    assert "write seconds" in err.getvalue()


def looked(*found: dict[str, Any] | None) -> tuple[int, str, str]:
    """What the command says of these answers, the last of them for ever."""
    answers = list(found)

    def look() -> dict[str, Any]:
        return {"draining": answers.pop(0) if len(answers) > 1 else answers[0]}

    out, err = io.StringIO(), io.StringIO()
    code = drain_command._wait(look, 1.0, out, err, lambda _: None)
    return code, out.getvalue(), err.getvalue()


def test_a_neighbour_that_does_not_read() -> None:
    code, out, err = looked({"withdrawn": False, "safe": False}, {"withdrawn": True, "safe": False})
    assert (code, out) == (1, "routes are withdrawn\n")
    assert "does not take what it is told" in err


def test_somebody_else_ends_it() -> None:
    code, _, err = looked({"withdrawn": False, "safe": False}, None)
    assert code == 1
    assert "somebody else" in err


def test_deadlines() -> None:
    drain = Drain(10.0, 20.0)
    assert (drain.next_deadline(15.0), drain.next_deadline(20.0)) == (20.0, None)
