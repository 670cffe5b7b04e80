"""BGPFilters: what is read of them, and which word of which rule is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from calico_route.documents import read_document
from calico_route.model import FilterOperation, FilterRule, Kind, ResourceKey
from pybgp import Prefix
from tests.calico_route.resources import bgp_filter

KEY = ResourceKey(Kind.BGP_FILTER, "", "f")


def problems(**spec: Any) -> list[tuple[str, bool]]:
    """Field and whether it makes the filter unusable."""
    reading = read_document(KEY, {"kind": "BGPFilter", "metadata": {"name": "f"}, "spec": spec})
    assert (reading.resource is None) is any(one.fatal for one in reading.problems)
    return [(one.field, one.fatal) for one in reading.problems]


def test_every_word_of_a_rule() -> None:
    made = bgp_filter(
        "f",
        exportV4=[
            {
                "cidr": "192.168.0.0/16",
                "matchOperator": "In",
                "prefixLength": {"min": 24, "max": 28},
                "source": "RemotePeers",
                "interface": "eth*",
                "peerType": "eBGP",
                "communities": {"values": ["64512:55"]},
                "asPathPrefix": [65001, "1.10"],
                "priority": 512,
                "action": "Accept",
                "operations": [
                    {"addCommunity": {"value": "64512:100:1"}},
                    {"prependASPath": {"prefix": [64512, 64513]}},
                    {"setPriority": {"value": 1024}},
                ],
            }
        ],
        importV6=[{"cidr": "fd00:1::/64", "matchOperator": "NotEqual", "action": "Reject"}],
    )
    assert made.export_v4 == (
        FilterRule(
            accept=True,
            cidr=Prefix("192.168.0.0/16"),
            operator="In",
            shortest=24,
            longest=28,
            learned=True,
            interface="eth*",
            peer_type="eBGP",
            communities=("64512:55",),
            as_path_prefix=(65001, 65546),
            priority=512,
            operations=(
                FilterOperation("add_community", "64512:100:1"),
                FilterOperation("prepend", (64512, 64513)),
                FilterOperation("set_priority", 1024),
            ),
        ),
    )
    assert made.import_v6 == (FilterRule(accept=False, cidr=Prefix("fd00:1::/64"), operator="NotEqual"),)
    assert made.import_v4 == made.export_v6 == ()


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, "action"),
        ({"action": "accept"}, "action"),
        ({"action": "Accept", "cidr": "10.0.0.0/8"}, "matchOperator"),
        ({"action": "Accept", "matchOperator": "In"}, "matchOperator"),
        ({"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "in"}, "matchOperator"),
        ({"action": "Accept", "cidr": "10.0.0.0/33", "matchOperator": "In"}, "cidr"),
        ({"action": "Accept", "cidr": "fd00::/8", "matchOperator": "In"}, "cidr"),
        ({"action": "Accept", "prefixLength": {"min": 8}}, "prefixLength"),
        ({"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"max": 7}}, "prefixLength"),
        (
            {"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "In", "prefixLength": {"min": 33}},
            "prefixLength.min",
        ),
        ({"action": "Accept", "source": "Everywhere"}, "source"),
        ({"action": "Accept", "peerType": "IBGP"}, "peerType"),
        ({"action": "Accept", "communities": {"values": ["gold"]}}, "communities.values"),
        ({"action": "Accept", "communities": {}}, "communities.values"),
        ({"action": "Accept", "asPathPrefix": [0]}, "asPathPrefix[0]"),
        ({"action": "Accept", "priority": -1}, "priority"),
        ({"action": "Accept", "operations": [{}]}, "operations[0]."),
        ({"action": "Accept", "operations": [{"addCommunity": {"value": "x"}}]}, "operations[0].addCommunity.value"),
        ({"action": "Accept", "operations": [{"prependASPath": {}}]}, "operations[0].prependASPath.prefix"),
        ({"action": "Accept", "operations": [{"setPriority": {}}]}, "operations[0].setPriority.value"),
        ({"action": "Accept", "operations": [{"setMED": {"value": 1}}]}, "operations[0].setMED"),
    ],
)
def test_a_rule_that_cannot_work_is_named_and_its_filter_not_used(rule: dict[str, Any], field: str) -> None:
    found = problems(exportV4=[{"action": "Reject"}, rule])
    assert (f"spec.exportV4[1].{field}", True) in found


def test_an_unknown_word_is_told_and_tolerated() -> None:
    assert problems(importV4=[{"action": "Accept", "colour": "red"}]) == [("spec.importV4[0].colour", False)]
