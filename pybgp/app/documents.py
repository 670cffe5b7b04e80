"""What the control socket answers, as plain values; docs/schema/control.json is their schema.

Lists of objects, never data as keys. Times are seconds since 1970, durations seconds; octets are hexadecimal digits.
"""

from __future__ import annotations

from typing import Any

from pybgp.app.message_json import capability_to_json
from pybgp.app.plain import fields_to_plain, to_plain
from pybgp.config import PeerConfig
from pybgp.explanation import Explanation, PathExplanation, Telling
from pybgp.fsm.negotiation import Negotiated
from pybgp.happenings import Offence
from pybgp.listing import ListedRoute
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.capabilities.hostname import Hostname
from pybgp.messages.capabilities.software_version import SoftwareVersion
from pybgp.messages.nlri.labels import show_labels
from pybgp.prefix import format_address
from pybgp.rib.route import Path
from pybgp.snapshot import PeerSnapshot


def identifier(value: int | None) -> str | None:
    """A BGP Identifier as it is written."""
    return None if value is None else format_address(value.to_bytes(4, "big"))


def attributes_document(attributes: PathAttributes) -> list[dict[str, Any]]:
    """The attributes by name; those that the codec has no row for by code, with their octets. The labels of a route
    (RFC 8277), which are no attribute, stand before them under the code 0."""
    found: list[dict[str, Any]] = []
    if isinstance(attributes, LabelledAttributes):
        found.append({"code": 0, "name": "labels", "value": show_labels(attributes.stack)})
    for row, value in attributes.items():
        shown = str(value) if row is AS_PATH else row.to_json(value)
        found.append({"code": row.code, "name": row.name, "value": shown})
    found += [{"code": raw.code, "name": "unknown", "octets": raw.value.hex()} for raw in attributes.unknown]
    return found


def route_document(route: ListedRoute) -> dict[str, Any]:
    """One path to one prefix."""
    path = route.path
    return {
        "prefix": str(route.prefix),
        "family": str(route.prefix.family),
        "peer": route.peer,
        "path_id": route.path_id,
        "best": route.best,
        "selected": route.selected,
        "rejected": None if path is None or path.rejected is None else str(path.rejected),
        "stale": path is not None and path.stale,
        "next_hop": route.attributes.next_hop_text,
        "attributes": attributes_document(route.attributes),
    }


def peer_summary(peer: PeerSnapshot, clock: float) -> dict[str, Any]:
    """One line of `show peers`. `clock` is what makes wall clock time of the event loop's."""
    names = [one for one in peer.capabilities if isinstance(one, Hostname)]
    return {
        "address": peer.address,
        "description": peer.description,
        "group": peer.group,
        "dynamic": peer.dynamic,
        "hostname": names[0].hostname if names else None,
        "as": peer.peer_as,
        "local_as": peer.local_as,
        "internal": peer.internal,
        "state": str(peer.state),
        "since": round(peer.since + clock, 1),
        "seconds": round(peer.uptime, 1),
        "administratively_down": peer.administratively_down,
        "stale": peer.restarting,
        "routes_received": peer.routes_received,
        "routes_advertised": peer.routes_advertised,
        "pending": sum(family.pending for family in peer.families.values()),
        "established_count": peer.established_count,
        "last_error": peer.last_error,
    }


def peer_detail(peer: PeerSnapshot, config: PeerConfig, clock: float) -> dict[str, Any]:
    """All of one peer."""
    versions = [one for one in peer.capabilities if isinstance(one, SoftwareVersion)]
    return {
        **peer_summary(peer, clock),
        "last_error_at": None if peer.last_error_at is None else round(peer.last_error_at + clock, 1),
        "software_version": versions[0].version if versions else None,
        "bgp_identifier": identifier(peer.bgp_identifier),
        "local_bgp_identifier": identifier(config.bgp_identifier),
        "local_address": peer.local_address or None,
        "incoming": peer.incoming,
        "timers": [{"name": name, "seconds": round(left, 1)} for name, left in peer.timers.items()],
        "negotiated": None if peer.negotiated is None else _negotiated(peer.negotiated),
        "capabilities_received": [capability_to_json(one) for one in peer.capabilities],
        "capabilities_sent": [capability_to_json(one) for one in peer.sent_capabilities],
        "families": [
            {
                "family": str(family),
                "received": counts.received,
                "accepted": counts.accepted,
                "limit": None if counts.limit is None else fields_to_plain(counts.limit),
                "limit_out": counts.limit_out,
                "advertised": counts.advertised,
                "pending": counts.pending,
                "stale": counts.stale,
                "end_of_rib_received": counts.end_of_rib_received,
                "end_of_rib_sent": counts.end_of_rib_sent,
            }
            for family, counts in peer.families.items()
        ],
        "counters": {
            "messages_received": peer.messages_received,
            "messages_sent": peer.messages_sent,
            "updates_received": peer.updates_received,
            "updates_sent": peer.updates_sent,
            "bytes_received": peer.bytes_received,
            "bytes_sent": peer.bytes_sent,
        },
        "settings": settings_document(config),
        "offences": [_offence(one, clock) for one in peer.offences],
    }


def settings_document(config: PeerConfig) -> list[dict[str, Any]]:
    """The settings that are not the default; a password only as being there."""
    found = []
    for name, field in PeerConfig.__dataclass_fields__.items():
        value = getattr(config, name)
        default = field.default_factory() if callable(field.default_factory) else field.default
        if name in ("address", "peer_as", "local_as", "bgp_identifier") or value == default:
            continue
        found.append({"name": name, "value": "(set)" if name == "password" else _setting(value)})
    return found


def _setting(value: Any) -> Any:
    if isinstance(value, tuple):
        return [to_plain(one) for one in value]
    if hasattr(value, "items"):
        return [{"family": str(family), "limit": str(limit)} for family, limit in value.items()]
    return value


def _negotiated(agreed: Negotiated) -> dict[str, Any]:
    context = agreed.context
    return {
        "hold_time": agreed.hold_time,
        "keepalive_time": round(agreed.keepalive_time, 3),
        "send_hold_time": round(agreed.send_hold_time, 3),
        "families": sorted(map(str, agreed.families)),
        "four_octet_as": context.four_octet_as,
        "extended_message": context.extended_message,
        "add_path_receive": sorted(map(str, context.add_path_receive)),
        "add_path_send": sorted(map(str, context.add_path_send)),
        "extended_next_hop": sorted(map(str, context.extended_next_hop)),
        "route_refresh": agreed.route_refresh,
        "enhanced_route_refresh": agreed.enhanced_route_refresh,
        "graceful_restart": agreed.graceful_restart is not None,
        "graceful_notification": agreed.graceful_notification,
    }


def _offence(offence: Offence, clock: float) -> dict[str, Any]:
    return {
        "at": round(offence.now + clock, 1),
        "reason": offence.reason,
        "octets": offence.data.hex(),
        "offset": offence.offset,
        "section": offence.section or None,
        "outcome": offence.outcome,
    }


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """All about one prefix."""
    return {
        "asked": explanation.asked,
        "family": str(explanation.family),
        "prefix": None if explanation.prefix is None else str(explanation.prefix),
        "unusable": [str(prefix) for prefix in explanation.unusable],
        "paths": [_explained(path) for path in explanation],
    }


def _explained(explained: PathExplanation) -> dict[str, Any]:
    path, policy = explained.path, explained.import_policy
    return {
        "peer": explained.peer,
        "path_id": path.path_id,
        "stale": path.stale,
        "best": explained.best,
        "selected": explained.selected,
        "accepted": explained.accepted,
        "rejected": None
        if explained.accepted
        else {
            "check": explained.check,
            "policy": explained.policy or None,
            "rule": explained.rule or None,
            "reason": explained.rejected,
        },
        "import_policy": None
        if policy is None
        else {"policy": policy.policy, "accepted": policy.accepted, "rules": list(policy.rules)},
        "decision": {
            "step": None if explained.step is None else explained.step.name.lower().replace("_", "-"),
            "reason": explained.reason,
            "lost_to": None if explained.lost_to is None else _named(explained.lost_to),
        },
        "next_hop": path.attributes.next_hop_text,
        "received": attributes_document(path.received),
        "attributes": attributes_document(path.attributes),
        "told": [_telling(telling) for telling in explained.told],
    }


def _named(path: Path) -> dict[str, Any]:
    return {"peer": path.source.name, "path_id": path.path_id}


def _telling(telling: Telling) -> dict[str, Any]:
    return {
        "peer": telling.peer,
        "told": telling.told,
        "pending": telling.pending,
        "check": telling.check or None,
        "policy": telling.policy or None,
        "rule": telling.rule or None,
        "reason": telling.reason or None,
        "next_hop": None if telling.attributes is None else telling.attributes.next_hop_text,
        "attributes": None if telling.attributes is None else attributes_document(telling.attributes),
    }
