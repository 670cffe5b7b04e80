"""Elements by messages of our own: the kernel has then what libnftables would have put there."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from calico_route.policy.elements import ElementSocket, changes_of
from calico_route.policy.nft import Nft, NftError
from calico_route.policy.table import RuleText, Table
from demo.lab import Host
from tests.calico_route.policy import lab as probes

ACCEPT = RuleText(({"accept": None},), "all")


def table() -> Table:
    made = Table()
    made.add_set("four", "ipv4_addr", ["10.0.0.1"])
    made.add_set("six", "ipv6_addr")
    made.add_set("allowed", ("ifname", "ipv4_addr"))
    made.maps["to"] = {}
    made.chain("one", [ACCEPT])
    made.chain("two", [ACCEPT])
    return made


def test_only_elements() -> None:
    made = table()
    made.whole()
    made.element("four", "10.0.0.2", True)
    made.map("to", "cali1", "one")
    found = changes_of(made.take())
    assert found is not None
    assert [(one.name, one.present) for one in found] == [("four", True), ("to", True)]
    assert found[0].elements == ((bytes((10, 0, 0, 2)), None),)
    assert found[1].elements == ((b"cali1".ljust(16, b"\0"), "one"),)
    made.chain("three", [ACCEPT])
    made.element("four", "10.0.0.3", True)
    assert changes_of(made.take()) is None
    for number in range(501):
        made.element("four", f"10.1.{number // 250}.{number % 250}", True)
    assert changes_of(made.take()) is None


@pytest.fixture
def host() -> Iterator[Host]:
    with probes.hosted("elem") as (_, found):
        yield found


@pytest.mark.netns
@pytest.mark.parametrize("command", [False, True])
async def test_in_the_kernel(host: Host, command: bool) -> None:
    nft, made = Nft(host.netns, command=command), table()
    await nft.open()
    try:
        await nft.apply(made.whole())
        for step in range(4):
            made.element("four", "10.0.0.1", step % 2 == 1)
            made.element("four", "10.0.0.2", step < 2)
            made.element("six", "2001:db8::2", step != 1)
            made.element("allowed", ("cali1", "192.168.0.1"), step != 2)
            made.element("allowed", ("cali22", "192.168.0.2"), True)
            made.map("to", "cali1", ["one", "two", None, "one"][step])
            made.map("to", "cali22", "two")
            await nft.apply(made.take())
            listing = await nft.listing()
            assert listing is not None
            assert made.differences(listing) == []
    finally:
        await nft.close()


@pytest.mark.netns
async def test_all_or_nothing(host: Host) -> None:
    nft, made = Nft(host.netns), table()
    await nft.open()
    try:
        await nft.apply(made.whole())
        gone = {
            "delete": {"element": {"family": "inet", "table": "calico_route", "name": "four", "elem": ["10.9.9.9"]}}
        }
        come = {"add": {"element": {"family": "inet", "table": "calico_route", "name": "four", "elem": ["10.0.0.7"]}}}
        with pytest.raises(NftError, match="elements of four, four: No such file or directory"):
            await nft.apply([come, gone])
        listing = await nft.listing()
        assert listing is not None
        assert made.differences(listing) == []
    finally:
        await nft.close()


@pytest.mark.netns
def test_without_a_table(host: Host) -> None:
    found = changes_of(
        [{"add": {"element": {"family": "inet", "table": "calico_route", "name": "four", "elem": ["10.0.0.7"]}}}]
    )
    assert found is not None
    elements = ElementSocket(host.netns)
    try:
        with pytest.raises(OSError, match="No such file or directory") as refused:
            elements.apply(found)
        assert refused.value.errno == errno.ENOENT
    finally:
        elements.close()


def test_a_namespace_that_is_not_there() -> None:
    assert not Path("/run/netns/nowhere-at-all").exists()
    with pytest.raises(Exception, match="nowhere-at-all"):
        ElementSocket("nowhere-at-all")
