"""The families that the codec knows.  To add one: a file with a `NlriCodec(...)` row, and its name here."""

from collections.abc import Sequence

from pybgp.family import Family
from pybgp.messages.nlri.base import NlriCodec
from pybgp.messages.nlri.unicast import IPV4, IPV6

FAMILIES: tuple[NlriCodec, ...] = (IPV4, IPV6)


def by_family(codecs: Sequence[NlriCodec]) -> dict[Family, NlriCodec]:
    """The rows keyed by their family; refuses a second row for a family."""
    table: dict[Family, NlriCodec] = {}
    for codec in codecs:
        if codec.family in table:
            raise ValueError(f"two NLRI codecs for the family {codec.family}")
        table[codec.family] = codec
    return table


CODEC_OF: dict[Family, NlriCodec] = by_family(FAMILIES)

__all__ = ["CODEC_OF", "FAMILIES", "NlriCodec", "by_family"]
