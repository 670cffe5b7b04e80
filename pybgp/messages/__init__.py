"""The wire codec: octets to values and back. A new message is a file with a class, and its row in `MESSAGES`.

The decoder is total: any octets give a message, whose RFC 7606 outcome is a value of it, or raise a ProtocolError
with the NOTIFICATION's code, subcode and data; nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from pybgp.errors import BadMessageType
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.context import CodecContext
from pybgp.messages.framing import HEADER_LENGTH, MessageType, frame
from pybgp.messages.keepalive import Keepalive, decode_keepalive, encode_keepalive
from pybgp.messages.notification import Notification, decode_notification, encode_notification
from pybgp.messages.open import Open, decode_open, encode_open
from pybgp.messages.route_refresh import RouteRefresh, decode_route_refresh, encode_route_refresh
from pybgp.messages.update import Update, decode_update

Message: TypeAlias = Open | Update | Notification | Keepalive | RouteRefresh


class MessageRow(NamedTuple):
    """One message type: its number, its class, and the functions between body and value."""

    kind: MessageType
    cls: type[Any]
    decode: Callable[[bytes, CodecContext, AttributePool], Message]
    encode: Callable[[Any], bytes]


MESSAGES: tuple[MessageRow, ...] = (
    MessageRow(MessageType.OPEN, Open, lambda body, _context, _pool: decode_open(body), encode_open),
    MessageRow(MessageType.UPDATE, Update, decode_update, lambda update: update.body),
    MessageRow(
        MessageType.NOTIFICATION,
        Notification,
        lambda body, _context, _pool: decode_notification(body),
        encode_notification,
    ),
    MessageRow(
        MessageType.KEEPALIVE, Keepalive, lambda body, _context, _pool: decode_keepalive(body), encode_keepalive
    ),
    MessageRow(
        MessageType.ROUTE_REFRESH,
        RouteRefresh,
        lambda body, _context, _pool: decode_route_refresh(body),
        encode_route_refresh,
    ),
)


def by_type(rows: Sequence[MessageRow]) -> dict[int, MessageRow]:
    """The rows under their types. Raises ValueError where two share one."""
    table: dict[int, MessageRow] = {}
    for row in rows:
        if row.kind in table:
            raise ValueError(f"{row.cls.__name__} and {table[row.kind].cls.__name__} share type {row.kind}")
        table[row.kind] = row
    return table


_BY_TYPE = by_type(MESSAGES)
_BY_CLASS = {row.cls: row for row in MESSAGES}


def decode_message(kind: int, body: bytes, context: CodecContext, pool: AttributePool | None = None) -> Message:
    """The message that a type and a body are, in a session of this context.

    pool: where path attributes that come again are found again. Raises ProtocolError and nothing else.
    """
    row = _BY_TYPE.get(kind)
    if row is None:
        raise BadMessageType(f"no message has type {kind}", bytes((kind & 0xFF,)))
    return row.decode(body, context, AttributePool() if pool is None else pool)


def encode_message(message: Message, context: CodecContext) -> bytes:
    """The whole message, header included. Raises ValueError where it is longer than the session allows."""
    row = _BY_CLASS[type(message)]
    body = row.encode(message)
    if HEADER_LENGTH + len(body) > context.maximum_length:
        raise ValueError(
            f"a {row.kind.name} of {HEADER_LENGTH + len(body)} octets; the session allows {context.maximum_length}"
        )
    return frame(row.kind, body)


__all__ = [
    "MESSAGES",
    "CodecContext",
    "Keepalive",
    "Message",
    "MessageType",
    "Notification",
    "Open",
    "RouteRefresh",
    "Update",
    "decode_message",
    "encode_message",
]
