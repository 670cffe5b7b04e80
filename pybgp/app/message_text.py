"""A decoded message for people: a heading, and a line for each thing in it."""

from __future__ import annotations

import json
from typing import Any

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
        return [f"  {entry['name']} ({entry['code']}) {_brief(_value(entry))}".rstrip() for entry in item]
    if name == "faults":
        return [f"  ! {fault['outcome']}: {_brief(fault['reason'])}" for fault in item]
    return [f"  {name.replace('_', ' ')} {_brief(item)}"]


def _attribute(attribute: dict[str, Any]) -> list[str]:
    label = attribute["name"] if attribute["name"] != "unknown" else f"attribute {attribute['code']}"
    odd = [flag for flag in attribute["flags"] if flag not in ("optional", "transitive")]
    suffix = f"  ({', '.join(odd)})" if odd else ""
    return [f"  {label.replace('_', ' ')} {_brief(_value(attribute))}".rstrip() + suffix]


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
