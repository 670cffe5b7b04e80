"""Where the fuzzers begin: well-formed messages of every kind, made by our own encoder, and the same with ends."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pybgp.errors import AdministrativeShutdown
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family, Safi
from pybgp.messages import CodecContext, Keepalive, MessageType, Notification, RouteRefresh, encode_message
from pybgp.messages.attributes.as_path import AsPath, Segment, SegmentType
from pybgp.messages.attributes.base import RawAttribute
from pybgp.messages.attributes.labelled import LabelledAttributes
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.framing import HEADER_LENGTH, frame
from pybgp.messages.nlri.labels import pack_labels
from pybgp.messages.update_writer import encode_end_of_rib, encode_reach, encode_unreach
from pybgp.prefix import Prefix, pack_address, parse_nlri
from tests.fuzz.inputs import (
    ADD_PATH_V4,
    EVPN,
    EXTENDED_MESSAGE,
    FOUR_OCTET_AS,
    INTERNAL,
    ONLY_V4,
    ONLY_V6,
    context_of,
)
from tests.fuzz.session import CALLS, KEEPALIVE, NEXT_DEADLINE, opening
from tests.strategies import contexts, update_bodies

SEQUENCE = SegmentType.AS_SEQUENCE
V4 = [parse_nlri(text)[1] for text in ("0.0.0.0/0", "10.0.0.0/8", "10.1.128.0/17", "192.0.2.77/32", "198.51.100.0/24")]
V6 = [parse_nlri(text)[1] for text in ("::/0", "2001:db8::/32", "2001:db8:1::/48", "2001:db8::1/128")]
OTHER: tuple[tuple[Family, tuple[str, ...], str | None], ...] = (
    (Family.parse("ipv4-labeled-unicast"), ("10.0.0.0/8", "0.0.0.0/0", "192.0.2.77/32"), "192.0.2.99"),
    (Family.parse("ipv6-labeled-unicast"), ("2001:db8::/32", "2001:db8::1/128"), "2001:db8::99"),
    (
        Family.parse("ipv4-flowspec"),
        ("all", "destination 10.0.0.0/8 protocol =6 port >=80&<=90,=443/16", "tcp-flags =syn&!ack fragment first"),
        None,
    ),
    (
        Family.parse("ipv6-flowspec"),
        ("destination 2001:db8::/32 source ::1200:0/64-104 icmp-type !=1", "dscp <8 flow-label =1"),
        None,
    ),
)
TABLE: tuple[tuple[Family, list[bytes], tuple[str, ...]], ...] = (
    (IPV4_UNICAST, V4, ("192.0.2.99", "2001:db8::99")),
    (IPV6_UNICAST, V6, ("2001:db8::99",)),
)


def attribute_sets(*, internal: bool) -> list[PathAttributes]:
    """A few sets that use every attribute; the rest is for the fuzzer to find."""
    only = {"local_pref": 200} if internal else {}
    sets = [
        PathAttributes.build(as_path=[65001], **only),
        PathAttributes.build(
            as_path=AsPath((Segment(SEQUENCE, (65001, 400000)), Segment(SegmentType.AS_SET, (64999, 65010)))),
            origin="incomplete",
            med=5,
            atomic_aggregate=True,
            aggregator={"asn": 400000, "address": "192.0.2.5"},
            communities=["65000:1", "no-peer"],
            **only,
        ),
        PathAttributes.build(
            as_path=[65001, 65001, 65002],
            large_communities=["65000:1:2"],
            extended_communities=[bytes.fromhex("0002fde800000001"), bytes.fromhex("4002fde800000002")],
            unknown=[RawAttribute(0xE0, 200, b"kept"), RawAttribute(0xF0, 201, bytes(300))],
            **only,
        ),
    ]
    if internal:
        sets.append(PathAttributes.build(originator_id="192.0.2.50", cluster_list=["192.0.2.51", "192.0.2.52"], **only))
    return sets


def updates() -> Iterator[tuple[int, bytes]]:
    """(octet of the session, body)."""
    for octet in (0, FOUR_OCTET_AS, INTERNAL, FOUR_OCTET_AS | INTERNAL, 0x7F & ~EXTENDED_MESSAGE, 0x3F, 0x1D, 0x25):
        context = context_of(octet)
        for family, keys, next_hops in TABLE:
            ids = list(range(1, len(keys) + 1)) if family in context.add_path_send else None
            for text in next_hops:
                for one in attribute_sets(internal=context.internal):
                    one = one.with_next_hop(PathAttributes.build(next_hop=text).next_hop)
                    if ":" in text and family == IPV4_UNICAST and not context.extended_next_hop:
                        continue
                    for message in encode_reach(family, keys, one, context, ids):
                        yield octet, message[HEADER_LENGTH:]
            for message in encode_unreach(family, keys, context, ids):
                yield octet, message[HEADER_LENGTH:]
            yield octet, encode_end_of_rib(family, context)[HEADER_LENGTH:]


def other_updates() -> Iterator[tuple[int, bytes]]:
    """Of labels, flow specifications, and a family that nobody knows."""
    for more in (0, FOUR_OCTET_AS | INTERNAL, FOUR_OCTET_AS | ADD_PATH_V4):
        octet = ONLY_V4 | ONLY_V6 | more
        context = context_of(octet)
        plain = attribute_sets(internal=context.internal)[-1]
        for family, texts, next_hop in OTHER:
            one = plain.with_next_hop(pack_address(next_hop)) if next_hop else plain
            if family.safi == Safi.LABELED_UNICAST:
                one = LabelledAttributes.of(one, pack_labels(100, 3))
            keys = [Prefix.read(family, text).nlri for text in texts]
            ids = list(range(len(keys))) if more & ADD_PATH_V4 else None
            for message in (
                *encode_reach(family, keys, one, context, ids),
                *encode_unreach(family, keys, context, ids),
            ):
                yield octet, message[HEADER_LENGTH:]
        for message in encode_reach(EVPN, [b"\x03\x01\xff"], plain.with_next_hop(bytes(16)), context):
            yield octet, message[HEADER_LENGTH:]


def generated(count: int) -> list[tuple[int, bytes]]:
    """UPDATEs of all shapes, the same at each call."""
    found: list[tuple[int, bytes]] = []

    @seed(7606)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        context = data.draw(contexts())
        octet = FOUR_OCTET_AS * context.four_octet_as | INTERNAL * context.internal
        found.append((octet, data.draw(update_bodies(context))))

    collect()
    return found


def others() -> Iterator[tuple[int, bytes]]:
    """(type, body) of the messages that are no UPDATE."""
    plain = CodecContext()
    for octet in (0, 4, 16 | 4, 32 | 64, 128):
        yield MessageType.OPEN, opening(octet)[HEADER_LENGTH:]
    for message in (
        Keepalive(),
        Notification(6, 4),
        Notification.shutdown(AdministrativeShutdown(), "back at noon"),
        Notification(6, 9, b"\6\2"),
        RouteRefresh(IPV4_UNICAST),
        RouteRefresh(IPV6_UNICAST, 1),
    ):
        framed = encode_message(message, plain)
        yield framed[18], framed[HEADER_LENGTH:]


def decode() -> Iterator[bytes]:
    for octet, body in [*updates(), *other_updates(), *generated(100)]:
        yield bytes((octet, octet ^ 5, MessageType.UPDATE)) + body
    for kind, body in others():
        yield bytes((0, 1, kind)) + body


def session() -> Iterator[bytes]:
    everyday = b"".join(data_step(frame(kind, body)) for kind, body in others())
    for octet in (0, 1, 2, 3, 4, 8, 16 | 4, 32, 64, 128):
        for climb in (0, 1, 2, 3, 128, 129, 130, 131):
            yield (bytes((octet, climb)) + data_step(opening(octet)) + bytes((NEXT_DEADLINE,)) + data_step(KEEPALIVE))
            yield bytes((octet, climb)) + everyday
    for octet, body in [*updates(), *other_updates()]:
        settings_octet = 4 * bool(octet & INTERNAL) | 16 * bool(octet & 8) | 32 * bool(octet & 2)
        yield bytes((settings_octet | 64 * (not octet & FOUR_OCTET_AS), 3)) + data_step(frame(2, body))
    numbers = random.Random(4271)
    for _ in range(100):
        yield bytes((numbers.randrange(256), numbers.randrange(256))) + bytes(
            0x84 + numbers.randrange(CALLS) for _ in range(40)
        )


def data_step(data: bytes) -> bytes:
    """Steps of the target `session` that hand over these octets."""
    return b"".join(
        bytes((len(part) >> 8, len(part) & 0xFF)) + part
        for part in (data[at : at + 4095] for at in range(0, len(data), 4095))
    )


def reencode() -> Iterator[bytes]:
    for octet, body in [*updates(), *other_updates(), *generated(100)]:
        yield bytes((octet,)) + body
