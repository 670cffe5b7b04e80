"""Workloads over doubles."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from calico_route.workload import Workloads, watch
from calico_route.workload import repair as repair_module
from calico_route.workload import workloads as workloads_module
from tests.calico_route.workload.doubles import (
    MemoryAddresses,
    MemoryDataplane,
    MemoryProfiles,
    MemoryRules,
    MemoryStore,
)


@dataclass
class Host:
    """What outlives a process: datastore, addresses, rules, kernel, disk. `trace` is what was done, in order."""

    state: Path
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryStore()
        self.addresses = MemoryAddresses(self.trace)
        self.rules = MemoryRules(self.trace)
        self.profiles = MemoryProfiles()
        self.kernel = MemoryDataplane(self.trace)
        self.netns = self.state / "netns"
        self.netns.touch()

    @contextlib.asynccontextmanager
    async def running(self, kind: type[Workloads] = Workloads, **settings: Any) -> AsyncIterator[Workloads]:
        settings = {"patience": 0.05, "profiles": self.profiles, **settings}
        made = kind(
            self.store,  # type: ignore[arg-type]
            self.addresses,
            self.rules,
            node="host1",
            state_dir=self.state,
            **settings,
        )
        await made.repair()
        try:
            yield made
        finally:
            await made.close()

    def left(self) -> dict[str, Any]:
        """All that may be there of workloads, by place; nothing: {}."""
        places = {
            "interfaces": sorted(self.kernel.links),
            "routes": sorted(self.kernel.routes),
            "endpoints": sorted(self.store.values),
            "addresses": dict(self.addresses.held),
            "rules": sorted(self.rules.admitted),
            "journal": [one.name for one in (self.state / "host1.workloads").glob("*")],
        }
        return {place: what for place, what in places.items() if what}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    for module in (workloads_module, repair_module):
        monkeypatch.setattr(module, "dataplane", made.kernel)
    for name in ("open", "close"):  # of the kernel that is not here
        monkeypatch.setattr(watch.LinkWatch, name, lambda self: None)
    monkeypatch.setattr(repair_module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(repair_module, "LONGEST_PAUSE", 0.02)
    return made
