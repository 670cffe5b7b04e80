"""Cells of the matrix as tests. `make interop` runs them all; here the quick rows, or all with INTEROP=all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.interop.absent import ABSENT
from tests.interop.cell import DAEMONS, Outcome, run
from tests.interop.features import FEATURES, Row

pytestmark = [pytest.mark.netns, pytest.mark.daemon]
ALL = os.environ.get("INTEROP") == "all"
CELLS = [(daemon, row) for row in FEATURES if ALL or row.quick for daemon in DAEMONS]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[tuple[str, str], Future[Outcome]]]:
    """All the cells run at once, in namespaces of their own: they wait more than they work."""
    with ThreadPoolExecutor(4) as pool:
        yield {
            (daemon, row.name): pool.submit(run, daemon, row.name, row.feature)
            for daemon, row in CELLS
            if DAEMONS[daemon].missing() is None
        }


@pytest.mark.parametrize(("daemon", "row"), CELLS, ids=[f"{daemon}-{row.name}" for daemon, row in CELLS])
def test_cell(outcomes: dict[tuple[str, str], Future[Outcome]], daemon: str, row: Row) -> None:
    missing = DAEMONS[daemon].missing()
    if missing is not None:
        pytest.skip(missing)
    outcome = outcomes[daemon, row.name].result()
    assert outcome.state != "fails", f"{outcome.reason}\n{outcome.log}"


def test_every_evidence_is_of_a_cell() -> None:
    names = [row.name for row in FEATURES]
    assert len(set(names)) == len(names)
    assert all(daemon in DAEMONS and name in names for daemon, name in ABSENT)
