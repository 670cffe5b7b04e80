"""The order of an add and of a removal, what is undone, and what two callers at once see: over doubles."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from calico_route.documents import read_value
from calico_route.keys import parse_path
from calico_route.model import WorkloadEndpoint
from calico_route.workload import WorkloadError, WorkloadRequest, Workloads
from calico_route.workload.interface import Wiring
from tests.calico_route.cluster import until
from tests.calico_route.workload.conftest import Host

ADD = ["assign", "connect", "set_up_outside", "admit", "add_routes"]
REMOVE = ["remove_routes", "dismiss", "disconnect", "release"]


def asked(host: Host, container: str = "c1", **members: Any) -> WorkloadRequest:
    return WorkloadRequest(container=container, **{"netns": str(host.netns), "profiles": ("db",), **members})


def endpoint_in(host: Host) -> tuple[WorkloadEndpoint, dict[str, Any]]:
    (path, stored), *more = host.store.values.items()
    assert not more
    key = parse_path(path)
    assert key is not None
    read = read_value(key, stored.value)
    assert isinstance(read.resource, WorkloadEndpoint)
    assert not read.problems
    return read.resource, json.loads(stored.value)


async def test_add_and_remove_in_the_order_of_safety(host: Host) -> None:
    async with host.running() as workloads:
        made = await workloads.add(asked(host, labels={"app": "db"}, name="container1"))
        assert host.trace == ADD
        assert made.addresses == ("192.168.0.1",)
        assert (made.gateway, made.gateway6, made.peer_interface) == ("169.254.1.1", None, None)
        assert made.host_interface.startswith("cali")
        assert len(made.host_interface) == 15
        assert workloads.list() == (made,)
        endpoint, document = endpoint_in(host)
        assert endpoint.name == made.endpoint == "host1-cni-c1-eth1"
        assert (endpoint.node, endpoint.interface, endpoint.mac) == ("host1", made.host_interface, made.mac)
        assert endpoint.profiles == ("stored-db",)
        assert endpoint.labels == {
            "app": "db",
            "projectcalico.org/namespace": "default",
            "projectcalico.org/orchestrator": "cni",
        }
        assert document["spec"]["ipNetworks"] == ["192.168.0.1/32"]
        assert document["spec"]["containerID"] == "c1"
        assert host.rules.admitted[made.host_interface].networks == endpoint.networks
        [handle] = host.addresses.held
        assert handle.startswith("calico.c1.")
        assert host.addresses.attributes[handle]["node"] == "host1"
        host.trace.clear()
        assert await workloads.remove("c1") == (made,)
        assert host.trace == REMOVE
        assert host.left() == {}
        assert await workloads.remove("c1", "eth1") == ()


async def test_a_second_add_tells_the_same(host: Host) -> None:
    async with host.running() as workloads:
        first, second = await asyncio.gather(workloads.add(asked(host)), workloads.add(asked(host)))
        assert first == second
        assert host.trace == ADD, "once"
        for other in (
            {"profiles": ("web",)},
            {"addresses": ("192.168.0.9",)},
            {"network": "other"},
            {"netns": None},
        ):
            with pytest.raises(WorkloadError, match="has eth1 already") as refused:
                await workloads.add(asked(host, **other))
            assert refused.value.code == "taken"
        assert await workloads.add(asked(host, addresses=("192.168.0.1",))) == first


async def test_a_container_that_was_started_again_keeps_its_address(host: Host) -> None:
    async with host.running() as workloads:
        await workloads.add(asked(host, "c0"))
        first = await workloads.add(asked(host))
        await workloads.remove("c0")
        again = host.state / "another"
        again.touch()
        second = await workloads.add(asked(host, netns=str(again)))
        assert second.addresses == first.addresses == ("192.168.0.2",)
        assert host.kernel.links[first.host_interface].netns == str(again)
        assert len(host.store.values) == 1


async def test_two_interfaces_of_one_container(host: Host) -> None:
    async with host.running() as workloads:
        one = await workloads.add(asked(host))
        two = await workloads.add(asked(host, interface="eth2", addresses="auto46"))
        assert one.host_interface != two.host_interface
        assert two.addresses == ("192.168.0.2", "fd80::1")
        assert two.gateway6 == "fe80::ecee:eeff:feee:eeee"
        await workloads.remove("c1", "eth2")
        assert list(host.addresses.held.values()) == [("192.168.0.1",)]
        await workloads.add(asked(host, interface="eth2"))
        await workloads.remove("c1")
        assert host.left() == {}


async def test_the_same_name_on_two_nodes_is_two_workloads(host: Host, tmp_path: Path) -> None:
    """Names that people give are of one host; handles are of the cluster."""
    (tmp_path / "another").mkdir()
    other = Host(tmp_path / "another")
    other.addresses = host.addresses
    async with host.running() as here, other.running() as there:
        assert (await here.add(asked(host))).addresses == ("192.168.0.1",)
        assert (await there.add(asked(host))).addresses == ("192.168.0.2",)
        await there.remove("c1")
        assert list(host.addresses.held.values()) == [("192.168.0.1",)], "that of the other one is its own"
        with pytest.raises(WorkloadError, match="is of"):
            await there.add(asked(host, addresses=("192.168.0.1",)))
        assert list(host.addresses.held.values()) == [("192.168.0.1",)]


ID = "15fe822f18c276535e82cb589ebd74fe3f01d8e4d3a0d54ee52b3b1f3b1a9c20"


async def test_no_two_workloads_have_one_handle(host: Host) -> None:
    """In IPAM capitals are none, and a dot is a dot."""
    wanted = [
        asked(host, ID),
        asked(host, ID, interface="eth2"),
        asked(host, "blue"),
        asked(host, "Blue"),
        asked(host, "blue", interface="eth2"),
        asked(host, "blue.eth2"),
        asked(host, "b", network="a"),
        asked(host, "a.b"),
    ]
    async with host.running() as workloads:
        made = await asyncio.gather(*map(workloads.add, wanted))
        assert len({one.addresses for one in made}) == len({handle.lower() for handle in host.addresses.held}) == 8
        assert f"calico.{ID}" in host.addresses.held, "as Calico's own plug-in calls it"
        await workloads.remove(ID, "eth2")
        assert len(host.addresses.held) == 7
        for one in wanted:
            await workloads.remove(one.container)
        assert host.left() == {}


async def test_handed_over_to_a_runtime_that_has_its_own_addresses(host: Host) -> None:
    host.addresses.held["docker.lease"] = ("192.168.0.7",)
    async with host.running() as workloads:
        made = await workloads.add(
            asked(host, netns=None, addresses=("192.168.0.7",), orchestrator="docker", mac="02:00:00:00:00:07")
        )
        assert made.peer_interface is not None
        assert made.peer_interface.startswith("tmp")
        assert made.mac == "02:00:00:00:00:07"
        assert endpoint_in(host)[1]["spec"]["workload"] == "c1"
        await workloads.remove("c1")
        assert host.left() == {"addresses": {"docker.lease": ("192.168.0.7",)}}


@pytest.mark.parametrize("step", ["connect", "set_up_outside", "add_routes"])
async def test_what_the_kernel_refuses_is_undone(host: Host, step: str) -> None:
    host.kernel.trouble[step] = WorkloadError("no", code="internal")
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match=r"^no$"):
            await workloads.add(asked(host))
        assert host.left() == {}


@pytest.mark.parametrize("error", [WorkloadError("no", code="unknown-profile"), ZeroDivisionError()])
async def test_without_rules_nothing_stays(host: Host, error: Exception) -> None:
    """Whatever goes wrong, and be it a mistake of ours: there is no route without rules."""
    host.rules.trouble = error
    async with host.running() as workloads:
        with pytest.raises(type(error)):
            await workloads.add(asked(host))
        assert "add_routes" not in host.trace
        assert host.left() == {}


async def test_no_address_to_be_had(host: Host) -> None:
    host.addresses.trouble = WorkloadError("the pools are full", code="full")
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match="full") as refused:
            await workloads.add(asked(host))
        assert refused.value.code == "full"
        host.addresses.trouble = None
        await until(lambda: host.left() == {})


async def test_profiles_that_are_not_there(host: Host) -> None:
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match="no profile db") as refused:
            await workloads.add(asked(host, create_profiles=False))
        assert refused.value.code == "unknown-profile"
        assert host.left() == {}


async def test_a_namespace_that_is_gone(host: Host) -> None:
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match="still running") as refused:
            await workloads.add(asked(host, netns="/run/netns/no-such"))
        assert refused.value.code == "no-netns"
        assert host.left() == {}


@pytest.mark.parametrize("lost", [1, 2])
async def test_an_endpoint_whose_answer_was_lost(host: Host, lost: int) -> None:
    host.store.lost = lost
    async with host.running(patience=5.0) as workloads:
        made = await workloads.add(asked(host))
        assert endpoint_in(host)[0].name == made.endpoint
        assert host.store.resets == 1, "it looks, and finds its own"
        await workloads.remove("c1")
        assert host.left() == {}


async def test_an_endpoint_of_a_former_life_gives_way(host: Host) -> None:
    async with host.running() as workloads:
        await workloads.add(asked(host))
        (path,) = host.store.values
        await workloads.remove("c1")
        host.store.lost = 0
        await host.store.create(path, b'{"metadata":{"uid":"of somebody else"},"spec":{}}')
        made = await workloads.add(asked(host))
        assert endpoint_in(host)[0].interface == made.host_interface


async def test_a_removal_while_etcd_is_away_is_finished_later(host: Host) -> None:
    async with host.running() as workloads:
        made = await workloads.add(asked(host))
        host.store.away = True
        assert await workloads.remove("c1") == (made,)
        left = host.left()
        assert left.keys() == {"endpoints", "addresses", "journal"}, "nothing on this host; the address is kept"
        assert workloads.status()["removing"] == 1
        assert "memory" in workloads.status()["problems"][0]
        with pytest.raises(WorkloadError) as refused:
            await workloads.add(asked(host))
        assert refused.value.code == "unavailable"
        assert host.kernel.links == {}
        host.store.away = False
        await until(lambda: host.left() == {})
        await until(lambda: workloads.ready() is None)
        assert workloads.status()["problems"] == []


async def test_an_add_while_etcd_is_away_leaves_nothing_here(host: Host) -> None:
    async with host.running() as workloads:
        host.store.away = True
        with pytest.raises(WorkloadError) as refused:
            await workloads.add(asked(host))
        assert refused.value.code == "unavailable"
        assert host.left().keys() == {"addresses", "journal"}
        host.store.away = False
        await until(lambda: host.left() == {})


async def test_a_caller_that_goes_does_not_stop_it(host: Host) -> None:
    async with host.running() as workloads:
        calling = asyncio.create_task(workloads.add(asked(host)))
        await asyncio.sleep(0)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        removed = await workloads.remove("c1", "eth1")
        assert [one.addresses for one in removed] == [("192.168.0.1",)], "the removal waited for its end"
        assert host.left() == {}


async def test_many_at_once(host: Host) -> None:
    async with host.running() as workloads:
        made = await asyncio.gather(*(workloads.add(asked(host, f"c{number}")) for number in range(100)))
        assert len({one.addresses for one in made}) == 100
        assert len(workloads.list()) == len(host.store.values) == 100
        kept = [("c7", "eth1"), ("c8", "eth1"), ("not here", "eth1")]
        await workloads.add(asked(host, "d1", orchestrator="docker"))
        await workloads.add(asked(host, "d2", network="other"))
        removed = await workloads.keep(kept, network="calico")
        assert len(removed) == 98
        assert {one.container for one in workloads.list()} == {"c7", "c8", "d1", "d2"}


async def test_check_says_what_differs(host: Host) -> None:
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match="has no eth1 here") as refused:
            await workloads.check("c1")
        assert refused.value.code == "unknown"
        made = await workloads.add(asked(host))
        assert await workloads.check("c1") == made
        host.kernel.routes.clear()
        with pytest.raises(WorkloadError, match=r"no route leads to 192\.168\.0\.1") as refused:
            await workloads.check("c1")
        assert refused.value.code == "differs"
        host.kernel.routes["192.168.0.1"] = made.host_interface
        host.store.values.clear()
        with pytest.raises(WorkloadError, match="not in the datastore"):
            await workloads.check("c1")


async def test_after_the_end_nothing_is_begun(host: Host) -> None:
    async with host.running() as workloads:
        pass
    with pytest.raises(WorkloadError) as refused:
        await workloads.add(asked(host))
    assert refused.value.code == "unavailable"
    assert workloads.ready() is not None


async def test_a_state_directory_that_cannot_be_written(host: Host) -> None:
    (host.state / "host1.workloads").write_text("a file")
    async with host.running() as workloads:
        with pytest.raises(WorkloadError, match="--state-dir"):
            await workloads.add(asked(host))
    assert host.trace == []


class Dying(Workloads):
    """Ends where it is told to, as by SIGKILL: nothing is undone any more."""

    after = ""

    def reached(self, what: str, record: Any) -> None:
        if what == self.after:
            raise asyncio.CancelledError


BUILD = ["journal", "profiles", "address", "interface", "outside", "rules", "routes", "endpoint"]
TAKE = ["no endpoint", "no routes", "no rules", "no interface", "no address"]


@pytest.mark.parametrize("after", BUILD)
async def test_an_add_that_was_cut_short_is_undone_at_the_next_start(host: Host, after: str) -> None:
    async with host.running(type("Died", (Dying,), {"after": after})) as workloads:
        with pytest.raises(asyncio.CancelledError):
            await workloads.add(asked(host))
    assert "journal" in host.left()
    async with host.running():
        assert host.left() == {}


@pytest.mark.parametrize("after", TAKE)
async def test_a_removal_that_was_cut_short_is_finished_at_the_next_start(host: Host, after: str) -> None:
    async with host.running(type("Died", (Dying,), {"after": after})) as workloads:
        await workloads.add(asked(host))
        with pytest.raises(asyncio.CancelledError):
            await workloads.remove("c1")
    assert "journal" in host.left()
    async with host.running():
        assert host.left() == {}


async def test_what_stands_is_left_alone_by_a_start(host: Host) -> None:
    async with host.running() as workloads:
        made = await workloads.add(asked(host))
    before = host.left()
    host.trace.clear()
    host.rules.admitted.clear()
    async with host.running() as workloads:
        assert host.left() == before
        assert host.trace == ["admit"]
        assert workloads.list() == (made,)


async def test_after_a_reboot_nothing_of_before_is_there(host: Host) -> None:
    async with host.running() as workloads:
        await workloads.add(asked(host))
    host.kernel.vanish(next(iter(host.kernel.links)))
    host.rules.admitted.clear()
    host.netns.unlink()
    async with host.running():
        assert host.left() == {}


async def test_a_reboot_with_etcd_away(host: Host) -> None:
    async with host.running() as workloads:
        await workloads.add(asked(host))
    host.kernel.vanish(next(iter(host.kernel.links)))
    host.netns.unlink()
    host.store.away = True
    async with host.running() as workloads:
        assert host.left().keys() >= {"endpoints", "addresses"}
        assert "etcd" in (workloads.ready() or "")
        host.store.away = False
        await until(lambda: host.left() == {})


async def test_an_interface_that_somebody_removed_is_made_again(host: Host) -> None:
    """The container lives: its very namespace is there."""
    async with host.running() as workloads:
        made = await workloads.add(asked(host))
    host.kernel.vanish(next(iter(host.kernel.links)))
    async with host.running() as workloads:
        assert workloads.list() == (made,)
        assert sorted(host.kernel.links) == [made.host_interface]
        assert host.kernel.routes == {"192.168.0.1": made.host_interface}


async def test_routes_and_endpoint_that_are_gone_are_made_again(host: Host) -> None:
    async with host.running() as workloads:
        made = await workloads.add(asked(host))
    before = host.left()
    host.kernel.routes.clear()
    host.store.values.clear()
    async with host.running() as workloads:
        assert host.left() == before
        assert workloads.list() == (made,)


async def test_a_node_that_was_taken_for_dead_and_comes_back(host: Host) -> None:
    """Its endpoints were deleted and its addresses given back: what nobody else has it takes again."""
    async with host.running() as workloads:
        one = await workloads.add(asked(host))
        two = await workloads.add(asked(host, "c2"))
    host.store.values.clear()
    host.addresses.held.clear()
    host.addresses.held["calico.other"] = two.addresses
    async with host.running() as workloads:
        assert set(host.addresses.held.values()) == {one.addresses, two.addresses}
        assert len(host.addresses.held) == 2
        assert endpoint_in(host)[0].name == one.endpoint, "the other one is not announced"
        assert host.kernel.routes == {"192.168.0.1": one.host_interface}, "and leads to who has it now"
        [problem] = workloads.status()["problems"]
        assert "192.168.0.2 is of calico.other" in problem
        await workloads.remove("c2")
        assert host.addresses.held["calico.other"] == two.addresses


async def test_what_vanishes_while_it_is_looked_at_is_looked_at_again(host: Host) -> None:
    async with host.running() as workloads:
        made = await workloads.add(asked(host))
    admit = host.rules.admit

    class Vanishing(Workloads):
        async def repair(self) -> None:
            host.rules.admit = self.vanish_first  # type: ignore[method-assign]
            await super().repair()

        async def vanish_first(self, endpoint: WorkloadEndpoint) -> None:
            host.rules.admit = admit  # type: ignore[method-assign]
            host.netns.unlink()
            host.kernel.vanish(made.host_interface)
            self._look_into(self.journal.records["c1", "eth1"], "it has vanished")
            await admit(endpoint)

    async with host.running(Vanishing):
        await until(lambda: host.left() == {})


async def test_a_collection_goes_on_where_one_cannot_go(host: Host) -> None:
    async with host.running() as workloads:
        for name in ("c1", "c2", "c3"):
            await workloads.add(asked(host, name))
        host.kernel.trouble["disconnect"] = WorkloadError("busy", code="internal")
        disconnect, calls = host.kernel.disconnect, 0

        def once(wiring: Wiring) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:
                host.kernel.trouble.clear()
            disconnect(wiring)

        host.kernel.disconnect = once  # type: ignore[method-assign]
        with pytest.raises(WorkloadError, match="busy"):
            await workloads.keep([])
        assert workloads.list() == ()
        await until(lambda: host.left() == {})


async def test_profiles_that_were_changed_meanwhile_are_kept(host: Host) -> None:
    async with host.running() as workloads:
        await workloads.add(asked(host))
    (path, stored), *_ = host.store.values.items()
    document = json.loads(stored.value)
    document["spec"]["profiles"] = ["web"]
    await host.store.replace(path, json.dumps(document).encode(), stored.revision)
    async with host.running() as workloads:
        assert workloads.list()[0].profiles == ("web",)
        assert endpoint_in(host)[0].profiles == ("web",)
        assert next(iter(host.rules.admitted.values())).profiles == ("web",)


async def test_a_journal_that_is_lost(host: Host) -> None:
    async with host.running() as workloads:
        alive = await workloads.add(asked(host))
        dead = await workloads.add(asked(host, "c2"))
    for path in (host.state / "host1.workloads").iterdir():
        path.write_text("{")
    host.kernel.vanish(dead.host_interface)
    admitted = host.rules.admitted.pop(alive.host_interface)
    async with host.running() as workloads:
        assert [one.container for one in workloads.list()] == ["c1"]
        assert workloads.list()[0].addresses == alive.addresses
        assert list(host.addresses.held.values()) == [("192.168.0.1",)]
        assert len(host.store.values) == 1
        await until(lambda: [one.name for one in host.rules.admitted.values()] == [admitted.name])
        assert await workloads.remove("c1")
        assert host.left().keys() == {"journal"}, "what could not be read is kept aside"
