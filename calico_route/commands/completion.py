"""Names for the shell, from etcd if it answers at once."""

from __future__ import annotations

import asyncio
import logging
import os

from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import SettingsError
from calico_route.etcd.store import StoreError

from .command import etcd_settings
from .objects import Kind, Objects

PATIENCE = 1.0
"""Seconds: somebody has pressed a key and waits."""


def stored_names(kind: Kind, begun: str) -> list[str]:
    """The names of a kind that begin so; none where etcd does not answer: the shell then offers nothing."""
    logging.getLogger("calico_route").addHandler(logging.NullHandler())
    try:
        return asyncio.run(asyncio.wait_for(_names(kind, begun), PATIENCE))
    except (StoreError, SettingsError, TimeoutError):
        return []


async def _names(kind: Kind, begun: str) -> list[str]:
    store = open_store(etcd_settings({}, os.environ))
    try:
        return [one.name for one in await Objects(store).all(kind) if one.name.startswith(begun)]
    finally:
        await store.close()
