"""`[[route]]` of a speaker's file: the prefixes that it originates."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.app.reader import Table
from pybgp.family import Afi, Family
from pybgp.messages.attributes import ROW_NAMED
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.prefix import Prefix, pack_address


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One originated prefix: its attributes, and its next hop or "self"."""

    attributes: PathAttributes
    next_hop: str


def read_route(table: Table, routes: dict[Prefix, RouteSpec]) -> None:
    """The prefixes of one table, into `routes`."""
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
    family = None
    if "family" in table.values:
        family = table.attempt("family", None, Family.parse, table.take("family", str, ""))
    for text in prefixes:
        prefix = table.attempt(key, None, _destination, family, text)
        if prefix is None:
            continue
        if prefix in routes:
            table.problem(key, f"{prefix} is there already")
        if prefix.family.afi == Afi.IPV6 and len(packed) == 4:
            table.problem("next_hop", f"{prefix} needs an IPv6 next hop, not {next_hop}")
        routes[prefix] = RouteSpec(attributes, next_hop)
    table.close(known | {"prefix", "prefixes", "family", "next_hop"})


def _destination(family: Family | None, text: str) -> Prefix:
    """A prefix, or a destination as another family writes it."""
    return Prefix(text) if family is None else Prefix.read(family, text)


def _with(attributes: PathAttributes, name: str, value: object) -> PathAttributes:
    try:
        return attributes.with_(ROW_NAMED[name], ROW_NAMED[name].from_json(value))
    except (KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{value!r} is not understood ({error})") from None
