"""A speaker's file: TOML to settings, with every error at once; and what changes from one file to the next."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybgp.app.peer_file import POLICIES, ListenSpec, PeerReader, PeerSpec
from pybgp.app.policy_file import read_policies, read_sets
from pybgp.app.reader import Problem, Problems, Table
from pybgp.app.route_file import RouteSpec, read_route
from pybgp.app.toml_lines import Lines, name_of
from pybgp.app.toml_lines import Path as Place
from pybgp.app.where import NONE
from pybgp.config import PeerConfig
from pybgp.policy import Policy
from pybgp.prefix import Prefix, pack_address
from pybgp.rib.decision import DecisionRules

EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class SpeakerFile:
    """All that a file says. `fixed` cannot change while the speaker runs."""

    fixed: dict[str, Any]
    peers: dict[str, PeerSpec]
    routes: dict[Prefix, RouteSpec]
    policies: dict[str, Policy] = field(compare=False)
    policy_values: dict[str, Any] = field(default_factory=dict)  # as written: policies cannot be compared
    listens: dict[Prefix, ListenSpec] = field(default_factory=dict)
    socket: str | None = None  # the path of the control socket, "none", or None: the usual one


def read(path: Path, running: SpeakerFile | None = None) -> SpeakerFile:
    """Read and check a file. Raises Problems with all of its errors, OSError where it cannot be read.

    running: what the speaker was started with; peers go on with its AS and BGP Identifier, whatever the file says now.
    """
    octets = path.read_bytes()
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        raise Problems([Problem(line, "", "the file is not UTF-8")]) from None
    return parse(text, path.parent, running)


def parse(text: str, folder: Path = Path(), running: SpeakerFile | None = None) -> SpeakerFile:
    """Settings of a text. Relative `password_file`s lie in `folder`. Raises Problems with all errors."""
    values = _loaded(text)
    lines = Lines(text)
    problems = [Problem(lines.of(path), name_of(path), "TOML has numbers of 64 bits") for path in _too_large(values)]
    if problems:
        raise Problems(problems)
    top = Table(values, (), lines, problems)
    fixed, defaults, socket = _speaker(top.table("speaker"), folder)
    sets = read_sets(top.table("prefix_set"), top.table("as_set"))
    policies = read_policies(top.table("policy"), sets)
    basis = fixed if running is None else running.fixed
    reader = PeerReader(basis, _identifier(basis["bgp_identifier"]), defaults, policies, folder)
    reader.read_groups(top.table("group"))
    peers: dict[str, PeerSpec] = {}
    for table in top.tables("peer"):
        spec = reader.peer(table)
        if spec is not None and spec.config.address in peers:
            table.problem("address", f"{spec.config.address} is a peer already")
        elif spec is not None:
            peers[spec.config.address] = spec
    listens: dict[Prefix, ListenSpec] = {}
    for table in top.tables("listen_for"):
        listen = reader.listen_for(table)
        if listen is not None and listen.prefix in listens:
            table.problem("prefix", f"{listen.prefix} is listened for already")
        elif listen is not None:
            listens[listen.prefix] = listen
    routes: dict[Prefix, RouteSpec] = {}
    for table in top.tables("route"):
        read_route(table, routes)
    top.close(("speaker", "policy", "prefix_set", "as_set", "group", "peer", "listen_for", "route"))
    if problems:
        raise Problems(problems)
    return SpeakerFile(fixed, peers, routes, policies, _as_written(values), listens, socket)


def _as_written(values: dict[str, Any]) -> dict[str, Any]:
    """Each policy as it stands in the file, with the named sets that it mentions."""
    sets = {(kind, name): value for kind in ("prefix_set", "as_set") for name, value in values.get(kind, {}).items()}
    found = {}
    for name, value in values.get("policy", {}).items():
        words = set(_words(value))
        found[name] = (value, {key: entries for key, entries in sets.items() if key[1] in words})
    return found


def _words(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _words(inner)


def _loaded(text: str) -> dict[str, Any]:
    """The values of a text. Raises Problems, with one, where it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise Problems([Problem(1, "", "the file nests too deep")]) from None
    except ValueError as error:  # mostly a TOMLDecodeError; an int of thousands of digits has no place in its words
        message = str(error)
        found = message.rpartition("(at line ")[2].partition(",")[0]
        at_end = "(at end of document)" in message
        line = int(found) if found.isdecimal() else text.count("\n") + 1 if at_end else 1
        raise Problems([Problem(line, "", message)]) from None


def _too_large(values: dict[str, Any]) -> Iterator[Place]:
    """Where whole numbers are that tomllib takes and nothing can print."""
    left: list[tuple[Place, object]] = [((), values)]
    while left:
        path, value = left.pop()
        if isinstance(value, dict):
            left += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [((*path, number), inner) for number, inner in enumerate(value)]
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            yield path


def _speaker(table: Table, folder: Path) -> tuple[dict[str, Any], dict[str, str | None], str | None]:
    fixed = {
        "local_as": table.take("local_as", int, 0, required=True),
        "bgp_identifier": table.take("bgp_identifier", str, "", required=True),
        "listen": tuple(table.texts("listen")) if "listen" in table.values else EVERYWHERE,
        "port": table.take("port", int, 179),
        "multipath": table.take("multipath", int, 1),
        "decision": _decision(table.table("decision")),
    }
    if "local_as" in table.values and not 0 < fixed["local_as"] <= 0xFFFFFFFF:
        table.problem("local_as", f"must be 1 to 4294967295, not {fixed['local_as']}")
    if not 0 <= fixed["port"] <= 65535:
        table.problem("port", f"must be 0 to 65535, not {fixed['port']}")
    if not 1 <= fixed["multipath"] <= 256:
        table.problem("multipath", f"must be 1 to 256, not {fixed['multipath']}")
    identifier = fixed["bgp_identifier"]
    if identifier and not _is_identifier(identifier):
        table.problem("bgp_identifier", f"must be written as an IPv4 address and not be 0.0.0.0, not {identifier!r}")
    for address in fixed["listen"]:
        table.attempt("listen", b"", pack_address, address)
    defaults = {name: table.take(name, str) for name in POLICIES}
    socket = table.take("socket", str)
    if socket == "":
        table.problem("socket", 'must be a path, or "none"')
    table.close()
    return fixed, defaults, socket if socket in (None, NONE) else str(folder / socket)


def _decision(table: Table) -> DecisionRules:
    switches = {name: table.take(name, bool, row.default) for name, row in DecisionRules.__dataclass_fields__.items()}
    table.close()
    return DecisionRules(**switches)


def _identifier(text: str) -> int:
    return int.from_bytes(pack_address(text)) if _is_identifier(text) else 1


def _is_identifier(text: str) -> bool:
    try:
        packed = pack_address(text)
    except ValueError:
        return False
    return len(packed) == 4 and packed != bytes(4)


@dataclass(frozen=True, slots=True)
class Difference:
    """What leads from one file to the next, in the order in which it is done."""

    restart: tuple[str, ...]  # settings of [speaker] that changed and need a new start
    gone: tuple[str, ...]  # addresses of peers
    new: tuple[PeerSpec, ...]
    changed: tuple[tuple[PeerSpec, frozenset[str]], ...]  # with the names of what changed
    withdrawn: tuple[Prefix, ...]
    announced: tuple[tuple[RouteSpec, tuple[Prefix, ...]], ...]
    closed: tuple[Prefix, ...] = ()  # no longer listened for; what changed is in both
    opened: tuple[ListenSpec, ...] = ()

    def __bool__(self) -> bool:
        peers = (self.restart, self.gone, self.new, self.changed, self.closed, self.opened)
        return any((*peers, self.withdrawn, self.announced))


def difference(old: SpeakerFile, new: SpeakerFile) -> Difference:
    """Pure: nothing for two files that say the same."""
    policies = {
        name
        for name in old.policy_values.keys() | new.policy_values.keys()
        if old.policy_values.get(name) != new.policy_values.get(name)
    }
    changed = []
    for address in old.peers.keys() & new.peers.keys():
        before, after = old.peers[address], new.peers[address]
        names = {name for name in PeerConfig.names() if getattr(before.config, name) != getattr(after.config, name)}
        for direction in POLICIES:
            name = getattr(after, direction)
            if getattr(before, direction) != name or name in policies:
                names.add(direction)
        if names:
            changed.append((after, frozenset(names)))
    return Difference(
        restart=(
            *(key for key in new.fixed if new.fixed[key] != old.fixed[key]),
            *(("socket",) if new.socket != old.socket else ()),
        ),
        gone=tuple(sorted(old.peers.keys() - new.peers.keys())),
        new=tuple(new.peers[address] for address in sorted(new.peers.keys() - old.peers.keys())),
        changed=tuple(changed),
        withdrawn=tuple(sorted(old.routes.keys() - new.routes.keys())),
        closed=tuple(sorted(_others(old.listens, new.listens, policies))),
        opened=tuple(new.listens[prefix] for prefix in sorted(_others(new.listens, old.listens, policies))),
        announced=_grouped((prefix, spec) for prefix, spec in new.routes.items() if old.routes.get(prefix) != spec),
    )


def _others(
    these: Mapping[Prefix, ListenSpec], those: Mapping[Prefix, ListenSpec], policies: set[str]
) -> Iterator[Prefix]:
    """The ranges that are not among those as they are among these; `policies` are those that changed."""
    for prefix, one in these.items():
        if one != those.get(prefix) or {one.import_policy, one.export_policy} & policies:
            yield prefix


def _grouped(routes: Iterable[tuple[Prefix, RouteSpec]]) -> tuple[tuple[RouteSpec, tuple[Prefix, ...]], ...]:
    groups: dict[RouteSpec, list[Prefix]] = {}
    for prefix, spec in routes:
        groups.setdefault(spec, []).append(prefix)
    return tuple((spec, tuple(prefixes)) for spec, prefixes in groups.items())
