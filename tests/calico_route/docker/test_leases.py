from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from calico_route.docker.leases import Leases, State
from calico_route.docker.records import Records
from calico_route.workload.ports import WorkloadError
from tests.calico_route.docker.doubles import MemoryAddresses


class Desk:
    """Leases, and what they stand on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses = MemoryAddresses()
        self.leases = self.again()

    def again(self) -> Leases:
        """As another process finds them."""
        self.leases = Leases(self.addresses, Records(self.folder), "node1")
        self.leases.load()
        return self.leases


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "leases")


async def test_any_address_is_docker_s_until_it_gives_it_back(desk: Desk) -> None:
    lease = await desk.leases.request(None, 4, ())
    assert (lease.address, lease.state) == ("192.168.0.1", State.HELD)
    assert desk.addresses.taken == {"192.168.0.1": lease.handle}
    assert desk.addresses.attributes["192.168.0.1"]["node"] == "node1"
    await desk.again().release("192.168.0.1")
    assert desk.addresses.taken == {}
    assert desk.again().all() == []


async def test_an_address_that_was_asked_for_is_kept_for_a_restart(desk: Desk) -> None:
    await desk.leases.request("192.168.0.9", 4, ())
    await desk.leases.release("192.168.0.9")
    (kept,) = desk.again().all()
    assert kept.state is State.KEPT
    assert desk.addresses.taken == {"192.168.0.9": kept.handle}
    again = await desk.leases.request("192.168.0.9", 4, ())
    assert (again.state, again.handle) == (State.HELD, kept.handle)


async def test_one_that_others_gave_back_meanwhile_is_claimed_again(desk: Desk) -> None:
    lease = await desk.leases.request("192.168.0.9", 4, ())
    await desk.addresses.release(lease.handle)
    await desk.leases.release("192.168.0.9")
    assert desk.addresses.taken == {"192.168.0.9": lease.handle}


async def test_the_gateway_and_others_are_no_error_to_release(desk: Desk) -> None:
    await desk.leases.release("169.254.1.1")


async def test_a_reservation_is_docker_s_when_it_asks(desk: Desk) -> None:
    four, six = await desk.leases.reserve((4, 6), (), "box")
    assert desk.leases.is_creating(four)
    await desk.leases.bind([four, six], "c1")
    assert not desk.leases.is_creating(four)
    held = await desk.leases.request(four.address, 4, ())
    assert (held.state, held.container, held.name, held.pinned) == (State.HELD, "c1", "box", True)
    assert [lease.address for lease in desk.again().of_container("c1")] != []


async def test_a_reserved_or_held_address_is_taken(desk: Desk) -> None:
    await desk.leases.reserve((4,), ("192.168.0.7",), "first")
    with pytest.raises(WorkloadError, match=r"192.168.0.7 is taken by container first on this node") as refused:
        await desk.leases.reserve((4,), ("192.168.0.7",), "second")
    assert refused.value.code == "taken"
    await desk.leases.request("192.168.0.7", 4, ())
    with pytest.raises(WorkloadError, match="taken"):
        await desk.leases.request("192.168.0.7", 4, ())
    assert len(desk.leases.all()) == 1


async def test_all_or_none_is_reserved(desk: Desk) -> None:
    with pytest.raises(WorkloadError, match="outside of all pools"):
        await desk.leases.reserve((4,), ("192.168.0.7", "10.0.0.1"), "box")
    assert desk.addresses.taken == {}
    assert desk.again().all() == []


async def test_another_container_may_have_the_address_of_one_that_ended(desk: Desk) -> None:
    leases = await desk.leases.reserve((4,), ("192.168.0.7",), "first")
    await desk.leases.bind(leases, "c1")
    await desk.leases.request("192.168.0.7", 4, ())
    await desk.leases.release("192.168.0.7")
    (taken,) = await desk.leases.reserve((4,), ("192.168.0.7",), "second")
    assert (taken.name, taken.container, taken.state) == ("second", "", State.RESERVED)


async def test_a_creation_that_failed_gives_back_unless_docker_has_it_already(desk: Desk) -> None:
    leases = await desk.leases.reserve((4,), (), "box")
    await desk.leases.cancel(leases)
    assert desk.addresses.taken == {}
    leases = await desk.leases.reserve((4,), (), "box")
    await desk.leases.request(leases[0].address, 4, ())
    await desk.leases.cancel(leases)
    assert desk.leases.all()[0].state is State.HELD


async def test_a_question_that_was_cut_short_is_found_again(desk: Desk) -> None:
    """The datastore fails with the answer on its way, and again when it is asked to forget it."""
    desk.addresses.broken = True
    with pytest.raises(WorkloadError, match="etcd does not answer"):
        await desk.leases.request("192.168.0.3", 4, ())
    (asked,) = desk.again().all()
    assert asked.state is State.ASKED
    desk.addresses.broken = False
    lease = await desk.leases.request("192.168.0.3", 4, ())
    assert lease.handle == asked.handle


async def test_a_request_that_is_cut_off_leaves_nothing(desk: Desk) -> None:
    asking = asyncio.create_task(desk.leases.request(None, 4, ()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert desk.addresses.taken == {}
    assert desk.again().all() == []


async def test_many_at_once_for_one_address(desk: Desk) -> None:
    asked = [desk.leases.request("192.168.0.5", 4, ()) for _ in range(20)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert len(desk.leases.all()) == 1


async def test_a_record_that_cannot_be_read_is_told_and_left(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    lease = await desk.leases.request(None, 4, ())
    (desk.folder / "broken.json").write_text("{")
    (desk.folder / "strange.json").write_text('{"state": "gone"}')
    assert [one.id for one in desk.again().all()] == [lease.id]
    assert "broken.json is left out" in caplog.text
    assert "the lease strange is left out" in caplog.text
    assert (desk.folder / "broken.json").exists()
