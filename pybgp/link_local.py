"""Our link-local address on the link that a global IPv6 address is on: it goes beside a next hop (RFC 2545 section 3).

Linux lists the addresses of its interfaces in a file; elsewhere there is none, and the global address goes alone.
"""

from __future__ import annotations

from pathlib import Path

from pybgp.prefix import format_address, pack_address

NOT_USABLE = 0x48  # IFA_F_TENTATIVE, IFA_F_DADFAILED
ADDRESSES = Path("/proc/thread-self/net/if_inet6")


def link_local_beside(local: str, remote: str, listed: str | None = None) -> str:
    """The link-local address of the interface that has `local`, if `remote` is on the same subnet; else "".

    `listed` is what `ADDRESSES` holds: a line an address, with its 32 hexadecimal digits, the interface's index and
    the prefix length, all hexadecimal, then scope, flags and the interface's name.
    """
    if ":" not in local:
        return ""
    if listed is None:
        try:
            listed = ADDRESSES.read_text()
        except OSError:
            return ""
    ours, theirs = (int.from_bytes(pack_address(text), "big") for text in (local, remote))
    rows = map(str.split, listed.splitlines())
    usable = [row for row in rows if not int(row[4], 16) & NOT_USABLE]
    lines = [(int(digits, 16), index, int(length, 16)) for digits, index, length, *_ in usable]
    for address, index, length in lines:
        if address == ours and not _is_link_local(address) and (ours ^ theirs) >> (128 - length) == 0:
            found = next((one for one, where, _ in lines if where == index and _is_link_local(one)), None)
            return "" if found is None else format_address(found.to_bytes(16, "big"))
    return ""


def _is_link_local(address: int) -> bool:
    return address >> 118 == 0xFE80 >> 6
