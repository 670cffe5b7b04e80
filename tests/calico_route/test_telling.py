"""What neighbours are told and what is taken from them, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from calico_route.compat import local_pref_of
from calico_route.telling import ExportRules, NamedRules, export_policy, export_rules, import_policy
from pybgp import IPV4_UNICAST, IPV6_UNICAST, PathAttributes, Prefix, Route, Source
from tests.calico_route.resources import bgp_filter, pool

OWN = Source.own(64512, 1)
OTHER = Source(name="other", address=b"\x0a\0\0\1", asn=65001, local_as=64512)
POOLS = (pool("a", "192.168.0.0/16"), pool("b", "10.9.0.0/16", disableBGPExport=True), pool("c", "fd00::/16"))


def route(text: str, source: Source = OWN, **attributes: Any) -> Route:
    return Route(Prefix(text), PathAttributes.build(**attributes), source)


def asked(rules: ExportRules, one: Route, *, internal: bool = True, interface: str | None = None) -> Route | None:
    policy = export_policy(rules, one.family, internal=internal, interface_of=lambda _: interface)
    return policy(one)


def by(
    one: Route, *rules: dict[str, Any], internal: bool = True, interface: str | None = None, version: int = 4
) -> Route | None:
    """What import by these rules makes of a route."""
    made = bgp_filter("f", **{f"importV{version}": list(rules)})
    named = NamedRules("f", made.import_v4 if version == 4 else made.import_v6)
    return import_policy((named,), one.family, internal=internal, interface_of=lambda _: interface)(one)


ACCEPT, REJECT = {"action": "Accept"}, {"action": "Reject"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("192.168.3.4/32", True),
        ("192.168.0.0/16", True),
        ("192.0.0.0/8", False),
        ("10.9.1.1/32", False),
        ("172.16.0.0/12", False),
        ("0.0.0.0/0", False),
        ("fd00::1/128", True),
        ("fe00::1/128", False),
    ],
)
def test_pools_decide(text: str, told: bool) -> None:
    rules = export_rules(POOLS)
    assert (asked(rules, route(text)) is not None) is told
    assert (rules.refusal(Prefix(text)) == "") is told


def test_a_pool_that_must_not_leave_wins_over_one_that_may() -> None:
    rules = export_rules([pool("all", "10.0.0.0/8"), *POOLS])
    assert asked(rules, route("10.8.0.1/32")) is not None
    assert asked(rules, route("10.9.0.1/32")) is None
    assert rules.refusal(Prefix("10.9.0.1/32")) == "pool b 10.9.0.0/16 has disableBGPExport"


def test_own_blocks_leave_whole_and_what_is_inside_does_not() -> None:
    """With a block and a borrowed address, the neighbour hears of these two."""
    rules = export_rules(POOLS, blocks=[Prefix("192.168.221.64/26")])
    told = [
        text
        for text in ("192.168.221.64/26", "192.168.221.65/32", "192.168.99.5/32", "192.168.221.0/24")
        if asked(rules, route(text)) is not None
    ]
    assert told == ["192.168.221.64/26", "192.168.99.5/32", "192.168.221.0/24"]
    assert "own block 192.168.221.64/26" in rules.refusal(Prefix("192.168.221.65/32"))


def test_networks_of_services_need_no_pool() -> None:
    rules = export_rules((), services=[Prefix("10.96.0.0/12")])
    assert asked(rules, route("10.96.0.0/12")) is not None
    assert asked(rules, route("10.97.0.1/32", OTHER)) is not None
    assert asked(rules, route("11.0.0.0/8")) is None


def test_communities_are_added_by_every_network_that_holds_a_route() -> None:
    rules = export_rules(
        POOLS,
        communities=[
            (Prefix("192.168.0.0/16"), ("64512:1", "64512:1:2")),
            (Prefix("192.168.7.0/24"), ("64512:7",)),
            (Prefix("fd00::/16"), ("64512:6",)),
        ],
    )
    both = asked(rules, route("192.168.7.1/32", communities=["64512:9"]))
    assert both is not None
    assert both.attributes.communities == {64512 << 16 | number for number in (1, 7, 9)}
    assert both.attributes.large_communities == {(64512, 1, 2)}
    six = asked(rules, route("fd00::1/128"))
    assert six is not None
    assert six.attributes.communities == {64512 << 16 | 6}


def test_a_filter_decides_before_the_pools() -> None:
    made = bgp_filter(
        "f",
        exportV4=[
            {"cidr": "172.16.0.0/12", "matchOperator": "In", **ACCEPT},
            {"cidr": "192.168.1.0/24", "matchOperator": "In", **REJECT},
        ],
    )
    rules = ExportRules(
        filters=(NamedRules("f", made.export_v4),),
        refused=((Prefix("172.16.0.0/16"), "b"),),
        allowed=(Prefix("192.168.0.0/16"),),
    )
    assert asked(rules, route("172.16.1.0/24", OTHER)) is not None
    assert asked(rules, route("192.168.1.1/32")) is None
    assert asked(rules, route("192.168.2.1/32")) is not None
    assert asked(rules, route("172.32.0.0/16", OTHER)) is None


@pytest.mark.parametrize(
    ("operator", "lengths", "matched"),
    [
        ("Equal", None, {"10.1.0.0/16"}),
        ("NotEqual", None, {"10.0.0.0/8", "10.1.1.0/24", "10.1.1.1/32", "10.2.0.0/16"}),
        ("In", None, {"10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32"}),
        ("NotIn", None, {"10.0.0.0/8", "10.2.0.0/16"}),
        ("In", {"min": 17, "max": 24}, {"10.1.1.0/24"}),
        ("In", {"min": 8}, {"10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32"}),
        ("In", {"max": 24}, {"10.1.0.0/16", "10.1.1.0/24"}),
        ("NotIn", {"min": 32}, {"10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.2.0.0/16"}),
        ("Equal", {"min": 24}, set()),
    ],
)
def test_networks_and_lengths(operator: str, lengths: dict[str, int] | None, matched: set[str]) -> None:
    rule = {"cidr": "10.1.0.0/16", "matchOperator": operator, **ACCEPT}
    rule |= {} if lengths is None else {"prefixLength": lengths}
    texts = ("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "10.2.0.0/16")
    assert {text for text in texts if by(route(text), rule, REJECT) is not None} == matched


def test_networks_of_ipv6() -> None:
    rule = {"cidr": "fd00:1::/32", "matchOperator": "In", "prefixLength": {"max": 64}, **REJECT}
    assert by(route("fd00:1:2::/64", OTHER), rule, version=6) is None
    assert by(route("fd00:1:2::1/128", OTHER), rule, version=6) is not None


def test_the_other_criteria() -> None:
    heard = route("10.0.0.0/8", OTHER, as_path=[65001, 65002], communities=["64512:55"], local_pref=local_pref_of(512))
    large = route("10.0.0.0/8", OTHER, large_communities=["1:2:3"])

    def matches(one: Route, **criterion: Any) -> bool:
        return by(one, {**criterion, **REJECT}, interface=criterion.pop("through", "eth1")) is None

    assert matches(heard, source="RemotePeers")
    assert not matches(route("10.0.0.0/8"), source="RemotePeers")
    assert matches(heard, communities={"values": ["64512:55"]})
    assert not matches(heard, communities={"values": ["64512:56"]})
    assert matches(large, communities={"values": ["1:2:3"]})
    assert matches(heard, asPathPrefix=[65001])
    assert matches(heard, asPathPrefix=[65001, 65002])
    assert not matches(heard, asPathPrefix=[65002])
    assert not matches(heard, asPathPrefix=[65001, 65002, 65003])
    assert matches(heard, priority=512)
    assert not matches(heard, priority=1024)
    assert matches(heard, interface="eth1")
    assert matches(heard, interface="e*1")
    assert not matches(heard, interface="eth")
    assert not matches(heard, interface="eth?")
    assert by(heard, {"interface": "*", **REJECT}, interface=None) is not None
    for kind, internal in (("iBGP", True), ("eBGP", False)):
        assert by(heard, {"peerType": kind, **REJECT}, internal=internal) is None
        assert by(heard, {"peerType": kind, **REJECT}, internal=not internal) is not None


def test_all_criteria_of_a_rule_have_to_hold_and_the_first_rule_decides() -> None:
    one = route("10.1.1.1/32", OTHER, communities=["64512:55"])
    rule = {"cidr": "10.1.0.0/16", "matchOperator": "In", "communities": {"values": ["64512:56"]}, **REJECT}
    assert by(one, rule) is not None
    assert by(one, ACCEPT, REJECT) is not None
    assert by(one, REJECT, ACCEPT) is None
    assert by(one) is not None


def test_operations() -> None:
    operations = [
        {"addCommunity": {"value": "64512:5"}},
        {"addCommunity": {"value": "64512:5:6"}},
        {"prependASPath": {"prefix": [64601, 64602]}},
        {"setPriority": {"value": 100}},
    ]
    changed = by(route("10.0.0.0/8", OTHER, as_path=[65001]), {**ACCEPT, "operations": operations})
    assert changed is not None
    assert tuple(changed.attributes.as_path) == (64601, 64602, 65001)
    assert changed.attributes.communities == {64512 << 16 | 5}
    assert changed.attributes.large_communities == {(64512, 5, 6)}
    assert changed.attributes.local_pref == 2147483547


def test_nothing_of_the_other_ip_version_is_asked() -> None:
    rules = export_rules(POOLS, blocks=[Prefix("fd00:5::/64")], services=[Prefix("fd00:6::/108")])
    assert asked(rules, route("192.168.0.1/32")) is not None
    assert (
        export_policy(rules, IPV6_UNICAST, internal=True, interface_of=lambda _: None)(route("fd00:5::1/128")) is None
    )
    assert export_policy(rules, IPV4_UNICAST, internal=True, interface_of=lambda _: None)(route("192.168.0.1/32"))
