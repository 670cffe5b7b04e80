"""Writes to an etcd in a network namespace: all changes of a scenario in one transaction."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from demo.lab import Host


class EtcdDoor:
    """Puts and deletes through etcd's JSON gateway, over a socket that was made in the host's namespace."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def change(self, puts: Mapping[str, str], deletes: Iterable[str] = ()) -> int:
        """All at one revision, which is returned."""
        steps: list[dict[str, Any]] = [{"request_delete_range": {"key": _b64(key)}} for key in deletes]
        steps += [{"request_put": {"key": _b64(key), "value": _b64(value)}} for key, value in puts.items()]
        return int(self._call("/v3/kv/txn", {"success": steps})["header"]["revision"])

    def get(self, key: str) -> str | None:
        """The value of a key."""
        found = self._call("/v3/kv/range", {"key": _b64(key)}).get("kvs")
        return base64.b64decode(found[0].get("value", "")).decode() if found else None

    def _call(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        with self._host.socket(socket.AF_INET, socket.SOCK_STREAM) as connected:
            connected.settimeout(10)
            connected.connect((self._host.address, 2379))
            connection = http.client.HTTPConnection(self._host.address, 2379)
            connection.sock = connected
            connection.request("POST", path, json.dumps(request))
            reply = connection.getresponse()
            document: dict[str, Any] = json.loads(reply.read())
        if reply.status != 200:
            raise RuntimeError(f"{path}: {document}")
        return document


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
