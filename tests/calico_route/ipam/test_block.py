"""Blocks, handles and affinities: a model of who has what, and values that are not as they should be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calico_route.ipam.block import Block, RecordError, new_block, read_block, write_block
from calico_route.ipam.cidr import Address, Cidr, parse_address, parse_cidr, parse_key
from calico_route.ipam.handle import Handle, read_affinity, read_handle, write_affinity, write_handle
from calico_route.model import AffinityState

CIDR = parse_cidr("192.168.0.64/28")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
# The example of Calico's layout, with 64 entries as a real one has.
CALICO = {
    "cidr": "192.168.221.64/26",
    "affinity": "host:rack1-n1",
    "affinity_claim_time": "2026-11-23T00:00:00Z",
    "allocations": [0, None, 1] + [None] * 61,
    "unallocated": [1, *range(3, 64)],
    "attributes": [
        {"handle_id": "ipip-tunnel-addr-rack1-n1", "secondary": {"node": "rack1-n1", "type": "ipipTunnelAddress"}},
        {
            "handle_id": "k8s-pod-network.6f1c2a",
            "secondary": {"namespace": "default", "node": "rack1-n1", "pod": "web-0"},
        },
    ],
    "sequenceNumber": 1789,
    "sequenceNumberForAllocation": {"0": 1787, "2": 1789},
    "deleted": False,
}


def read(document: dict[str, Any]) -> Block:
    return read_block(parse_cidr("192.168.221.64/26"), json.dumps(document).encode())


def test_a_block_of_calico_is_written_as_it_was() -> None:
    block = read(CALICO)
    assert block.host == "rack1-n1"
    assert write_block(block) == json.dumps(CALICO, separators=(",", ":")).encode()
    assert str(block.address(2)) == "192.168.221.66"
    assert block.of_handle("k8s-pod-network.6f1c2a") == (2,)
    after = json.loads(write_block(block.release([0])))
    assert after["allocations"][:3] == [None, None, 0]
    assert after["attributes"] == CALICO["attributes"][1:]  # type: ignore[index]
    assert after["unallocated"][-1] == 0
    assert after["sequenceNumberForAllocation"] == {"2": 1789}


def test_the_old_name_of_the_affinity() -> None:
    old = {key: value for key, value in CALICO.items() if key != "affinity"} | {"hostAffinity": "n7"}
    assert read(old).host == "n7"
    written = json.loads(write_block(read(old)))
    assert written["affinity"] == "host:n7"
    assert "hostAffinity" not in written


steps = st.lists(
    st.tuples(st.booleans(), st.sampled_from("abcd"), st.sets(st.integers(0, 15), min_size=1)), max_size=25
)


@given(steps)
def test_a_model_of_who_has_what(steps: list[tuple[bool, str, set[int]]]) -> None:
    block = new_block(CIDR, "n1", NOW)
    model: dict[int, str] = {}
    sequence = block.sequence
    for assigning, handle, ordinals in steps:
        if assigning:
            wanted = sorted(ordinals - set(model))
            if wanted:
                block = block.assign(wanted, handle, {"node": "n1"})
                model.update(dict.fromkeys(wanted, handle))
        else:
            block = block.release(sorted(ordinals))
            model = {key: value for key, value in model.items() if key not in ordinals}
        assert block.sequence >= sequence
        sequence = block.sequence
        block = read_block(CIDR, write_block(block))
        assert block.consistent
        assert {ordinal: owner.handle for ordinal, owner in block.held()} == model
        assert block.free == sum(1 << ordinal for ordinal in range(16) if ordinal not in model)
        assert block.empty == (not model)
        assert {one.handle for one in block.attributes} == set(model.values())
        assert len(block.attributes) == len(set(model.values()))
        assert set(block.sequences) == {str(ordinal) for ordinal in model}
        for name in "abcd":
            assert block.of_handle(name) == tuple(sorted(key for key, value in model.items() if value == name))


def test_an_address_is_not_given_twice() -> None:
    block = new_block(CIDR, "n1", NOW).assign([3], "a", {})
    with pytest.raises(ValueError, match=r"192\.168\.0\.67 is not free"):
        block.assign([3], "b", {})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cidr": "192.168.0.0/26"}, "the key says"),
        ({"cidr": 7}, "cidr 7"),
        ({"allocations": [0]}, "1 entries"),
        ({"allocations": [2] + [None] * 63}, "2 is no index of the 2 attributes"),
        ({"allocations": [True] + [None] * 63}, "no index"),
        ({"allocations": {}}, "must be a list"),
        ({"unallocated": [64]}, "64 is no address"),
        ({"unallocated": ["1"]}, "no address"),
        ({"attributes": [7]}, r"attributes\[0\]"),
        ({"attributes": [{"handle_id": 7}]}, "handle_id 7"),
        ({"attributes": [{"secondary": {"node": 7}}]}, "must be an object of texts"),
        ({"affinity": 7}, "affinity 7"),
        ({"sequenceNumber": "x"}, "sequenceNumber"),
        ({"sequenceNumberForAllocation": {"0": "x"}}, "sequenceNumberForAllocation"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], why: str) -> None:
    with pytest.raises(RecordError, match=why):
        read(CALICO | change)


names = st.sampled_from(list(CALICO))
scalars = st.none() | st.booleans() | st.integers() | st.text()
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(names, inner))


@given(anything, names)
def test_any_json_is_a_block_or_an_error_in_words(value: Any, name: str) -> None:
    for document in (value, CALICO | {name: value}):
        raw = json.dumps(document).encode()
        try:
            block = read_block(parse_cidr("192.168.221.64/26"), raw)
        except RecordError as error:
            assert str(error)
        else:
            assert read_block(block.cidr, write_block(block)) == block
        for reader in (lambda: read_handle("x", raw), lambda: read_affinity(raw)):  # noqa: B023
            try:
                reader()
            except RecordError as error:
                assert str(error)


def test_lists_that_differ_and_how_they_are_mended() -> None:
    block = read(CALICO | {"unallocated": [63, 0, 5, 5]})
    assert not block.consistent
    mended = block.mended()
    assert mended.consistent
    assert mended.unallocated[:2] == (63, 5)
    assert read_block(mended.cidr, write_block(mended)).consistent


def test_handles() -> None:
    raw = b'{"block":{"192.168.221.64-26":1,"192.168.0.0/26":2},"deleted":false,"future":7}'
    handle = read_handle("a", raw)
    assert handle.blocks == {parse_cidr("192.168.221.64/26"): 1, parse_cidr("192.168.0.0/26"): 2}
    left = handle.holding(parse_cidr("192.168.221.64/26"), 0)
    assert json.loads(write_handle(left)) == {"block": {"192.168.0.0/26": 2}, "deleted": False, "future": 7}
    assert write_handle(Handle("b")) == b'{"block":{},"deleted":false}'
    for bad in (b'{"block":{"x":1}}', b'{"block":{"192.168.0.0/26":"1"}}', b'{"block":[]}', b"[]", b"{"):
        with pytest.raises(RecordError):
            read_handle("a", bad)


def test_affinities() -> None:
    for old in (b"", b'""', b"null", b"{}"):
        assert read_affinity(old).state is AffinityState.CONFIRMED
    assert read_affinity(b'{"state":"pendingDeletion"}').state is AffinityState.PENDING_DELETION
    assert write_affinity(AffinityState.PENDING, {}) == b'{"state":"pending","deleted":false}'
    with pytest.raises(RecordError, match="must be one of"):
        read_affinity(b'{"state":"mine"}')


def test_networks() -> None:
    assert str(parse_cidr("fd80::ff/122")) == "fd80::c0/122"
    assert parse_cidr("fd80::40/122").key == "fd80::40-122"
    assert parse_key("fd80::40-122") == parse_cidr("fd80::40/122")
    for bad in ("fd80::41-122", "192.168.0.0", "192.168.0.0/26", "x-26", "192.168.0.0-33", ""):
        with pytest.raises(ValueError):  # noqa: PT011
            parse_key(bad)
    for odd in ("fe80::1%eth0", 7, "", "192.168.0"):
        with pytest.raises(ValueError, match="not an IP address"):
            parse_address(odd)
    pool = parse_cidr("10.0.0.0/8")
    assert pool.covers(Address(4, 10 << 24 | 5))
    assert pool.covers(parse_cidr("10.1.0.0/16"))
    assert not pool.covers(parse_cidr("0.0.0.0/0"))
    assert not pool.covers(parse_cidr("::a00:0/104"))
    assert pool.around(10 << 24 | 70, 26) == Cidr(4, 10 << 24 | 64, 26)
