"""An agent's workloads alone in a process of their own, on real kernel, etcd and disk. IPAM and rules are simple ones
that outlive it: addresses in etcd below /test/, rules as files.

    python -m tests.calico_route.workload.process ETCD NODE STATE SOCKET [--die-after STEP]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calico_route import log as logs
from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import EtcdSettings, parse_endpoint
from calico_route.etcd.store import Store, Write
from calico_route.model import WorkloadEndpoint
from calico_route.workload import WorkloadError, Workloads, WorkloadSocket

TAKEN = b"/test/"


class StoredAddresses:
    """192.168.0.1 and up, fd80::1 and up: a key for each address, with its handle."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def assign(
        self, handle: str, *, versions: Sequence[int] = (4,), pools: Sequence[str] = (), attributes: Mapping[str, str]
    ) -> tuple[str, ...]:
        found = []
        for version in versions:
            number = 1
            while True:
                address = f"192.168.{number >> 8}.{number & 255}" if version == 4 else f"fd80::{number:x}"
                if await self._store.create(TAKEN + address.encode(), handle.encode()):
                    break
                number += 1
            found.append(address)
        return tuple(found)

    async def claim(self, handle: str, addresses: Sequence[str], *, attributes: Mapping[str, str]) -> None:
        for address in addresses:
            key = TAKEN + address.encode()
            if not await self._store.create(key, handle.encode()):
                held = await self._store.get(key)
                if held is None or held.value != handle.encode():
                    raise WorkloadError(f"{address} is taken", code="taken")

    async def release(self, handle: str) -> tuple[str, ...]:
        held = (await self._store.snapshot([TAKEN], lambda _, value: value == handle.encode())).values
        for key in held:
            await self._store.transact([Write(key, None)])
        return tuple(key.removeprefix(TAKEN).decode() for key in held)


class FiledRules:
    """A file for each interface that has rules."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def admit(self, endpoint: WorkloadEndpoint) -> None:
        (self._directory / endpoint.interface).write_text(json.dumps(endpoint.profiles))

    async def dismiss(self, interface: str) -> None:
        (self._directory / interface).unlink(missing_ok=True)


class Dying(Workloads):
    """Ends by SIGKILL after a step."""

    after = ""

    def reached(self, what: str, record: Any) -> None:
        super().reached(what, record)
        if what == self.after:
            os.kill(os.getpid(), signal.SIGKILL)


async def run(flags: argparse.Namespace) -> None:
    store = open_store(EtcdSettings(endpoints=(parse_endpoint(flags.etcd),), driver="http"))
    state = Path(flags.state)
    Dying.after = flags.die_after
    rules = FiledRules(state / "rules")
    workloads = Dying(store, StoredAddresses(store), rules, node=flags.node, state_dir=state)
    await workloads.repair()
    socket = WorkloadSocket(Path(flags.socket), workloads)
    await socket.open()
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    await socket.close()
    await workloads.close()
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("etcd", "node", "state", "socket"):
        parser.add_argument(name)
    parser.add_argument("--die-after", default="")
    logs.configure("debug", "text")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
