"""One container on this host: its interface, routes and endpoint.

workloads  `Workloads`: add, remove, check, in the order that is safe; its steps
repair     what the last run left, and what is owed      journal    what was begun and what stands, on disk
interface  veth, addresses, routes, neighbours, sysctls  rtnetlink  the messages for them, by pyroute2
watch      which interfaces vanish                       endpoint   the WorkloadEndpoint in etcd
request    what is asked for, and what it got            names      what follows from container and interface
socket     `WorkloadSocket`: JSON lines for CNI and the commands
locks      one at a time for each workload
ports      what it needs of addresses, rules and profiles: protocols, so that each can be had without the others
"""

from .ports import Addresses, Profiles, Rules, WorkloadError
from .request import Workload, WorkloadRequest
from .socket import WorkloadSocket
from .workloads import Workloads

__all__ = [
    "Addresses",
    "Profiles",
    "Rules",
    "Workload",
    "WorkloadError",
    "WorkloadRequest",
    "WorkloadSocket",
    "Workloads",
]
