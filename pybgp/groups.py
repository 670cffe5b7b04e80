"""Peer groups: settings that several peers share, and what each has of its own. Pure bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Final

from pybgp.config import PeerConfig
from pybgp.errors import ConfigurationError

POLICIES: Final = ("import_policy", "export_policy")
_KNOWN: Final = (PeerConfig.names() - {"address", "group", "bgp_identifier"}) | set(POLICIES)


class Default:
    """The type of `DEFAULT`: a group that sets something no longer."""


DEFAULT: Final = Default()


@dataclass(slots=True)
class _Group:
    settings: dict[str, Any]
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)  # address, or prefix -> its own settings


class Groups:
    """The groups of one speaker. Their members are peers by address, and ranges of dynamic ones by prefix."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def add(self, name: str, settings: Mapping[str, Any]) -> None:
        """Raises ConfigurationError where the group is there already, or for a setting that groups cannot have."""
        if not name:
            raise ConfigurationError("group: needs a name")
        if name in self._groups:
            raise ConfigurationError(f"group: {name!r} is there already")
        self._check(settings)
        self._groups[name] = _Group(dict(settings))

    def settings(self, name: str) -> Mapping[str, Any]:
        """Of a group; none of a name that is no group."""
        group = self._groups.get(name)
        return {} if group is None else group.settings

    def join(self, address: str, name: str, own: Mapping[str, Any]) -> None:
        """A peer of a group, with the settings that are its own."""
        if name in self._groups:
            self._groups[name].peers[address] = dict(own)

    def leave(self, address: str) -> None:
        for group in self._groups.values():
            group.peers.pop(address, None)

    def own(self, address: str, changed: Mapping[str, Any]) -> None:
        """A peer was given settings of its own."""
        for group in self._groups.values():
            if address in group.peers:
                group.peers[address].update(changed)

    def changes(self, name: str, settings: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """What would change for which peers: those settings that they do not have of their own. ConfigurationError."""
        group = self._find(name)
        self._check(settings)
        values = {key: _default(key) if value is DEFAULT else value for key, value in settings.items()}
        return [
            (address, {key: value for key, value in values.items() if key not in own})
            for address, own in group.peers.items()
        ]

    def set(self, name: str, settings: Mapping[str, Any]) -> None:
        """Go on with these, after `changes` has let them pass."""
        group = self._find(name)
        group.settings = {key: value for key, value in {**group.settings, **settings}.items() if value is not DEFAULT}

    def remove(self, name: str) -> None:
        """Raises ConfigurationError where there is no such group, or peers are of it."""
        group = self._find(name)
        if group.peers:
            raise ConfigurationError(f"group: {name!r} has {len(group.peers)} peers: {', '.join(sorted(group.peers))}")
        del self._groups[name]

    def _find(self, name: str) -> _Group:
        if name not in self._groups:
            raise ConfigurationError(f"group: there is no {name!r}")
        return self._groups[name]

    @staticmethod
    def _check(settings: Mapping[str, Any]) -> None:
        unknown = settings.keys() - _KNOWN
        if unknown:
            raise ConfigurationError(f"{min(unknown)}: there is no such setting of a group")


def _default(name: str) -> Any:
    if name in POLICIES:
        return None
    found = next(one for one in fields(PeerConfig) if one.name == name)
    if found.default is not MISSING:
        return found.default
    if found.default_factory is not MISSING:
        return found.default_factory()
    raise ConfigurationError(f"{name}: every peer needs one, so a group cannot take it back")
