"""`--print-bird-config`: reads the datastore once, prints, and leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TextIO

from calico_route.datastore import Datastore
from calico_route.discovery import Found
from calico_route.identity import Identity
from calico_route.ourselves import Ourselves
from calico_route.sessions import Options
from calico_route.view import View, fold

from .configuration import bird_configuration

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that the datastore gets to answer."""


async def print_configuration(
    datastore: Datastore,
    identity: Identity,
    options: Options,
    find: Callable[[], Found | None],
    version: int,
    out: TextIO,
    patience: float = PATIENCE,
) -> int:
    """Print the configuration for one IP version; returns the exit code. Nothing is written anywhere else."""
    try:
        async with asyncio.timeout(patience):
            view = await _read(datastore)
    except TimeoutError:
        log.error("no answer in %g s: %s", patience, datastore.status)
        return 1
    finally:
        await datastore.close()
    ourselves = Ourselves(identity, datastore, find=find, register=False, retry=patience, on_change=lambda: None)
    ourselves.look(view, anew=True)
    out.write(bird_configuration(view, ourselves.identity, options, version=version))
    return 0


async def _read(datastore: Datastore) -> View:
    async for update in datastore.follow():
        return fold(View(), update)
    return View()
