"""Typed reading of the fields of a document: every odd value becomes a Problem, none an exception."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network

from pybgp import Prefix

from .model import HostAddress, PeerAddress, Problem, Raw, ResourceKey, SecretReference

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:h|ms|m|s|us|µs|μs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_LONGEST_DURATION = 2.0**63 / 1e9  # seconds: Go counts nanoseconds in 64 bits
_LONGEST_VALUE_SHOWN = 80


def as_number(value: object) -> int:
    """An AS number from a JSON number, from `"64512"` or from the dotted `"1.10"` of RFC 5396. ValueError."""
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError("an AS number with a dot must be written in quotes")
        value = int(value)
    if isinstance(value, str):
        high, dot, low = value.strip().rpartition(".")
        if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in ([high, low] if dot else [low])):
            raise ValueError("not an AS number: write 64512, or 1.10 in quotes")
        if dot and (int(high) > 0xFFFF or int(low) > 0xFFFF):
            raise ValueError("both halves of a dotted AS number must be below 65536")
        value = int(low) + (int(high) << 16 if dot else 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("not an AS number")
    if not 1 <= value <= 0xFFFFFFFF:
        raise ValueError("an AS number is from 1 to 4294967295")
    return value


def duration(text: object) -> float:
    """Seconds of a duration as Go writes it: `2m0s`, `1h5m`, `1.5s`, `300ms`, `+1m`, `0`. ValueError."""
    if not isinstance(text, str):
        raise ValueError('not a duration: write "90s" or "2m0s"')
    if text.startswith("-"):
        raise ValueError("a duration must not be negative")
    text = text.removeprefix("+")
    if text == "0":
        return 0.0
    units = _DURATION.findall(text)
    if not units or "".join(units) != text:
        raise ValueError('not a duration: write "90s" or "2m0s"')
    total = 0.0
    for unit in units:
        number = unit.rstrip("hmsunµμ")
        total += float(number) * _SECONDS[unit[len(number) :]]
    if total >= _LONGEST_DURATION:
        raise ValueError("a duration must be below 292 years")
    return total


def network(text: object) -> Prefix:
    """A prefix from a CIDR or from a bare address; bits beyond the length are cleared. ValueError."""
    address, length = _address_and_length(text)
    return Prefix(str(ip_network((address, length), strict=False)))


def host_address(text: object) -> HostAddress:
    """An address with its subnet's length; a bare address gets the full length. ValueError."""
    address, length = _address_and_length(text)
    return HostAddress(address, length)


def peer_address(text: object) -> PeerAddress:
    """`192.0.2.1`, `192.0.2.1:1790`, `2001:db8::1` or `[2001:db8::1]:1790`. ValueError."""
    if not isinstance(text, str):
        raise ValueError("not an IP address")
    address, colon, port = text, "", ""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise ValueError("the brackets around the address do not fit")
    elif text.count(":") == 1:
        address, colon, port = text.partition(":")
    canonical = _address(address)
    if not colon:
        return PeerAddress(canonical)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError("the port after the address is not a number from 1 to 65535")
    return PeerAddress(canonical, int(port))


def _address(text: object) -> str:
    """In the one way to write it that Go has, too: who dials is decided by comparing texts."""
    if isinstance(text, str) and "%" in text:
        raise ValueError("an address with a zone names no host in the network")
    try:
        return str(ip_address(text if isinstance(text, str) else ""))
    except ValueError:
        raise ValueError("not an IP address") from None


def _address_and_length(text: object) -> tuple[str, int]:
    if not isinstance(text, str):
        raise ValueError("not an IP address or CIDR")
    host, slash, length = text.partition("/")
    if "%" in host:
        raise ValueError("an address with a zone names no host in the network")
    try:
        address = ip_address(host)
    except ValueError:
        raise ValueError("not an IP address or CIDR") from None
    if not slash:
        return str(address), address.max_prefixlen
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= address.max_prefixlen):
        raise ValueError(f"the prefix length is not a number from 0 to {address.max_prefixlen}")
    return str(address), int(length)


def show(value: object) -> str:
    """A value as a message can quote it: JSON, cut where it gets long."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _LONGEST_VALUE_SHOWN else text[: _LONGEST_VALUE_SHOWN - 3] + "..."


class Fields:
    """One object of a document, read field by field.

    Absent and null are the same and give the default. `problems` collects what could not be used, of
    this object and of those inside it.
    """

    def __init__(self, key: ResourceKey, values: Raw, problems: list[Problem], path: str = "") -> None:
        self.key = key
        self.values = values
        self.problems = problems
        self.path = path

    def problem(self, name: str, value: object, why: str, *, fatal: bool = True) -> None:
        """Report the value of one field."""
        shown = "" if value is None else show(value)
        self.problems.append(Problem(self.key, f"{self.path}{name}", shown, why, fatal))

    def section(self, name: str) -> Fields:
        """An object inside this one; empty where it is absent."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, Mapping):
            self.problem(name, value, "must be an object")
            value = None
        return Fields(self.key, value or {}, self.problems, f"{self.path}{name}.")

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            self.problem(name, value, "must be a text")
            return default
        return value

    def word(self, name: str, known: Iterable[str], default: str | None = None) -> str | None:
        """One of some known words. An unknown one may come from a newer Calico: the default, and said so."""
        value = self.text(name, default)
        if value is None or value in known:
            return value
        self.problem(name, value, f"unknown; known are {', '.join(known)}", fatal=False)
        return default

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.problem(name, value, "must be true or false")
            return default
        return value

    def number(self, name: str, low: int, high: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.problem(name, value, f"must be a number from {low} to {high}")
            return None
        return value

    def as_number(self, name: str) -> int | None:
        value = self.values.get(name)
        # Go's empty AS number is 0, and some writers put it where they mean "not set".
        if value in (None, "", "0") or (value == 0 and not isinstance(value, bool)):
            return None
        try:
            return as_number(value)
        except ValueError as error:
            self.problem(name, value, str(error))
            return None

    def duration(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            return duration(value)
        except ValueError as error:
            self.problem(name, value, str(error))
            return None

    def host_address(self, name: str, version: int) -> HostAddress | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            found = host_address(value)
            if (":" in found.address) != (version == 6):
                raise ValueError(f"must be an IPv{version} address")
        except ValueError as error:
            self.problem(name, value, str(error))
            return None
        return found

    def address(self, name: str, *, fatal: bool = True) -> str | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        try:
            return _address(value)
        except ValueError as error:
            self.problem(name, value, str(error), fatal=fatal)
            return None

    def items(self, name: str) -> list[object]:
        value = self.values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(name, value, "must be a list")
            return []
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        found = []
        for index, value in enumerate(self.items(name)):
            if isinstance(value, str):
                found.append(value)
            else:
                self.problem(f"{name}[{index}]", value, "must be a text")
        return tuple(found)

    def sections(self, name: str) -> list[Fields]:
        found = []
        for index, value in enumerate(self.items(name)):
            if isinstance(value, Mapping):
                found.append(Fields(self.key, value, self.problems, f"{self.path}{name}[{index}]."))
            else:
                self.problem(f"{name}[{index}]", value, "must be an object")
        return found

    def prefixes(self, name: str, *, of: str | None = None) -> tuple[Prefix, ...]:
        """Networks from a list of texts, or with `of` from that field of a list of objects."""
        found = []
        if of is None:
            for index, value in enumerate(self.items(name)):
                prefix = self._prefix(f"{name}[{index}]", value)
                if prefix is not None:
                    found.append(prefix)
        else:
            for entry in self.sections(name):
                prefix = entry._prefix(of, entry.values.get(of))
                if prefix is not None:
                    found.append(prefix)
        return tuple(found)

    def prefix(self, name: str) -> Prefix | None:
        return self._prefix(name, self.values.get(name))

    def _prefix(self, name: str, value: object) -> Prefix | None:
        try:
            return network(value)
        except ValueError as error:
            self.problem(name, value, str(error))
            return None

    def texts_by_name(self, name: str) -> dict[str, str]:
        """An object of texts, such as labels; what is no text in it is left out, and said so."""
        found: dict[str, str] = {}
        for label, value in self.section(name).values.items():
            if isinstance(value, str):
                found[str(label)] = value
            else:
                self.problem(f"{name}.{label}", value, "must be a text", fatal=False)
        return found

    def secret(self, name: str) -> SecretReference | None:
        if not self.has(name):
            return None
        reference = self.section(name).section("secretKeyRef")
        secret, key = reference.text("name"), reference.text("key")
        if secret is None or key is None:
            self.problem(name, None, "must name a secret and a key in secretKeyRef")
            return None
        return SecretReference(secret, key)
