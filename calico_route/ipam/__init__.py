"""Addresses of workloads on Calico's IPAM records, beside stock nodes. `Ipam` is all that others need.

cidr, paths            networks as numbers; the keys of etcd
block, handle          the records, read and written as Calico does
pools, reserved        which pools serve, what is kept free        choice       where the next address comes from
access, knowledge      the store; what of it is followed
draft, requests        a transaction in the making, and what asks for it
transactor             requests that wait go together, and again until nobody was faster
census, findings       all records at one revision; what of it does not fit together
repairs, care          what mends it; check, dead nodes, the hosts' own addresses
ipam                   `Ipam`
"""

from .care import Check, NodeRelease
from .findings import Finding, Kind
from .ipam import Ipam

__all__ = ["Check", "Finding", "Ipam", "Kind", "NodeRelease"]
