"""Flow specifications (RFC 8955, RFC 8956): octets of the RFCs, keys, words, and what is malformed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec, nlri_from_json, nlri_to_json
from pybgp.messages.nlri.flowspec import IPV4_FLOWSPEC, IPV6_FLOWSPEC
from pybgp.messages.update import Unreach, decode_update
from pybgp.messages.update_writer import encode_reach, encode_unreach
from pybgp.prefix import Prefix, format_nlri, read_nlri
from tests.app.corpus import flow

V4, V6 = IPV4_FLOWSPEC.family, IPV6_FLOWSPEC.family
CONTEXT = CodecContext(four_octet_as=True, internal=True, families=frozenset({V4, V6}))
randoms = st.randoms(use_true_random=False)

VECTORS = [
    # RFC 8955 section 4.3
    (IPV4_FLOWSPEC, "0b 01 18 c00002 03 81 06 04 81 19", "destination 192.0.2.0/24 protocol =6 port =25"),
    (
        IPV4_FLOWSPEC,
        "12 01 18 c00002 02 08 cb 04 03 89 45 8b 91 1f90",
        "destination 192.0.2.0/24 source 203.0.0.0/8 port >=137&<=139,=8080",
    ),
    (IPV4_FLOWSPEC, "09 01 18 c00002 0c 80 05", "destination 192.0.2.0/24 fragment dont-fragment+first"),
    (IPV4_FLOWSPEC, "00", "all"),
    (IPV4_FLOWSPEC, "02 01 00", "destination 0.0.0.0/0"),
    (IPV4_FLOWSPEC, "03 09 81 12", "tcp-flags =syn+ack"),
    (IPV4_FLOWSPEC, "05 09 02 02 c3 10", "tcp-flags !syn&!=ack"),
    (IPV4_FLOWSPEC, "04 09 90 0a02", "tcp-flags syn+0xa00"),
    (IPV4_FLOWSPEC, "03 09 80 00", "tcp-flags 0x0"),
    (IPV4_FLOWSPEC, "05 0a 05 28 82 40", "packet-length <=40,>64"),
    (IPV4_FLOWSPEC, "09 07 81 08 08 81 00 0b 86 2e", "icmp-type =8 icmp-code =0 dscp !=46"),
    (
        IPV4_FLOWSPEC,
        "05 05 00 01 87 02",
        "destination-port never1,always2",
    ),
    (IPV4_FLOWSPEC, "04 06 91 0050", "source-port =80/16"),
    # RFC 8956 section 3.8
    (
        IPV6_FLOWSPEC,
        "13 01 20 00 20010db8 02 68 40 123456789a 03 81 06",
        "destination 2001:db8::/32 source ::1234:5678:9a00:0/64-104 protocol =6",
    ),
    (IPV6_FLOWSPEC, "06 0d a1 000186a0", "flow-label =100000"),
    (IPV6_FLOWSPEC, "03 0d 81 01", "flow-label =1/8"),
    (IPV6_FLOWSPEC, "03 01 00 00", "destination ::/0"),
    (IPV6_FLOWSPEC, "04 01 7f 7e 80", "destination ::2/126-127"),
]


def field_of(digits: str) -> bytes:
    """Typed without counting: the first octet is set here."""
    octets = bytes.fromhex(digits)
    return bytes((len(octets) - 1,)) + octets[1:]


@pytest.mark.parametrize(("codec", "digits", "text"), VECTORS, ids=lambda value: str(value)[:40])
@pytest.mark.rfc("8955", "4.2", "pybgp.messages.nlri.flowspec:_read", "components in octets and words")
@pytest.mark.rfc("8955", "4.2.1", "pybgp.messages.nlri.flowspec:_read_tests", "operators")
@pytest.mark.rfc("8956", "3", "pybgp.messages.nlri.flowspec:_read_prefix", "prefixes with an offset")
def test_vector(codec: NlriCodec, digits: str, text: str) -> None:
    field = field_of(digits)
    assert codec.cut(field) == [field]
    assert codec.cut_add_path(b"\0\0\0\7" + field) == ([field], [7])
    assert str(Prefix.of(codec.family, field)) == text
    assert Prefix.read(codec.family, text) == Prefix.of(codec.family, field)
    assert nlri_to_json(codec, field * 2, False) == [text, text]
    assert nlri_from_json(codec, [text, text]) == field * 2


@pytest.mark.parametrize(
    ("codec", "digits", "canonical"),
    [
        (IPV4_FLOWSPEC, "03 01 07 ff", "03 01 07 fe"),  # host bits
        (IPV4_FLOWSPEC, "03 03 c9 06", "03 03 81 06"),  # a reserved bit, and AND in the first operator
        (IPV4_FLOWSPEC, "03 09 8f 02", "03 09 83 02"),
        (IPV4_FLOWSPEC, "f003 03 81 06", "03 03 81 06"),  # two octets of length where one is enough
        (IPV6_FLOWSPEC, "04 01 06 03 ff", "04 01 06 03 e0"),
    ],
)
def test_what_means_nothing_is_put_right(codec: NlriCodec, digits: str, canonical: str) -> None:
    field = bytes.fromhex(digits)
    assert codec.cut(field) == [bytes.fromhex(canonical)]
    assert nlri_to_json(codec, field, False) == field.hex()


@pytest.mark.parametrize(
    ("codec", "digits", "words"),
    [
        (IPV4_FLOWSPEC, "06 03 81 06 03 81 07", "ascend"),
        (IPV4_FLOWSPEC, "06 04 81 19 03 81 06", "ascend"),
        (IPV4_FLOWSPEC, "03 00 81 06", "unknown component type 0"),
        (IPV4_FLOWSPEC, "06 0d a1 00000001", "unknown component type 13"),
        (IPV6_FLOWSPEC, "03 0e 81 06", "unknown component type 14"),
        (IPV4_FLOWSPEC, "01 01", "before its length"),
        (IPV6_FLOWSPEC, "02 01 20", "before its length"),
        (IPV4_FLOWSPEC, "07 01 21 0a00000000", "prefix length 33"),
        (IPV6_FLOWSPEC, "03 01 81 00", "prefix length 129"),
        (IPV6_FLOWSPEC, "04 01 20 20 00", "offset of 32"),
        (IPV6_FLOWSPEC, "03 01 00 01", "offset of 1"),
        (IPV4_FLOWSPEC, "03 01 18 c0", "are left"),
        (IPV4_FLOWSPEC, "03 03 01 06", "has no end"),
        (IPV4_FLOWSPEC, "01 03", "has no end"),
        (IPV4_FLOWSPEC, "02 03 81", "a value of 1 octets"),
        (IPV4_FLOWSPEC, "03 04 91 00", "a value of 2 octets"),
        (IPV4_FLOWSPEC, "04 0b 91 002e", "1 is the most"),
        (IPV4_FLOWSPEC, "04 0c 90 0001", "1 is the most"),
        (IPV4_FLOWSPEC, "06 09 a0 00000001", "2 is the most"),
        (IPV4_FLOWSPEC, "04 03 81 06", "are left"),
        (IPV4_FLOWSPEC, "f0", "are left"),
        (IPV4_FLOWSPEC, "f100 03", "are left"),
    ],
)
def test_malformed(codec: NlriCodec, digits: str, words: str) -> None:
    """RFC 8955 section 4.2: "An NLRI value not encoded as specified here ... is considered malformed"."""
    field = bytes.fromhex(digits)
    with pytest.raises(InvalidNlri, match=words):
        codec.cut(field)
    assert nlri_to_json(codec, field, False) == field.hex()
    with pytest.raises(InvalidNlri):
        codec.cut_add_path(b"\0\0\0\1" + field)
    with pytest.raises(InvalidNlri, match="path identifier"):
        codec.cut_add_path(b"\0\0\0\1")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([IPV4_FLOWSPEC, IPV6_FLOWSPEC]), randoms)
def test_specifications_survive_words_and_messages(codec: NlriCodec, chance: object) -> None:
    field = b"".join(flow(chance, codec is IPV6_FLOWSPEC) for _ in range(3))  # type: ignore[arg-type]
    keys = codec.cut(field)
    assert b"".join(keys) == field
    texts = [format_nlri(codec.family, key) for key in keys]
    assert [read_nlri(codec.family, text) for text in texts] == keys
    attributes = PathAttributes.build(local_pref=100, extended_communities=["traffic-rate:0:0"])
    pool = AttributePool()
    (reach,) = [
        reach
        for message in encode_reach(codec.family, keys, attributes, CONTEXT)
        for reach in decode_update(message[19:], CONTEXT, pool).reach
    ]
    assert reach.nlri == keys
    assert reach.attributes == attributes
    for message in encode_unreach(codec.family, keys, CONTEXT):
        assert decode_update(message[19:], CONTEXT, pool).unreach == (Unreach(codec.family, keys),)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([IPV4_FLOWSPEC, IPV6_FLOWSPEC]), randoms, st.data())
def test_mutilated_fields(codec: NlriCodec, chance: object, data: st.DataObject) -> None:
    """Cut to keys that mean the same again, or the one error; and JSON gives the octets back."""
    field = bytearray(flow(chance, codec is IPV6_FLOWSPEC))  # type: ignore[arg-type]
    for _ in range(data.draw(st.integers(1, 3))):
        field[data.draw(st.integers(0, len(field) - 1))] = data.draw(st.integers(0, 255))
    octets = bytes(field)[: data.draw(st.integers(1, len(field)))]
    assert nlri_from_json(codec, nlri_to_json(codec, octets, False)) == octets
    try:
        keys = codec.cut(octets)
    except InvalidNlri:
        return
    assert codec.cut(b"".join(keys)) == keys
    assert all(read_nlri(codec.family, format_nlri(codec.family, key)) == key for key in keys)


@pytest.mark.rfc("8955", "4.1", "pybgp.messages.nlri.flowspec:_cut", "lengths of one and two octets")
def test_long_ones() -> None:
    """RFC 8955 section 4.1: two octets of length from 240 on, up to 4095."""
    text = "port " + ",".join(f"={port}" for port in range(1000, 1120))
    key = read_nlri(V4, text)
    assert key[:2] == (0xF000 | len(key) - 2).to_bytes(2, "big")
    assert IPV4_FLOWSPEC.cut(key * 2) == [key, key]
    assert format_nlri(V4, key) == text
    with pytest.raises(ValueError, match="4095 is the most"):
        read_nlri(V4, "port " + ",".join(["=80"] * 3000))


@pytest.mark.parametrize("hop", ["", "c0000201", "20010db8000000000000000000000001", "010203"])
def test_a_next_hop_is_ignored(hop: str) -> None:
    """RFC 8955 section 4: the length is 0 on sending, and what comes is ignored."""
    value = bytes.fromhex(f"0001 85 {len(hop) // 2:02x} {hop} 00 03 03 81 06")
    block = bytes((0x80, 14, len(value))) + value + bytes.fromhex("400101 00 400200 400504 00000064")
    update = decode_update(b"\0\0" + len(block).to_bytes(2, "big") + block, CONTEXT, AttributePool())
    (reach,) = update.reach
    assert (reach.nlri, reach.attributes.next_hop) == ([bytes.fromhex("03038106")], b"")
    (message,) = encode_reach(V4, reach.nlri, reach.attributes.with_next_hop(bytes(4)), CONTEXT)
    assert bytes.fromhex("0001 85 00 00 03 03 81 06") in message


@pytest.mark.parametrize(
    "text",
    [
        *("", "port", "port =80 protocol", "ports =80", "port =80 port =81", "all all", "port 80", "port =", "port =x"),
        *("port =80,", "port &=80", "port =80&&=81", "port =256/8", "port =18446744073709551616", "port =80/12"),
        *("tcp-flags", "tcp-flags syn+", "tcp-flags =first", "tcp-flags 18", "fragment 0x100", "dscp =256"),
        *("destination 10.0.0.1/8", "destination 10.0.0.0", "destination 10.0.0.0/33", "destination ::/0"),
        *("destination 10.0.0.0/1-8", "destination x/8", "flow-label =1", "destination 10.0.0.0/", "protocol =-1"),
    ],
)
def test_words_that_are_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_nlri(V4, text)


@pytest.mark.parametrize(
    "text", ["destination 2001:db8::/16", "destination ::1/0-128", "source 1::/16-32", "source ::/33-32"]
)
def test_ipv6_words_that_are_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_nlri(V6, f"destination {text}" if text[0] == ":" else text)


def test_specifications_in_order_and_alone() -> None:
    first, second = (Prefix.read(V4, text) for text in ("port =80", "port =81"))
    assert sorted([second, first]) == [first, second]
    assert first in first
    assert second not in first
    with pytest.raises(ValueError, match="no IP prefixes"):
        _ = first.address
