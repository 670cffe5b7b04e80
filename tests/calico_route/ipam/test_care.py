"""Check and repair, dead nodes, addresses given back by hand, what `ipam show` prints."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calico_route.ipam import Kind
from calico_route.ipam.paths import BLOCKS, HANDLES, HOSTS, felix_status_path
from calico_route.workload.ports import WorkloadError
from tests.calico_route.ipam.conftest import Lab
from tests.calico_route.ipam.records import assert_handles_fit, assigned, endpoint, node, pool

BLOCK = BLOCKS + b"ipv4/block/192.168.0.0-26"
CLAIM = b"/ipv4/block/192.168.0.0-26"


async def kinds(lab: Lab, **settings: Any) -> list[str]:
    return sorted(str(one.kind) for one in (await lab.ipam("host1").check(**settings)).findings)


async def make(lab: Lab, *containers: str) -> None:
    """Workloads on host1, with addresses and endpoints that fit."""
    lab.put(node("host1"))
    for container in containers:
        (address,) = await lab.ipam("host1").assign(f"calico.{container}", attributes={"container": container})
        lab.put(endpoint("host1", container, address))


async def test_nothing_to_find(lab: Lab) -> None:
    await make(lab, "a", "b")
    await lab.ipam("host1").claim("tunnel", ["192.168.0.9"], attributes={"type": "ipipTunnelAddress"})
    assert await kinds(lab, grace=0) == []


async def test_leaks(lab: Lab) -> None:
    now = [datetime(2026, 11, 29, 12, tzinfo=UTC)]
    one = lab.ipam("host1", clock=lambda: now[0])
    await make(lab, "a")
    await one.assign("calico.gone", attributes={"container": "gone"})
    await one.assign("calico.undated", attributes={"timestamp": "yesterday"})
    await one.assign("calico.living", attributes={})
    assert await kinds(lab, living=["calico.living"]) == []  # its workload may still be in the making
    now[0] += timedelta(seconds=901)
    (found,) = (await one.check(living=["calico.living"])).findings
    assert found.kind is Kind.LEAKED
    assert "192.168.0.2 is assigned to container gone on node host1 (handle calico.gone)" in found.words
    assert len(assigned(lab.values)) == 4
    check = await one.check(repair=True, settle=0, living=["calico.living"])
    assert check.repaired == (found,)
    assert check.left == ()
    check = await one.check(repair=True, settle=0, grace=0)
    assert [str(one.address) for one in check.repaired] == ["192.168.0.3", "192.168.0.4"]
    assert assigned(lab.values) == {"192.168.0.1": "calico.a"}
    assert_handles_fit(lab.values)


async def test_a_workload_whose_address_is_not_recorded(lab: Lab) -> None:
    await make(lab, "a")
    lab.put(endpoint("host2", "lost", "192.168.0.5", "10.0.0.1"), node("host2"))
    (found,) = (await lab.ipam("host1").check(repair=True, settle=0)).repaired
    assert found.kind is Kind.UNRECORDED
    assert assigned(lab.values)["192.168.0.5"] == "calico.lost"
    assert await kinds(lab) == []


async def test_what_only_a_person_can_decide(lab: Lab) -> None:
    await make(lab, "a", "b")
    lab.put(endpoint("host1", "c", "192.168.0.2"), node("host2", "192.168.0.1/32"), {BLOCKS + b"ipv4/block/x": b"7"})
    before = lab.values
    check = await lab.ipam("host1").check(repair=True, settle=0)
    assert sorted(str(one.kind) for one in check.findings) == ["duplicate", "foreign", "host-address", "unreadable"]
    assert check.repaired == ()
    assert lab.values == before


async def test_a_workload_says_under_which_handle_its_addresses_are(lab: Lab) -> None:
    lab.put(node("host1"))
    one = lab.ipam("host1")
    (first,) = await one.assign("docker.lease", attributes={"container": "web1"})
    (second,) = await one.assign("calico.b.eth2", attributes={"container": "b"})
    lab.put(endpoint("host1", "id-of-docker", first, handle=""), endpoint("host1", "b", second, handle="calico.b.eth2"))
    assert await kinds(lab) == []
    lab.put(endpoint("host1", "b", second, handle="calico.b"))
    assert await kinds(lab) == ["foreign"]


async def test_blocks_that_contradict_themselves(lab: Lab) -> None:
    await make(lab, "a")
    block = json.loads(lab.values[BLOCK])
    block["unallocated"] = [1, 2, 3]
    lab.put({BLOCK: json.dumps(block).encode()})
    assert await lab.ipam("host2").assign("x", attributes={}) == ("192.168.0.64",)
    assert await kinds(lab) == ["contradiction", "dead-node"]
    check = await lab.ipam("host1").check(repair=True, settle=0)
    assert [one.kind for one in check.repaired] == [Kind.CONTRADICTION]
    assert await lab.ipam("host3").assign("y", attributes={}) == ("192.168.0.2",)


async def test_handles_that_say_something_else(lab: Lab) -> None:
    await make(lab, "a", "b", "c")
    lab.put({HANDLES + b"calico.a": b'{"block":{"192.168.0.0/26":2,"192.168.9.0/26":1}}', HANDLES + b"old": b"{}"})
    lab.cluster.values.pop(HANDLES + b"calico.b")
    assert await kinds(lab) == ["handle", "handle", "handle"]
    assert len((await lab.ipam("host1").check(repair=True, settle=0)).repaired) == 3
    assert_handles_fit(lab.values)


async def test_claims_and_blocks(lab: Lab) -> None:
    await make(lab, "a")
    lab.put(
        {
            HOSTS + b"host1/ipv4/block/192.168.5.0-26": b'{"state":"pending","deleted":false}',
            HOSTS + b"host2" + CLAIM: b'{"state":"confirmed"}',
            HOSTS + b"host1" + CLAIM: b'{"state":"pending","future":1}',
        },
        node("host2"),
    )
    assert await kinds(lab) == ["affinity"] * 3
    await lab.ipam("host1").check(repair=True, settle=0)
    claims = {key: json.loads(value) for key, value in lab.values.items() if key.startswith(HOSTS)}
    assert claims == {HOSTS + b"host1" + CLAIM: {"state": "confirmed", "future": 1, "deleted": False}}
    lab.cluster.values.pop(HOSTS + b"host1" + CLAIM)
    assert await kinds(lab) == ["unclaimed"]
    await lab.ipam("host1").check(repair=True, settle=0)
    assert await kinds(lab) == []
    assert HOSTS + b"host1" + CLAIM in lab.values


async def test_what_is_only_passing_is_not_repaired(lab: Lab) -> None:
    """A stock node in the middle of a claim: the second look does not find it."""
    await make(lab, "a")
    pending = HOSTS + b"host2/ipv4/block/192.168.5.0-26"
    lab.put({pending: b'{"state":"pending","deleted":false}'}, node("host2"))
    one = lab.ipam("host1")
    store, looks = lab.stores["host1"], 0
    original = store.snapshot

    async def snapshot(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        found = await original(*arguments)
        if looks == 1:
            lab.put({pending: b'{"state":"confirmed","deleted":false}'})
        return found

    store.snapshot = snapshot  # type: ignore[method-assign, assignment]
    check = await one.check(repair=True, settle=0)
    assert check.repaired == ()
    assert pending in lab.values


async def test_a_dead_node(lab: Lab) -> None:
    lab.put(node("host1"), node("host2"), {HOSTS + b"host1": b""})
    one, two = lab.ipam("host1"), lab.ipam("host2")
    for container in ("a", "b"):
        (address,) = await one.assign(f"calico.{container}", attributes={"container": container})
        lab.put(endpoint("host1", container, address))
    (borrowed,) = await two.assign("calico.c", attributes={"container": "c"})
    lab.put(endpoint("host2", "c", borrowed))
    await one.claim("tunnel", ["192.168.5.1"], attributes={"type": "ipipTunnelAddress"})
    for name, part in (("host1", "its Node is still there"), ("host2", "this node")):
        with pytest.raises(WorkloadError, match=part):
            await two.release_node(name)
    lab.cluster.values = {key: value for key, value in lab.cluster.values.items() if not key.endswith(b"nodes/host1")}
    lab.put({felix_status_path("host1"): b"{}"})
    with pytest.raises(WorkloadError, match="Felix"):
        await two.release_node("host1")
    lab.cluster.values.pop(felix_status_path("host1"))
    assert await kinds(lab) == ["dead-node"]
    released = await two.release_node("host1")
    assert released.addresses == ("192.168.0.1", "192.168.0.2", "192.168.5.1")
    assert released.blocks == ("192.168.0.0/26", "192.168.5.0/26")
    assert len(released.endpoints) == 2
    assert assigned(lab.values) == {"192.168.0.3": "calico.c"}
    assert json.loads(lab.values[BLOCK])["affinity"] is None
    assert not any(key.startswith(HOSTS) for key in lab.values)
    assert await kinds(lab) == []
    assert await two.release_node("host1") == ((), (), ())
    assert await two.assign("calico.d", attributes={}) == ("192.168.0.1",)
    for handle in ("calico.c", "calico.d"):
        await two.release(handle)
    assert BLOCK not in lab.values  # nobody's, and empty: given back
    assert_handles_fit(lab.values)


async def test_a_living_node_by_force(lab: Lab) -> None:
    await make(lab, "a")
    assert (await lab.ipam("host2").release_node("host1", force=True)).addresses == ("192.168.0.1",)


async def test_addresses_given_back_by_hand(lab: Lab) -> None:
    await make(lab, "a")
    one = lab.ipam("host1")
    await one.assign("calico.b", attributes={})
    with pytest.raises(WorkloadError, match="in use by workload default/host1-cni-a-eth1"):
        await one.release_addresses(["192.168.0.1", "192.168.0.2"])
    assert await one.release_addresses(["192.168.0.2", "192.168.0.77", "10.0.0.1"]) == ("192.168.0.2",)
    assert await one.release_addresses(["192.168.0.1"], force=True) == ("192.168.0.1",)
    assert await one.release_addresses(["192.168.0.1"]) == ()
    assert_handles_fit(lab.values)


async def test_many_addresses_given_back_at_once(lab: Lab) -> None:
    one = lab.ipam("host1")
    lab.put(node("host2"))
    for number in range(150):
        await one.assign(f"calico.c{number}", attributes={})
    assert len((await lab.ipam("host2").release_node("host1")).addresses) == 150
    assert assigned(lab.values) == {}
    assert_handles_fit(lab.values)


async def test_show(lab: Lab) -> None:
    lab.put(pool("fd80::/64", "six", disabled=True), {BLOCKS + b"ipv4/block/192.168.9.0-26": b"{"})
    await make(lab, "a", "b")
    await lab.ipam("host2").assign("calico.c", attributes={"pod": "web", "namespace": "shop"})
    shown = json.loads(json.dumps(await lab.ipam("host1").show()))
    assert shown["pools"][0] == {
        "name": "default",
        "cidr": "192.168.0.0/16",
        "addresses": 65536,
        "used": 3,
        "free": 65533,
        "blocks": 1,
        "block_length": 26,
        "state": "assigns",
    }
    assert shown["pools"][1]["state"] == "is disabled"
    assert shown["blocks"] == [
        {"cidr": "192.168.0.0/26", "node": "host1", "used": 3, "free": 61, "borrowed": {"host2": 1}}
    ]
    assert any("block 192.168.9.0/26" in problem for problem in shown["problems"])
    one = json.loads(json.dumps(await lab.ipam("host1").show("192.168.0.3")))
    assert one["handle"] == "calico.c"
    assert one["attributes"]["pod"] == "web"
    assert (await lab.ipam("host1").show("10.0.0.1"))["pool"] == ""
    assert (await lab.ipam("host1").show("192.168.0.1"))["endpoints"] == ["WorkloadEndpoint(default/host1-cni-a-eth1)"]
