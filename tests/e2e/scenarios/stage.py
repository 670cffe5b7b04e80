"""A live node among stock software, which the scenarios put states of etcd before.

`host1` runs the agent. `host2` is a stock node: BIRD with its block and a borrowed address. `tor` is the host of the
routers: on each of its addresses another session is waited for, so that a BGPPeer chooses what it meets by its peerIP.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calico_route.status import NoAgentError, ask
from demo.agent import Agent
from demo.etcd import Etcd
from demo.lab import Lab, LabError, wait_for
from tests.e2e.bird import Bird
from tests.e2e.scenarios.etcd_door import EtcdDoor
from tests.e2e.scenarios.objects import BASE, BORROWED, IN_BLOCK, SIX_BORROWED, State, bgp_filter
from tests.e2e.scenarios.stock import Ours, Router, StockNode, start_routers

UP, DOWN = "Established", "down"
SETTLE = 25.0
"""Seconds that a scenario may take on a busy machine."""


@dataclass(frozen=True)
class Seen:
    """What can be seen of the node from outside, and what it says. Sessions: the state by the neighbour's address."""

    sessions: frozenset[tuple[str, str]]
    stock: frozenset[str]  # what the stock node has been told
    tor: frozenset[str]  # what the routers have been told
    kernel: frozenset[str]  # routes of protocol bird, in few words
    said: tuple[str, ...] = field(compare=False, default=())

    def differences(self, other: Seen) -> list[str]:
        """What `other`, which was to be seen, has more and less."""
        found = []
        for name in ("sessions", "stock", "tor", "kernel"):
            there, right = getattr(self, name), getattr(other, name)
            if there != right:
                found.append(f"{name}: missing {sorted(right - there)}, too much {sorted(there - right)}")
        return found


class Stage:
    """All of it, started once; `show` puts a state of etcd there, `seen` looks, and `settle` waits."""

    def __init__(self, lab: Lab, *flags: str) -> None:
        self.lab = lab
        secrets = lab.directory / "secrets"
        (secrets / "bgp").mkdir(parents=True)
        (secrets / "bgp" / "tor").write_text("hunter2")
        (secrets / "bgp" / "mesh").write_text("swordfish")
        self.flags = (*flags, "--secrets-dir", str(secrets))
        store = lab.host("store", "192.168.78.10/24")
        self.etcd, self._door = Etcd(store, lab.directory / "etcd"), EtcdDoor(store)
        self.host = lab.host("host1", "192.168.78.21/24", "2001:db8:78::21/64")
        self.host.run("ip", "address", "add", "192.168.78.31/24", "dev", self.host.interface)
        # Where the kernel has no ipip, a veth of that name stands for the tunnel: routes look the same.
        self.host.run("ip", "link", "add", "tunl0", "type", "veth", "peer", "name", "tunl0-end")
        for interface in ("tunl0", "tunl0-end"):
            self.host.run("ip", "link", "set", interface, "up")
        self.stock = StockNode(lab.host("host2", "192.168.78.22/24", "2001:db8:78::22/64"))
        self.routers: dict[str, tuple[Router, Bird]] = {}
        self.agent = Agent(self.host, self.etcd.url, *self.flags)
        self.agent.addresses = False  # they are the Node's, which scenarios change
        self._there: dict[str, str] = {}
        self._shown = 0

    def start(self, *, routers: bool = True) -> None:
        self.etcd.start()
        for number, address in enumerate((IN_BLOCK, BORROWED, SIX_BORROWED), 1):
            self.lab.container(self.host, f"c{number}", address.partition("/")[0])
        self.stock.start()
        if routers:
            self.routers = start_routers(self.lab.host("tor", "192.168.78.254/24", "2001:db8:78::fe/64"))
        self._put(BASE)
        self.start_agent()

    def start_agent(self, *flags: str, env: Mapping[str, str] | None = None) -> None:
        """With these beside those of the stage."""
        self.agent.flags, self.agent.env = (*self.flags, *flags), dict(env or {})
        self.agent.start()
        wait_for("the agent answers", lambda: self.status().get("datastore", {}).get("in_force"), 30)

    def restart_agent(self, *flags: str, env: Mapping[str, str] | None = None) -> None:
        """As `systemctl restart` does it, with these flags beside those of the stage."""
        self.agent.kill(signal.SIGTERM)
        self.start_agent(*flags, env=env)

    def show(self, state: State, *, in_force: bool = True) -> None:
        """The base with this state, until the agent acts upon it; if it must not, until it has read it."""
        self._shown += 1
        mark = bgp_filter("shown", exportV4=[{"action": "Accept", "priority": self._shown}])  # named by no BGPPeer
        wanted = {key: value for key, value in {**BASE, **state, **mark}.items() if value is not None}
        revision = self._put(wanted)
        field_name = "in_force" if in_force else "revision"
        wait_for(
            "the agent has read it",
            lambda: self.status().get("datastore", {}).get(field_name, 0) >= revision,
            SETTLE,
        )

    def _put(self, wanted: Mapping[str, str]) -> int:
        changed = {key: value for key, value in wanted.items() if self._there.get(key) != value}
        revision = self._door.change(changed, self._there.keys() - wanted.keys())
        self._there = dict(wanted)
        return revision

    def status(self) -> dict[str, Any]:
        try:
            return ask(Path(self.agent.socket))
        except NoAgentError:
            return {}

    def seen(self) -> Seen:
        status = self.status()
        peers = status.get("peers", [])
        reasons = [f"{peer['address']}: {peer.get('why_not') or peer.get('last_error')}" for peer in peers]
        held = [hold["what"] for hold in status.get("held_back", [])]
        told: set[str] = set()
        for address in {peer["address"] for peer in peers} & self.routers.keys():
            router, bird = self.routers[address]
            told |= _told(bird, router.protocol(address))
        return Seen(
            frozenset((peer["address"], UP if peer["state"] == UP else DOWN) for peer in peers),
            frozenset(_told(self.stock, "Mesh") | _told(self.stock, "Mesh6")),
            frozenset(told),
            frozenset(self.kernel_routes()),
            (*status.get("problems", []), *held, *reasons),
        )

    def kernel_routes(self) -> list[str]:
        """Those of protocol bird."""
        return whole([*self.host.routes("proto", "bird"), *self.host.routes("proto", "bird", family=6)])

    def settle(self, wanted: Seen, said: Sequence[str] = ()) -> None:
        """Until the node looks so, twice. Raises LabError with what is different."""
        last: list[Seen] = []

        def unsaid() -> list[str]:
            text = "\n".join(last[0].said)
            return [part for part in said if part not in text]

        def reached() -> bool:
            last[:] = [self.seen()]
            return last[0] == wanted and not unsaid()

        try:
            wait_for("the state", reached, SETTLE)
            wait_for("the state, still", reached, SETTLE)
        except LabError:
            wrong = [*last[0].differences(wanted), *(f"not said: {part!r}" for part in unsaid())]
            raise LabError("\n".join([*wrong, *last[0].said])) from None

    def expect(self, ours: Ours) -> None:
        """The stock node is told what we are, as its confd would."""
        self.stock.expect(ours)


def _told(bird: Bird, protocol: str) -> set[str]:
    table = "master6" if protocol in ("Mesh6", "six") else "master4"
    return bird.prefixes(table, "protocol", protocol)


def compact(line: str) -> str:
    """A route of the kernel in few words: destination, where to, metric."""
    words = line.split()
    if words[0] == "blackhole":
        return " ".join(words[:2])
    found = words[0]
    for word in ("via", "metric"):
        if word in words:
            found += f" {word} {words[words.index(word) + 1]}"
    if "tunl0" in words:
        found += " dev tunl0" + (" onlink" if "onlink" in words else "")
    return found.removesuffix(" metric 1024") if ":" in words[0] else found  # IPv6 has it always


def whole(lines: Iterable[str]) -> list[str]:
    """Routes; of several next hops the lines that follow belong to the first. A link-local next hop has no name."""
    found: list[str] = []
    for line in lines:
        if line.startswith("nexthop"):
            found[-1] += f" + {line.split()[2]}"
        else:
            found.append(compact(line))
    return [re.sub(r"fe80::\S+", "link-local", line) for line in found]
