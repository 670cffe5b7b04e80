"""Label stacks of NLRI (RFC 8277 section 2, RFC 3032 section 2.1): three octets a label, the last one marked.

Twenty bits of label, three of traffic class (zero on sending), and the Bottom of Stack bit.  In text the labels are
joined by "/": "100", or "100/200" with the outermost first.
"""

import re

SIZE = 3
BOTTOM = 1
MAXIMUM = 0xFFFFF
IMPLICIT_NULL = b"\x00\x00\x31"
"""Label 3 (RFC 3032 section 2.1): whoever has the route sends the packet without a label."""
# RFC 8277 section 2.4: what is sent in the place of the label where a route is withdrawn; anything may come.
WITHDRAWN = b"\x80\x00\x00"
_LABEL = re.compile("([0-9]{1,7})|0x([0-9a-f]{6})")


def pack_labels(*labels: int) -> bytes:
    """The stack of these labels, outermost first; ValueError for one that has no 20 bits, and for none."""
    if not labels or not all(0 <= label <= MAXIMUM for label in labels):
        raise ValueError(f"a label stack is one or more labels from 0 to {MAXIMUM}, not {labels!r}")
    return b"".join([(label << 4).to_bytes(SIZE, "big") for label in labels[:-1]]) + (
        labels[-1] << 4 | BOTTOM
    ).to_bytes(SIZE, "big")


def unpack_labels(stack: bytes) -> tuple[int, ...]:
    """The labels of a stack, outermost first."""
    return tuple(int.from_bytes(stack[at : at + SIZE], "big") >> 4 for at in range(0, len(stack), SIZE))


def show_labels(stack: bytes) -> str:
    """ "100/200"; an entry with other bits than `pack_labels` sets is six hexadecimal digits after "0x"."""
    last = len(stack) - SIZE
    words = []
    for at in range(0, len(stack), SIZE):
        number = int.from_bytes(stack[at : at + SIZE], "big")
        usual = number & 0xF == (BOTTOM if at == last else 0)
        words.append(str(number >> 4) if usual else f"0x{number:06x}")
    return "/".join(words)


def read_labels(text: str) -> bytes:
    """The stack that `show_labels` shows; ValueError otherwise."""
    stack = []
    words = text.split("/")
    for number, word in enumerate(words, 1):
        found = _LABEL.fullmatch(word)
        if found is None or (found[1] and int(found[1]) > MAXIMUM):
            raise ValueError(f'labels are numbers up to {MAXIMUM} joined by "/", not {text!r}')
        if found[1]:
            stack.append((int(found[1]) << 4 | BOTTOM * (number == len(words))).to_bytes(SIZE, "big"))
        else:
            stack.append(bytes.fromhex(found[2]))
    return b"".join(stack)
