"""The lab, with what its processes said where a test fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.lab import Lab

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed:
        item.stash[FAILED] = True


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    with Lab("e2e") as made:
        yield made
        if request.node.stash.get(FAILED, False):
            for process in made.processes:
                print(f"\n-- {process.name} (exit status {process.popen.poll()}):")
                print("\n".join(process.text().splitlines()[-60:]))
