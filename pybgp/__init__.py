"""pybgp: a BGP speaker for asyncio, in pure Python.

`Speaker` is where to begin. What is not in `__all__`, or in that of `pybgp.policy`, may change without notice.
"""

from pybgp.config import PeerConfig, PrefixLimit
from pybgp.control import ControlSocket
from pybgp.errors import BGPError, ConfigurationError, ProtocolError, SessionClosed
from pybgp.events import PeerEvent
from pybgp.explanation import Explanation, PathExplanation, Telling
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST, Afi, Family, Safi
from pybgp.fsm.states import State
from pybgp.groups import DEFAULT
from pybgp.listing import ListedRoute
from pybgp.local_socket import LocalSocket
from pybgp.messages import Notification, decode_message, encode_message
from pybgp.messages.attributes.aggregator import AGGREGATOR
from pybgp.messages.attributes.as_path import AS_PATH, AsPath
from pybgp.messages.attributes.atomic_aggregate import ATOMIC_AGGREGATE
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.communities import COMMUNITIES
from pybgp.messages.attributes.extended_communities import EXTENDED_COMMUNITIES
from pybgp.messages.attributes.large_communities import LARGE_COMMUNITIES
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN, Origin
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.context import CodecContext
from pybgp.pacing import gc_for_full_tables
from pybgp.policy import (
    Policy,
    accept,
    accept_all,
    chain,
    match,
    per_path,
    prefix_in,
    reject,
    reject_all,
    rules,
    set_local_pref,
    set_med,
    set_next_hop,
)
from pybgp.prefix import NLRI, Prefix, format_address, format_nlri, pack_address, parse_nlri
from pybgp.rib.decision import DecisionRules, Step
from pybgp.rib.route import Change, Route, Source
from pybgp.snapshot import FamilySnapshot, PeerSnapshot
from pybgp.speaker import PeerHandle, Speaker
from pybgp.subscription import Batches, ChangeBatch, Events, PathView, Routes
from pybgp.version import VERSION

__version__ = VERSION

__all__ = [
    "AGGREGATOR",
    "AS_PATH",
    "ATOMIC_AGGREGATE",
    "CLUSTER_LIST",
    "COMMUNITIES",
    "DEFAULT",
    "EXTENDED_COMMUNITIES",
    "IPV4_UNICAST",
    "IPV6_UNICAST",
    "LARGE_COMMUNITIES",
    "LOCAL_PREF",
    "MED",
    "NEXT_HOP",
    "NLRI",
    "ORIGIN",
    "ORIGINATOR_ID",
    "Afi",
    "AsPath",
    "BGPError",
    "Batches",
    "Change",
    "ChangeBatch",
    "CodecContext",
    "ConfigurationError",
    "ControlSocket",
    "DecisionRules",
    "Events",
    "Explanation",
    "Family",
    "FamilySnapshot",
    "ListedRoute",
    "LocalSocket",
    "Notification",
    "Origin",
    "PathAttributes",
    "PathExplanation",
    "PathView",
    "PeerConfig",
    "PeerEvent",
    "PeerHandle",
    "PeerSnapshot",
    "Policy",
    "Prefix",
    "PrefixLimit",
    "ProtocolError",
    "Route",
    "Routes",
    "Safi",
    "SessionClosed",
    "Source",
    "Speaker",
    "State",
    "Step",
    "Telling",
    "__version__",
    "accept",
    "accept_all",
    "chain",
    "decode_message",
    "encode_message",
    "format_address",
    "format_nlri",
    "gc_for_full_tables",
    "match",
    "pack_address",
    "parse_nlri",
    "per_path",
    "prefix_in",
    "reject",
    "reject_all",
    "rules",
    "set_local_pref",
    "set_med",
    "set_next_hop",
]
