"""A decoded message for people: a heading, and a line for each thing in it."""

from __future__ import annotations

import json
from typing import Any

from pybgp.family import Family
from pybgp.messages.capabilities import Role

_HEAD = ("type", "error", "outcome")


def message_text(value: dict[str, Any]) -> str:
    """Text of what `message_to_json` made; control characters stay escaped."""
    lines = []
    kind = str(value.get("type", "")).upper()
    if "error" in value:
        error = value["error"]
        words = f"{error['name']} ({error['code']}/{error['subcode']}): {_brief(error['reason'])}"
        lines.append(f"ERROR {kind + ': ' if kind else ''}{words}")
        if error["data"]:
            lines.append(f"  data {error['data']}")
    else:
        outcome = value.get("outcome", "ok")
        lines.append(kind if outcome == "ok" else f"{kind}  {outcome}")
    for name, item in value.items():
        if name not in _HEAD:
            lines += _lines(name, item)
    return "\n".join(lines)


def _lines(name: str, item: Any) -> list[str]:
    if item == [] or item == "":
        return []
    if name == "attributes":
        return [line for attribute in item for line in _attribute(attribute)]
    if name == "capabilities":
        return [_capability(entry) for entry in item]
    if name == "faults":
        return [f"  ! {fault['outcome']}: {_brief(fault['reason'])}" for fault in item]
    return [f"  {name.replace('_', ' ')} {_brief(item)}"]


_ROUTES = ("mp_reach", "mp_unreach")


def _routes(value: dict[str, Any]) -> str:
    """What MP_REACH_NLRI or MP_UNREACH_NLRI says: "ipv6-unicast via 2001:db8::1: 2001:db8:1::/48"."""
    family = str(Family(value["afi"], value["safi"]))
    via = f" via {_brief(value['next_hop'])}" if value.get("next_hop") else ""
    nlri = value["nlri"]
    shown = f"0x{nlri}" if isinstance(nlri, str) else ", ".join(map(_brief, nlri))
    odd = f" (reserved octet {value['reserved']})" if value.get("reserved") else ""
    return f"{family}{via}{odd}{': ' if shown else ''}{shown}"


_SEGMENTS = {"sequence": "{}", "set": "{{{}}}", "confed-sequence": "({})", "confed-set": "[{}]"}


def _path(segments: list[dict[str, Any]]) -> str:
    """An AS path as people write it: "65001 65002 {65003 65004}"."""
    return " ".join(_SEGMENTS[one["type"]].format(" ".join(map(str, one["asns"]))) for one in segments)


def _capability(entry: dict[str, Any]) -> str:
    value = _value(entry)
    if entry["name"] == "Role" and isinstance(value, dict):
        return f"  Role (9) {Role(value['value']).name}"
    return f"  {entry['name']} ({entry['code']}) {_brief(value)}".rstrip()


def _attribute(attribute: dict[str, Any]) -> list[str]:
    label = attribute["name"] if attribute["name"] != "unknown" else f"attribute {attribute['code']}"
    odd = [flag for flag in attribute["flags"] if flag not in ("optional", "transitive")]
    suffix = f"  ({', '.join(odd)})" if odd else ""
    value = attribute.get("value")
    if attribute["name"] in _ROUTES and isinstance(value, dict):
        words = _routes(value)
    elif attribute["name"] in ("as_path", "as4_path") and isinstance(value, list):
        words = _path(value)
    else:
        words = _brief(_value(attribute))
    return [f"  {label.replace('_', ' ')} {words}".rstrip() + suffix]


def _value(entry: dict[str, Any]) -> Any:
    for name in ("value", "octets", "data"):
        if name in entry:
            return entry[name]
    return ""


def _brief(item: Any) -> str:
    """Plain words for plain values; one level of structure at most in JSON's own form."""
    if isinstance(item, str):
        return json.dumps(item)[1:-1]
    if isinstance(item, list):
        return " ".join(_brief(entry) for entry in item)
    if isinstance(item, dict):
        if set(item) == {"path_id", "prefix"}:
            return f"{item['prefix']}#{item['path_id']}"
        return ", ".join(f"{name} {_brief(entry)}" for name, entry in item.items())
    return json.dumps(item)
