"""The everyday attribute block, recognized and validated by one regular expression.

The expression is made of the rows of `ATTRIBUTES`.  It matches blocks in which every attribute is known, has its
usual flags, a short length field and a valid value, in ascending order and none twice, with all that is mandatory.
That is nearly every block on the wire, and one match costs a tenth of a loop over it.  Whatever it does not
match takes the exact way (`codec.py`), which finds out why.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from pybgp.messages.attributes import ATTRIBUTES
from pybgp.messages.attributes.as_path import AS_PATH
from pybgp.messages.attributes.base import Attribute, accept_any
from pybgp.messages.attributes.block import NOT_IN_BLOCK
from pybgp.messages.attributes.cluster_list import CLUSTER_LIST
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.messages.attributes.next_hop import NEXT_HOP
from pybgp.messages.attributes.origin import ORIGIN
from pybgp.messages.attributes.originator_id import ORIGINATOR_ID
from pybgp.messages.attributes.path_attributes import PathAttributes

QuickDecode: TypeAlias = Callable[[bytes, bytes | None], PathAttributes | None]

# Groups of the expression beside head and tail, in the order of their codes.
_CAPTURED = (ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, ORIGINATOR_ID, CLUSTER_LIST)
_NO_AS = bytes(4)


def _value_pattern(row: Attribute[Any]) -> bytes | None:
    """Length octet and value of a row; the value alone is captured where its length is fixed."""
    captured = row in _CAPTURED
    if row.length is not None and (row.pattern is not None or row.check is accept_any):
        value = row.pattern if row.pattern is not None else b".{%d}" % row.length
        return re.escape(bytes((row.length,))) + (b"(" + value + b")" if captured else value)
    whole = row.pattern
    if whole is None and row.multiple is not None and row.check is accept_any:
        sizes = range(row.multiple, 256, row.multiple)
        whole = b"(?:" + b"|".join(re.escape(bytes((size,))) + b".{%d}" % size for size in sizes) + b")"
    return whole if whole is None or not captured else b"(" + whole + b")"


def _expression(internal: bool) -> re.Pattern[bytes]:
    """Groups: head (ORIGIN and AS_PATH), and in it these two, NEXT_HOP, tail, and in it the other captured ones."""
    mandatory = {ORIGIN, AS_PATH, LOCAL_PREF} if internal else {ORIGIN, AS_PATH}
    parts: list[bytes] = [b"("]
    for row in sorted(ATTRIBUTES, key=lambda row: row.code):
        if row.code in NOT_IN_BLOCK and row is not NEXT_HOP:
            continue
        value = _value_pattern(row)
        if value is None:
            continue
        if row.from_external or internal:
            whole = re.escape(bytes((row.flags, row.code))) + value
            # Possessive: what matched is what it is, so there is nothing to try again.
            part = whole if row in mandatory else b"(?:" + whole + b")?+"
        else:
            part = b"((?!))?" if row in _CAPTURED else b""
        parts.append(b")" + part + b"(" if row is NEXT_HOP else part)
    return re.compile(b"".join([*parts, b")"]), re.DOTALL)


def _decoder(internal: bool) -> QuickDecode:
    match = _expression(internal).fullmatch
    from_bytes = int.from_bytes

    def decode(block: bytes, next_hop: bytes | None = None) -> PathAttributes | None:
        found = match(block)
        if found is None:
            return None
        head, origin, path, classic, tail, med, local_pref, originator_id, clusters = found.groups()
        # `path` is length octet, segment type, count and AS numbers.  Zeros may be AS 0, or parts of two.
        if _NO_AS in path:
            return None
        return PathAttributes(
            head + tail,
            (classic or b"") if next_hop is None else next_hop,
            origin[0],
            path[2] if len(path) > 1 else 0,
            from_bytes(path[3:7], "big"),
            None if local_pref is None else from_bytes(local_pref, "big"),
            None if med is None else from_bytes(med, "big"),
            None if originator_id is None else from_bytes(originator_id, "big"),
            0 if clusters is None else len(clusters) // 4,
        )

    return decode


_EXTERNAL, _INTERNAL = _decoder(False), _decoder(True)


def quick_decoder(internal: bool) -> QuickDecode:
    """What decodes everyday blocks of a session with 4-octet AS numbers.

    It gives the attributes with NEXT_HOP as their next hop, or with the given one; None for a block that is to take
    the exact way, whether it is valid or not.
    """
    return _INTERNAL if internal else _EXTERNAL
