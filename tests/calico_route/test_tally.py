"""The number of announced addresses in the log, now and then."""

from __future__ import annotations

import asyncio
import logging

import pytest

from calico_route import tally as tally_module
from calico_route.desired import Desired
from calico_route.tally import Tally
from pybgp import Prefix


def wanted(*texts: str, withheld: int = 0) -> Desired:
    refused = {Prefix(f"172.16.0.{number}/32"): "in no IP pool" for number in range(withheld)}
    return Desired(None, {}, frozenset(map(Prefix, texts)), refused, ())


async def test_at_once_then_summed_up(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "PAUSE", 0.05)
    caplog.set_level(logging.INFO, "calico_route")
    tally = Tally()
    tally.note(wanted())
    assert not caplog.messages, "nothing to say"
    tally.note(wanted("10.0.0.1/32"))
    assert caplog.messages == ["addresses of workloads: 1 announced (1 new, 0 gone)"]
    for number in range(2, 50):
        tally.note(wanted("10.0.0.9/32", f"10.0.1.{number}/32", withheld=2))
    assert len(caplog.messages) == 1
    async with asyncio.timeout(10):
        while len(caplog.messages) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert caplog.messages[1] == (
        "addresses of workloads: 2 announced (2 new, 1 gone); 2 not announced, `status` tells why"
    )
    tally.close()
