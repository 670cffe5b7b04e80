"""The families that the codec knows.  To add one: a file with a `NlriCodec(...)` row, and its name here."""

from collections.abc import Sequence

from pybgp.family import Family
from pybgp.messages.nlri.base import NlriCodec, raw_codec
from pybgp.messages.nlri.flowspec import IPV4_FLOWSPEC, IPV6_FLOWSPEC
from pybgp.messages.nlri.labelled_unicast import IPV4_LABELLED, IPV6_LABELLED
from pybgp.messages.nlri.unicast import IPV4, IPV6
from pybgp.prefix import write_as

FAMILIES: tuple[NlriCodec, ...] = (IPV4, IPV6, IPV4_LABELLED, IPV6_LABELLED, IPV4_FLOWSPEC, IPV6_FLOWSPEC)


def by_family(codecs: Sequence[NlriCodec]) -> dict[Family, NlriCodec]:
    """The rows keyed by their family; refuses a second row for a family."""
    table: dict[Family, NlriCodec] = {}
    for codec in codecs:
        if codec.family in table:
            raise ValueError(f"two NLRI codecs for the family {codec.family}")
        table[codec.family] = codec
    return table


CODEC_OF: dict[Family, NlriCodec] = by_family(FAMILIES)

for _codec in FAMILIES:
    if _codec.show is not None and _codec.read is not None:
        write_as(_codec.family, _codec.show, _codec.read)


def codec_of(family: Family) -> NlriCodec:
    """The row of a family; for one that has none, a row that keeps its octets as they are."""
    return CODEC_OF.get(family) or raw_codec(family)


__all__ = ["CODEC_OF", "FAMILIES", "NlriCodec", "by_family", "codec_of"]
