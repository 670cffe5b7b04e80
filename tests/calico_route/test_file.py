"""Resources from a file: its spellings, its errors, and how a change of it is taken up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.datastore import (
    DatastoreDeniedError,
    DatastoreStatus,
    DatastoreUnavailableError,
    Snapshot,
    Update,
)
from calico_route.file import FileDatastore, FileError, read_documents
from calico_route.model import HostAddress, Invalid, IpPool, Kind, Node, ResourceKey, WorkloadEndpoint
from pybgp import Prefix

N1, N2 = ResourceKey(Kind.NODE, "", "n1"), ResourceKey(Kind.NODE, "", "n2")
POOL = ResourceKey(Kind.IP_POOL, "", "pool")

NODE_LIST = """\
apiVersion: projectcalico.org/v3
items:
- apiVersion: projectcalico.org/v3
  kind: Node
  metadata:
    creationTimestamp: 2026-11-23T00:00:00Z
    name: n1
  spec:
    bgp:
      ipv4Address: 192.168.78.21/24
- apiVersion: projectcalico.org/v3
  kind: Node
  metadata: {name: n2}
  spec: {bgp: {ipv4Address: 192.168.78.22/24, asNumber: "1.10"}}
kind: NodeList
metadata:
  resourceVersion: "1789"
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pool}
spec: {cidr: 192.168.0.0/16}
---
# nothing here
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-w-eth0}
spec: {node: n1, ipNetworks: [192.168.0.1/32], interfaceName: cali1}
---
apiVersion: projectcalico.org/v3
kind: Profile
metadata: {name: kns.default}
---
apiVersion: v1
kind: Node
metadata: {name: a-node-of-kubernetes}
"""


def node(name: str, address: str) -> dict[str, object]:
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"bgp": {"ipv4Address": address}},
    }


def test_yaml_as_calicos_tool_prints_it() -> None:
    found = {key: reading.resource for key, reading in read_documents(NODE_LIST, "f.yaml")}
    workload = ResourceKey(Kind.WORKLOAD_ENDPOINT, "default", "n1-k8s-w-eth0")
    assert found == {
        N1: Node(name="n1", ipv4=HostAddress("192.168.78.21", 24)),
        N2: Node(name="n2", ipv4=HostAddress("192.168.78.22", 24), asn=65546),
        POOL: IpPool(name="pool", cidr=Prefix("192.168.0.0/16")),
        workload: WorkloadEndpoint(
            namespace="default",
            name="n1-k8s-w-eth0",
            node="n1",
            networks=(Prefix("192.168.0.1/32"),),
            interface="cali1",
        ),
    }
    assert found[N1].raw["metadata"]["creationTimestamp"] == "2026-11-23T00:00:00Z"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"kind": "NodeList", "items": [node("n1", "10.0.0.1/8"), node("n2", "10.0.0.2/8")]}),
        json.dumps([node("n1", "10.0.0.1/8"), node("n2", "10.0.0.2/8")], indent="\t"),
        json.dumps(node("n1", "10.0.0.1/8")) + "\n" + json.dumps(node("n2", "10.0.0.2/8")),
        json.dumps(node("n1", "10.0.0.1/8")) + "\n---\n" + json.dumps(node("n2", "10.0.0.2/8")),
    ],
    ids=["list", "array", "one after the other", "json in yaml"],
)
def test_json_in_all_its_arrangements(text: str) -> None:
    assert [key for key, _ in read_documents(text, "f.json")] == [N1, N2]


@pytest.mark.parametrize("text", ["", "\n---\n---\n", "# only a comment", "[]", "kind: List\nitems:\n"])
def test_a_file_with_nothing(text: str) -> None:
    assert read_documents(text, "f") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", r"f\.yaml line 1: not YAML: mapping values"),
        ("kind: Node\n\tmetadata: 1", r"f\.yaml line 2: not YAML"),
        ("{kind: Node", r"f\.yaml line \d: not YAML"),
        ("---\nkind: Profile\n---\nsomething", r"f\.yaml document 2 \(line 4\): \"something\" is not an object"),
        ("- 7", r"f\.yaml document 1 \(line 1\) item 1: 7 is not an object"),
        ("metadata: {name: n1}", r"document 1 \(line 1\): kind is missing"),
        ("kind: Node", r"document 1 \(line 1\): metadata.name null is not a name"),
        ("kind: Node\nmetadata: {name: 7}", r"metadata.name 7 is not a name"),
        ("kind: Node\nmetadata: {name: a/b}", r"metadata.name \"a/b\" is not a name"),
        ("kind: WorkloadEndpoint\nmetadata: {name: w, namespace: [1]}", r"metadata.namespace \[1\] is not"),
        ("kind: NodeList\nitems: {a: b}", r"items must be a list"),
        (
            "kind: Node\nmetadata: {name: n1}\n---\nkind: Node\nmetadata: {name: n1}",
            r"\(line 4\): Node\(n1\) is there twice",
        ),
        ("!!python/object:os.system {}", r"could not determine a constructor"),
        ("a: \x07", r"not YAML"),
        ("[" * 5000, r"not YAML"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_documents(text, "f.yaml")


def test_a_bad_field_is_named_with_file_document_and_field() -> None:
    text = "kind: IPPool\nmetadata: {name: pool}\nspec: {cidr: nonsense}"
    [(key, reading)] = read_documents(f"---\n{text}", "f.yaml")
    assert (key, reading.resource) == (POOL, None)
    assert str(reading.problems[0]) == (
        'f.yaml document 1 (line 2): IPPool(pool): spec.cidr "nonsense": not an IP address or CIDR'
    )


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="kind: NodeListmetadata{}[]\n-&*!|>'\"#%@\t0.9\x00\ud800", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FileError):
        read_documents(text, "f")


@contextlib.asynccontextmanager
async def following(path: Path, poll: float = 0.02) -> AsyncIterator[tuple[FileDatastore, AsyncIterator[Update]]]:
    datastore = FileDatastore(path, poll=poll)
    stream = datastore.follow()
    try:
        yield datastore, stream
    finally:
        await stream.aclose()  # type: ignore[attr-defined]


async def next_snapshot(stream: AsyncIterator[Update]) -> Snapshot:
    async with asyncio.timeout(10):
        update = await anext(stream)
    assert isinstance(update, Snapshot)
    return update


async def test_a_change_is_taken_up_and_an_error_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(json.dumps(node("n1", "10.0.0.1/8")))
    async with following(path) as (datastore, stream):
        told: list[DatastoreStatus] = []
        refused = asyncio.Event()

        def listen(status: DatastoreStatus) -> None:
            told.append(status)
            if not status.connected:
                refused.set()

        datastore.on_status = listen
        first = await next_snapshot(stream)
        assert list(first.resources) == [N1]
        assert datastore.status.connected
        assert await datastore.get(N1) == Node(name="n1", ipv4=HostAddress("10.0.0.1", 8))

        waiting = asyncio.ensure_future(next_snapshot(stream))
        path.write_text("kind: Node\nmetadata: ]")
        async with asyncio.timeout(10):
            await refused.wait()
        assert not waiting.done()
        assert "nodes.yaml line 2: not YAML" in datastore.status.reason
        assert "what was read before stays in force" in caplog.text

        path.write_text(json.dumps([node("n1", "10.0.0.300/8"), node("n2", "10.0.0.2/8")]))
        second = await waiting
        assert second.revision > first.revision
        assert second.resources[N1] == first.resources[N1]  # the last good one
        assert [problem.field for problem in second.problems] == ["spec.bgp.ipv4Address"]
        assert N2 in second.resources
        assert [status.connected for status in told] == [True, False, True]


async def test_a_file_that_comes_later_and_one_that_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    async with following(path) as (datastore, stream):
        gone = asyncio.Event()
        datastore.on_status = lambda status: gone.set() if not status.connected else None
        waiting = asyncio.ensure_future(next_snapshot(stream))
        async with asyncio.timeout(10):
            await gone.wait()
        assert "No such file" in datastore.status.reason
        path.write_text(json.dumps(node("n1", "10.0.0.1/8")))
        assert list((await waiting).resources) == [N1]

        gone.clear()
        waiting = asyncio.ensure_future(next_snapshot(stream))
        path.unlink()
        async with asyncio.timeout(10):
            await gone.wait()
        assert not waiting.done()  # what was read stays in force
        beside = tmp_path / "new"
        beside.write_text(json.dumps(node("n2", "10.0.0.2/8")))
        os.replace(beside, path)
        assert list((await waiting).resources) == [N2]


async def test_reload_reads_at_once_whatever_the_clock_says(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps(node("n1", "10.0.0.1/8")))
    async with following(path, poll=3600) as (datastore, stream):
        await next_snapshot(stream)
        waiting = asyncio.ensure_future(next_snapshot(stream))
        datastore.reload()  # nothing has changed: no snapshot
        path.write_text(json.dumps(node("n2", "10.0.0.2/8")))
        datastore.reload()
        assert list((await waiting).resources) == [N2]


async def test_a_half_written_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    one, two = (json.dumps(node(name, f"10.0.0.{name[1]}/8")) for name in ("n1", "n2"))
    path.write_text(one + two)
    async with following(path, poll=0.2) as (_, stream):
        await next_snapshot(stream)
        waiting = asyncio.ensure_future(next_snapshot(stream))
        with path.open("w") as file:
            for part in (one, two, json.dumps(node("n3", "10.0.0.3/8"))):
                file.write(part)
                file.flush()
                await asyncio.sleep(0.1)  # slower than no writer, faster than a poll
        assert len((await waiting).resources) == 3


async def test_a_closed_datastore_ends_its_follower(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    path.write_text("[]")
    async with following(path, poll=3600) as (datastore, stream):
        await next_snapshot(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await datastore.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_a_file_is_read_only_and_can_be_asked_before_it_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    datastore = FileDatastore(path)
    with pytest.raises(DatastoreUnavailableError, match="cannot read"):
        await datastore.get(N1)
    path.write_text(NODE_LIST + "---\nkind: IPPool\nmetadata: {name: bad}\nspec: {}\n")
    assert isinstance(await datastore.get(N1), Node)
    assert isinstance(await datastore.get(ResourceKey(Kind.IP_POOL, "", "bad")), Invalid)
    assert await datastore.get(ResourceKey(Kind.NODE, "", "none")) is None
    for write in (datastore.create, datastore.put):
        with pytest.raises(DatastoreDeniedError, match="read only: write Node"):
            await write(Node(name="n3"))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatastoreUnavailableError, match="not UTF-8"):
        await datastore.get(N1)
