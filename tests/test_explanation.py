"""What `explain` says of a prefix: who sent it, what became of each path, and who was told, each with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from pybgp.config import PeerConfig
from pybgp.explanation import Explanation, Telling, explain
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Family
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import accept, community, match, prefix_in, reject, rules, set_local_pref, set_med
from pybgp.prefix import Prefix
from pybgp.rib.decision import Step
from tests.network import Net, Node

HUB, LEFT, RIGHT, INSIDE, AWAY = (f"192.0.2.{number}" for number in range(1, 6))
PREFIX = "10.1.0.0/16"


class Lab:
    """A hub (64600) with two external neighbours, one internal one, and one that never comes."""

    def __init__(self, **left: Any) -> None:
        self.net = Net()
        self.hub = self.net.node(HUB, 64600)
        self.left = self.net.node(LEFT, 64601)
        self.right = self.net.node(RIGHT, 64602)
        self.inside = self.net.node(INSIDE, 64600)
        for node in (self.left, self.right, self.inside):
            node.add(self.hub)
        self.hub.add(self.left, **left)
        self.hub.add(self.right)
        self.hub.add(self.inside)
        self.hub.add(AWAY, 64999)
        self.net.run(3)

    def announce(self, node: Node, *prefixes: str, **attributes: Any) -> None:
        node.announce(*prefixes, next_hop=node.address, **attributes)
        self.net.run(0.5)

    def explain(self, what: str | Prefix = PREFIX) -> Explanation:
        return explain(self.hub.router, what)

    def told(self, path: int = 0, what: str = PREFIX) -> dict[str, Telling]:
        return {telling.peer: telling for telling in self.explain(what)[path].told}


def test_the_best_and_what_it_beat() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX)
    lab.announce(lab.right, PREFIX, as_path=[64999])
    found = lab.explain()
    assert (found.asked, found.prefix, len(found)) == (PREFIX, Prefix(PREFIX), 2)
    best, other = found
    assert found.best is best
    assert (best.peer, best.best, best.selected, best.accepted, best.lost_to) == (LEFT, True, True, True, None)
    assert (other.peer, other.step, other.selected) == (RIGHT, Step.AS_PATH_LENGTH, False)
    assert other.lost_to is best.path
    assert other.reason == "AS_PATH of 2 is longer than 1"
    assert best.import_policy is not None
    assert best.import_policy.accepted


def test_med_is_lost_to_the_path_of_the_same_neighbor() -> None:
    net = Net()
    hub, far = net.node(HUB, 64600), net.node(AWAY, 64602)
    twins = [net.node(LEFT, 64601), net.node(RIGHT, 64601)]
    for node, med in ((far, 0), (twins[0], 5), (twins[1], 7)):
        node.add(hub)
        hub.add(node)
        node.announce(PREFIX, next_hop=node.address, med=None if node is far else med)
    export = rules(match() >> set_med(7) >> accept())
    for node, med in zip(twins, (5, 7), strict=True):
        peer = node.peer(hub)
        export = rules(match() >> set_med(med) >> accept())
        node.router.change_peer(peer, peer.config, export_policy=export, now=net.now)
    net.run(5)
    (lost,) = [path for path in explain(hub.router, PREFIX) if path.step is Step.MED]
    assert lost.peer == RIGHT
    assert lost.lost_to is not None
    assert lost.lost_to.source.name == LEFT


def test_who_was_told_and_who_was_not() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX)
    lab.announce(lab.right, PREFIX, as_path=[64999])
    told = lab.told()
    assert set(told) == {LEFT, RIGHT, INSIDE, AWAY}
    assert told[RIGHT].told
    assert told[RIGHT].attributes is not None
    assert str(told[RIGHT].attributes.as_path) == "64600 64601"
    assert told[INSIDE].told
    assert (told[LEFT].told, told[LEFT].check, told[LEFT].rule) == (False, "export rules", "split-horizon")
    assert told[LEFT].reason == "learned from this peer"
    assert (told[AWAY].told, told[AWAY].check) == (False, "session")
    assert told[AWAY].reason.startswith("no session")
    for telling in lab.told(1).values():
        assert not telling.told
        if telling.peer != AWAY:
            assert (telling.check, telling.reason) == (
                "decision",
                "not the best path: AS_PATH of 2 is longer than 1",
            )


def test_rules_that_nobody_can_change() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX, communities=["no-export"])
    told = lab.told()
    assert told[INSIDE].told
    assert (told[RIGHT].rule, told[RIGHT].reason) == ("no-export", "NO_EXPORT community on an external peer")
    lab.announce(lab.inside, "10.9.0.0/16")
    other = lab.net.node("192.0.2.9", 64600)
    other.add(lab.hub)
    lab.hub.add(other)
    lab.net.run(3)
    assert "route reflector client" in lab.told(what="10.9.0.0/16")["192.0.2.9"].reason


def test_a_rule_of_an_export_policy() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX, "10.2.0.0/16")
    policy = rules(
        match(prefix_in(PREFIX), name="not this one") >> reject("too hot"), default=accept(), name="to-right"
    )
    peer = lab.hub.peer(lab.right)
    lab.hub.router.change_peer(peer, peer.config, export_policy=policy, now=lab.net.now)
    lab.net.run(0.5)
    telling = lab.told()[RIGHT]
    assert (telling.told, telling.check, telling.policy, telling.rule) == (
        False,
        "export policy",
        "to-right",
        "not this one",
    )
    assert telling.reason == "rejected by export policy to-right: rule not this one: too hot"
    assert lab.told(what="10.2.0.0/16")[RIGHT].told


def test_a_route_that_import_policy_rejects_stays_visible() -> None:
    policy = rules(
        match(community("64601:666"), name="blackholes") >> reject(),
        match(name="prefer") >> set_local_pref(200),
        match(prefix_in("10.0.0.0/8", le=24), name="ours") >> accept(),
        name="from-left",
    )
    lab = Lab(import_policy=policy)
    lab.announce(lab.left, PREFIX, communities=["64601:666"])
    lab.announce(lab.left, "10.2.0.0/16")
    lab.announce(lab.left, "11.0.0.0/8")
    (path,) = lab.explain()
    assert (path.accepted, path.check, path.policy, path.rule) == (False, "import policy", "from-left", "blackholes")
    assert path.rejected == "rejected by import policy from-left: rule blackholes: reject"
    assert path.step is Step.INELIGIBLE
    assert lab.explain().best is None
    assert {telling.reason for telling in path.told if telling.peer != AWAY} == {path.rejected}
    (path,) = lab.explain("10.2.0.0/16")
    assert path.accepted
    assert path.import_policy is not None
    assert path.import_policy.rules == ("prefer", "ours")
    assert (path.path.received.local_pref, path.path.attributes.local_pref) == (None, 200)
    (path,) = lab.explain("11.0.0.0/8")
    assert (path.rule, path.import_policy and path.import_policy.rules) == ("default", ("prefer", "default"))


def test_a_check_that_comes_before_policy() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX, as_path=[64600])
    (path,) = lab.explain()
    assert (path.accepted, path.check, path.rule, path.policy) == (False, "eligibility", "as-loop", "")
    assert path.import_policy is None
    assert "AS loop" in path.rejected


def test_no_policy_on_ebgp() -> None:
    net = Net()
    hub, left = net.node(HUB, 64600, import_policy=None, export_policy=None), net.node(LEFT, 64601)
    left.add(hub)
    hub.add(left)
    left.announce(PREFIX, next_hop=LEFT)
    hub.announce("10.2.0.0/16")
    net.run(3)
    (path,) = explain(hub.router, PREFIX)
    assert (path.accepted, path.check, path.rule) == (False, "import policy", "RFC 8212")
    ((telling,),) = [path.told for path in explain(hub.router, "10.2.0.0/16")]
    assert (telling.told, telling.check, telling.rule) == (False, "export policy", "RFC 8212")


def test_families_that_were_not_agreed() -> None:
    net = Net()
    hub, left = net.node(HUB, 64600), net.node(LEFT, 64600)
    left.add(hub)
    hub.add(left, families=(IPV4_UNICAST, IPV6_UNICAST))
    hub.add(RIGHT, 64601, families=(IPV4_UNICAST,))
    net.run(3)
    hub.announce("2001:db8::/32", next_hop="2001:db8::1")
    (path,) = explain(hub.router, "2001:db8::/32")
    assert path.peer == "local"
    assert {telling.peer: telling.reason for telling in path.told} == {
        LEFT: "ipv6-unicast was not negotiated",
        RIGHT: "ipv6-unicast is not configured for this peer",
    }
    hub.router.shut_down(hub.peer(left), "", net.now)
    (path,) = explain(hub.router, "2001:db8::/32")
    assert path.told[0].reason == "the peer is shut down"


def test_what_waits_for_a_slow_peer() -> None:
    lab = Lab()
    lab.hub.writable = False
    lab.announce(lab.left, PREFIX)
    telling = lab.told()[RIGHT]
    assert (telling.told, telling.pending, telling.reason) == (False, True, "")
    lab.hub.writable = True
    lab.net.run(0.5)
    assert lab.told()[RIGHT].told
    lab.hub.writable = False
    lab.left.withdraw(PREFIX)
    lab.announce(lab.inside, PREFIX)
    telling = lab.told()[RIGHT]
    assert (telling.told, telling.pending) == (True, True), "it holds the old one, and will be told of the new"


def test_what_fits_into_no_message() -> None:
    net = Net()
    hub, right = net.node(HUB, 64600), net.node(RIGHT, 64601)
    right.add(hub)
    hub.add(right, extended_message=False)
    hub.announce(PREFIX, next_hop=HUB, communities=list(range(1, 1500)))
    net.run(3)
    (telling,) = explain(hub.router, PREFIX)[0].told
    assert (telling.told, telling.pending, telling.check) == (False, False, "session")
    assert telling.reason == "its attributes fit into no message of this session (4096 octets)"


def test_before_the_table_has_been_gone_through() -> None:
    lab = Lab()
    policy = rules(match(prefix_in(PREFIX)) >> reject(), default=accept())
    peer = lab.hub.peer(lab.right)
    lab.hub.router.change_peer(peer, peer.config, export_policy=policy, now=lab.net.now)
    lab.announce(lab.left, PREFIX)
    lab.hub.router.change_peer(peer, peer.config, export_policy=rules(default=accept()), now=lab.net.now)
    telling = lab.told()[RIGHT]
    assert (telling.told, telling.pending, telling.reason) == (False, True, "")


def test_an_address_is_the_longest_prefix_that_holds_it() -> None:
    lab = Lab(import_policy=rules(match(prefix_in("10.1.0.0/16")) >> reject(), default=accept()))
    lab.announce(lab.left, "10.0.0.0/8", PREFIX, "10.1.2.0/24")
    assert lab.explain("10.1.2.3").prefix == Prefix("10.1.2.0/24")
    found = lab.explain("10.1.3.3")
    assert found.prefix == Prefix("10.0.0.0/8")
    assert found.unusable == (Prefix(PREFIX),)
    assert lab.explain("10.9.9.9").prefix == Prefix("10.0.0.0/8")
    nothing = lab.explain("11.0.0.1")
    assert (nothing.prefix, nothing.paths, nothing.best, bool(nothing)) == (None, (), None, False)
    lab.left.withdraw("10.0.0.0/8")
    lab.net.run(0.5)
    assert lab.explain("10.1.3.3").prefix == Prefix(PREFIX), "rejected, and shown for want of another"
    assert lab.explain(Prefix(PREFIX)).prefix == Prefix(PREFIX)
    assert lab.explain("10.1.0.0/17").prefix is None, "a prefix is that one and no other"


def test_families_of_other_destinations() -> None:
    net = Net()
    hub = net.node(HUB, 64600)
    flows, labelled = Family.parse("ipv4-flowspec"), Family.parse("ipv4-labeled-unicast")
    flow = Prefix.read(flows, "destination 10.0.0.0/8 protocol =6")
    hub.router.announce(flows, [flow.nlri], PathAttributes.build())
    hub.router.announce(labelled, [Prefix("10.0.0.0/8").nlri], PathAttributes.build(next_hop=HUB))
    assert explain(hub.router, str(flow), flows).prefix == flow
    assert explain(hub.router, flow).prefix == flow
    assert explain(hub.router, "destination 10.0.0.0/9", flows).prefix is None
    assert explain(hub.router, "10.1.2.3", labelled).prefix == Prefix.read(labelled, "10.0.0.0/8")
    assert explain(hub.router, "10.0.0.0/8", labelled).prefix == Prefix.read(labelled, "10.0.0.0/8")
    assert explain(hub.router, "10.1.2.3").prefix is None
    for what, family in (("nonsense", flows), ("2001:db8::1", labelled)):
        with pytest.raises(ValueError, match=r"no address|flow specification"):
            explain(hub.router, what, family)


@pytest.mark.parametrize("what", ["", "10.0.0.300", "10.0.0.1/8", "2001:db8::/129", "x/y"])
def test_what_is_neither(what: str) -> None:
    with pytest.raises(ValueError, match=r"address|prefix|host bits|length"):
        explain(Lab().hub.router, what)


def test_routes_that_a_restart_keeps() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX)
    lab.net.kill(lab.left)
    lab.net.run(1)
    (path,) = lab.explain()
    assert path.path.stale
    assert path.selected


def test_while_this_speaker_restarts() -> None:
    net = Net()
    hub, left, right = net.node(HUB, 64600, restarting=True), net.node(LEFT, 64600), net.node(RIGHT, 64601)
    for node in (left, right):
        node.add(hub)
        hub.add(node)
    net.cut.add(frozenset((HUB, AWAY)))  # no answer yet: there is somebody to wait for
    hub.add(AWAY, 64999)
    left.announce(PREFIX, next_hop=LEFT)
    hub.announce("10.2.0.0/16")
    net.run(3)
    assert hub.router.restarting
    (path,) = explain(hub.router, PREFIX)
    telling = next(one for one in path.told if one.peer == RIGHT)
    assert (telling.told, telling.check) == (False, "restart")
    (own,) = explain(hub.router, "10.2.0.0/16")
    assert next(one for one in own.told if one.peer == RIGHT).told


def test_the_peer_may_be_removed_with_its_paths() -> None:
    lab = Lab()
    lab.announce(lab.left, PREFIX)
    lab.hub.router.remove_peer(lab.hub.peer(lab.left), lab.net.now)
    for path in lab.explain():  # its routes go in slices
        assert path.import_policy is None
    lab.net.run(1)
    assert not lab.explain()
    assert isinstance(lab.hub.peer(lab.right).config, PeerConfig)
