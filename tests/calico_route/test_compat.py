"""What follows from the version of Calico."""

from __future__ import annotations

import pytest

from calico_route.compat import Compat, compat, local_pref_of, metric_of
from tests.calico_route.resources import cluster, configuration, view


@pytest.mark.parametrize("version", ["", "v3.29.1", "v3.31.0", "unknown", "v2.6"])
def test_before_priorities(version: str) -> None:
    found = compat(view(cluster(calicoVersion=version)), "auto")
    assert found == Compat()
    assert (found.metrics, found.tunnels, found.plain) == (False, True, True)
    assert found.local_pref(1) is None


def test_without_cluster() -> None:
    assert compat(view(), "auto") == Compat()


@pytest.mark.parametrize(
    ("version", "tunnels", "external"),
    [("v3.32.0", True, False), ("v3.33-dev", False, True), ("3.40.1", False, True), ("v4.0.0", False, True)],
)
def test_from_priorities_on(version: str, *, tunnels: bool, external: bool) -> None:
    found = compat(view(cluster(calicoVersion=version)), "auto")
    assert (found.metrics, found.tunnels, found.plain, found.external_services) == (True, tunnels, True, external)
    assert found.local_pref(1) == found.local_pref(2) == 2147482623


def test_a_flag_wins_over_the_cluster() -> None:
    there = view(cluster(calicoVersion="v3.33.0"))
    assert compat(there, "v3.31") == Compat()
    assert compat(there, "v3.32").tunnels
    assert not compat(view(), "v3.33").tunnels


@pytest.mark.parametrize(
    ("word", "tunnels", "plain"),
    [
        ("Enabled", True, True),
        ("Disabled", False, False),
        ("EnabledIPIPOnly", True, False),
        ("EnabledNoEncapOnly", False, True),
    ],
)
def test_whose_routes_are_is_configured(word: str, *, tunnels: bool, plain: bool) -> None:
    there = view(configuration(programClusterRoutes=word))
    found = compat(there, "v3.33")
    assert (found.tunnels, found.plain) == (tunnels, plain)
    found = compat(there, "v3.32")  # knows the first two words, and has its default for others
    assert (found.tunnels, found.plain) == ((tunnels, plain) if word in ("Enabled", "Disabled") else (True, True))
    assert compat(there, "v3.31") == Compat()


def test_priorities_are_configured_by_ip_version() -> None:
    found = compat(view(configuration(ipv4NormalRoutePriority=100, ipv6NormalRoutePriority=0)), "v3.32")
    assert (found.local_pref(1), found.local_pref(2)) == (2147483547, 2147483647)


def test_metric_and_local_pref() -> None:
    """A node that sends 100 gets the metric 2147483547, one that sends nothing that of a normal route."""
    assert metric_of(2147482623) == 1024
    assert metric_of(100) == 2147483547
    assert metric_of(None) == 1024
    assert metric_of(0xFFFFFFFF) == 0x80000000
    assert local_pref_of(1024) == 2147482623
