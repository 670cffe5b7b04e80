"""One scenario: a state of etcd, and what is then to be seen of the node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from demo.lab import wait_for
from tests.e2e.bird import Bird
from tests.e2e.scenarios.objects import (
    BORROWED,
    OWN_BLOCK,
    SIX_BLOCK,
    SIX_BORROWED,
    State,
    bgp_filter,
    bgp_peer,
)
from tests.e2e.scenarios.stage import DOWN, UP, Seen, Stage
from tests.e2e.scenarios.stock import (
    FROM_STOCK,
    FROM_TOR,
    SIX_FROM_TOR,
    SIX_STOCK,
    STOCK4,
    STOCK6,
    TOR,
    TOR6,
    Ours,
)

OURS = Ours()
Look = Callable[[Stage], bool]

MESH = {STOCK4: UP, STOCK6: UP}
BOTH_DOWN = {STOCK4: DOWN, STOCK6: DOWN}
UNLIKE = " metric 2147483547"  # that of the stock node's LOCAL_PREF 100
OWN4, OWN6 = {OWN_BLOCK, BORROWED}, {SIX_BLOCK, SIX_BORROWED}
OWN = OWN4 | OWN6
POOLED = "192.168.130.0/24"  # what of the routers' routes lies in a pool


def via(address: str, prefixes: Iterable[str], more: str = "") -> set[str]:
    return {f"{prefix.removesuffix('/32')} via {address}{more}" for prefix in prefixes}


HOLES = {f"blackhole {OWN_BLOCK}", f"blackhole {SIX_BLOCK}"}
KERNEL4, KERNEL6 = via(STOCK4, FROM_STOCK), via(STOCK6, {SIX_STOCK})
KERNEL = HOLES | KERNEL4 | KERNEL6


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """`state` is added to the base; what is not said here is as the base shows it.

    `before` is shown first, until the node looks like `first` (None: until it acts upon it). `ours` is what the stock
    node has been told of us. `said` is part of what `status` says, or several such, `more` what is to be seen beside.
    `in_force` False: the node reads the state and must not act upon it.
    """

    name: str
    state: State
    sessions: Mapping[str, str] | None = None
    stock: Iterable[str] | None = None
    tor: Iterable[str] = ()
    kernel: Iterable[str] | None = None
    said: str | Sequence[str] = ""
    more: Sequence[Look] = ()
    before: State | None = None
    first: Seen | None = None
    ours: Ours = OURS
    in_force: bool = True

    @property
    def seen(self) -> Seen:
        return Seen(
            frozenset((MESH if self.sessions is None else self.sessions).items()),
            frozenset(OWN if self.stock is None else self.stock),
            frozenset(self.tor),
            frozenset(KERNEL if self.kernel is None else self.kernel),
        )


def scenario(name: str, state: State, sessions: Mapping[str, str] | None = None, **rest: Any) -> Scenario:
    return Scenario(name=name, state=state, sessions=sessions, **rest)


ALONE: dict[str, Any] = {"sessions": {}, "stock": (), "kernel": HOLES}
"""A node without any session."""
AS_BASE = scenario("the base", {}).seen
LONELY = scenario("no session", {}, **ALONE).seen


def router(
    name: str,
    state: State,
    at: str = TOR,
    *,
    heard: Iterable[str] = FROM_TOR,
    told: Iterable[str] = (*OWN4, *FROM_STOCK),
    onward: Iterable[str] = (POOLED,),
    **rest: Any,
) -> Scenario:
    """A session with a router beside the mesh: `heard` gets into the kernel, `onward` to the stock node."""
    rest.setdefault("kernel", KERNEL | via(at, heard))
    return scenario(name, state, {**MESH, at: UP}, stock=OWN | set(onward), tor=told, **rest)


def router6(
    name: str,
    state: State,
    *,
    heard: Iterable[str] = SIX_FROM_TOR,
    told: Iterable[str] = (*OWN6, SIX_STOCK),
    **rest: Any,
) -> Scenario:
    """The same with IPv6. The next hop is the router's link-local address."""
    kernel = KERNEL | via("link-local", heard)
    return scenario(name, state, {**MESH, TOR6: UP}, tor=told, kernel=kernel, **rest)


def peer(last: int = 254, **spec: object) -> dict[str, str]:
    """A BGPPeer for one of the routers."""
    return bgp_peer(**{"peerIP": f"192.168.78.{last}", "asNumber": 65001, **spec})


def peer6(**spec: object) -> dict[str, str]:
    return bgp_peer(**{"peerIP": TOR6, "asNumber": 65001, **spec})


def filtered(last: int = 254, asn: int = 65001, **spec: object) -> dict[str, str]:
    """A router, through one BGPFilter."""
    return {**bgp_filter(**spec), **peer(last, asNumber=asn, filters=["f"])}


def filtered6(**spec: object) -> dict[str, str]:
    return {**bgp_filter(**spec), **peer6(filters=["f"])}


def listens(*sockets: str) -> Look:
    """The agent's sockets, and no others."""

    def look(stage: Stage) -> bool:
        lines = stage.host.run("ss", "-Hltn").splitlines()
        return {line.split()[3] for line in lines if not line.split()[3].startswith("127.")} == set(sockets)

    return look


def _has(bird: Bird, question: Sequence[str], has: Sequence[str], absent: Sequence[str]) -> bool:
    text = bird.ctl(*question)
    return all(word in text for word in has) and not any(word in text for word in absent)


def at_tor(prefix: str, *words: str, absent: Sequence[str] = (), at: str = TOR) -> Look:
    """What a router says of a route that it was told."""
    return lambda stage: _has(stage.routers[at][1], ("show", "route", prefix, "all"), words, absent)


def at_stock(prefix: str, *words: str, absent: Sequence[str] = ()) -> Look:
    """What the stock node says of a route that it was told."""
    return lambda stage: _has(stage.stock, ("show", "route", prefix, "all"), words, absent)


def session(*words: str, at: str = TOR) -> Look:
    """What the other side says of the session."""

    def look(stage: Stage) -> bool:
        if at in stage.routers:
            description, bird = stage.routers[at]
            return _has(bird, ("show", "protocols", "all", description.protocol(at)), words, ())
        return _has(stage.stock, ("show", "protocols", "all", "Mesh6" if ":" in at else "Mesh"), words, ())

    return look


def parametrized(*groups: Sequence[Scenario]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("one", [pytest.param(one, id=one.name) for some in groups for one in some])


def play(stage: Stage, one: Scenario) -> None:
    """Show it, and wait until all is to be seen. Raises LabError with what is different."""
    if one.before is not None:
        stage.expect(OURS)
        stage.show(one.before)
        if one.first is not None:
            stage.settle(one.first)
    stage.expect(one.ours)
    stage.show(one.state, in_force=one.in_force)
    stage.settle(one.seen, [one.said] if isinstance(one.said, str) else one.said)
    for number, look in enumerate(one.more, 1):
        wait_for(f"what is to be seen beside, {number} of {len(one.more)}", partial(look, stage), 10)
