"""Learned routes in the kernel, next hops and workloads out of it. `Kernel` is all that others need.

face          `Kernel`: ties everything below to asyncio
state         what follows from each message of the kernel
fib           wanted against installed         installed     what the kernel has of ours
resolver      where a BGP next hop really is   surroundings  links, addresses, routes of others
contest       routes that somebody else takes  problem       why a route is not in, in words
reader        a full look at the tables        writer        batches out, refusals back
socket        the three kinds of sockets       packer        messages that change routes, by pyroute2
netlink       messages of the kernel, parsed   rtmsg         the one part of pyroute2 that is used
route, work, words, snapshot, timers           small values and their spelling
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
