"""Which /32s are whose, and sums by which a reader that keeps no table can be checked.

Node `n` has `each` /32s, consecutive ones from 10.0.0.0 up, and is its own next hop. The sum of a set of routes is
that of a 64-bit hash of each, so it is the same in any order, and a withdrawal takes out what was put in.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from pybgp import NLRI

FIRST_NODE = int.from_bytes(bytes((172, 16, 0, 1)), "big")
FIRST_REFLECTOR = int.from_bytes(bytes((172, 31, 0, 1)), "big")
FIRST_ROUTE = int.from_bytes(bytes((10, 0, 0, 0)), "big")
MODULUS = 1 << 64


def text(number: int) -> str:
    return ".".join(map(str, number.to_bytes(4, "big")))


class Routes:
    """The routes of `nodes` nodes with `each` /32s each. Raises ValueError for more than 10.0.0.0/8 holds."""

    def __init__(self, nodes: int, each: int) -> None:
        if not 0 < nodes * each <= 1 << 24:
            raise ValueError(f"{nodes} nodes with {each} routes each: 1 to {1 << 24} routes fit into 10.0.0.0/8")
        self.nodes = nodes
        self.each = each
        self._sums = [sum(map(_hash, self.of(node))) % MODULUS for node in range(nodes)]

    def of(self, node: int) -> list[NLRI]:
        first = FIRST_ROUTE + node * self.each
        return [b"\x20" + number.to_bytes(4, "big") for number in range(first, first + self.each)]

    def owner(self, nlri: NLRI) -> int:
        """The number of the node whose route it is; -1: nobody's."""
        if len(nlri) != 5:
            return -1
        node = (int.from_bytes(nlri[1:], "big") - FIRST_ROUTE) // self.each
        return node if 0 <= node < self.nodes else -1

    def next_hop(self, node: int) -> bytes:
        return (FIRST_NODE + node).to_bytes(4, "big")

    def sum_of(self, nodes: Iterable[int]) -> int:
        """Of all routes of these nodes."""
        return sum(self._sums[node] for node in nodes) % MODULUS

    def sum_over(self, nlri: Iterable[NLRI]) -> int:
        """Of routes as they came."""
        return sum(map(_hash, nlri)) % MODULUS


def _hash(nlri: NLRI) -> int:
    return int.from_bytes(blake2b(nlri, digest_size=8).digest(), "big")
