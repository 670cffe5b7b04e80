"""What rules a path out before the decision process sees it."""

import pytest

from pybgp.rib import Eligibility
from tests.rib.make import LOCAL_ADDRESS, LOCAL_AS, LOCAL_ID, attributes, own, peer

EXTERNAL, INTERNAL = peer(1, asn=65001), peer(2)


def why_not(source: object, own_values: dict[str, object] | None = None, **values: object) -> str | None:
    eligibility = Eligibility(**{"bgp_identifier": LOCAL_ID, **(own_values or {})})  # type: ignore[arg-type]
    return eligibility.why_not(source, attributes(1, **values))  # type: ignore[arg-type]


def test_nothing_against_ordinary_paths() -> None:
    assert why_not(EXTERNAL, as_path="65001 65002") is None
    assert why_not(INTERNAL, as_path="65001 65002", originator_id=7, cluster_list=[8, 9]) is None
    assert why_not(INTERNAL) is None
    assert why_not(own(), as_path=[LOCAL_AS]) is None


@pytest.mark.parametrize("as_path", ["65001 65000", "65001 {65000,65007}", "65001 7 65000 8"])
@pytest.mark.rfc("4271", "9.1.2", "pybgp.rib.eligibility:Eligibility.why_not", "an AS loop is not used")
@pytest.mark.rfc("4271", "9.3", "pybgp.rib.eligibility:Eligibility.why_not", "a path with our own AS is never chosen")
def test_own_as_in_the_path_is_a_loop(as_path: str) -> None:
    text = why_not(EXTERNAL, as_path=as_path)
    assert text is not None
    assert text.startswith("AS loop: own AS 65000")
    assert why_not(EXTERNAL, {"allow_own_as": 1}, as_path=as_path) is None


def test_own_as_may_be_allowed_so_many_times() -> None:
    assert why_not(INTERNAL, {"allow_own_as": 2}, as_path="65000 65001 65000") is None
    assert why_not(INTERNAL, {"allow_own_as": 1}, as_path="65000 65001 65000") is not None


def test_own_as_in_other_attributes_is_no_loop() -> None:
    octets = LOCAL_AS.to_bytes(4, "big")
    assert why_not(EXTERNAL, as_path=[65001], communities=[int.from_bytes(octets, "big")]) is None


def test_first_as_is_the_peers() -> None:
    assert why_not(EXTERNAL, as_path="65002") == "first AS of the AS_PATH is 65002, not the peer's 65001"
    assert why_not(EXTERNAL, as_path="") == "first AS of the AS_PATH is missing, not the peer's 65001"
    assert why_not(EXTERNAL, {"enforce_first_as": False}, as_path="65002") is None
    assert why_not(INTERNAL, as_path="65002") is None


@pytest.mark.rfc("4456", "8", "pybgp.rib.eligibility:Eligibility._reflection_loop", "own originator and own cluster")
def test_reflection_loops() -> None:
    assert "ORIGINATOR_ID" in str(why_not(INTERNAL, originator_id=LOCAL_ID))
    assert "10.0.0.254 in the CLUSTER_LIST" in str(why_not(INTERNAL, cluster_list=[5, LOCAL_ID]))
    assert "0.0.0.9 in the CLUSTER_LIST" in str(why_not(INTERNAL, {"cluster_id": 9}, cluster_list=[5, 9]))
    assert why_not(INTERNAL, {"cluster_id": 9}, cluster_list=[5, LOCAL_ID]) is None


def judge(next_hop: str | bytes | None, source: object = INTERNAL, **own_values: object) -> tuple[int, str | None]:
    eligibility = Eligibility(**{"bgp_identifier": LOCAL_ID, **own_values})  # type: ignore[arg-type]
    return eligibility.next_hop(source, attributes(next_hop=next_hop))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "next_hop",
    ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"],
)
def test_next_hop_that_is_no_host(next_hop: str) -> None:
    assert judge(next_hop) == (0, f"next hop {next_hop} is no host address")


def test_next_hop_that_is_ours() -> None:
    assert judge(LOCAL_ADDRESS) == (0, "next hop 10.0.0.254 is this speaker's own address")
    other = bytes((10, 9, 9, 9))
    assert judge(other) == (0, None)
    assert judge(other, addresses=frozenset({other}))[1] == "next hop 10.9.9.9 is this speaker's own address"


@pytest.mark.rfc("4271", "9.1.2.1", "pybgp.rib.eligibility:Eligibility.next_hop", "resolvable or not, and at what cost")
def test_next_hop_is_resolved() -> None:
    asked: list[bytes] = []

    def resolve(next_hop: bytes) -> int | None:
        asked.append(next_hop)
        return 7 if next_hop[-1] == 1 else None

    assert judge("10.2.0.1", resolve=resolve) == (7, None)
    assert judge("10.2.0.2", resolve=resolve) == (0, "next hop 10.2.0.2 is unreachable")
    pair = bytes.fromhex("20010db8" + "00" * 11 + "02" + "fe80" + "00" * 13 + "01")
    assert judge(pair, resolve=resolve) == (7, None)
    assert asked[-1] == pair
    assert judge("fe80::9")[1] is None


def test_next_hop_of_a_link_local_address_alone() -> None:
    """Some send no global address between link-local ones: `::`, and the address that counts behind it."""
    assert judge(bytes(16) + bytes.fromhex("fe80" + "00" * 13 + "01")) == (0, None)
    assert judge(bytes(16) + bytes.fromhex("20010db8" + "00" * 11 + "01"))[1] is not None
    assert judge(bytes(32))[1] is not None


def test_own_routes_need_no_next_hop() -> None:
    assert judge(None, own()) == (0, None)
    assert judge(None) == (0, "no next hop")
