"""What every test shares: nothing is left out silently, and in CI nothing is left out at all."""

from __future__ import annotations

import os

import pytest

from demo.lab import why_impossible


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `netns` are skipped, with the reason, where no network namespace can be made."""
    if not any(item.get_closest_marker("netns") for item in items):
        return
    reason = why_impossible()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("netns"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: there everything can be installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI"):
        terminalreporter.write_line(f"{len(skipped)} skipped, and in CI nothing may be: see the reasons above.")
