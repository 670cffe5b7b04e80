"""Which driver runs: aioetcd3 where it can be imported, else (or by choice) the JSON gateway."""

from __future__ import annotations

import logging

from .driver_http import HttpStore
from .settings import EtcdSettings, SettingsError
from .store import Store

log = logging.getLogger(__name__)

_told: set[str] = set()


def open_store(settings: EtcdSettings) -> Store:
    """A store for these settings; call it inside the event loop. Nothing is connected yet.

    SettingsError where aioetcd3 is asked for by name and cannot be imported.
    """
    if settings.driver == "http":
        return HttpStore(settings)
    try:
        from .driver_aioetcd3 import Aioetcd3Store
    except Exception as error:  # a broken grpc or protobuf raises anything at import
        reason = f"aioetcd3 cannot be used here ({type(error).__name__}: {error})"
        if settings.driver == "aioetcd3":
            raise SettingsError(f"--etcd-driver aioetcd3: {reason}; use --etcd-driver http") from error
        if reason not in _told:
            _told.add(reason)
            log.warning("%s: speaking to etcd's JSON gateway instead", reason)
        return HttpStore(settings)
    return Aioetcd3Store(settings)
