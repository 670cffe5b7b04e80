"""A change of one policy: judged again from what the peer has sent, no refresh, and only the difference is told.

left (64601) - middle (64600) - right (64602) and far (64603); what middle sends and gets is counted message by message.
"""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.policy import Policy, Rules, accept, accept_all, match, prefix_in, reject, rules, set_med
from tests.network import Net, Node

LEFT, MIDDLE, RIGHT, FAR = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"
PREFIXES = [f"10.{number}.0.0/16" for number in range(100)]


class Lab:
    """The four of them, established, with all routes told."""

    def __init__(self, **middle: Any) -> None:
        self.net = Net()
        self.left = self.net.node(LEFT, 64601)
        self.middle = self.net.node(MIDDLE, 64600)
        self.right = self.net.node(RIGHT, 64602)
        self.far = self.net.node(FAR, 64603)
        for node in (self.left, self.right, self.far):
            node.add(self.middle)
            self.middle.add(node, **middle)
        self.left.announce(*PREFIXES, next_hop="192.0.2.1")
        self.net.run(5)
        assert len(self.right.table()) == len(self.far.table()) == len(PREFIXES)
        self.before = self.counted()

    def change(self, of: Node, **policies: Policy | None) -> dict[str, tuple[int, int]]:
        """The policies of middle for one peer; the messages that it has received from and sent to each peer since."""
        peer = self.middle.peer(of)
        self.before = self.counted()
        self.middle.router.change_peer(peer, peer.config, now=self.net.now, **policies)
        self.net.run(0.5)
        after = self.counted()
        found = {
            name: (received - self.before[name][0], sent - self.before[name][1])
            for name, (received, sent) in after.items()
        }
        return {name: pair for name, pair in found.items() if pair != (0, 0)}

    def counted(self) -> dict[str, tuple[int, int]]:
        """All messages, KEEPALIVE and ROUTE-REFRESH too: nothing may come or go but what is expected."""
        found = {}
        for name in ("left", "right", "far"):
            current = self.middle.peer(getattr(self, name)).current
            assert current is not None
            found[name] = (current.counters.messages_in, current.counters.messages_out)
        return found


def all_but(*prefixes: str, med: int | None = None) -> Rules:
    """Rejects these, or gives them another MED."""
    action = reject() if med is None else set_med(med)
    return rules(match(prefix_in(*prefixes)) >> action, default=accept())


def test_an_import_policy_withdraws_and_announces_what_it_changes() -> None:
    lab = Lab()
    assert lab.change(lab.left, import_policy=all_but(PREFIXES[3])) == {"right": (0, 1), "far": (0, 1)}
    assert PREFIXES[3] not in lab.right.table()
    assert PREFIXES[3] not in lab.middle.table()
    kept = lab.middle.peer(lab.left).exchanges[IPV4_UNICAST].adj_rib_in
    assert len(kept) == len(PREFIXES), "what is rejected stays"
    assert lab.change(lab.left, import_policy=all_but(PREFIXES[3], PREFIXES[4])) == {"right": (0, 1), "far": (0, 1)}
    assert lab.change(lab.left, import_policy=accept_all) == {"right": (0, 1), "far": (0, 1)}
    assert set(lab.right.table()) == set(PREFIXES)


def test_an_export_policy_is_the_business_of_one_peer() -> None:
    lab = Lab()
    assert lab.change(lab.right, export_policy=all_but(*PREFIXES[:7])) == {"right": (0, 1)}
    assert set(lab.right.table()) == set(PREFIXES[7:])
    assert set(lab.far.table()) == set(PREFIXES)
    assert lab.change(lab.right, export_policy=all_but(*PREFIXES[:7], med=9)) == {"right": (0, 1)}
    assert lab.right.path(PREFIXES[0]).med == 9
    assert lab.right.path(PREFIXES[9]).med is None
    assert lab.change(lab.right, export_policy=all_but(*PREFIXES[:7], med=8)) == {"right": (0, 1)}, "seven, in one"


@pytest.mark.parametrize("direction", ["import_policy", "export_policy"])
def test_another_policy_that_says_the_same_sends_nothing(direction: str) -> None:
    lab = Lab()
    for of in (lab.left, lab.right):
        assert lab.change(of, **{direction: all_but("10.200.0.0/16")}) == {}
        assert lab.change(of, **{direction: rules(default=accept())}) == {}


def test_what_is_not_selected_is_nobodys_business() -> None:
    lab = Lab()
    lab.right.announce(*PREFIXES[:5], as_path=[64999, 64999])
    lab.net.run(5)
    worse = all_but(*PREFIXES[:3])
    assert lab.change(lab.right, import_policy=worse) == {}, "the paths by right are longer"
    lab.left.withdraw(*PREFIXES[:5])
    lab.net.run(5)
    assert set(PREFIXES) - set(lab.far.table()) == set(PREFIXES[:3]), "what right sent is there, and judged"
    assert lab.change(lab.right, import_policy=accept_all) == {"left": (0, 1), "far": (0, 1)}
    assert set(lab.far.table()) == set(PREFIXES)


def test_own_edits_do_not_pile_up() -> None:
    """A policy always sees what the peer has sent, not what the policy before it made of that."""
    lab = Lab()
    for med in (1, 2, 3):
        edited = rules(match() >> set_med(med) >> accept())
        lab.change(lab.left, import_policy=edited)
        assert lab.middle.path(PREFIXES[0]).med == med
    lab.change(lab.left, import_policy=accept_all)
    assert lab.middle.path(PREFIXES[0]).med is None
