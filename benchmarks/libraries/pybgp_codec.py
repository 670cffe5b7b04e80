"""Both ways to look at it: what a speaker needs (all checked, values made when asked for), and all values made."""

from __future__ import annotations

import sys
from typing import Any

from measure import Routes, run

from pybgp import CodecContext, PathAttributes, format_nlri
from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.update import Update, decode_update
from pybgp.messages.update_writer import encode_reach

CONTEXT = CodecContext(four_octet_as=True, internal=True, families=frozenset({IPV4_UNICAST}))
pools = [AttributePool()]


def decode(message: bytes) -> Update:
    return decode_update(message[19:], CONTEXT, pools[0])


def forget() -> None:
    pools[0] = AttributePool()  # nothing is known from the round before


def decode_all(message: bytes) -> Any:
    update = decode(message)
    for reach in update.reach:
        attributes = reach.attributes
        made = (
            *(attributes.origin, attributes.as_path, attributes.next_hop_text, attributes.med),
            *(attributes.local_pref, attributes.communities, [format_nlri(IPV4_UNICAST, one) for one in reach.nlri]),
        )
        assert made
    return update


def routes(update: Update) -> Routes:
    for reach in update.reach:
        path = [asn for one in reach.attributes.as_path for asn in (one if isinstance(one, frozenset) else (one,))]
        for nlri in reach.nlri:
            yield format_nlri(IPV4_UNICAST, nlri), path


def values(update: Update) -> Any:
    (reach,) = update.reach
    one = reach.attributes
    return reach.nlri, {
        "origin": one.origin,
        "as_path": one.as_path,
        "next_hop": one.next_hop_text,
        "med": one.med,
        "local_pref": one.local_pref,
        "communities": list(one.communities) or None,
    }


def encode(made: Any) -> bytes:
    nlri, attributes = made
    return b"".join(encode_reach(IPV4_UNICAST, nlri, PathAttributes.build(**attributes), CONTEXT))


run(decode_all if "all" in sys.argv else decode, routes, values, encode, forget)
