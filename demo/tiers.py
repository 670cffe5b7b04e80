"""The article's rules: three tiers, who may reach whom on which port, and real connections that show it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

WEB_PORTS, DB_PORT = (80, 443), 3306
PORTS = (22, 80, 443, 3306, 8080)

_OUT = [{"action": "allow"}]


def _profile(name: str, *inbound: Mapping[str, Any]) -> dict[str, Any]:
    own = {"action": "allow", "src_tag": name}
    return {"id": name, "inbound_rules": [own, *inbound], "outbound_rules": _OUT}


PROFILES: Mapping[str, Mapping[str, Any]] = {
    "web": _profile("web", {"action": "allow", "protocol": "tcp", "dst_ports": list(WEB_PORTS)}),
    "app": _profile("app", {"action": "allow", "src_tag": "web"}),
    # As printed the article has the tag "APP" here, which nobody carries: it would let nobody in.
    "db": _profile("db", {"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [DB_PORT]}),
}

OPENED: Mapping[str, Any] = _profile(
    "db", {"action": "allow", "src_tag": "app", "protocol": "tcp", "dst_ports": [DB_PORT, 8080]}
)
"""The rule update: one port more for the database."""


class Probe(NamedTuple):
    """A connection that is tried."""

    source: str
    target: str
    port: int


def allowed(probe: Probe, profile_of: Mapping[str, str], *, opened: bool = False) -> bool:
    """Whether the article's rules let it through. Who has no profile here is a stranger."""
    source, target = profile_of.get(probe.source), profile_of[probe.target]
    if source == target:
        return True
    if target == "web":
        return probe.port in WEB_PORTS
    if target == "app":
        return source == "web"
    return source == "app" and (probe.port == DB_PORT or (opened and probe.port == 8080))


def listening(ports: Sequence[int] = PORTS) -> list[str]:
    """The command of a container that answers on these ports with their number."""
    one = "while :; do nc -l -p $p -e echo $p; done"
    return ["sh", "-c", f"for p in {' '.join(map(str, ports))}; do ({one}) & done; wait"]


def trying(targets: Iterable[tuple[str, str, int]], patience: int = 2) -> list[str]:
    """The command that tries all connections at once: (name, address, port). It prints a line `name port` for each that
    is answered."""
    each = [
        f'( [ "$(nc -w {patience} {address} {port} </dev/null 2>/dev/null)" = {port} ] && echo {name} {port} ) &'
        for name, address, port in targets
    ]
    return ["sh", "-c", " ".join([*each, "wait"])]


def matrix(
    addresses: Mapping[str, str],
    sources: Mapping[str, Callable[[list[str]], str]],
    profile_of: Mapping[str, str],
    *,
    opened: bool = False,
) -> tuple[str, int]:
    """Try everything from everywhere: a table of the ports that are expected to answer and those that were seen to, and
    how many connections were not as expected. `sources` run a command where they are."""
    wrong = 0
    rows = [["from", "to", "expected", "seen", ""]]
    for source, run in sources.items():
        targets = [(name, address, port) for name, address in addresses.items() if name != source for port in PORTS]
        lines = [line.split() for line in run(trying(targets)).splitlines() if line.strip()]
        seen = {(name, int(port)) for name, port in lines}
        for name in addresses:
            if name == source:
                continue
            expected = [port for port in PORTS if allowed(Probe(source, name, port), profile_of, opened=opened)]
            found = [port for port in PORTS if (name, port) in seen]
            differences = len(set(expected) ^ set(found))
            wrong += differences
            rows.append([source, name, _ports(expected), _ports(found), "DIFFERS" if differences else "as expected"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(table), wrong


def _ports(ports: Sequence[int]) -> str:
    return " ".join(map(str, ports)) or "none"


def document(name: str) -> str:
    """A profile's JSON, as `profile NAME rule update` reads it."""
    return json.dumps(PROFILES[name])
