"""`pybgp decode` and `pybgp encode`: a line in, a line out, in order, whatever the lines are."""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TextIO

from pybgp.app.message_json import error_to_json, message_from_json, message_to_json
from pybgp.app.message_text import message_text
from pybgp.errors import BadMessageLength, ProtocolError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages import CodecContext, MessageType, decode_message, encode_message
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.framing import HEADER_LENGTH, MARKER, header_error
from pybgp.messages.nlri import FAMILIES

BODIES = {kind.name.lower().replace("_", "-"): kind for kind in MessageType}
_HEADER = struct.Struct("!16sHB")


_WITH_EXTENDED_NEXT_HOP = frozenset(codec.family for codec in FAMILIES if codec.extended_next_hop_lengths)


class _EveryFamily(frozenset[Family]):
    """Holds any family, so that nothing is left out for not having been negotiated."""

    def __contains__(self, family: object) -> bool:
        return isinstance(family, Family)


def _families(text: str) -> frozenset[Family]:
    try:
        return frozenset(Family.parse(name.strip()) for name in text.split(",") if name.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_context_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for what a session has negotiated."""
    parser.add_argument(
        "--as4", action=argparse.BooleanOptionalAction, default=True, help="AS numbers have four octets (RFC 6793)"
    )
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--ibgp", dest="internal", action="store_true", default=True, help="the peer is in our AS")
    side.add_argument("--ebgp", dest="internal", action="store_false", help="the peer is in another AS")
    parser.add_argument(
        "--add-path",
        metavar="FAMILIES",
        nargs="?",
        type=_families,
        const=frozenset({IPV4_UNICAST, IPV6_UNICAST}),
        default=frozenset(),
        help="families whose NLRI carry path identifiers (RFC 7911); without a value: both unicast families",
    )
    parser.add_argument(
        "--families",
        metavar="FAMILIES",
        type=_families,
        help="families that were negotiated, as ipv4-unicast,ipv6-flowspec; without: every family, and those that "
        "nobody knows are shown in hexadecimal digits",
    )
    parser.add_argument("--extended-message", action="store_true", help="messages of up to 65535 octets (RFC 8654)")
    parser.add_argument("--extended-next-hop", action="store_true", help="IPv4 with IPv6 next hops (RFC 8950)")


def context_of(arguments: argparse.Namespace) -> CodecContext:
    """What the options say that was negotiated."""
    return CodecContext(
        four_octet_as=arguments.as4,
        extended_message=arguments.extended_message,
        internal=arguments.internal,
        families=_EveryFamily() if arguments.families is None else arguments.families,
        add_path_receive=arguments.add_path,
        add_path_send=arguments.add_path,
        extended_next_hop=_WITH_EXTENDED_NEXT_HOP if arguments.extended_next_hop else frozenset(),
    )


class _BadLine(Exception):
    """A line that holds no message; the text says why."""


def _octets_of(line: bytes) -> bytes:
    text = line.strip()
    if not text:
        raise _BadLine("the line is empty")
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        raise _BadLine("the line is no hexadecimal digits, two an octet") from None


def split_message(octets: bytes, context: CodecContext) -> tuple[int, bytes]:
    """Type and body of one whole message, its header checked as on the wire. Raises ProtocolError."""
    length_field = octets[16:18]
    if len(octets) < HEADER_LENGTH:
        raise BadMessageLength(f"{len(octets)} octets are less than a header", length_field)
    marker, length, kind = _HEADER.unpack_from(octets)
    error = header_error(marker, length, kind, context.maximum_length)
    if error is not None:
        raise error
    if length != len(octets):
        raise BadMessageLength(f"the header says {length} octets, the line has {len(octets)}", length_field)
    return kind, octets[HEADER_LENGTH:]


def _check_length(kind: int, length: int, context: CodecContext) -> None:
    if length > 0xFFFF:
        raise _BadLine(f"no message has {length} octets")
    error = header_error(MARKER, length, kind, context.maximum_length)
    if error is not None:
        raise error


def _error_line(reason: str) -> dict[str, Any]:
    return {"error": {"code": 0, "subcode": 0, "name": "No Message", "data": "", "reason": reason}}


def decode_line(line: bytes, context: CodecContext, pool: AttributePool, body: int | None = None) -> dict[str, Any]:
    """The JSON object for one line: the message, or an error. Never raises.

    body: the type whose bodies the lines are; None for whole messages.
    """
    kind = body
    try:
        octets = _octets_of(line)
        if body is None:
            kind = octets[18] if len(octets) >= HEADER_LENGTH else None
            kind, octets = split_message(octets, context)
        else:
            _check_length(body, HEADER_LENGTH + len(octets), context)
        assert kind is not None
        return message_to_json(decode_message(kind, octets, context, pool))
    except _BadLine as error:
        return _error_line(str(error))
    except ProtocolError as error:
        result: dict[str, Any] = {"error": error_to_json(error)}
        if kind == MessageType.UPDATE:
            result = {"type": "update", "outcome": "session-reset", "faults": [], **result}
        return result


def encode_line(line: bytes, context: CodecContext) -> str:
    """The hexadecimal digits of the message that a line describes, or a JSON object with an error. Never raises."""
    try:
        value = json.loads(line)
        return encode_message(message_from_json(value, context), context).hex()
    except RecursionError:
        reason = "the line nests too deep"
    except (ValueError, OverflowError) as error:
        reason = str(error)
    return json.dumps(_error_line(reason))


def run_lines(source: Iterable[bytes], sink: TextIO, answer: Callable[[bytes], str]) -> None:
    """Answer each line as soon as it is there."""
    for line in source:
        sink.write(answer(line) + "\n")
        sink.flush()


def decode(arguments: argparse.Namespace, source: BinaryIO, sink: TextIO) -> int:
    """The subcommand `decode`."""
    context, pool = context_of(arguments), AttributePool()
    body = BODIES[arguments.body] if arguments.body else None

    def answer(line: bytes) -> str:
        value = decode_line(line, context, pool, body)
        return message_text(value) if arguments.text else json.dumps(value)

    run_lines(source, sink, answer)
    return 0


def encode(arguments: argparse.Namespace, source: BinaryIO, sink: TextIO) -> int:
    """The subcommand `encode`; 1 where a line could not be encoded."""
    context = context_of(arguments)
    failed = False

    def answer(line: bytes) -> str:
        nonlocal failed
        text = encode_line(line, context)
        failed = failed or text.startswith("{")
        return text

    run_lines(source, sink, answer)
    return 1 if failed else 0
