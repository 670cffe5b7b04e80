from __future__ import annotations

from typing import Any

from measure import Routes, run
from scapy.config import conf
from scapy.contrib import bgp

bgp.bgp_module_conf.use_2_bytes_asn = False
conf.verb = 0


def decode(message: bytes) -> Any:
    return bgp.BGPHeader(message)


def routes(header: Any) -> Routes:
    update = header[bgp.BGPUpdate]
    path = [
        asn
        for one in update.path_attr
        if one.type_code == 2
        for segment in one.attribute.segments
        for asn in segment.segment_value
    ]
    return [(one.prefix, path) for one in update.nlri]


run(decode, routes)
