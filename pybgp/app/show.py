"""The answers of a speaker as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pybgp.app.tables import duration, pairs, table, wrapped
from pybgp.events import printable
from pybgp.messages.capabilities import Role

Document = Mapping[str, Any]
MARKS = "Marks: > best  = selected with it  ! rejected  s stale (kept while its peer restarts)"


def speaker_text(speaker: Document, now: float, columns: int) -> list[str]:
    places = ", ".join(f"{one['address']} port {one['port']}" for one in speaker["listening"]) or "nothing"
    return pairs(
        [
            ("speaker", f"pybgp {speaker['version']}, pid {speaker['pid']}, for {duration(now - speaker['since'])}"),
            ("file", speaker["file"]),
            ("AS", speaker["as"]),
            ("BGP Identifier", speaker["bgp_identifier"]),
            ("listening on", places),
            ("peers", f"{speaker['peers']}, {speaker['established']} established"),
        ],
        columns,
    )


def peers_text(peers: Iterable[Document], columns: int) -> list[str]:
    rows: list[tuple[object, ...]] = [("peer", "AS", "state", "for", "in", "out")]
    notes: list[list[str]] = [[]]
    for peer in peers:
        up = peer["state"] == "Established"
        state = peer["state"] + (" (routes kept)" if peer["stale"] else "")
        if peer["administratively_down"]:
            state = "shut down"
        counts = (peer["routes_received"], peer["routes_advertised"]) if up or peer["stale"] else ("-", "-")
        rows.append((peer["address"], peer["as"], state, duration(peer["seconds"]), *counts))
        words = [text for text in (peer["hostname"], peer["description"]) if text]
        note = wrapped("", ", ".join(words), columns, 4) if words else []
        if not up and peer["last_error"] and not peer["administratively_down"]:
            note += wrapped("last error: ", peer["last_error"], columns, 4)
        notes.append(note)
    if len(rows) == 1:
        return ["no peers"]
    lines = table(rows, right=(1, 4, 5))
    return [line for row, note in zip(lines, notes, strict=True) for line in (row, *note)]


def peer_text(peer: Document, columns: int) -> list[str]:
    """All about one peer."""
    state = "shut down" if peer["administratively_down"] else peer["state"]
    agreed = peer["negotiated"]
    at = peer["last_error_at"]
    lines = pairs(
        [
            ("peer", peer["address"]),
            ("description", peer["description"] or None),
            ("group", peer["group"] or None),
            ("came from", f"{peer['dynamic']}, by itself" if peer["dynamic"] else None),
            ("hostname", peer["hostname"]),
            ("software", peer["software_version"]),
            ("AS", f"{peer['as']}, ours {peer['local_as']} ({'iBGP' if peer['internal'] else 'eBGP'})"),
            ("BGP Identifier", f"{peer['bgp_identifier'] or 'not known'}, ours {peer['local_bgp_identifier']}"),
            ("local address", peer["local_address"]),
            ("state", f"{state} for {duration(peer['seconds'])}"),
            (
                "connection",
                None if peer["incoming"] is None else "made by the peer" if peer["incoming"] else "made by us",
            ),
            ("sessions", f"{peer['established_count']} so far"),
            ("routes", "kept while the peer restarts" if peer["stale"] else None),
            (
                "last error",
                f"{peer['last_error']}{'' if at is None else f' ({_time(at)})'}" if peer["last_error"] else None,
            ),
        ],
        columns,
    )
    lines += _section("Timers", [f"{one['name']} in {one['seconds']:g} s" for one in peer["timers"]])
    if agreed is not None:
        lines += _section("Negotiated", pairs(_agreed(agreed), columns - 2))
    if peer["families"]:
        heads = ("family", "received", "accepted", "advertised", "waiting", "End-of-RIB")
        lines += _section("Routes", table([heads, *map(_family, peer["families"])], right=(1, 2, 3, 4)))
        lines += [f"  {line}" for family in peer["families"] for line in _limits(family, columns - 2)]
    for title, key in (
        ("Capabilities of the peer", "capabilities_received"),
        ("Our capabilities", "capabilities_sent"),
    ):
        lines += _section(title, [line for one in peer[key] for line in _capability(one, columns - 2)])
    counters = peer["counters"]
    kinds = ("messages", "updates", "bytes")
    rows = [("", "received", "sent"), *((k, counters[f"{k}_received"], counters[f"{k}_sent"]) for k in kinds)]
    lines += _section("Counters", table(rows, right=(1, 2)))
    settings = [(one["name"], _plain(one["value"])) for one in peer["settings"]]
    lines += _section("Settings that are not the default", pairs(settings, columns - 2))
    return lines + _section(
        "Wrong messages of the peer", [line for one in peer["offences"] for line in _wrong(one, columns)]
    )


def _agreed(agreed: Document) -> list[tuple[str, object]]:
    words = {
        "four_octet_as": "4-octet AS",
        "extended_message": "extended messages",
        "route_refresh": "route refresh",
        "enhanced_route_refresh": "enhanced route refresh",
        "graceful_restart": "graceful restart",
        "graceful_notification": "graceful NOTIFICATION",
    }
    keepalive = f"{agreed['keepalive_time']:g} s" if agreed["hold_time"] else "none"
    return [
        ("hold time", f"{agreed['hold_time']} s, KEEPALIVE {keepalive}"),
        ("families", ", ".join(agreed["families"]) or "none"),
        ("both can", ", ".join(text for key, text in words.items() if agreed[key]) or "nothing else"),
        ("ADD-PATH received", ", ".join(agreed["add_path_receive"]) or None),
        ("ADD-PATH sent", ", ".join(agreed["add_path_send"]) or None),
        ("IPv6 next hops for", ", ".join(agreed["extended_next_hop"]) or None),
    ]


def _family(family: Document) -> tuple[object, ...]:
    ends = [way for way in ("received", "sent") if family[f"end_of_rib_{way}"]]
    marks = " and ".join(ends) or "not yet"
    counts = (family["received"], family["accepted"], family["advertised"], family["pending"])
    return (family["family"], *counts, marks)


def _limits(family: Document, columns: int) -> list[str]:
    words = []
    if family["limit"] is not None:
        limit = family["limit"]
        words.append(f"at most {limit['limit']} {limit['count']}, then {limit['action']}")
    if family["limit_out"] is not None:
        words.append(f"at most {family['limit_out']} advertised")
    return wrapped(f"{family['family']}: ", "; ".join(words), columns) if words else []


def _capability(capability: Document, columns: int) -> list[str]:
    value = capability.get("value", capability.get("data", ""))
    if capability["name"] == "Role":
        value = Role(capability["value"]["value"]).name
    return (
        wrapped(f"{capability['name']} ({capability['code']}) ", _plain(value), columns)
        if value
        else [f"{printable(capability['name'])} ({capability['code']})"]
    )


def _wrong(offence: Document, columns: int) -> list[str]:
    place = [f"offset {offence['offset']}"] if offence["offset"] is not None else []
    place += [str(offence[key]) for key in ("section", "outcome") if offence[key]]
    lines = wrapped(f"{_time(offence['at'])}  ", offence["reason"], columns - 2)
    if place:
        lines += wrapped("", ", ".join(place), columns - 2, 2)
    return lines + wrapped("", offence["octets"], columns - 2, 2)


def routes_lines(parts: Iterable[list[Document]], columns: int) -> Iterator[str]:
    """Lines as the routes come; columns grow where they must."""
    sizes = [18, 15, 15]
    first = True
    for route in (route for part in parts for route in part):
        if first:
            yield MARKS
            yield _route_line(("", "prefix", "next hop", "peer", "pref", "MED", "AS_PATH"), sizes)
            first = False
        attributes = {one["name"]: one.get("value") for one in route["attributes"]}
        origin = {"igp": "i", "egp": "e", "incomplete": "?"}.get(str(attributes.get("origin")), "")
        path = f"{attributes.get('as_path', '')} {origin}".strip()
        cells = (
            ("!" if route["rejected"] else ">" if route["best"] else "=" if route["selected"] else " ")
            + ("s" if route["stale"] else " "),
            printable(route["prefix"]),
            route["next_hop"] or "self",
            route["peer"] + (f"#{route['path_id']}" if route["path_id"] else ""),
            str(attributes.get("local_pref", "-")),
            str(attributes.get("med", "-")),
            path,
        )
        line = _route_line(cells, sizes)
        if len(line) <= columns:
            yield line
        else:
            yield f"{cells[0]} {cells[1]}"
            detail = f"next hop {cells[2]}, from {cells[3]}, pref {cells[4]}, MED {cells[5]}, AS_PATH "
            yield from wrapped("", detail + (path or "-"), columns, 5)
        for name in ("labels", "communities", "large_communities", "extended_communities", "ipv6_extended_communities"):
            if attributes.get(name):
                yield from wrapped(f"{name.replace('_', ' ')}: ", _plain(attributes[name]), columns, 5)
        if route["rejected"]:
            yield from wrapped("", route["rejected"], columns, 5)
    if first:
        yield "no routes"


def _route_line(cells: tuple[str, ...], sizes: list[int]) -> str:
    mark, prefix, next_hop, peer, pref, med, path = cells
    texts = [one.ljust(size) for one, size in zip((prefix, next_hop, peer), sizes, strict=True)]
    return f"{mark:2} {'  '.join(texts)}  {pref:>5} {med:>5}  {path}".rstrip()


def explanation_text(found: Document, columns: int) -> list[str]:
    """Path by path, best first."""
    if found["prefix"] is None:
        return [f"{printable(found['asked'])}: nothing in the table holds it ({found['family']})"]
    number = len(found["paths"])
    holds = "" if found["asked"] == found["prefix"] else f", which holds {printable(found['asked'])}"
    lines = [f"{found['prefix']}{holds} ({found['family']}): {number} path{'' if number == 1 else 's'}"]
    if found["unusable"]:
        lines += wrapped("longer, but nothing there may be used: ", ", ".join(found["unusable"]), columns)
    for place, path in enumerate(found["paths"], 1):
        lines += ["", *_path(place, path, columns)]
    return lines


def _path(place: int, path: Document, columns: int) -> list[str]:
    who = path["peer"] + (f"#{path['path_id']}" if path["path_id"] else "")
    verdict = "best" if path["best"] else "selected with the best" if path["selected"] else "not the best"
    if not path["accepted"]:
        verdict = "rejected"
    lines = [f"{place}. from {printable(who)}: {verdict}{', stale' if path['stale'] else ''}"]
    policy, decision, rejected = path["import_policy"], path["decision"], path["rejected"]
    rows: list[tuple[str, object]] = [("next hop", path["next_hop"])]
    rows += [(name, text) for name, text in _attributes(path["attributes"])]
    if path["received"] != path["attributes"]:
        rows.append(("as received", ", ".join(f"{name} {text}" for name, text in _attributes(path["received"]))))
    if rejected is not None:
        reason = rejected["reason"]  # of a policy it names the policy; what a check says needs the check's name
        rows.append(("rejected", reason if rejected["policy"] else f"{rejected['check']}: {reason}"))
    elif policy is not None:
        rules = f" by rule {', '.join(policy['rules'])}" if policy["rules"] else ""
        rows.append(("import policy", f"{policy['policy']} accepts it{rules}"))
    if decision["lost_to"] is not None:
        rows.append(("lost", f"{decision['reason']} (to the path from {decision['lost_to']['peer']})"))
    told = [
        telling["peer"] + (" (an update waits)" if telling["pending"] else "")
        for telling in path["told"]
        if telling["told"]
    ]
    rows.append(("told", ", ".join(told) or "nobody"))
    rows += [("to be told", ", ".join(waiting))] if (waiting := _waiting(path["told"])) else []
    lines += pairs(rows, columns, 3)
    reasons: dict[str, list[str]] = {}
    for telling in path["told"]:
        if telling["reason"]:
            reasons.setdefault(telling["reason"], []).append(telling["peer"])
    for reason, peers in reasons.items():
        lines += wrapped("not told  ", f"{', '.join(peers)}: {reason}", columns, 3)
    return lines


def _waiting(told: Iterable[Document]) -> list[str]:
    return [one["peer"] for one in told if one["pending"] and not one["told"] and not one["reason"]]


def _attributes(attributes: Iterable[Document]) -> Iterator[tuple[str, str]]:
    for one in attributes:
        name = f"attribute {one['code']}" if one["name"] == "unknown" else one["name"].replace("_", " ")
        yield name, _plain(one.get("value", one.get("octets"))) or "-"


def _plain(value: Any) -> str:
    """Values of JSON in as few marks as can be."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " ".join(f"({_plain(inner)})" if isinstance(inner, Mapping | list) else _plain(inner) for inner in value)
    return (
        {True: "yes", False: "no", None: "none"}.get(value, str(value))
        if isinstance(value, bool | None)
        else str(value)
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _section(title: str, lines: Iterable[str]) -> list[str]:
    shown = [f"  {line}" for line in lines]
    return ["", title, *shown] if shown else []
