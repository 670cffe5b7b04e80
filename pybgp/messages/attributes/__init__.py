"""The path attributes that the codec knows.  To add one: a file with an `Attribute(...)` row, and its name here.

`path_attributes.PathAttributes` is a set of them, `codec` decodes a block of them.
"""

from collections.abc import Sequence
from typing import Any

from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as4 import AS4_AGGREGATOR, AS4_PATH
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.ipv6_extended_communities import IPV6_EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.mp_reach import MP_REACH
from pybgp.messages.attributes.mp_unreach import MP_UNREACH
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.only_to_customer import ONLY_TO_CUSTOMER
from pybgp.messages.attributes.origin import ORIGIN
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID

ATTRIBUTES: tuple[Attribute[Any], ...] = (
    ORIGIN,
    AS_PATH,
    NEXT_HOP,
    MED,
    LOCAL_PREF,
    ATOMIC_AGGREGATE,
    AGGREGATOR,
    COMMUNITIES,
    ORIGINATOR_ID,
    CLUSTER_LIST,
    MP_REACH,
    MP_UNREACH,
    EXTENDED_COMMUNITIES,
    AS4_PATH,
    AS4_AGGREGATOR,
    IPV6_EXTENDED_COMMUNITIES,
    LARGE_COMMUNITIES,
    ONLY_TO_CUSTOMER,
)


def by_code(rows: Sequence[Attribute[Any]]) -> dict[int, Attribute[Any]]:
    """The rows keyed by type code; refuses a second row for a code or a name."""
    table: dict[int, Attribute[Any]] = {}
    names: set[str] = set()
    for row in rows:
        if row.code in table or row.name in names:
            raise ValueError(f"two attributes for code {row.code} or name {row.name!r}")
        table[row.code] = row
        names.add(row.name)
    return table


ROW_OF: dict[int, Attribute[Any]] = by_code(ATTRIBUTES)
ROW_NAMED: dict[str, Attribute[Any]] = {row.name: row for row in ATTRIBUTES}

__all__ = ["ATTRIBUTES", "ROW_NAMED", "ROW_OF", "by_code"]
