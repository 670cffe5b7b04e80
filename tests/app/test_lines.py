"""`python -m pybgp decode` and `encode`: a line of answer for each line, whatever the lines are."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.app.cli import main, parser
from pybgp.app.lines import context_of, decode_line, encode_line
from pybgp.app.message_text import message_text
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST
from pybgp.messages import CodecContext
from pybgp.messages.attributes.path_attributes import AttributePool
from pybgp.messages.framing import frame
from tests import strategies
from tests.app.schema import check
from tests.messages.test_open import opens

BOTH = frozenset({IPV4_UNICAST, IPV6_UNICAST})
AS4 = CodecContext(four_octet_as=True, internal=True, families=BOTH)
contexts = st.sampled_from(
    [
        AS4,
        CodecContext(families=BOTH),
        CodecContext(four_octet_as=True, families=BOTH, add_path_receive=BOTH, add_path_send=BOTH),
    ]
)


def decoded(octets: bytes, context: CodecContext = AS4) -> dict[str, Any]:
    line = json.dumps(decode_line(octets.hex().encode(), context, AttributePool()))
    value: dict[str, Any] = json.loads(line)
    check(value)
    return value


def there_and_back(octets: bytes, context: CodecContext) -> None:
    value = decoded(octets, context)
    message_text(value)
    if "error" not in value:
        assert encode_line(json.dumps(value).encode(), context) == octets.hex()


@given(st.data(), contexts)
@settings(max_examples=300, deadline=None)
def test_updates_there_and_back(data: st.DataObject, context: CodecContext) -> None:
    body = data.draw(strategies.update_bodies(context))
    there_and_back(frame(2, body), context)


@given(st.data(), contexts)
@settings(max_examples=300, deadline=None)
def test_mutated_updates_there_and_back(data: st.DataObject, context: CodecContext) -> None:
    body = data.draw(strategies.mutated(strategies.update_bodies(context)))
    there_and_back(frame(2, body), context)


@given(opens())
def test_opens_there_and_back(message: Any) -> None:
    from pybgp.messages import encode_message

    there_and_back(encode_message(message, CodecContext(extended_message=False)), AS4)


@given(st.integers(0, 7), st.binary(max_size=80))
def test_any_octets(kind: int, body: bytes) -> None:
    there_and_back(frame(kind, body), AS4)
    there_and_back(body, AS4)


@given(st.binary(max_size=60))
def test_any_line(line: bytes) -> None:
    check(decode_line(line, AS4, AttributePool()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_json_is_encoded_or_refused(data: st.DataObject) -> None:
    """Values of the right names and wrong kinds: an error object, never an exception."""
    example = decoded(frame(2, data.draw(strategies.update_bodies(AS4))))
    places: list[tuple[Any, Any]] = [(example, key) for key in example]
    for attribute in example.get("attributes", []):
        places += [(attribute, key) for key in attribute]
    container, key = data.draw(st.sampled_from(places))
    container[key] = data.draw(json_values)
    answer = encode_line(json.dumps(example).encode(), AS4)
    if answer.startswith("{"):
        assert json.loads(answer)["error"]["reason"]
    else:
        bytes.fromhex(answer)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"zz", "hexadecimal"),
        (b"fff", "hexadecimal"),
        ("é".encode(), "hexadecimal"),
        (b"ff" * 18, "less than a header"),
        (frame(4, b"").hex().encode() + b"00", "the line has 20"),
        (frame(2, bytes(4)).hex().encode()[:-2], "the line has 22"),
    ],
)
def test_lines_without_a_message(line: bytes, reason: str) -> None:
    assert reason in decode_line(line, AS4, AttributePool())["error"]["reason"]


def test_bodies_alone() -> None:
    pool = AttributePool()
    value = decode_line(b"00000000", AS4, pool, body=2)
    assert value["end_of_rib"] == "ipv4-unicast"
    assert decode_line(b"0000", AS4, pool, body=2)["error"]["code"] == 1
    assert decode_line(b"00" * 70000, AS4, pool, body=2)["error"]["reason"] == "no message has 70019 octets"


def test_a_session_reset_is_an_error_with_an_outcome() -> None:
    value = decoded(frame(2, b"\0\x05\0\0"))
    assert value["outcome"] == "session-reset"
    assert (value["error"]["code"], value["error"]["subcode"]) == (3, 1)


def test_a_fault_is_told_and_given_back() -> None:
    """ORIGIN 5: treat-as-withdraw (RFC 7606 7.1), and the same octets again."""
    block = bytes.fromhex("40010105" + "40020602010000fde8" + "40030401020304" + "40050400000064")
    octets = frame(2, b"\0\0" + len(block).to_bytes(2) + block + b"\x18\x0a\0\0")
    value = decoded(octets)
    assert value["outcome"] == "treat-as-withdraw"
    assert [fault["attribute"] for fault in value["faults"]] == [1]
    assert value["faults"][0]["error"]["data"] == "40010105"
    assert value["attributes"][0] == {"code": 1, "name": "origin", "flags": ["transitive"], "octets": "05"}
    assert encode_line(json.dumps(value).encode(), AS4) == octets.hex()


def test_the_process(tmp_path: Any) -> None:
    stream = b"\n".join([frame(4, b"").hex().encode(), b"", b"nonsense", b"ff" * 30]) + b"\n"
    command = [sys.executable, "-m", "pybgp", "decode"]
    done = subprocess.run(command, input=stream, capture_output=True, check=True, timeout=60)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [sorted(answer)[0] for answer in answers] == ["type", "error", "error", "error"]
    assert done.stderr == b""


def test_each_answer_comes_at_once() -> None:
    """A program can hold a conversation with it."""
    command = [sys.executable, "-m", "pybgp", "decode"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(3):
            process.stdin.write(frame(4, b"").hex().encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == {"type": "keepalive"}


def test_a_reader_that_goes_away() -> None:
    command = f"yes {frame(4, b'').hex()} | {sys.executable} -m pybgp decode | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == '{"type": "keepalive"}\n'
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("redirection", "words"), [(">/dev/full", "No space left"), ("<&-", "must be open"), (">&-", "must be open")]
)
def test_streams_that_do_not_work(redirection: str, words: str) -> None:
    command = f"echo 00 | sh -c 'exec {sys.executable} -m pybgp decode {redirection}'"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def run(monkeypatch: pytest.MonkeyPatch, source: bytes, *arguments: str) -> tuple[int, str]:
    sink = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(source)))
    monkeypatch.setattr(sys, "stdout", sink)
    return main(list(arguments)), sink.getvalue()


def test_encode_fails_with_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    status, text = run(monkeypatch, b'{"type": "keepalive"}\n{"type": "hello"}\n[1\n', "encode")
    lines = text.splitlines()
    assert status == 1
    assert lines[0] == frame(4, b"").hex()
    assert "hello" in json.loads(lines[1])["error"]["reason"]
    assert "error" in json.loads(lines[2])


OPEN = {"type": "open", "version": 4, "my_as": 65000, "hold_time": 90, "bgp_identifier": "192.0.2.1"}
UPDATE = {"type": "update", "withdrawn": [], "nlri": []}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({**OPEN, "capabilities": [{"name": "AddPath", "value": {"families": [["ipv4-unicast", 256]]}}]}, "AddPath"),
        ({**OPEN, "capabilities": [{"name": "FourOctetAS", "code": 64, "value": {"asn": 1}}]}, "has code 65"),
        ({**OPEN, "capabilities": [{"code": 200, "data": "00" * 255}] * 300}, "do not fit into one OPEN"),
        ({**OPEN, "capabilities": [], "parameters": "0402024600"}, "other capabilities"),
        ({**OPEN, "capabilities": [], "parameters": "05"}, "optional parameters of 5 octets"),
        ({**OPEN, "capabilities": [], "bgp_identifier": "2001:db8::1"}, "dotted quad"),
        ({**UPDATE, "attributes": [{"name": "origin", "code": 2, "value": "igp"}]}, "origin has code 1"),
        ({**UPDATE, "attributes": [{"name": "origin", "value": "igp", "octets": "00"}]}, "one of them"),
        ({**UPDATE, "attributes": [{"name": "med", "value": []}]}, "MED"),
        ({**UPDATE, "attributes": [{"code": 99}]}, "flags"),
        ({**UPDATE, "attributes": [{"code": 99, "flags": ["optional"]}]}, "neither a value nor octets"),
        ({**UPDATE, "attributes": [{"name": "as_path", "flags": ["transitive"], "octets": "00" * 256}]}, "0x10"),
        ({**UPDATE, "attributes": [], "nlri": ["2001:db8::/32"]}, "no destination of ipv4-unicast"),
        ({"error": {}}, '"type"'),
        ({"type": "update", "error": {}}, "is an error"),
        ([], "is an object"),
        ({"type": "notification", "code": 256, "subcode": 0}, "code is a whole number"),
        ({"type": "route-refresh", "family": 5, "subtype": 0}, "family"),
    ],
)
def test_what_cannot_be_encoded_says_why(value: Any, words: str) -> None:
    error = json.loads(encode_line(json.dumps(value).encode(), AS4))["error"]
    assert words in error["reason"]
    assert error["code"] == 0


def test_json_by_hand_needs_little() -> None:
    attributes = [{"name": "origin", "value": "igp"}, {"name": "communities", "value": ["65000:1"] * 70}]
    line = json.dumps({"type": "update", "withdrawn": ["10.0.0.0/8"], "attributes": attributes})
    body = bytes.fromhex(encode_line(line.encode(), AS4))[19:]
    assert body[:14] == bytes.fromhex("0002 080a 0120 40010100 d008 0118".replace(" ", ""))
    assert json.loads(encode_line(b"[" * 100_000, AS4))["error"]["reason"] == "the line nests too deep"


def test_text_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    block = bytes.fromhex("40010100" + "40020602010000fde8" + "40030401020304" + "40050400000064" + "c00804fffffF01")
    octets = frame(2, b"\0\0" + len(block).to_bytes(2) + block + b"\x18\x0a\0\0")
    _status, text = run(monkeypatch, octets.hex().encode() + b"\nxx\n", "decode", "--text")
    assert "UPDATE" in text
    assert "10.0.0.0/24" in text
    assert "no-export" in text
    assert "ERROR" in text


@pytest.mark.parametrize("arguments", [["decode", "--add-path", "ipv9"], ["decode", "--body", "hello"], ["nothing"]])
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


@pytest.mark.parametrize(("option", "as4"), [("--as4", True), ("--no-as4", False)])
def test_what_was_negotiated(monkeypatch: pytest.MonkeyPatch, option: str, as4: bool) -> None:
    path = "40020602010000fde8" if as4 else "4002040201fde8"
    block = bytes.fromhex("40010100" + path + "40030401020304" + "40050400000064")
    octets = frame(2, b"\0\0" + len(block).to_bytes(2) + block + b"\x18\x0a\0\0")
    _status, text = run(monkeypatch, octets.hex().encode(), "decode", option)
    assert json.loads(text)["outcome"] == "ok"
    assert "65000" in text


def test_a_family_that_nobody_knows_is_shown_in_octets() -> None:
    """EVPN: 25/70, next hop 192.0.2.1, and a route of three octets."""
    block = bytes.fromhex("800e0c 0019 46 04 c0000201 00 030aff 400101 00 400200 400504 00000064")
    octets = frame(2, b"\0\0" + len(block).to_bytes(2, "big") + block)
    value = decode_line(octets.hex().encode(), AS4, AttributePool())
    assert value["outcome"] == "afi-safi-disable"  # this session has not negotiated it
    every = context_of(parser().parse_args(["decode"]))
    value = decode_line(octets.hex().encode(), every, AttributePool())
    assert (value["outcome"], value["attributes"][0]["value"]["nlri"]) == ("ok", "030aff")
    assert encode_line(json.dumps(value).encode(), every) == octets.hex()
    assert "mp reach l2vpn-evpn via 192.0.2.1: 0x030aff" in message_text(value)
    some = context_of(parser().parse_args(["decode", "--families", "ipv4-unicast"]))
    assert decode_line(octets.hex().encode(), some, AttributePool())["outcome"] == "afi-safi-disable"


def test_text_of_paths_labels_and_roles() -> None:
    block = bytes.fromhex(
        "400101 00 4002 10 0202 0000fde9 0000fdea 0101 0000fdeb 400504 00000064 "
        "800e12 0001 04 04 c0000201 00 20 000641 0a 18 000031"
    )
    octets = frame(2, b"\0\0" + len(block).to_bytes(2, "big") + block)
    every = context_of(parser().parse_args(["decode"]))
    text = message_text(decode_line(octets.hex().encode(), every, AttributePool()))
    assert "  as path 65001 65002 {65003}\n" in text
    assert "  mp reach ipv4-labeled-unicast via 192.0.2.1: 10.0.0.0/8 label 100, 0.0.0.0/0 label 3" in text
    body = bytes.fromhex("04 fde9 005a 0a000001 05 02 03 09 01 04")
    assert "  Role (9) peer" in message_text(decode_line(frame(1, body).hex().encode(), every, AttributePool()))
