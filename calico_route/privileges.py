"""The process keeps two privileges, whatever it was started with: routes, and the port of BGP (capabilities(7)). With
containers on the node it needs two more, to enter their network namespaces."""

from __future__ import annotations

import ctypes
import logging
import os
import struct

log = logging.getLogger(__name__)

CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12
CAP_SYS_PTRACE = 19
CAP_SYS_ADMIN = 21
KEPT = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_NET_ADMIN
KEPT_WITH_CONTAINERS = KEPT | 1 << CAP_SYS_PTRACE | 1 << CAP_SYS_ADMIN

_VERSION_3 = 0x20080522  # of the header that capget and capset take
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38


def drop_privileges(kept: int = KEPT) -> None:
    """Give up all but `kept`, a bit for each capability, for this process and what it may ever start.

    Where the kernel refuses, that is told, and nothing else: the agent works with more, too.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    refused = []
    for number in range(64):
        if not kept >> number & 1 and libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # no such capability, or no right to drop it
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        refused.append(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    if libc.capget(header, data) != 0:
        refused.append(f"capget: {os.strerror(ctypes.get_errno())}")
    else:
        # Twice three words: effective, permitted, inheritable of the first 32 capabilities, then of the others. What a
        # file's capabilities only permit (so that the program also starts where they are not given) becomes effective.
        permitted = struct.unpack_from("=2I", data)[1] & kept
        ctypes.memmove(data, struct.pack("=6I", permitted, permitted, 0, 0, 0, 0), 24)
        if libc.capset(header, data) != 0:
            refused.append(f"capset: {os.strerror(ctypes.get_errno())}")
    if refused:
        log.warning("privileges stay as they are: %s", "; ".join(refused))
