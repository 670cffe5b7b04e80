"""Those who ask a node's BIRD, as strict as they are: what they do not find, they take for a broken node.

* readiness and `calicoctl node status`: the headings word by word, rows of six columns, names of three kinds
* liveness: `birdcl show status`, whose output begins with BIRD
* bird_exporter: lines by regular expressions, an answer ends with four digits and a blank
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

HEADINGS = ["name", "proto", "table", "state", "since", "info"]
_PEER = re.compile(r"(Global|Node|Mesh)_(.+)")


class UnexpectedError(AssertionError):
    """A line that such a client gives up at."""


@dataclass(frozen=True)
class Peer:
    """A row of `calicoctl node status`."""

    address: str
    kind: str
    state: str
    since: str
    bgp: str
    info: str


def node_status(octets: bytes, separator: str = ".") -> list[Peer]:
    """What is read on the socket after `show protocols`, until the line of code 0000; `separator` is that of the IP
    version."""
    peers = []
    for line in octets.decode().splitlines():
        code, rest = line[:4], line[5:]
        if code == "0000":
            return peers
        if code == "0001":
            continue
        if code == "2002":
            if rest.split() != HEADINGS:
                raise UnexpectedError(f"headings: {line}")
            continue
        if line.startswith(" "):
            rest = line[1:]
        elif code != "1002":
            raise UnexpectedError(f"code: {line}")
        words = rest.split()
        if len(words) >= 6 and words[1] == "BGP" and (found := _PEER.fullmatch(words[0])):
            address = found[2].replace("_", separator)
            peers.append(Peer(address, found[1], words[3], words[4], words[5], " ".join(words[6:])))
    raise UnexpectedError("no end")


def restarting(octets: bytes) -> bool:
    """What the readiness check makes of `show status`."""
    for line in octets.decode().splitlines():
        if line.startswith("0024"):
            return True
        if line.startswith("0013"):
            return False
    raise UnexpectedError("no end")


def ready(protocols: bytes, status: bytes) -> bool:
    """As in the time after a node's start: all sessions, and no recovery."""
    return not restarting(status) and all(peer.bgp == "Established" for peer in node_status(protocols))


@dataclass
class Exported:
    """What bird_exporter makes of one protocol."""

    kind: str
    up: bool
    state: str = ""
    description: str = ""
    imported: int = 0
    exported: int = 0
    filtered: int = 0
    preferred: int = 0
    changes: dict[str, list[int]] = field(default_factory=dict)


_PROTOCOL = re.compile(
    r"^(?:1002-)?(\S+)\s+(BGP|OSPF|Direct|Device|Kernel|Static)\s+(\S+)\s+(\S+)\s+"
    r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}|\S+)(?:\s+(.*?)\s*)?$"
)
_ROUTES = re.compile(r"^\s+Routes:\s+(\d+) imported, (?:(\d+) filtered, )?(\d+) exported(?:, (\d+) preferred)?")
_CHANGE = re.compile(r"(Import|Export) (updates|withdraws):" + r"\s+(\d+|---)" * 5 + r"\s*$")
_DESCRIPTION = re.compile(r"^(?:1006-)?\s*Description:\s+(.*?)\s*$")
_END = re.compile(rb"\n\d{4} \n$")


def exporter(octets: bytes) -> dict[str, Exported]:
    """What it makes of the answer to `show protocols all`, which has to end as it waits for."""
    if not _END.search(octets):
        raise UnexpectedError("it would wait for ever")
    found: dict[str, Exported] = {}
    now: Exported | None = None
    for line in octets.decode().splitlines():
        text = re.sub(r"^\d{4}[- ]|^ ", "", line)
        if not text.startswith(" ") and (row := _PROTOCOL.match(text)):
            now = found[row[1]] = Exported(row[2], row[4] == "up", row[6] or "")
        elif now is not None and (counts := _ROUTES.match(text)):
            now.imported, now.exported = int(counts[1]), int(counts[3])
            now.filtered, now.preferred = int(counts[2] or 0), int(counts[4] or 0)
        elif now is not None and (change := _CHANGE.search(text)):
            name = f"{change[1]} {change[2]}"
            now.changes[name] = [int(value) if value != "---" else 0 for value in change.groups()[2:]]
        elif now is not None and (words := _DESCRIPTION.match(text)):
            now.description = words[1]
    return found
