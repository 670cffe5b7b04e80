"""The stage, which all scenarios share: each finds it as the one before has left it, as a cluster would."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.lab import Lab
from tests.e2e.scenarios.stage import Stage


@pytest.fixture(scope="package")
def stage() -> Iterator[Stage]:
    with Lab("scen") as lab:
        made = Stage(lab, "--announce", "blocks", "--workloads-from", "kernel")
        made.start()
        yield made
