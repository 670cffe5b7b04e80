"""What a running speaker answers on its control socket: looks at it, and what an operator may do to it.

docs/run.md has the requests, docs/schema/control.json the answers. Every request is an object with `request`, its
name, and the members that it takes; a member that it does not take is an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pybgp.app.documents import (
    explanation_document,
    identifier,
    peer_detail,
    peer_summary,
    route_document,
)
from pybgp.app.policy_words import CONDITIONS, Sets
from pybgp.control import Answer, Members
from pybgp.errors import BGPError
from pybgp.family import Family
from pybgp.policy import Condition, all_of
from pybgp.speaker import PeerHandle, Speaker
from pybgp.version import VERSION

PEERS_A_LINE = 50
ROUTES_A_LINE = 200
LONGEST_REASON = 255  # octets of a shutdown communication, RFC 9003
FILTERS = tuple(key for key in CONDITIONS if not key.endswith("_set"))


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload of the file came to: whether the new file is in use, and the lines of the log about it."""

    done: bool
    log: tuple[str, ...]


class Desk:
    """Answers for one speaker. `now` is the event loop's clock; `file` what it was started with."""

    def __init__(self, speaker: Speaker, file: str, reload: Callable[[], Reloaded], now: Callable[[], float]) -> None:
        self._speaker = speaker
        self._file = file
        self._reload = reload
        self._started = time.time()
        self._clock = time.time() - now()  # taken once, so that the same moment always has the same name
        self._requests: dict[str, tuple[Answer, frozenset[str]]] = {
            "speaker": (self._about, frozenset()),
            "peers": (self._peers, frozenset()),
            "peer": (self._peer, frozenset({"address"})),
            "routes": (self._routes, frozenset({"what", "received", "advertised", "rejected", "family", "where"})),
            "explain": (self._explain, frozenset({"what", "family"})),
            "disable": (self._disable, frozenset({"address", "reason"})),
            "enable": (self._enable, frozenset({"address"})),
            "reset": (self._reset, frozenset({"address", "reason"})),
            "refresh": (self._refresh, frozenset({"address", "family"})),
            "reload": (self._reread, frozenset()),
        }

    def answer(self, request: Members) -> Members | Iterator[Members]:
        """ValueError for a request that is not known, or what it asks for cannot be."""
        name = request.get("request")
        known = self._requests.get(name) if isinstance(name, str) else None
        if known is None:
            raise ValueError(f"unknown request {str(name)[:40]!r}: there are {', '.join(self._requests)}")
        make, takes = known
        extra = sorted(request.keys() - takes - {"id", "request"})
        if extra:
            raise ValueError(f"{name} takes no {extra[0][:40]!r}: it takes {', '.join(sorted(takes)) or 'nothing'}")
        try:
            return make(request)
        except BGPError as error:
            raise ValueError(str(error)) from None

    # looking

    def _about(self, _request: Members) -> Members:
        peers = self._speaker.peers().values()
        return {
            "speaker": {
                "version": VERSION,
                "pid": os.getpid(),
                "file": self._file,
                "since": round(self._started, 1),
                "as": self._speaker.local_as,
                "bgp_identifier": identifier(self._speaker.bgp_identifier),
                "listening": [{"address": address, "port": port} for address, port in self._speaker.listening],
                "peers": len(peers),
                "established": sum(peer.established for peer in peers),
            }
        }

    def _peers(self, _request: Members) -> Iterator[Members]:
        peers = iter(self._speaker.peers().values())
        while some := list(islice(peers, PEERS_A_LINE)):
            yield {"peers": [peer_summary(peer, self._clock) for peer in some]}
        if not self._speaker.peers():
            yield {"peers": []}

    def _peer(self, request: Members) -> Members:
        handle = self._handle(request)
        return {"peer": peer_detail(handle.snapshot, handle.config, self._clock)}

    def _routes(self, request: Members) -> Iterator[Members]:
        family = _text(request, "family")
        parts = self._speaker.table(
            _text(request, "what"),
            family=None if family is None else Family.parse(family),
            received=_text(request, "received"),
            advertised=_text(request, "advertised"),
            rejected=_switch(request, "rejected"),
            wanted=_where(request.get("where", {})),
        )
        return _in_lines(parts)

    def _explain(self, request: Members) -> Members:
        what, family = _text(request, "what", required=True), _text(request, "family")
        assert what is not None
        explanation = self._speaker.explain(what, None if family is None else Family.parse(family))
        return {"explanation": explanation_document(explanation)}

    # doing

    def _disable(self, request: Members) -> Members:
        handle = self._handle(request)
        handle.shutdown(_reason(request))
        return {"done": f"{handle.address} is shut down until it is enabled"}

    def _enable(self, request: Members) -> Members:
        handle = self._handle(request)
        handle.start()
        return {"done": f"{handle.address} is enabled"}

    def _reset(self, request: Members) -> Members:
        handle = self._handle(request)
        if handle.snapshot.administratively_down:
            raise ValueError(f"{handle.address} is shut down: enable it first")
        handle.reset(_reason(request))
        return {"done": f"{handle.address} is reset"}

    def _refresh(self, request: Members) -> Members:
        handle, family = self._handle(request), _text(request, "family")
        handle.refresh(None if family is None else Family.parse(family))
        return {"done": f"{handle.address} was asked for its routes{'' if family is None else f' of {family}'}"}

    def _reread(self, _request: Members) -> Members:
        reloaded = self._reload()
        if not reloaded.done:
            raise ValueError("\n".join(reloaded.log))
        return {"done": f"{self._file} was read", "log": list(reloaded.log)}

    def _handle(self, request: Members) -> PeerHandle:
        address = _text(request, "address", required=True)
        assert address is not None
        try:
            return self._speaker.peer(address)
        except BGPError:
            known = ", ".join(islice(self._speaker.peers(), 20)) or "none"
            raise ValueError(f"{address[:60]!r} is no peer of this speaker; its peers are: {known}") from None


def _in_lines(parts: Iterator[list[Any]]) -> Iterator[Members]:
    """Slices of the table as lines of routes; nothing is collected beyond one slice. An empty slice is a short line,
    so that a long search without a find holds up nothing."""
    sent = False
    for part in parts:
        for start in range(0, len(part), ROUTES_A_LINE) or (0,):
            yield {"routes": [route_document(route) for route in part[start : start + ROUTES_A_LINE]]}
            sent = True
    if not sent:
        yield {"routes": []}


def _text(request: Members, name: str, *, required: bool = False) -> str | None:
    value = request.get(name)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text, not {str(value)[:40]!r}")
    return value


def _switch(request: Members, name: str) -> bool:
    value = request.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {str(value)[:40]!r}")
    return value


def _reason(request: Members) -> str:
    reason = _text(request, "reason") or ""
    if len(reason.encode("utf-8", "replace")) > LONGEST_REASON:
        raise ValueError(f"reason: a shutdown communication has at most {LONGEST_REASON} octets (RFC 9003)")
    return reason


def _where(value: Any) -> Condition | None:
    """The conditions of a policy's rule, all of which must hold."""
    if not isinstance(value, dict):
        raise ValueError(f"where must be an object of conditions, not {str(value)[:40]!r}")
    conditions = []
    for key, wanted in value.items():
        if key not in FILTERS:
            raise ValueError(f"where: there is no condition {key[:40]!r}; there are {', '.join(FILTERS)}")
        try:
            conditions.append(CONDITIONS[key](wanted, Sets()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"where: {key}: {error}") from None
    return all_of(*conditions) if conditions else None
