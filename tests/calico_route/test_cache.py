"""The snapshot on disk: what was written is read back, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.cache import SnapshotFile
from calico_route.datastore import Snapshot
from calico_route.model import Invalid, Kind, ReadyFlag, ResourceKey
from calico_route.view import View, fold
from tests.calico_route.resources import cluster, configuration, endpoint, node, pool, view

FULL = view(
    node("a", "192.0.2.1/24", "2001:db8::1/64", asNumber="1.10"),
    node("b", "192.0.2.2"),
    pool("p", "10.0.0.0/8", disableBGPExport=True),
    endpoint("w", "a", "10.0.0.1/32", "fd80::1/128", interface="cali1"),
    configuration(asNumber=65000, listenPort=1790),
    cluster(clusterGUID="g", datastoreReady=True),
    ReadyFlag(ready=True),
    revision=4711,
)


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "new" / "directory", "a")
    assert file.load() is None
    file.save(FULL, "etcd")
    kept = file.load()
    assert kept is not None
    assert (kept.view, kept.source) == (FULL, "etcd")
    assert kept.saved > 1.7e9


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path, "a")
    for _ in range(2):
        file.save(FULL, "etcd")
    assert [path.name for path in tmp_path.iterdir()] == ["a.snapshot.json"]
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SnapshotFile(tmp_path, "a")
    file.save(FULL, "etcd")

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        file.save(View(), "etcd")
    assert [path.name for path in tmp_path.iterdir()] == ["a.snapshot.json"]
    kept = file.load()
    assert kept is not None
    assert kept.view == FULL


def test_what_was_never_readable_is_not_kept(tmp_path: Path) -> None:
    key = ResourceKey(Kind.NODE, "", "broken")
    broken = fold(View(), Snapshot(5, {key: Invalid(key, ()), **dict(FULL.table(Kind.IP_POOL))}))
    file = SnapshotFile(tmp_path, "a")
    file.save(broken, "etcd")
    kept = file.load()
    assert kept is not None
    assert kept.view == view(*FULL.pools, revision=5)


def test_the_file_of_another_node_is_not_used(tmp_path: Path) -> None:
    SnapshotFile(tmp_path, "a").save(FULL, "etcd")
    SnapshotFile(tmp_path, "a").path.rename(SnapshotFile(tmp_path, "b").path)
    assert SnapshotFile(tmp_path, "b").load() is None


@given(st.one_of(st.binary(max_size=60), st.integers(0, 2000)))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_as_good_as_none(tmp_path_factory: pytest.TempPathFactory, damage: bytes | int) -> None:
    file = SnapshotFile(tmp_path_factory.mktemp("cache"), "a")
    file.save(FULL, "etcd")
    whole = file.path.read_bytes()
    file.path.write_bytes(whole[:damage] if isinstance(damage, int) else damage)
    kept = file.load()
    assert kept is None or kept.view == FULL


def test_a_single_value_that_is_not_understood_spoils_it(tmp_path: Path) -> None:
    """Half of a cluster would look like a cluster that has lost half of its nodes."""
    file = SnapshotFile(tmp_path, "a")
    file.save(FULL, "etcd")
    document = json.loads(file.path.read_text())
    path = next(path for path in document["resources"] if "/nodes/" in path)
    document["resources"][path] = "[]"
    file.path.write_text(json.dumps(document))
    assert file.load() is None
