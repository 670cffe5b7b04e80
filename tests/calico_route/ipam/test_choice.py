"""Which block and which address come next, compared with walking every address of a small pool."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from calico_route.ipam.block import new_block
from calico_route.ipam.choice import BLOCKS, SEQUENTIAL, BlockMap, Place, Summary, pick, places
from calico_route.ipam.cidr import Address, Cidr, parse_cidr
from calico_route.ipam.pools import Configuration, Pool
from calico_route.ipam.reserved import Reservation, Reserved, merged
from tests.calico_route.ipam.test_block import NOW

POOL = Pool(parse_cidr("10.0.0.0/25"), "p", 28)
inside = st.builds(
    lambda number, length: POOL.cidr.around(POOL.cidr.first + number, length), st.integers(0, 127), st.integers(25, 32)
)
blocks = st.dictionaries(
    st.integers(0, 7), st.tuples(st.integers(0, 0xFFFF), st.sampled_from(["n1", "n2", None])), max_size=8
)


@given(blocks, st.lists(inside, max_size=6), st.booleans())
def test_sequential_is_the_lowest_free_address(
    made: dict[int, tuple[int, str | None]], kept: list[Cidr], claim: bool
) -> None:
    reserved = Reserved(Reservation(one, "x") for one in kept)
    known = BlockMap()
    for number, (free, host) in made.items():
        known.put(Cidr(4, POOL.cidr.first + 16 * number, 28), Summary(free, host))
    expected = None
    for offset in range(128):
        number, ordinal = divmod(offset, 16)
        address = Address(4, POOL.cidr.first + offset)
        if any(one.covers(address) for one in kept):
            continue
        if number in made and made[number][0] >> ordinal & 1:
            expected = Place(Cidr(4, POOL.cidr.first + 16 * number, 28))
        elif number not in made and claim:
            expected = Place(Cidr(4, POOL.cidr.first + 16 * number, 28), new=True)
        if expected is not None:
            break
    configuration = Configuration(auto_allocate_blocks=claim)
    found = list(places(known, [POOL], reserved, "n1", SEQUENTIAL, configuration))
    assert (found[0] if found else None) == expected
    own = list(places(known, [POOL], reserved, "n1", BLOCKS, Configuration(True, claim)))
    assert all(place.own for place in own)
    assert all(place.new or known.get(place.cidr).host == "n1" for place in own)  # type: ignore[union-attr]


@given(st.lists(st.tuples(inside, st.integers(0, 1)), max_size=8))
def test_no_new_block_overlaps_what_is_there(old: list[tuple[Cidr, int]]) -> None:
    known = BlockMap()
    for cidr, full in old:
        known.put(cidr, Summary(0 if full else (1 << cidr.size) - 1, "n2"))
    for place in places(known, [POOL], Reserved(), "n1", SEQUENTIAL, Configuration()):
        others = [cidr for cidr, _ in known if cidr.overlaps(place.cidr) and cidr != place.cidr]
        assert others == []
        assert place.new == (known.get(place.cidr) is None)
    for cidr, _ in old:
        assert known.overlapping(cidr) == sorted({one for one, _ in old if one.overlaps(cidr)})


@given(st.lists(inside, max_size=8), inside)
def test_what_is_reserved(kept: list[Cidr], block: Cidr) -> None:
    reserved = Reserved(Reservation(one, str(one)) for one in kept)
    expected = 0
    for ordinal in range(block.size):
        address = Address(4, block.first + ordinal)
        if any(one.covers(address) for one in kept):
            expected |= 1 << ordinal
            assert reserved.why(address) is not None
        else:
            assert reserved.why(address) is None
            assert reserved.next_free(address) == address
    assert reserved.bits(block) == expected
    union = merged(Reservation(one, "x") for one in kept)
    assert not any(one.overlaps(two) for one in union for two in union if one != two)
    assert all(any(one.covers(two) for one in union) for two in kept)


def test_a_pool_of_ipv6_is_not_walked() -> None:
    pool = Pool(parse_cidr("fd80::/48"), "six", 122)
    reserved = Reserved([Reservation(parse_cidr("fd80::/64"), "x")])
    known = BlockMap()
    first = next(places(known, [pool], reserved, "n1", SEQUENTIAL, Configuration()))
    assert first == Place(parse_cidr("fd80:0:0:1::/122"), new=True)
    known.put(first.cidr, Summary(0, "n1"))
    second = next(places(known, [pool], reserved, "n1", SEQUENTIAL, Configuration()))
    assert second == Place(parse_cidr("fd80:0:0:1::40/122"), new=True)


def test_the_address_in_a_block() -> None:
    block = new_block(parse_cidr("10.0.0.0/28"), "n1", NOW)
    reserved = Reserved([Reservation(parse_cidr("10.0.0.0/31"), "x")])
    assert pick(block, reserved, SEQUENTIAL) == 2
    block = block.assign([2, 3], "a", {}).release([2])
    assert pick(block, reserved, SEQUENTIAL) == 2
    assert pick(block, reserved, BLOCKS) == 4
    assert (
        pick(block.assign([one for one in range(16) if one != 3 and one != 1 and one], "b", {}), reserved, BLOCKS)
        is None
    )
