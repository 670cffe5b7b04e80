"""UPDATEs changed with a knowledge of their form: fields stay where their lengths say, so that changes go deep."""

from __future__ import annotations

from random import Random

from pybgp.messages.attributes import ATTRIBUTES
from pybgp.messages.attributes.base import RawAttribute
from pybgp.messages.attributes.codec import split_block
from pybgp.messages.update import update_body

CODES = [row.code for row in ATTRIBUTES] + [11, 12, 22, 35, 99, 128, 200, 255]
FLAGS = (0x40, 0x80, 0xC0, 0xE0, 0x00, 0x50, 0x90, 0xD0, 0xF0, 0xFF)
OCTETS = (0, 1, 2, 3, 4, 16, 24, 32, 33, 64, 127, 128, 129, 254, 255)


def mutated_body(body: bytes, random: Random) -> bytes:
    """The body of an UPDATE after one or a few changes to its attributes and fields; most often still readable."""
    if len(body) < 4:
        return body + bytes(4)
    withdrawn_end = 2 + int.from_bytes(body[:2], "big")
    start = withdrawn_end + 2
    end = start + int.from_bytes(body[withdrawn_end:start], "big")
    withdrawn, field = body[2:withdrawn_end], body[end:]
    attributes, rest = split_block(body[start:end])
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        where = random.randrange(12)
        if where == 0:
            withdrawn = change(withdrawn, random)
        elif where == 1:
            field = change(field, random)
        elif where == 2:
            rest = change(rest, random)[:8]
        else:
            attributes = changed(attributes, random)
    try:
        result = update_body(withdrawn, attributes, field, rest)
    except ValueError:  # too long for its length field
        return body
    return change(result, random) if random.randrange(20) == 0 else result


def changed(attributes: list[RawAttribute], random: Random) -> list[RawAttribute]:
    """The attributes with one of them changed, added, left out or moved."""
    some = list(attributes)
    how = random.randrange(10)
    at = random.randrange(len(some) + 1)
    if how == 0 or at == len(some):
        some.insert(
            at, RawAttribute(random.choice(FLAGS), random.choice(CODES), random.randbytes(random.randrange(13)))
        )
    elif how == 1:
        del some[at]
    elif how == 2:
        some.append(some[at])
    elif how == 3:
        random.shuffle(some)
    elif how == 4:
        some[at] = fitting(some[at]._replace(flags=random.choice(FLAGS)))
    elif how == 5:
        some[at] = some[at]._replace(code=random.choice(CODES))
    else:
        some[at] = fitting(some[at]._replace(value=change(some[at].value, random)))
    return some


def fitting(raw: RawAttribute) -> RawAttribute:
    """With the Extended Length bit where the value needs it."""
    return raw._replace(flags=raw.flags | 0x10) if len(raw.value) > 255 else raw


def change(octets: bytes, random: Random) -> bytes:
    """A few octets set, inserted, left out, doubled or cut off."""
    result = bytearray(octets)
    at = random.randrange(len(result) + 1)
    how = random.randrange(6)
    if how == 0 and at < len(result):
        result[at] = random.choice(OCTETS)
    elif how == 1 and at < len(result):
        result[at] ^= 1 << random.randrange(8)
    elif how == 2:
        result[at:at] = random.randbytes(random.choice((1, 1, 2, 4, 8)))
    elif how == 3:
        del result[at : at + random.choice((1, 1, 2, 4, 8))]
    elif how == 4:
        result[at:at] = result[at : at + random.choice((4, 8, 16, 255))]
    else:
        del result[at:]
    return bytes(result)
