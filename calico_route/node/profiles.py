"""Profiles by the names that people give them, for workloads: what Calico calls them, and new ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from calico_route.etcd.store import Store
from calico_route.policy import new_profile, stored_name
from calico_route.policy.keys import profile_path
from calico_route.workload import WorkloadError
from calico_route.workload.endpoint import Endpoints


class StoredProfiles:
    """A `Profiles` of workload/ports.py over etcd."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._etcd = Endpoints(store, node)

    async def ensure(self, names: Sequence[str], *, create: bool) -> tuple[str, ...]:
        found = []
        for name in names:
            try:
                stored = stored_name(name)
                path = profile_path(stored)
                document = new_profile(name, uid=uuid4(), created=datetime.now(UTC))
            except ValueError as error:
                raise WorkloadError(f"profile {name!r}: {error}") from None
            value = json.dumps(document, separators=(",", ":")).encode()
            attempt = partial(self._there, path, value if create else None)
            if not await self._etcd.tried(attempt, f"read the profile {name}"):
                words = f"there is no profile {name}: calico-route profile add {name}"
                raise WorkloadError(words, code="unknown-profile")
            found.append(stored)
        return tuple(found)

    async def _there(self, path: bytes, new: bytes | None) -> bool:
        if await self._store.get(path) is not None:
            return True
        if new is not None:
            await self._store.create(path, new)  # if somebody else has just done so, fine
        return new is not None
