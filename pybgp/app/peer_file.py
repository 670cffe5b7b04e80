"""`[[peer]]`, `[group.NAME]` and `[[listen_for]]` of a speaker's file: who has which settings, and from where.

A group is a table of settings; a peer, another group or a range of dynamic peers that names it has them, too, unless
it has its own. What is wrong is told where it stands, be it in a group.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pybgp.app.reader import Table
from pybgp.config import PeerConfig, PrefixLimit
from pybgp.errors import ConfigurationError
from pybgp.family import Family
from pybgp.fsm.negotiation import make_open
from pybgp.policy import Policy
from pybgp.prefix import Prefix, pack_address

POLICIES = ("import_policy", "export_policy")
FAMILY_LISTS = ("families", "extended_next_hop", "add_path_receive", "add_path_send")
LIMITS = ("max_prefixes", "max_prefixes_out")
OURS = frozenset({"bgp_identifier", "speaker_as"})  # settings of a peer that follow from [speaker]
WITHOUT_ADDRESS = PeerConfig.names() - OURS - {"address", "peer_as", "group"}
"""What may stand in a group: these, `peer_as`, `group`, `password_file` and the policies."""
ANY_AS = "any"


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
class ListenSpec:
    """One `[[listen_for]]`: dynamic peers from a prefix. `peer_as` None is any AS; `template` has all their settings,
    with an address and an AS of its own that stand for theirs."""

    prefix: Prefix
    peer_as: frozenset[int] | None
    maximum: int
    template: PeerConfig
    import_policy: str | None = None
    export_policy: str | None = None

    def settings(self) -> dict[str, Any]:
        """The settings of the peers to be, as keywords of `Speaker.listen_for`."""
        names = PeerConfig.names() - {"address", "peer_as", "bgp_identifier", "passive"}
        return {name: getattr(self.template, name) for name in names}


class Setting(NamedTuple):
    """The value of a setting, and where it stands."""

    value: Any
    table: Table
    key: str


Settings = dict[str, Setting]


class PeerReader:
    """Reads peers of one file. `fixed` is what [speaker] says, `defaults` the policies that it names."""

    def __init__(
        self,
        fixed: Mapping[str, Any],
        identifier: int,
        defaults: Mapping[str, str | None],
        policies: Mapping[str, Policy],
        folder: Path,
    ) -> None:
        self._fixed = fixed
        self._identifier = identifier
        self._defaults = defaults
        self._policies = policies
        self._folder = folder
        self._groups: dict[str, Table] = {}
        self._resolved: dict[str, Settings] = {}

    def read_groups(self, tables: Table) -> None:
        """All of `[group]`, so that peers may name them."""
        for name, value in tables.rest().items():
            self._groups[name] = Table(value, (*tables.path, name), tables.lines, tables.problems)
        for name, table in self._groups.items():
            settings = self._group(name, ())
            before = len(table.problems)
            for peer_as in self._possible_as(settings):
                example = {**settings, **self._stand_in(table, "192.0.2.1", peer_as)}
                if self._checked(table, example, group="families" not in settings) is not None:
                    del table.problems[before:]  # of the other kind of peer: the group is for this one
                    break

    def peer(self, table: Table) -> PeerSpec | None:
        """None where anything is wrong with it."""
        before = len(table.problems)
        address = table.take("address", object, required=True)
        settings = {**self._inherited(table), **self._own(table)}
        table.close(WITHOUT_ADDRESS | {"address", "peer_as", "group", "password_file", *POLICIES})
        if "peer_as" not in settings:
            table.problem("peer_as", "is missing")
            settings.update(peer_as=Setting(1, table, "peer_as"))
        if "address" not in table.values:
            return None
        settings.update(address=Setting(address, table, "address"))
        config = self._checked(table, settings)
        if config is None or len(table.problems) > before:
            return None
        return PeerSpec(config, *(self._policy(settings, name) for name in POLICIES))

    def listen_for(self, table: Table) -> ListenSpec | None:
        """None where anything is wrong with it."""
        before = len(table.problems)
        prefix = table.attempt("prefix", None, Prefix, table.take("prefix", str, "0.0.0.0/0", required=True))
        maximum = table.take("maximum", int, 100)
        if not 1 <= maximum <= 100_000:
            table.problem("maximum", f"must be 1 to 100000, not {maximum}")
        own = self._own(table)
        settings = {**self._inherited(table), **own}
        table.close(WITHOUT_ADDRESS | {"prefix", "maximum", "peer_as", "group", "password_file", *POLICIES})
        for key in ("passive", "local_address"):
            if key in own:
                table.problem(key, "is no setting of peers that come by themselves")
        said = settings.pop("peer_as", None)
        if said is None:
            table.problem("peer_as", 'is missing: an AS number, a list of them, or "any"')
        peer_as = None if said is None else said.table.attempt("peer_as", None, _as_set, said.value)
        if prefix is None:
            return None
        example = min(peer_as or {self._local_as() % 65000 + 1})
        settings.update(self._stand_in(table, _host_of(prefix, settings), example))
        settings["address"] = settings["address"]._replace(key="prefix")
        config = self._checked(table, settings)
        if config is None or len(table.problems) > before:
            return None
        names = [self._policy(settings, name) for name in POLICIES]
        return ListenSpec(prefix, peer_as, maximum, replace(config, passive=True), *names)

    # groups

    def _group(self, name: str, below: tuple[str, ...]) -> Settings:
        """The settings of a group with those of the groups above it."""
        if name in self._resolved:
            return self._resolved[name]
        table = self._groups[name]
        if name in below:
            table.problem("group", f"goes in a circle: {' is of '.join((*below[below.index(name) :], name))}")
            return {}
        self._resolved[name] = {**self._inherited(table, (*below, name)), **self._own(table)}
        table.close(WITHOUT_ADDRESS | {"peer_as", "group", "password_file", *POLICIES})
        return self._resolved[name]

    def _inherited(self, table: Table, below: tuple[str, ...] = ()) -> Settings:
        name = table.take("group", str)
        if name is None:
            return {}
        if name not in self._groups:
            known = ", ".join(sorted(self._groups)) or "the file has no [group.…]"
            table.problem("group", f"no group has the name {name!r}: {known}")
            return {}
        found = dict(self._group(name, below))
        if not below:
            found["group"] = Setting(name, table, "group")
        return found

    # settings

    def _own(self, table: Table) -> Settings:
        """The settings that stand in a table itself."""
        own: Settings = {}
        for key in sorted((WITHOUT_ADDRESS | {"peer_as"}) & table.values.keys()):
            value: Any
            if key in LIMITS:
                value = self._limits(table, key)
            elif key in FAMILY_LISTS:
                value = self._family_list(table, key)
            elif key == "cluster_id":
                value = table.attempt(key, None, _cluster_id, table.take(key, object))
            else:
                value = table.take(key, object)
            if value is not None:
                own[key] = Setting(value, table, key)
        password_file = table.take("password_file", str)
        if password_file is not None:
            if "password" in table.values:
                table.problem("password", "is given twice, with password_file")
            secret = table.attempt("password_file", None, _secret, self._folder / password_file)
            if secret is not None:
                own["password"] = Setting(secret, table, "password_file")
        for key in POLICIES:
            name = table.take(key, str)
            if name is not None and name not in self._policies:
                table.problem(key, f"no policy has the name {name!r}: {', '.join(sorted(self._policies))}")
            elif name is not None:
                own[key] = Setting(name, table, key)
        return own

    def _family_list(self, table: Table, key: str) -> tuple[Family, ...] | None:
        before = len(table.problems)
        families = table.attempt(key, None, _families, table.texts(key))
        return families if len(table.problems) == before else None

    def _limits(self, table: Table, key: str) -> dict[Family | None, Any] | None:
        """By family; under None what is for all families of the peer."""
        value = table.take(key, (int, dict))
        if not isinstance(value, dict):
            value = None if value is None else {None: value}
            return None if value is None else self._limit_of(table, key, value[None], None)
        found: dict[Family | None, Any] = {}
        for name, limit in value.items():
            family = table.attempt(key, None, Family.parse, name)
            if family is not None:
                inner = Table({name: limit}, (*table.path, key), table.lines, table.problems)
                found |= self._limit_of(inner, name, limit, family) or {}
        return found

    def _limit_of(self, table: Table, key: str, value: Any, family: Family | None) -> dict[Family | None, Any] | None:
        if key == "max_prefixes_out" or table.path[-1:] == ("max_prefixes_out",):
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
                table.problem(key, f"must be 0 to 4294967295, not {value!r}")
                return None
            return {family: value}
        if isinstance(value, dict):
            inner = Table(value, (*table.path, key), table.lines, table.problems)
            names = [name for name in PrefixLimit.__dataclass_fields__ if name in value]
            arguments = {name: inner.take(name, object) for name in names}
            inner.close(PrefixLimit.__dataclass_fields__)
            if "limit" not in arguments:
                inner.problem("limit", "is missing")
                return None
        else:
            inner, arguments = table, {"limit": value}
        try:
            return {family: PrefixLimit(**arguments)}
        except ConfigurationError as error:
            name, _colon, text = str(error).partition(": ")
            inner.problem(name if isinstance(value, dict) else key, text)
            return None

    def _policy(self, settings: Settings, name: str) -> str | None:
        setting = settings.get(name)
        return self._defaults[name] if setting is None else setting.value

    def _local_as(self) -> int:
        number: int = self._fixed["local_as"]
        return number if 0 < number <= 0xFFFFFFFF else 1  # what is wrong with it was said where it stands

    def _possible_as(self, settings: Settings) -> tuple[Any, ...]:
        """Of a group: that of its peers, or else ours and another one."""
        if "peer_as" in settings:
            return (settings["peer_as"].value,)
        ours = settings["local_as"].value if "local_as" in settings else self._local_as()
        return ours, 64496 if ours == 64497 else 64497

    def _stand_in(self, table: Table, address: str, peer_as: int) -> Settings:
        return {"address": Setting(address, table, "address"), "peer_as": Setting(peer_as, table, "peer_as")}

    def _checked(self, table: Table, settings: Settings, *, group: bool = False) -> PeerConfig | None:
        """The settings as a whole; where PeerConfig refuses one it is left out and the rest asked again, for all the
        errors. Of a group that leaves the families to its peers, what goes by family is not held against it."""
        values = {name: setting.value for name, setting in settings.items() if name not in POLICIES}
        if values.setdefault("local_as", self._local_as()) != self._local_as():
            values["speaker_as"] = self._local_as()
        values["bgp_identifier"] = self._identifier
        self._for_its_families(None if group else table, settings, values)
        try:
            config = PeerConfig(**values)
            make_open(config)  # refuses families that the codec does not know
        except ConfigurationError as error:
            key, _colon, text = str(error).partition(": ")
            setting = settings.get(key)
            if setting is None:
                table.problem("", str(error))
                return None
            setting.table.problem(setting.key, text)
            stand_in = {"address": "192.0.2.1", "peer_as": 1, "local_as": 1}
            if setting.value != stand_in.get(key, setting):
                rest = {name: one for name, one in settings.items() if name != key}
                if key in stand_in:
                    rest[key] = Setting(stand_in[key], setting.table, setting.key)
                self._checked(table, rest, group=group)
            return None
        return config

    def _for_its_families(self, table: Table | None, settings: Settings, values: dict[str, Any]) -> None:
        """Limits for all families become limits for each; what a group says of families that this peer does not have
        is not meant for it."""
        families = values.get("families", PeerConfig.__dataclass_fields__["families"].default)
        for name in (*FAMILY_LISTS[1:], *LIMITS):
            setting = settings.get(name)
            if setting is None:
                continue
            value = setting.value
            if name in LIMITS and None in value:
                value = dict.fromkeys(families, value[None])
            if setting.table is not table:
                kept = [family for family in value if family in families]
                value = {family: value[family] for family in kept} if name in LIMITS else tuple(kept)
            values[name] = value


def _families(texts: list[str]) -> tuple[Family, ...]:
    return tuple(map(Family.parse, texts))


def _cluster_id(value: Any) -> Any:
    """A number, or written as an IPv4 address."""
    if not isinstance(value, str):
        return value
    packed = pack_address(value)
    if len(packed) != 4:
        raise ValueError(f"must be a number, or written as an IPv4 address, not {value!r}")
    return int.from_bytes(packed)


def _as_set(value: Any) -> frozenset[int] | None:
    """None is any AS."""
    if value == ANY_AS:
        return None
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= 0xFFFFFFFF for n in numbers):
        raise ValueError(f'must be an AS number, a list of them, or "any", not {value!r}')
    return frozenset(numbers)


def _host_of(prefix: Prefix, settings: Settings) -> str:
    """An address that a peer from the prefix could have."""
    network = ipaddress.ip_network(str(prefix))
    address = network[min(1, network.num_addresses - 1)]
    if not address.is_link_local or address.version == 4:
        return str(address)
    interface = settings.get("interface")
    return f"{address}%{'any' if interface is None else interface.value}"


def _secret(path: Path) -> str:
    try:
        return path.read_text().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {error}") from None
