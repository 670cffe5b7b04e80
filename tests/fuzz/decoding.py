"""Target `decode`: any message in any session. Only ProtocolError leaves the decoder, and what it makes is whole.

Input: an octet for the session, one for a session that was there before (with the same memory of attributes), one
for the type of the message, and its body.
"""

from __future__ import annotations

import json

from pybgp.app.message_json import error_to_json, message_from_json, message_to_json
from pybgp.app.message_text import message_text
from pybgp.errors import ProtocolError
from pybgp.family import Family
from pybgp.messages import CodecContext, Message, Notification, Update, decode_message, encode_message
from pybgp.messages import update as update_module
from pybgp.messages.attributes.base import Outcome
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.framing import HEADER_LENGTH, Framer
from pybgp.messages.nlri import CODEC_OF
from pybgp.messages.update import update_body
from pybgp.prefix import Prefix
from tests.fuzz.inputs import BOTH, Octets, context_of

LONGEST = 4096 - HEADER_LENGTH


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever wrongly came out of the decoder."""
    octets = Octets(data)
    context, before = context_of(octets.octet()), context_of(octets.octet())
    kind, body = octets.octet(), octets.rest()[:LONGEST]
    pool = AttributePool()
    attempt(kind, body, before, pool)
    message, error = attempt(kind, body, context, pool)
    fresh, fresh_error = attempt(kind, body, context, AttributePool())
    assert error == fresh_error, "what is remembered of another session changes the error"
    assert message == fresh, "what is remembered of another session changes the message"
    if error is not None:
        check_error(error)
    elif message is not None:
        check_message(message, fresh, body, context)


def attempt(
    kind: int, body: bytes, context: CodecContext, pool: AttributePool
) -> tuple[Message | None, ProtocolError | None]:
    try:
        return decode_message(kind, body, context, pool), None
    except ProtocolError as error:
        return None, error


def check_error(error: ProtocolError) -> None:
    """It can be sent, and shown."""
    assert 1 <= error.code <= 255
    assert 0 <= error.subcode <= 255
    said = Notification(error.code, error.subcode, error.data)
    assert len(encode_message(said, CodecContext())) <= CodecContext().maximum_length
    assert json.dumps(error_to_json(error)).isascii()
    assert str(error)


def check_message(message: Message, again: Message | None, body: bytes, context: CodecContext) -> None:
    assert hash(message) == hash(again)
    assert repr(message) == repr(again)
    assert message_text(message_to_json(message))
    framed = encode_message(message, context)
    ((kind, encoded),) = Framer(context.maximum_length).feed(framed)
    # A fixed point: the same message, and from there on the same octets.
    once = decode_message(kind, encoded, context)
    assert once == message, "encoded and decoded, it is another message"
    assert encode_message(once, context) == framed
    plain = json.loads(json.dumps(message_to_json(message)))
    assert message_from_json(plain, context) == message, "its JSON is another message"
    if isinstance(message, Update):
        assert isinstance(again, Update)
        check_update(message, again, body, context)


def check_update(update: Update, again: Update, body: bytes, context: CodecContext) -> None:
    assert meaning(update) == meaning(again), "what is remembered changes what is announced"
    assert update_body(update.withdrawn, update.attributes, update.nlri, update.remainder) == body
    assert update.outcome is not Outcome.SESSION_RESET
    if update.outcome is Outcome.TREAT_AS_WITHDRAW:
        assert not update.reach
    for reach in update.reach:
        check_keys(reach.family, reach.nlri, reach.path_ids, context)
        assert reach.nlri
        assert reach.attributes.next_hop or reach.family not in BOTH
        assert repr(reach.attributes)
        for row, value in reach.attributes.items():
            assert row.from_json(row.to_json(value)) == value, row.name
    for unreach in update.unreach:
        check_keys(unreach.family, unreach.nlri, unreach.path_ids, context)
    if update.end_of_rib is not None:
        assert not update.reach
        assert update.end_of_rib in context.families
    exact = decode_exactly(body, context)
    assert meaning(update) == meaning(exact), "the quick way and the exact way do not agree"
    assert update.faults == exact.faults


def check_keys(family: Family, nlri: list[bytes], path_ids: list[int] | None, context: CodecContext) -> None:
    assert family in context.families
    if path_ids is None:
        assert family not in context.add_path_receive or not nlri
    else:
        assert len(path_ids) == len(nlri)
        assert family in context.add_path_receive
    for one in nlri:
        if family in CODEC_OF:
            assert Prefix.read(family, str(Prefix.of(family, one))).nlri == one, "not canonical"


def decode_exactly(body: bytes, context: CodecContext) -> Update:
    """Past every short cut."""
    withdrawn_end = 2 + int.from_bytes(body[:2], "big")
    start = withdrawn_end + 2
    end = start + int.from_bytes(body[withdrawn_end:start], "big")
    return update_module._decode_exactly(body, context, AttributePool(), withdrawn_end, start, end)


def meaning(update: Update) -> tuple[object, ...]:
    """All that a speaker takes from an UPDATE; of no prefixes it takes nothing."""
    reach = [(r.family, r.nlri, r.attributes.block, r.attributes.next_hop, r.path_ids) for r in update.reach]
    numbers = [
        (a.origin, a.local_pref, a.med, a.as_path_length, a.neighbor_as, a.originator_id, a.cluster_list_length)
        for a in (r.attributes for r in update.reach)
    ]
    unreach = [(u.family, u.nlri, u.path_ids) for u in update.unreach if u.nlri]
    return reach, numbers, unreach, update.end_of_rib
