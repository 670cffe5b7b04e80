"""Learned routes in the kernel, next hops and workloads out of it. `Kernel` is all that others need.

netlink   bytes of rtnetlink messages       route         what a route is made of
socket    the three kinds of sockets        surroundings  links, addresses and routes of others
reader    a full look at the tables         resolver      where a BGP next hop really is
writer    batches out, refusals back        fib           wanted against installed
face      `Kernel`: ties it to asyncio      problem       why a route is not in, in words
"""

from .face import Kernel
from .problem import Problem, ProblemKind
from .route import IPV4, IPV6, NextHop, RouteOptions, RouteSpec, RouteType
from .snapshot import KernelSnapshot
from .socket import KernelError

__all__ = [
    "IPV4",
    "IPV6",
    "Kernel",
    "KernelError",
    "KernelSnapshot",
    "NextHop",
    "Problem",
    "ProblemKind",
    "RouteOptions",
    "RouteSpec",
    "RouteType",
]
