"""What may be chosen about the decision process: each switch turns one outcome round, in whatever order paths came."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from pybgp.messages.attributes.communities import LLGR_STALE
from pybgp.rib.decision import DecisionRules, Step, best_first, multipath, rank
from pybgp.rib.route import Path
from tests.rib.make import path, peer


def three(*each: dict[str, Any]) -> list[Path]:
    return [path(peer(number, asn=65100 + number), number, **values) for number, values in enumerate(each, 1)]


@pytest.mark.parametrize(
    ("switch", "values", "plain", "switched"),
    [
        ("always_compare_med", [{"as_path": [1], "med": 9}, {"as_path": [2], "med": 5}], 0, 1),
        ("med_missing_as_worst", [{"as_path": [1]}, {"as_path": [1], "med": 5}], 0, 1),
        ("ignore_as_path_length", [{"as_path": [1, 1], "origin": 0}, {"as_path": [1], "origin": 1}], 1, 0),
    ],
)
def test_a_switch(switch: str, values: list[dict[str, Any]], plain: int, switched: int) -> None:
    paths = three(*values)
    rules = DecisionRules(**{switch: True})
    for order in permutations(paths):
        assert best_first(order)[0] is paths[plain]
        assert best_first(order, rules)[0] is paths[switched]


def test_without_the_router_id_the_address_decides() -> None:
    first = path(peer(1, asn=65100, bgp_identifier=99), 1, as_path=[1])
    second = path(peer(2, asn=65100, bgp_identifier=5), 2, as_path=[1])
    for order in permutations((first, second)):
        assert best_first(order)[0] is second
        assert best_first(order, DecisionRules(compare_router_id=False))[0] is first


def test_paths_of_one_neighbouring_as_together() -> None:
    paths = three({"as_path": [1]}, {"as_path": [2]}, {"as_path": [1]})
    for order in permutations(paths):
        assert multipath(order, 4) == tuple(paths)
        assert multipath(order, 4, DecisionRules(multipath_relax_as_path=False)) == (paths[0], paths[2])


@pytest.mark.rfc("9494", "4.4", "pybgp.rib.decision:is_llgr_stale", "what is stale for long is the last choice")
def test_what_is_stale_for_long_is_the_last_choice() -> None:
    """Before every other step, LOCAL_PREF included."""
    paths = three(
        {"as_path": [1], "local_pref": 900, "communities": [LLGR_STALE]},
        {"as_path": [1, 2, 3], "local_pref": 50},
        {"as_path": [1], "local_pref": 700, "communities": [LLGR_STALE]},
    )
    for order in permutations(paths):
        assert best_first(order) == (paths[1], paths[0], paths[2])
        assert dict(rank(order))[paths[0]] is Step.LLGR_STALE
    for order in permutations(paths[:2]):
        assert best_first(order)[0] is paths[1]
