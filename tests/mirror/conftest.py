"""The lab of the end-to-end tests serves here as well."""

from tests.e2e.conftest import lab, pytest_runtest_makereport

__all__ = ["lab", "pytest_runtest_makereport"]
