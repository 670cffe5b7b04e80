"""The profiles of workloads, in a store that is in memory."""

from __future__ import annotations

import pytest

from calico_route.node.profiles import StoredProfiles
from calico_route.workload import WorkloadError
from tests.calico_route.workload.doubles import MemoryStore


async def test_they_are_called_as_people_call_them() -> None:
    store = MemoryStore()
    profiles = StoredProfiles(store, "host1")  # type: ignore[arg-type]
    with pytest.raises(WorkloadError, match="there is no profile PROF_A: calico-route profile add PROF_A") as refused:
        await profiles.ensure(["PROF_A"], create=False)
    assert refused.value.code == "unknown-profile"
    assert not store.values
    [stored] = await profiles.ensure(["PROF_A"], create=True)
    assert stored != "PROF_A"
    assert await profiles.ensure(["PROF_A"], create=False) == (stored,)
    assert len(store.values) == 1
