"""The quick way says just what the exact way says, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.codec import decode_block, path_attributes
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.origin import ORIGIN
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.attributes.quick import quick_decoder
from pybgp.messages.context import CodecContext
from pybgp.messages.update import Update, decode_update, update_body
from tests import strategies

IBGP = CodecContext(four_octet_as=True, internal=True)
EBGP = CodecContext(four_octet_as=True, internal=False)
FIELDS = [name for name in PathAttributes.__slots__ if name != "_memo"]

# Everything that one expression has to know; what is not among it may take either way.
EVERYDAY = (
    {"as_path": [65001]},
    {"as_path": [], "communities": ["65000:1"]},
    {"as_path": range(1, 64), "med": 1},
    {"as_path": [4200000000, 65001], "aggregator": (65001, "192.0.2.7"), "atomic_aggregate": True},
    {"communities": range(1, 64), "extended_communities": ["rt:1:1"] * 31, "large_communities": [(1, 2, 3)]},
)


def fields(attributes: PathAttributes) -> list[object]:
    return [getattr(attributes, name) for name in FIELDS]


def exactly(block: bytes, context: CodecContext) -> PathAttributes:
    """The attributes of a block that the quick way accepts: the exact way must find no fault in it."""
    found = decode_block(block, context)
    assert found.faults == []
    assert {ORIGIN.code, AS_PATH.code} <= found.present.keys()
    assert not context.internal or LOCAL_PREF.code in found.present
    return path_attributes(found)


@pytest.mark.parametrize("context", [IBGP, EBGP], ids=["ibgp", "ebgp"])
@pytest.mark.parametrize("values", EVERYDAY, ids=str)
def test_everyday_blocks_take_the_quick_way(values: dict[str, object], context: CodecContext) -> None:
    inner = {"local_pref": 100, "originator_id": 1, "cluster_list": [1, 2]} if context.internal else {}
    attributes = PathAttributes.build(next_hop="192.0.2.1", unknown=(), **{**values, **inner})
    for classic in (True, False):
        block = attributes.encoded(four_octet_as=True, classic=classic)
        quick = quick_decoder(context.internal)(block, None)
        assert quick is not None
        assert fields(quick) == fields(exactly(block, context))
        assert quick.with_next_hop(attributes.next_hop) == attributes
        given_hop = quick_decoder(context.internal)(block, bytes(16))
        assert given_hop == quick.with_next_hop(bytes(16))


@pytest.mark.parametrize(
    "block",
    [
        "",
        "40010100 400206 0201 00000000 400504 00000064",  # AS 0
        "40010103 400206 0201 0000fde9 400504 00000064",  # ORIGIN
        "40010100 40010100 400206 0201 0000fde9 400504 00000064",
        "400206 0201 0000fde9 40010100 400504 00000064",  # out of order
        "50010001 00 400206 0201 0000fde9 400504 00000064",
        "40010100 400206 0202 0000fde9 400504 00000064",
        "40010100 400206 0201 0000fde9",  # no LOCAL_PREF
        "40010100 400206 0201 0000fde9 400504 00000064 c00800",
        "40010100 400206 0201 0000fde9 400504 00000064 c00805 0000000000",
        "40010100 400206 0201 0000fde9 400304 00000000 400504 00000064",
        "40010100 400206 0201 0000fde9 400504 00000064 c00708 00000000 c0000201",
        "40010100 400206 0201 0000fde9 400504 00000064 c06300",
        "40010100 400206 0201 0000fde9 400504 00000064 40",
    ],
)
def test_all_else_does_not(block: str) -> None:
    assert quick_decoder(internal=True)(bytes.fromhex(block), None) is None


def test_attributes_for_internal_peers_do_not_come_from_external_ones() -> None:
    block = PathAttributes.build(local_pref=1).block
    assert quick_decoder(internal=True)(block, None) is not None
    assert quick_decoder(internal=False)(block, None) is None


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans())
def test_what_is_accepted_is_what_the_exact_way_finds(data: st.DataObject, internal: bool) -> None:
    context = IBGP if internal else EBGP
    valid = strategies.path_attributes(internal=internal).map(lambda a: a.encoded(four_octet_as=True, classic=True))
    block = data.draw(st.one_of(valid, strategies.mutated(valid)))
    quick = quick_decoder(internal)(block, None)
    if quick is not None:
        assert fields(quick) == fields(exactly(block, context))


def meaning(update: Update) -> object:
    return update.reach, update.unreach, update.faults


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_an_update_means_the_same_on_both_ways(data: st.DataObject) -> None:
    """In another order of its attributes an UPDATE cannot take the quick way."""
    context = replace(data.draw(st.sampled_from((IBGP, EBGP))), families=frozenset(strategies.FAMILIES))
    attributes = data.draw(strategies.path_attributes(internal=context.internal))
    nlri = b"".join(data.draw(strategies.nlri_lists(IPV4_UNICAST, min_size=0)))
    withdrawn = b"".join(data.draw(strategies.nlri_lists(IPV4_UNICAST, min_size=0)))
    block = attributes.encoded(four_octet_as=True, classic=True)
    straight = decode_update(
        len(withdrawn).to_bytes(2, "big") + withdrawn + len(block).to_bytes(2, "big") + block + nlri,
        context,
        AttributePool(),
    )
    turned = update_body(withdrawn, reversed(straight.attributes), nlri)
    assert meaning(decode_update(turned, context, AttributePool())) == meaning(straight)
