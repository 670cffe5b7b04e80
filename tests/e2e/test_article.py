"""The demo of the article where neither docker nor podman can be had: its story up to the tiers, in namespaces."""

from __future__ import annotations

import pytest

from demo.cluster import Cluster
from demo.lab import Lab

pytestmark = [pytest.mark.netns, pytest.mark.daemon]


def test_namespaces_take_the_place_of_containers(lab: Lab) -> None:
    said: list[str] = []
    story = Cluster(lab, said.append, namespaces=True)
    story.hosts_and_etcd()
    story.nodes()
    story.first_containers()
    story.container(1, "stranger", "other", ["sleep", "3600"])
    story.ping()
    story.tables()
    assert not story.reaches("stranger", "container1")
    story.removal()
    text = "\n".join(said)
    assert "network namespaces take the place of containers" in text
    assert "192.168.0.1 is gone from both hosts" in text
    assert "all records of addresses fit together" in text
