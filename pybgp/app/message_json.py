"""Messages as plain JSON values and back; docs/schema/message.json is its schema.

What comes out holds all that is needed to make the same octets again. Lists of objects, never data as keys.
"""

from __future__ import annotations

from typing import Any

from pybgp.app.plain import fields_from_plain, fields_to_plain
from pybgp.errors import ProtocolError
from pybgp.family import Family
from pybgp.messages import CodecContext, Keepalive, Message, Notification, Open, RouteRefresh, Update, decode_message
from pybgp.messages.attributes import ROW_NAMED, ROW_OF
from pybgp.messages.attributes.base import Attribute, Flag, Malformed, RawAttribute
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.capabilities import CAPABILITIES, Capability, UnknownCapability
from pybgp.messages.framing import MessageType
from pybgp.messages.nlri.base import nlri_from_json, nlri_to_json
from pybgp.messages.nlri.unicast import IPV4
from pybgp.messages.open import decode_open, encode_open
from pybgp.messages.update import update_body
from pybgp.prefix import format_address, pack_address

_CAPABILITY_NAMED = {cls.__name__: cls for cls in CAPABILITIES}
_FLAG_NAMED = {
    "optional": int(Flag.OPTIONAL),
    "transitive": int(Flag.TRANSITIVE),
    "partial": int(Flag.PARTIAL),
    "extended-length": int(Flag.EXTENDED_LENGTH),
    "unused-8": 8,
    "unused-4": 4,
    "unused-2": 2,
    "unused-1": 1,
}
_FLAG_NAMES = [[name for name, bit in _FLAG_NAMED.items() if octet & bit] for octet in range(256)]


def error_to_json(error: ProtocolError) -> dict[str, Any]:
    """An error as the NOTIFICATION that it would be, with words."""
    return {
        "code": error.code,
        "subcode": error.subcode,
        "name": error.name,
        "data": error.data.hex(),
        "reason": error.reason,
    }


def message_to_json(message: Message) -> dict[str, Any]:
    """One decoded message."""
    if isinstance(message, Update):
        return _update_to_json(message)
    if isinstance(message, Open):
        return _open_to_json(message)
    if isinstance(message, Notification):
        return _notification_to_json(message)
    if isinstance(message, RouteRefresh):
        return {
            "type": "route-refresh",
            "family": str(message.family),
            "subtype": message.subtype,
            "orf": message.orf.hex(),
        }
    return {"type": "keepalive"}


def message_from_json(value: Any, context: CodecContext) -> Message:
    """The message that `message_to_json` described. Raises ValueError with what is wrong, and where."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise ValueError('a message is an object with a "type"')
    kind = value["type"]
    if "error" in value:
        raise ValueError("this line is an error and no message")
    match kind:
        case "update":
            return _update_from_json(value, context)
        case "open":
            return _open_from_json(value)
        case "notification":
            return Notification(_number(value, "code", 255), _number(value, "subcode", 255), _octets(value, "data", ""))
        case "route-refresh":
            family = value.get("family")
            if not isinstance(family, str):
                raise ValueError(f"family is a text such as ipv4-unicast, not {family!r}")
            return RouteRefresh(Family.parse(family), _number(value, "subtype", 255), _octets(value, "orf", ""))
        case "keepalive":
            return Keepalive()
    raise ValueError(f"no message has type {kind!r}: open, update, notification, keepalive or route-refresh")


def _number(value: dict[str, Any], name: str, maximum: int) -> int:
    number = value.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= maximum:
        raise ValueError(f"{name} is a whole number from 0 to {maximum}, not {number!r}")
    return number


def _octets(value: dict[str, Any], name: str, default: str | None = None) -> bytes:
    digits = value.get(name, default)
    try:
        return bytes.fromhex(digits)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(f"{name} is hexadecimal digits, not {digits!r}") from None


# OPEN


def _open_to_json(message: Open) -> dict[str, Any]:
    result: dict[str, Any] = {
        "type": "open",
        "version": message.version,
        "my_as": message.my_as,
        "hold_time": message.hold_time,
        "bgp_identifier": format_address(message.bgp_identifier.to_bytes(4)),
        "capabilities": [capability_to_json(capability) for capability in message.capabilities],
    }
    if message.as_field is not None:
        result["as_field"] = message.as_field
    if message.parameters is not None:
        result["parameters"] = message.parameters.hex()
    return result


def capability_to_json(capability: Capability) -> dict[str, Any]:
    if isinstance(capability, UnknownCapability):
        return {"code": capability.code, "name": "unknown", "data": capability.data.hex()}
    return {"code": capability.code, "name": type(capability).__name__, "value": fields_to_plain(capability)}


def _open_from_json(value: dict[str, Any]) -> Open:
    try:
        identifier = pack_address(str(value.get("bgp_identifier")))
    except ValueError:
        identifier = b""
    if len(identifier) != 4:
        raise ValueError(f"bgp_identifier is a dotted quad, not {value.get('bgp_identifier')!r}")
    listed = value.get("capabilities", [])
    if not isinstance(listed, list):
        raise ValueError(f"capabilities is a list, not {listed!r}")
    message = Open(
        my_as=_number(value, "my_as", 0xFFFFFFFF),
        hold_time=_number(value, "hold_time", 0xFFFF),
        bgp_identifier=int.from_bytes(identifier),
        capabilities=tuple(_capability_from_json(item) for item in listed),
        version=_number(value, "version", 255),
        as_field=_number(value, "as_field", 0xFFFF) if "as_field" in value else None,
        parameters=_octets(value, "parameters") if "parameters" in value else None,
    )
    if message.parameters is not None and _capabilities_in(message.parameters) != message.capabilities:
        raise ValueError("parameters holds other capabilities than capabilities does; leave parameters out")
    return message


def _capabilities_in(parameters: bytes) -> tuple[Capability, ...]:
    """Those of an OPEN whose other fields have nothing wrong."""
    try:
        return decode_open(encode_open(Open(1, 0, 1, parameters=parameters))).capabilities
    except ProtocolError as error:
        raise ValueError(f"parameters: {error.reason}") from None


def _capability_from_json(value: Any) -> Capability:
    if not isinstance(value, dict):
        raise ValueError(f"a capability is an object, not {value!r}")
    name = value.get("name")
    cls = _CAPABILITY_NAMED.get(name) if isinstance(name, str) else None
    if cls is None:
        return UnknownCapability(_number(value, "code", 255), _octets(value, "data", ""))
    if value.get("code", cls.code) != cls.code:
        raise ValueError(f"{name} has code {cls.code}, not {value['code']!r}")
    inner = value.get("value", {})
    if not isinstance(inner, dict):
        raise ValueError(f"the value of {name} is an object, not {inner!r}")
    made: Capability = fields_from_plain(cls, inner, str(name))
    return made


# NOTIFICATION


def _notification_to_json(message: Notification) -> dict[str, Any]:
    result = {
        "type": "notification",
        "code": message.code,
        "subcode": message.subcode,
        "name": message.error.name,
        "data": message.data.hex(),
    }
    if message.shutdown_message is not None:
        result["message"] = message.shutdown_message
    return result


# UPDATE


def _update_to_json(update: Update) -> dict[str, Any]:
    add_path = update.add_path
    result: dict[str, Any] = {
        "type": "update",
        "outcome": outcome_name(update),
        "faults": [
            {
                "outcome": fault.outcome.name.lower().replace("_", "-"),
                "attribute": fault.attribute,
                "reason": fault.reason,
                "error": error_to_json(fault.error),
            }
            for fault in update.faults
        ],
        "withdrawn": nlri_to_json(IPV4, update.withdrawn, add_path),
        "attributes": [_attribute_to_json(raw, update.context) for raw in update.attributes],
        "nlri": nlri_to_json(IPV4, update.nlri, add_path),
    }
    if update.remainder:
        result["remainder"] = update.remainder.hex()
    if update.end_of_rib is not None:
        result["end_of_rib"] = str(update.end_of_rib)
    return result


def outcome_name(update: Update) -> str:
    """The RFC 7606 outcome in its own words: "treat-as-withdraw"."""
    return update.outcome.name.lower().replace("_", "-")


def _attribute_to_json(raw: RawAttribute, context: CodecContext) -> dict[str, Any]:
    """The value in words where those give the same octets again, else the octets."""
    result: dict[str, Any] = {
        "code": raw.code,
        "name": "unknown",
        "flags": list(_FLAG_NAMES[raw.flags]),
    }
    row = ROW_OF.get(raw.code)
    if row is not None:
        result["name"] = row.name
    if row is not None and _has_its_length(row, raw.value):
        try:
            value = row.to_json(row.decode(raw.value, context))
            if row.encode(row.from_json(value), context) == raw.value:
                result["value"] = value
                return result
        except (Malformed, ValueError):
            pass  # what cannot be said in words is said in octets
    result["octets"] = raw.value.hex()
    return result


def _has_its_length(row: Attribute[Any], octets: bytes) -> bool:
    if row.length is not None:
        return len(octets) == row.length
    return row.multiple is None or (bool(octets) and len(octets) % row.multiple == 0)


def _attribute_from_json(value: Any, context: CodecContext) -> RawAttribute:
    if not isinstance(value, dict):
        raise ValueError(f"an attribute is an object, not {value!r}")
    names = value.get("flags")
    row = ROW_NAMED.get(str(value.get("name")))
    if names is None and row is not None:
        flags = row.flags
    elif isinstance(names, list) and all(isinstance(name, str) and name in _FLAG_NAMED for name in names):
        flags = 0
        for name in names:
            flags |= _FLAG_NAMED[name]
    else:
        raise ValueError(f"flags is a list of {', '.join(_FLAG_NAMED)}, not {names!r}")
    code = _number(value, "code", 255) if "code" in value or row is None else row.code
    if row is not None and row.code != code:
        raise ValueError(f"{row.name} has code {row.code}, not {code}")
    if "octets" in value and "value" in value:
        raise ValueError(f"attribute {code} has a value and octets; one of them is enough")
    if "octets" in value:
        octets = _octets(value, "octets")
    elif row is not None and "value" in value:
        try:
            octets = row.encode(row.from_json(value["value"]), context)
        except (TypeError, KeyError, IndexError, OverflowError) as error:
            raise ValueError(f"{row.name}: {value['value']!r} is no value of it ({error})") from None
    else:
        raise ValueError(f"attribute {code} has neither a value nor octets")
    if len(octets) > 255 and names is None:
        flags |= Flag.EXTENDED_LENGTH
    return RawAttribute(flags, code, octets)


def _update_from_json(value: dict[str, Any], context: CodecContext) -> Update:
    listed = value.get("attributes", [])
    if not isinstance(listed, list):
        raise ValueError(f"attributes is a list, not {listed!r}")
    body = update_body(
        nlri_from_json(IPV4, value.get("withdrawn", [])),
        [_attribute_from_json(item, context) for item in listed],
        nlri_from_json(IPV4, value.get("nlri", [])),
        _octets(value, "remainder", ""),
    )
    try:
        message = decode_message(MessageType.UPDATE, body, context, AttributePool())
    except ProtocolError as error:
        raise ValueError(f"such an UPDATE would reset the session: {error}") from None
    assert isinstance(message, Update)
    return message
