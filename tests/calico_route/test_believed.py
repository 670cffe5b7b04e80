"""Which picture is acted upon: the datastore's, the one on disk, or none."""

from __future__ import annotations

import logging

import pytest

from calico_route.believed import Believed
from calico_route.cache import Kept
from calico_route.model import ReadyFlag
from calico_route.view import View
from tests.calico_route.resources import cluster, node, pool, view

OLD = view(node("a", "192.0.2.1"), pool("p", "10.0.0.0/8"), cluster(clusterGUID="g1"), revision=5)
NEW = view(
    node("a", "192.0.2.1"), node("b", "192.0.2.2"), pool("p", "10.0.0.0/8"), cluster(clusterGUID="g1"), revision=9
)
KEPT = Kept(OLD, "etcd", 1.8e9)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "calico_route")


def test_the_datastore_answers() -> None:
    believed = Believed(None, 300, 0.0)
    assert believed.decide(None, "", 1.0) is None
    assert believed.decide(NEW, "", 2.0) == NEW
    assert believed.settled


def test_it_gets_some_time_for_its_first_answer() -> None:
    believed = Believed(KEPT, 300, 0.0)
    assert believed.decide(None, "endpoint 1 of 3: connection refused", 2.9) is None
    assert believed.next_deadline(None) == 3.0
    assert believed.decide(None, "", 3.0) == OLD


def test_away_with_a_snapshot_on_disk(caplog: pytest.LogCaptureFixture) -> None:
    believed = Believed(KEPT, 300, 0.0)
    assert believed.decide(None, "connection refused", 3.1) == OLD
    assert believed.from_disk
    assert not believed.settled
    assert "connection refused" in caplog.text
    assert "revision 5" in caplog.text
    assert believed.decide(NEW, "", 9.0) == NEW
    assert not believed.from_disk
    assert "no longer working from the snapshot" in caplog.text


def test_away_without_one_there_is_nothing_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    believed = Believed(None, 300, 0.0)
    for now in (0.1, 3.1, 3.2, 99.0):
        assert believed.decide(None, "connection refused", now) is None
    assert len(caplog.records) == 1
    assert caplog.records[0].levelname == "ERROR"
    assert believed.next_deadline(None) is None


def test_an_empty_answer_after_a_full_snapshot_is_held_back(caplog: pytest.LogCaptureFixture) -> None:
    believed = Believed(KEPT, 300, 0.0)
    shown = believed.decide(View(99), "", 1.0)
    assert shown is not None
    assert shown.tables == OLD.tables
    assert not believed.settled, "a time to keep the pen away, too"
    assert believed.next_deadline(View(99)) == 61.0, "it reminds before it believes"
    believed.decide(View(99), "", 61.0)
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 2
    gone = believed.decide(View(99), "", 301.0)
    assert gone is not None
    assert gone.empty


def test_the_snapshot_of_another_cluster_is_not_used() -> None:
    other = view(node("x", "198.51.100.1"), cluster(clusterGUID="g2"))
    believed = Believed(KEPT, 300, 0.0)
    assert believed.decide(other, "", 1.0) == other
    late = Believed(KEPT, 300, 0.0)
    assert late.decide(None, "away", 3.1) == OLD
    assert late.decide(other, "", 4.0) == other


def test_not_ready_changes_nothing() -> None:
    upgrading = view(ReadyFlag(ready=False))
    believed = Believed(None, 300, 0.0)
    assert believed.decide(upgrading, "", 1.0) is None, "nothing was known before"
    assert believed.decide(NEW, "", 2.0) == NEW
    assert believed.decide(upgrading, "", 3.0) == NEW
    assert not believed.settled
    assert believed.decide(OLD, "", 4.0) == OLD
    assert believed.settled


def test_not_ready_at_the_start_with_a_snapshot_on_disk() -> None:
    believed = Believed(KEPT, 300, 0.0)
    assert believed.decide(view(ReadyFlag(ready=False)), "", 1.0) == OLD


def test_away_later_changes_nothing() -> None:
    believed = Believed(None, 300, 0.0)
    believed.decide(NEW, "", 1.0)
    assert believed.decide(NEW, "connection lost", 100.0) == NEW
    assert not believed.from_disk
