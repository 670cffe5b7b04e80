"""Members of Docker's JSON, which may be null or of any type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from calico_route.workload.ports import WorkloadError

_PROFILE = re.compile(r"[A-Za-z0-9_.-]{1,253}")


def text(document: Mapping[str, Any], name: str) -> str:
    """A text; "" where it is null or absent. WorkloadError."""
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WorkloadError(f"{name} {str(value)[:60]!r} is no text")
    return value


def table(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; empty where it is null or absent. WorkloadError."""
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WorkloadError(f"{name} {str(value)[:60]!r} is no object")
    return value


def texts(document: Mapping[str, Any], name: str) -> dict[str, str]:
    """The texts of an object."""
    return {key: value for key, value in table(document, name).items() if isinstance(value, str)}


def profiles(written: str, where: str) -> tuple[str, ...]:
    """Names separated by commas. WorkloadError naming `where` they were written."""
    names = tuple(dict.fromkeys(one.strip() for one in written.split(",") if one.strip()))
    for name in names:
        if not _PROFILE.fullmatch(name) or name in (".", ".."):
            raise WorkloadError(
                f"{where}: {name[:80]!r} is no name of a profile; letters, digits, _, . and - are possible, and commas "
                "between several"
            )
    return names
