"""A speaker's file: TOML to settings, with every error at once; and what changes from one file to the next."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pybgp.app.policy_file import read_policies, read_sets
from pybgp.app.reader import Problem, Problems, Table
from pybgp.app.toml_lines import Lines, name_of
from pybgp.app.toml_lines import Path as Place
from pybgp.app.where import NONE
from pybgp.config import PeerConfig
from pybgp.errors import ConfigurationError
from pybgp.family import Afi, Family
from pybgp.fsm.negotiation import make_open
from pybgp.messages.attributes import ROW_NAMED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy
from pybgp.prefix import Prefix, pack_address

EVERYWHERE = ("0.0.0.0", "::")
_FAMILIES = ("families", "extended_next_hop", "add_path_receive", "add_path_send")
_POLICIES = ("import_policy", "export_policy")


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """One `[[peer]]`: the protocol settings, and its policies by name (None: those of the speaker)."""

    config: PeerConfig
    import_policy: str | None = None
    export_policy: str | None = None

    def settings(self) -> dict[str, Any]:
        """The settings as keywords of `Speaker.add_peer`."""
        return {name: getattr(self.config, name) for name in PeerConfig.names()}


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One originated prefix: its attributes, and its next hop or "self"."""

    attributes: PathAttributes
    next_hop: str


@dataclass(frozen=True, slots=True)
class SpeakerFile:
    """All that a file says. `fixed` cannot change while the speaker runs."""

    fixed: dict[str, Any]
    peers: dict[str, PeerSpec]
    routes: dict[Prefix, RouteSpec]
    policies: dict[str, Policy] = field(compare=False)
    policy_values: dict[str, Any] = field(default_factory=dict)  # as written: policies cannot be compared
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
    peers: dict[str, PeerSpec] = {}
    for table in top.tables("peer"):
        spec = _peer(table, fixed if running is None else running.fixed, defaults, policies, folder)
        if spec is not None and spec.config.address in peers:
            table.problem("address", f"{spec.config.address} is a peer already")
        elif spec is not None:
            peers[spec.config.address] = spec
    routes: dict[Prefix, RouteSpec] = {}
    for table in top.tables("route"):
        _route(table, routes)
    top.close(("speaker", "policy", "prefix_set", "as_set", "peer", "route"))
    if problems:
        raise Problems(problems)
    return SpeakerFile(fixed, peers, routes, policies, _as_written(values), socket)


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
    defaults = {name: table.take(name, str) for name in _POLICIES}
    socket = table.take("socket", str)
    if socket == "":
        table.problem("socket", 'must be a path, or "none"')
    table.close()
    return fixed, defaults, socket if socket in (None, NONE) else str(folder / socket)


def _families(texts: list[str]) -> tuple[Family, ...]:
    return tuple(map(Family.parse, texts))


def _is_identifier(text: str) -> bool:
    try:
        packed = pack_address(text)
    except ValueError:
        return False
    return len(packed) == 4 and packed != bytes(4)


def _peer(
    table: Table, fixed: dict[str, Any], defaults: dict[str, str | None], policies: dict[str, Policy], folder: Path
) -> PeerSpec | None:
    before = len(table.problems)
    names: dict[str, str | None] = {}
    for key in _POLICIES:
        names[key] = table.take(key, str, defaults[key])
        if names[key] is not None and names[key] not in policies:
            known = ", ".join(sorted(policies))
            table.problem(key, f"no policy has the name {names[key]!r}: {known}")
    settings: dict[str, Any] = {}
    password_file = table.take("password_file", str)
    if password_file is not None:
        settings["password"] = table.attempt("password_file", None, _secret, folder / password_file)
        if "password" in table.values:
            table.problem("password", "is given twice, with password_file")
    for key in _FAMILIES:
        if key in table.values:
            so_far = len(table.problems)
            families = table.attempt(key, None, _families, table.texts(key))
            if len(table.problems) == so_far:
                settings[key] = families
    for key in ("address", "peer_as"):
        table.take(key, object, required=True)
    allowed = PeerConfig.names() - {"bgp_identifier"}
    for key in (allowed - set(_FAMILIES)) & table.values.keys():
        value = table.take(key, object)
        settings.setdefault(key, value)
    table.close(allowed | {"password_file"})
    settings.setdefault("local_as", fixed["local_as"] or 1)  # what is wrong with it was said where it stands
    settings.setdefault("peer_as", 1)
    identifier = fixed["bgp_identifier"]
    settings["bgp_identifier"] = int.from_bytes(pack_address(identifier)) if _is_identifier(identifier) else 1
    spec = _checked(table, settings, names) if "address" in settings else None
    return spec if len(table.problems) == before else None


def _checked(table: Table, settings: dict[str, Any], names: dict[str, str | None]) -> PeerSpec | None:
    """The spec; where PeerConfig refuses a setting it is left out and the rest asked again, for all the errors."""
    try:
        config = PeerConfig(**settings)
        make_open(config)  # refuses families that the codec does not know
        return PeerSpec(config, names["import_policy"], names["export_policy"])
    except ConfigurationError as error:
        key, _colon, text = str(error).partition(": ")
        table.problem(key if key in table.values else "", text if key in table.values else str(error))
        rest = {name: value for name, value in settings.items() if name != key}
        stand_in = {"address": "192.0.2.1", "peer_as": 1, "local_as": 1}
        if key in settings and (key not in stand_in or settings[key] != stand_in[key]):
            _checked(table, {**{k: v for k, v in stand_in.items() if k == key}, **rest}, names)
        return None


def _secret(path: Path) -> str:
    try:
        return path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None


def _route(table: Table, routes: dict[Prefix, RouteSpec]) -> None:
    key = "prefixes" if "prefixes" in table.values else "prefix"
    prefixes = table.texts(key)
    if key not in table.values:
        table.problem("prefix", "is missing")
    elif table.values[key] == []:
        table.problem(key, "names no prefix")
    next_hop = table.take("next_hop", str, "self")
    packed = b"" if next_hop == "self" else table.attempt("next_hop", b"", pack_address, next_hop)
    known = set(ROW_NAMED) - {"next_hop", "mp_reach", "mp_unreach", "as4_path", "as4_aggregator"}
    attributes = PathAttributes.build()
    for name in sorted(known & table.values.keys()):
        value = table.take(name, object)
        attributes = table.attempt(name, attributes, _with, attributes, name, value)
    for text in prefixes:
        prefix = table.attempt(key, None, Prefix, text)
        if prefix is None:
            continue
        if prefix in routes:
            table.problem(key, f"{prefix} is there already")
        if prefix.family.afi == Afi.IPV6 and len(packed) == 4:
            table.problem("next_hop", f"{prefix} needs an IPv6 next hop, not {next_hop}")
        routes[prefix] = RouteSpec(attributes, next_hop)
    table.close(known | {"prefix", "prefixes", "next_hop"})


def _with(attributes: PathAttributes, name: str, value: object) -> PathAttributes:
    try:
        return attributes.with_(ROW_NAMED[name], ROW_NAMED[name].from_json(value))
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{value!r} is not understood ({error})") from None


@dataclass(frozen=True, slots=True)
class Difference:
    """What leads from one file to the next, in the order in which it is done."""

    restart: tuple[str, ...]  # settings of [speaker] that changed and need a new start
    gone: tuple[str, ...]  # addresses of peers
    new: tuple[PeerSpec, ...]
    changed: tuple[tuple[PeerSpec, frozenset[str]], ...]  # with the names of what changed
    withdrawn: tuple[Prefix, ...]
    announced: tuple[tuple[RouteSpec, tuple[Prefix, ...]], ...]

    def __bool__(self) -> bool:
        return any((self.restart, self.gone, self.new, self.changed, self.withdrawn, self.announced))


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
        for direction in _POLICIES:
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
        announced=_grouped((prefix, spec) for prefix, spec in new.routes.items() if old.routes.get(prefix) != spec),
    )


def _grouped(routes: Iterable[tuple[Prefix, RouteSpec]]) -> tuple[tuple[RouteSpec, tuple[Prefix, ...]], ...]:
    groups: dict[RouteSpec, list[Prefix]] = {}
    for prefix, spec in routes:
        groups.setdefault(spec, []).append(prefix)
    return tuple((spec, tuple(prefixes)) for spec, prefixes in groups.items())
