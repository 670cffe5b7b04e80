"""Assigning, claiming and giving back, against a store in memory: what is asked for, and every refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from calico_route.etcd.store import DeniedError, UnavailableError
from calico_route.ipam import Ipam
from calico_route.ipam.paths import BLOCKS, HOSTS
from calico_route.workload.ports import Addresses, WorkloadError
from tests.calico_route.ipam.conftest import Lab
from tests.calico_route.ipam.memory_store import Cluster, MemoryStore
from tests.calico_route.ipam.records import (
    assert_handles_fit,
    assigned,
    configuration,
    node,
    pool,
    reservation,
)


async def refused(asked: Awaitable[object]) -> tuple[str, str]:
    """Code and words of a refusal."""
    with pytest.raises(WorkloadError) as caught:
        await asked
    return caught.value.code, str(caught.value)


def losing(how: str, times: int) -> Callable[[object], str | None]:
    """Loses the answers to so many transactions."""
    answers = iter([how] * times)
    return lambda writes: next(answers, None)


async def test_in_order_across_hosts(lab: Lab) -> None:
    """The article's addresses: the first host gets .1, the second .2, of the first host's block."""
    one, two = lab.ipam("host1"), lab.ipam("host2")
    addresses: Addresses = one
    assert await addresses.assign("calico.c1", attributes={"container": "c1"}) == ("192.168.0.1",)
    assert await two.assign("calico.c2", attributes={"container": "c2"}) == ("192.168.0.2",)
    assert await one.assign("calico.c3", attributes={}) == ("192.168.0.3",)
    block = json.loads(lab.values[BLOCKS + b"ipv4/block/192.168.0.0-26"])
    assert block["affinity"] == "host:host1"
    assert [one["secondary"]["node"] for one in block["attributes"]] == ["host1", "host2", "host1"]
    assert block["attributes"][1]["secondary"]["container"] == "c2"
    assert block["attributes"][1]["secondary"]["timestamp"].endswith(" +0000 UTC")
    affinities = {key: value for key, value in lab.values.items() if key.startswith(HOSTS)}
    assert affinities == {HOSTS + b"host1/ipv4/block/192.168.0.0-26": b'{"state":"confirmed","deleted":false}'}
    assert json.loads(lab.values[b"/calico/ipam/v2/handle/calico.c2"]) == {
        "block": {"192.168.0.0/26": 1},
        "deleted": False,
    }


async def test_what_is_given_back_is_the_lowest_again(lab: Lab) -> None:
    one, two = lab.ipam("host1"), lab.ipam("host2")
    for name in "abc":
        await one.assign(name, attributes={})
    assert await two.release("b") == ("192.168.0.2",)
    assert await two.release("b") == ()
    assert await one.assign("d", attributes={}) == ("192.168.0.2",)
    assert_handles_fit(lab.values)


async def test_a_handle_keeps_what_it_has(lab: Lab) -> None:
    lab.put(pool("fd80::/64", "six"))
    one = lab.ipam("host1")
    assert await one.assign("a", attributes={}) == ("192.168.0.1",)
    assert await one.assign("a", versions=(6, 4), attributes={}) == ("fd80::1", "192.168.0.1")
    assert await lab.ipam("host2").assign("a", versions=(4, 6), attributes={}) == ("192.168.0.1", "fd80::1")
    assert sorted(await one.release("a")) == ["192.168.0.1", "fd80::1"]
    assert assigned(lab.values) == {}


async def test_handles_are_stored_in_lower_case(lab: Lab) -> None:
    one = lab.ipam("host1")
    await one.assign("MyNet.AB", attributes={})
    assert await one.release("mynet.ab") == ("192.168.0.1",)
    assert (await refused(one.assign("a/b", attributes={})))[0] == "invalid"


async def test_requests_that_wait_go_together(lab: Lab) -> None:
    one = lab.ipam("host1")
    await one.assign("first", attributes={})
    before = lab.stores["host1"].transactions
    found = await asyncio.gather(*(one.assign(f"c{number}", attributes={}) for number in range(20)))
    assert sorted(found) == sorted((f"192.168.0.{number}",) for number in range(2, 22))
    assert lab.stores["host1"].transactions == before + 1
    refusals = await asyncio.gather(
        one.claim("x", ["10.0.0.1"], attributes={}),
        one.claim("y", ["192.168.0.90"], attributes={}),
        return_exceptions=True,
    )
    assert isinstance(refusals[0], WorkloadError)
    assert refusals[1] is None
    assert assigned(lab.values)["192.168.0.90"] == "y"


async def test_many_handles_are_more_than_one_transaction(lab: Lab) -> None:
    one = lab.ipam("host1")
    found = await asyncio.gather(*(one.assign(f"c{number}", attributes={}) for number in range(300)))
    assert len(set(found)) == 300
    assert sorted(assigned(lab.values)) == sorted(address for (address,) in found)
    gone = await asyncio.gather(*(one.release(f"c{number}") for number in range(300)))
    assert sorted(gone) == sorted(found)
    assert assigned(lab.values) == {}
    assert_handles_fit(lab.values)


async def test_a_handle_in_more_blocks_than_a_transaction_takes(lab: Lab) -> None:
    one = lab.ipam("host1")
    wanted = [f"192.168.{high}.{low}" for high in range(35) for low in (1, 65, 129, 193)]
    for start in range(0, len(wanted), 50):
        await one.claim("many", wanted[start : start + 50], attributes={})
    assert len(assigned(lab.values)) == 140
    assert sorted(await one.release("many")) == sorted(wanted)
    assert assigned(lab.values) == {}


async def test_explicit_addresses(lab: Lab) -> None:
    one, two = lab.ipam("host1"), lab.ipam("host2")
    await one.claim("a", ["192.168.7.7", "192.168.9.9"], attributes={"container": "web", "namespace": "default"})
    await one.claim("a", ["192.168.7.7"], attributes={})
    code, words = await refused(two.claim("b", ["192.168.8.8", "192.168.7.7"], attributes={}))
    assert code == "taken"
    assert "container default/web on node host1" in words
    assert "192.168.8.8" not in assigned(lab.values)
    code, words = await refused(two.claim("b", ["10.0.0.1"], attributes={}))
    assert code == "outside"
    assert "192.168.0.0/16" in words
    assert (await refused(two.claim("b", ["nonsense"], attributes={})))[0] == "invalid"
    await two.claim("b", [], attributes={})
    assert await two.assign("c", attributes={}) == ("192.168.0.1",)
    assert_handles_fit(lab.values)


async def test_the_blocks_of_others_that_refused_claims_wanted_are_not_kept(lab: Lab) -> None:
    one = lab.ipam("host1")
    await one.claim("a", ["192.168.7.7"], attributes={})
    await refused(lab.ipam("host2").claim("b", ["192.168.8.8", "192.168.7.7"], attributes={}))
    assert not any(key.startswith(HOSTS + b"host2/") for key in lab.values)


async def test_hosts_and_reservations(lab: Lab) -> None:
    lab.put(
        node("host1", "192.168.0.2/32"),
        node("host2", "192.168.0.5/30"),
        reservation("printers", "192.168.0.8", "192.168.0.9/32", "nonsense"),
    )
    one = lab.ipam("host1")
    found = [(await one.assign(f"c{number}", attributes={}))[0] for number in range(4)]
    assert found == ["192.168.0.1", "192.168.0.3", "192.168.0.10", "192.168.0.11"]
    code, words = await refused(one.claim("x", ["192.168.0.6"], attributes={}))
    assert code == "reserved"
    assert "192.168.0.4/30 of node host2" in words
    await one.claim("x", ["192.168.0.8"], attributes={})  # as Calico has it: reserved from automatic assignment
    assert any("printers" in problem and "nonsense" in problem for problem in await one.problems())
    assert await one.reserve_hosts() == ("192.168.0.2/32", "192.168.0.4/30")
    key = b"/calico/resources/v3/projectcalico.org/ipreservations/calico-route-hosts"
    first = lab.values[key]
    assert json.loads(first)["spec"] == {"reservedCIDRs": ["192.168.0.2/32", "192.168.0.4/30"]}
    await one.reserve_hosts()
    assert lab.values[key] == first
    lab.put(node("host1"), node("host2"))
    assert await one.reserve_hosts() == ()
    assert key not in lab.values


async def test_a_subnet_that_holds_the_pool_reserves_the_host_alone(lab: Lab) -> None:
    lab.put(node("host1", "192.168.0.1/16"), node("host2", "192.168.0.2/8"))
    assert await lab.ipam("host1").assign("a", attributes={}) == ("192.168.0.3",)


async def test_pools(lab: Lab) -> None:
    lab.put(
        pool("10.1.0.0/24", "off", disabled=True),
        pool("10.2.0.0/24", "racks", nodeSelector="rack == 'r1'"),
        pool("10.3.0.0/24", "hand", assignmentMode="Manual"),
        pool("10.4.0.0/24", "tunnels", allowedUses=["Tunnel"]),
        pool("10.5.0.0/24", "broken", blockSize=8),
        node("host1", labels={"rack": "r1"}),
    )
    one, two = lab.ipam("host1"), lab.ipam("host2")
    assert await one.assign("a", attributes={}) == ("10.2.0.1",)
    assert await two.assign("b", attributes={}) == ("192.168.0.1",)
    assert await two.assign("c", pools=["hand"], attributes={}) == ("10.3.0.1",)
    assert await two.assign("d", pools=["10.2.0.0/24"], attributes={}) == ("10.2.0.2",)
    assert await two.assign("e", pools=["default", "racks"], attributes={}) == ("192.168.0.2",)
    for asked, part in ((["off"], "disabled"), (["tunnels"], "Tunnel"), (["nix"], "there is no pool nix")):
        code, words = await refused(two.assign("f", pools=asked, attributes={}))
        assert code == "outside"
        assert part in words
    code, words = await refused(two.assign("f", versions=(6,), attributes={}))
    assert code == "outside"
    assert "IPv6" in words
    code, words = await refused(two.claim("f", ["10.1.0.1"], attributes={}))
    assert code == "outside"
    assert "disabled" in words
    assert any("broken" in problem and "blockSize" in problem for problem in await two.problems())
    assert (await refused(two.assign("f", versions=(5,), attributes={})))[0] == "invalid"


async def test_a_pool_is_used_as_soon_as_it_is_there(lab: Lab) -> None:
    one = lab.ipam("host1")
    await one.assign("a", attributes={})
    store = lab.stores["host1"]
    for key, value in pool("10.0.0.0/24", "lower").items():
        await store.put(key, value)
    await asyncio.sleep(0.05)
    assert await one.assign("b", attributes={}) == ("10.0.0.1",)


async def test_full_and_room_again(lab: Lab) -> None:
    lab.put(pool("192.168.0.0/29", blockSize=30))
    one, two = lab.ipam("host1"), lab.ipam("host2")
    for number in range(7):
        await (one, two)[number % 2].assign(f"c{number}", attributes={})
    code, words = await refused(two.assign("x", attributes={}))
    assert code == "full"
    assert "default (192.168.0.0/29)" in words
    await one.release("c3")
    assert await two.assign("x", attributes={}) == ("192.168.0.4",)


async def test_blocks_as_calico_has_them(lab: Lab) -> None:
    lab.put(pool("192.168.0.0/24", blockSize=26))
    one, two = lab.ipam("host1", order="blocks"), lab.ipam("host2", order="blocks")
    assert await one.assign("a", attributes={}) == ("192.168.0.1",)
    assert await two.assign("b", attributes={}) == ("192.168.0.64",)
    assert await one.assign("c", attributes={}) == ("192.168.0.2",)
    await one.release("a")
    assert await one.assign("d", attributes={}) == ("192.168.0.3",)  # what is long free comes first
    await asyncio.gather(*(two.assign(f"t{number}", attributes={}) for number in range(3 * 64 - 1)))
    code_free = await two.assign("borrowed", attributes={})
    assert code_free[0] == "192.168.0.4"  # nothing else is left but the block of host1
    assert_handles_fit(lab.values)


async def test_strict_affinity(lab: Lab) -> None:
    lab.put(pool("192.168.0.0/25"), configuration(strict_affinity=True, auto_allocate_blocks=True))
    one, two, three = lab.ipam("host1"), lab.ipam("host2"), lab.ipam("host3")
    assert await one.assign("a", attributes={}) == ("192.168.0.1",)
    assert await two.assign("b", attributes={}) == ("192.168.0.64",)
    code, words = await refused(three.assign("c", attributes={}))
    assert code == "full"
    assert "strict_affinity" in words
    code, words = await refused(two.claim("c", ["192.168.0.9"], attributes={}))
    assert code == "reserved"
    assert "host1" in words


async def test_limits_of_blocks(lab: Lab) -> None:
    lab.put(pool("192.168.0.0/24", blockSize=30), configuration(auto_allocate_blocks=True, maxBlocksPerHost=1))
    one = lab.ipam("host1", order="blocks")
    for number in range(3):
        await one.assign(f"c{number}", attributes={})
    code, words = await refused(one.assign("x", attributes={}))
    assert code == "full"
    assert "maxBlocksPerHost" in words
    lab.put(configuration(auto_allocate_blocks=False))
    code, words = await refused(Ipam(MemoryStore(lab.cluster), node="host2").assign("x", attributes={}))
    assert code == "full"
    assert "auto_allocate_blocks" in words


async def test_a_block_that_cannot_be_read_is_named_and_left_alone(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    key = BLOCKS + b"ipv4/block/192.168.0.0-26"
    lab.put({key: b'{"cidr":"192.168.0.0/26","allocations":[7]}'})
    one = lab.ipam("host1")
    assert await one.assign("a", attributes={}) == ("192.168.0.64",)
    code, words = await refused(one.claim("b", ["192.168.0.9"], attributes={}))
    assert code == "invalid"
    assert "192.168.0.0/26" in words
    assert lab.values[key] == b'{"cidr":"192.168.0.0/26","allocations":[7]}'
    assert "block 192.168.0.0/26" in caplog.text
    assert len(await one.problems()) == 1


async def test_old_blocks_of_another_size_are_not_overlapped(lab: Lab) -> None:
    lab.put(pool("192.168.0.0/16", blockSize=28))
    one = lab.ipam("host1")
    await one.claim("old", ["192.168.0.17"], attributes={})
    lab.put(pool("192.168.0.0/16", blockSize=26))
    two = lab.ipam("host2")
    assert await two.assign("a", attributes={}) == ("192.168.0.16",)
    code, words = await refused(two.claim("b", ["192.168.0.40"], attributes={}))
    assert code == "invalid"
    assert "192.168.0.16/28" in words
    for number in range(14):
        await two.assign(f"c{number}", attributes={})
    assert await two.assign("next", attributes={}) == ("192.168.0.64",)


async def test_unknown_fields_are_kept(lab: Lab) -> None:
    one = lab.ipam("host1")
    await one.assign("a", attributes={})
    key = BLOCKS + b"ipv4/block/192.168.0.0-26"
    block = json.loads(lab.values[key])
    block["future"] = {"x": [1]}
    block["attributes"][0]["alternate"] = {"y": "z"}
    lab.put({key: json.dumps(block).encode()})
    await one.assign("b", attributes={})
    after = json.loads(lab.values[key])
    assert after["future"] == {"x": [1]}
    assert after["attributes"][0]["alternate"] == {"y": "z"}
    assert after["affinity_claim_time"] == block["affinity_claim_time"]
    assert after["sequenceNumber"] == block["sequenceNumber"] + 1
    assert after["sequenceNumberForAllocation"]["2"] == after["sequenceNumber"]


async def test_an_etcd_that_does_not_answer(lab: Lab) -> None:
    one = lab.ipam("host1")
    store = lab.stores["host1"]
    store.error = UnavailableError("connection refused")
    code, words = await refused(one.assign("a", attributes={}))
    assert code == "unavailable"
    assert "connection refused" in words
    store.error = None
    assert await one.assign("a", attributes={}) == ("192.168.0.1",)
    store.error = DeniedError("permission denied")
    assert (await refused(one.assign("b", attributes={})))[0] == "unavailable"
    store.error = None
    assert await one.assign("b", attributes={}) == ("192.168.0.2",)


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_an_answer_that_is_lost_leaks_nothing(lab: Lab, lost: str) -> None:
    one = lab.ipam("host1")
    store = lab.stores["host1"]
    for step in range(4):
        store.lose_answer = losing(lost, step + 1)
        found = await one.assign(f"c{step}", attributes={})
        assert assigned(lab.values)[found[0]] == f"c{step}"
    assert len(assigned(lab.values)) == 4
    store.lose_answer = losing(lost, 3)
    assert await one.release("c1") == ("192.168.0.2",)
    assert len(assigned(lab.values)) == 3
    assert_handles_fit(lab.values)


async def test_a_transaction_that_comes_in_late_does_not_undo_a_release(lab: Lab) -> None:
    """etcd was frozen: the caller was told `unavailable`, gives the handle back, and only then etcd gets to it."""
    one = lab.ipam("host1")
    await one.assign("a", attributes={})
    store = lab.stores["host1"]

    def freeze(writes: object) -> str:
        store.error = UnavailableError("no answer in time")
        return "late"

    store.lose_answer = freeze
    assert (await refused(one.assign("b", attributes={})))[0] == "unavailable"
    store.error = None
    store.lose_answer = lambda writes: None
    assert await one.release("b") == ()
    assert [lab.cluster.apply(writes) for writes in store.late] == [False]
    assert assigned(lab.values) == {"192.168.0.1": "a"}


async def test_who_is_overtaken_comes_again(lab: Lab) -> None:
    """Somebody takes the very address in between, every time but the last."""
    one, two = lab.ipam("host1"), lab.ipam("host2")
    await one.assign("a", attributes={})
    key = BLOCKS + b"ipv4/block/192.168.0.0-26"
    left = iter(range(3))

    def overtake() -> None:
        if next(left, None) is not None:
            lab.put({key: lab.values[key]})

    lab.ipam("host2")
    lab.stores["host2"].before_transaction = overtake
    assert await two.assign("b", attributes={}) == ("192.168.0.2",)
    assert two.overtaken == 3


async def test_a_closed_one_tells_who_waits(lab: Lab) -> None:
    one = lab.ipam("host1")
    waiting = asyncio.ensure_future(one.assign("a", attributes={}))
    await asyncio.sleep(0)
    await one.close()
    assert (await refused(waiting))[0] == "unavailable"


async def test_bad_names() -> None:
    store = MemoryStore(Cluster())
    with pytest.raises(ValueError, match="order"):
        Ipam(store, node="a", order="random")
    with pytest.raises(ValueError, match="slash"):
        Ipam(store, node="a/b")
