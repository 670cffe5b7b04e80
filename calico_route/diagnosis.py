"""Why a session is not established, in words for a person, with what to look at. No I/O but `md5_counters`.

Linux drops segments without the right TCP MD5 signature in silence (RFC 2385): all that is seen is that nobody answers.
The kernel counts them for each network namespace, and a counter that moves is as near as one can get.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pybgp import PeerSnapshot, State, format_address

REMEMBERED = 300.0
"""Seconds for which a connection from an unknown address is told of."""

STRANGERS_KEPT = 100

_NETSTAT = Path("/proc/thread-self/net/netstat")
_SILENCE = ("no answer", "timed out", "no open within")
_UNREACHABLE = ("no route to host", "network is unreachable", "network unreachable")


class Md5Counters(NamedTuple):
    """Segments that this network namespace has dropped."""

    unsigned: int = 0  # a signature is expected, and there is none
    unexpected: int = 0  # there is one, and none is expected
    wrong: int = 0  # of another password

    def since(self, before: Md5Counters) -> Md5Counters:
        """What has come since."""
        return Md5Counters(*(max(0, now - then) for now, then in zip(self, before, strict=True)))


def md5_counters(text: str | None = None) -> Md5Counters:
    """The counters of our own network namespace (or in a text like /proc/net/netstat); zeros where there are none."""
    if text is None:
        try:
            text = _NETSTAT.read_text()
        except OSError:
            return Md5Counters()
    lines = [line.split() for line in text.splitlines() if line.startswith("TcpExt:")]
    if len(lines) != 2:
        return Md5Counters()
    found = dict(zip(*lines, strict=False))
    names = ("TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure")
    return Md5Counters(*(int(found.get(name, "0")) for name in names))


def why_not(peer: PeerSnapshot, *, protected: bool, dropped: Md5Counters) -> str:
    """Why this session is not established; "" if it is. `protected`: by a TCP MD5 password on our side."""
    if peer.established:
        return ""
    error = peer.last_error
    if not error:
        return "not tried yet" if peer.state is State.IDLE else "no answer yet"
    lower = error.lower()
    if any(one in lower for one in _SILENCE):
        return f"{error}: {_silence(protected, dropped)}"
    advice = ""
    if lower == "connection refused":
        advice = "nothing listens there: does its BGP daemon run, and on this port?"
    elif any(lower.startswith(one) for one in _UNREACHABLE):
        advice = "no route leads there, or the host is down: see `ip route get` for its address"
    elif "says it is AS" in error:
        advice = "the number in etcd (asNumber of its Node, BGPPeer or BGPConfiguration) is not the one it runs with"
    elif "our own BGP Identifier" in error:
        advice = "two nodes have one router id: see CALICO_ROUTER_ID of both"
    elif "Bad Peer AS" in error:
        advice = f"it expects another AS number of us (we say {peer.local_as})"
    elif "Connection Rejected" in error or "closed the connection" in lower:
        advice = "it may not know this node, or know it by another address"
    return f"{error}: {advice}" if advice else error


def _silence(protected: bool, dropped: Md5Counters) -> str:
    if protected and dropped.wrong:
        return (
            f"probably the passwords differ ({dropped.wrong} segments with a wrong TCP MD5 signature were dropped here)"
        )
    if protected and dropped.unsigned:
        return f"probably the other side has no password ({dropped.unsigned} segments without a signature dropped here)"
    if not protected and dropped.unexpected:
        return f"probably the other side has a password ({dropped.unexpected} signed segments were dropped here)"
    words = "the host is down, or something between drops TCP to this port"
    return words + (", or the other side has another password or none" if protected else "")


class Strangers:
    """Connections from addresses that are no neighbour's."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def note(self, address: str, now: float) -> None:
        """One was refused."""
        count, _ = self._seen.pop(address, (0, 0.0))
        self._seen[address] = count + 1, now
        if len(self._seen) > STRANGERS_KEPT:
            self._seen.popitem(last=False)

    def told(self, known: Iterable[str], now: float) -> Iterator[str]:
        """A line for each that came lately and is not known by now."""
        neighbours = set(known)
        for address, (count, last) in self._seen.items():
            if address not in neighbours and now - last < REMEMBERED:
                times = "once" if count == 1 else f"{count} times"
                yield (
                    f"{address} connects here ({times}, last {now - last:.0f} s ago) and is no neighbour of this node: "
                    "its Node is missing or has another address, or it speaks from another one than it should"
                )


def same_identifier(peers: Iterable[PeerSnapshot], own: str) -> Iterator[str]:
    """A line for each BGP Identifier that several nodes have (RFC 6286 2.1 wants it to be one node's within an AS)."""
    found: dict[int, list[str]] = {}
    for peer in peers:
        if peer.bgp_identifier is not None:
            found.setdefault(peer.bgp_identifier, []).append(peer.address)
    for identifier, addresses in sorted(found.items()):
        text = format_address(identifier.to_bytes(4, "big"))
        versions = {":" in address for address in addresses}
        if text == own:
            addresses = [*addresses, "this node"]
        elif len(addresses) == len(versions):  # a node with a session of each IP version has one, too
            continue
        yield f"{' and '.join(addresses)} have the same BGP Identifier {text}: see CALICO_ROUTER_ID of both"
