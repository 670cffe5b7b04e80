"""Sources, paths and prefixes for the tests of the RIB."""

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.policy import Policy, accept_all, prepare
from pybgp.prefix import NLRI, parse_nlri
from pybgp.rib import AdjRibIn, Delta, Eligibility, Entry, LocRib, Path, Source, paths_of

LOCAL_AS = 65000
LOCAL_ID = 0x0A0000FE
LOCAL_ADDRESS = bytes((10, 0, 0, 254))
ELIGIBILITY = Eligibility(bgp_identifier=LOCAL_ID)


def nlri(text: str) -> NLRI:
    return parse_nlri(text)[1]


def peer(number: int, *, asn: int = LOCAL_AS, bgp_identifier: int | None = None, client: bool = False) -> Source:
    """A peer at 10.0.0.<number>: internal when its AS is the local one."""
    return Source(
        f"10.0.0.{number}",
        bytes((10, 0, 0, number)),
        bgp_identifier=number if bgp_identifier is None else bgp_identifier,
        asn=asn,
        local_as=LOCAL_AS,
        internal=asn == LOCAL_AS,
        route_reflector_client=client,
        local_address=LOCAL_ADDRESS,
    )


def own() -> Source:
    return Source.own(LOCAL_AS, LOCAL_ID)


def attributes(number: int = 0, **values: object) -> PathAttributes:
    """Attributes with a next hop of 10.0.1.<number>."""
    return PathAttributes.build(**{"next_hop": f"10.0.1.{number}", **values})  # type: ignore[arg-type]


def path(source: Source, number: int = 0, *, path_id: int = 0, rejected: str | None = None, **values: object) -> Path:
    return Path(source, attributes(number, **values), path_id=path_id, rejected=rejected)


def adj_rib_in(source: Source, rib: LocRib, policy: Policy | None = accept_all, **own_values: object) -> AdjRibIn:
    eligibility = Eligibility(**{"bgp_identifier": LOCAL_ID, **own_values})  # type: ignore[arg-type]
    return AdjRibIn(source, rib, prepare(policy, "import", external=source.external), eligibility)


def shown(selected: Entry | None) -> tuple[tuple[str, int, PathAttributes], ...]:
    """A selection as its readers see it."""
    return tuple((one.source.name, one.path_id, one.attributes) for one in paths_of(selected))


def mirror(held: dict[NLRI, tuple[tuple[str, int, PathAttributes], ...]], deltas: list[Delta]) -> None:
    """Apply Deltas to what a reader holds, and check that each began where the reader is."""
    for delta in deltas:
        assert delta.family == IPV4_UNICAST
        assert delta.nlri
        assert len(set(delta.nlri)) == len(delta.nlri)
        before, after = shown(delta.old), shown(delta.new)
        assert before != after
        for one in delta.nlri:
            assert held.get(one, ()) == before
            if after:
                held[one] = after
            else:
                del held[one]
