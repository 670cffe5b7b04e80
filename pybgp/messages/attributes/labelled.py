"""Path attributes of routes with a label stack (RFC 8277).

The label belongs to the route and not to its destination, as the next hop does: so it goes with the attributes, and
another label is another route to the same place.
"""

from pybgp.messages.attributes.path_attributes import PathAttributes
from pybgp.messages.nlri.labels import show_labels, unpack_labels


class LabelledAttributes(PathAttributes):
    """`PathAttributes` with `stack`, the octets of a label stack; equal to such with the same stack only.

    Every change of attributes keeps the stack.
    """

    __slots__ = ("stack",)

    stack: bytes

    @classmethod
    def of(cls, attributes: PathAttributes, stack: bytes) -> "LabelledAttributes":
        """These attributes with this stack, whatever stack they had."""
        made = cls(
            attributes.block,
            attributes.next_hop,
            attributes.origin,
            attributes.as_path_length,
            attributes.neighbor_as,
            attributes.local_pref,
            attributes.med,
            attributes.originator_id,
            attributes.cluster_list_length,
        )
        made.stack = stack
        return made

    def _copy(self, block: bytes, next_hop: bytes) -> "LabelledAttributes":
        return LabelledAttributes.of(super()._copy(block, next_hop), self.stack)

    @property
    def labels(self) -> tuple[int, ...]:
        """Outermost first."""
        return unpack_labels(self.stack)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, LabelledAttributes):
            return False if isinstance(other, PathAttributes) else NotImplemented
        return self.stack == other.stack and self.block == other.block and self.next_hop == other.next_hop

    def __hash__(self) -> int:
        return hash((self.block, self.next_hop, self.stack))

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, label={show_labels(self.stack)})"
