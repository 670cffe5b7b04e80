"""Names of profiles: those of v0.4.9, and those that Calico v3 takes.

v0.4.9 took `[a-zA-Z0-9_.-]{1,40}`. v3 takes small letters, digits, `-` and `.`, in words that begin and end with a
letter or digit. A name that is good for both is the same on both sides. Any other has a name of its own in the
datastore, which tells everything of the first: `PROF_A` is `v1-prof-a-111121`. The middle is the name in small letters
with `-` for what v3 does not take; the digits say what stood at each place: 0 what is there, 1 the capital, 2 `_`,
3 `.`. A name that looks like one of these is treated so, too, and so no two names meet.
"""

from __future__ import annotations

import re

_V049 = re.compile(r"[a-zA-Z0-9_.-]{1,40}")
_V3 = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_MAPPED = re.compile(r"v1-([a-z0-9-]+)-([0-3]+)")
_LONGEST_V3 = 253


def stored_name(name: str) -> str:
    """The name in the datastore of a profile by the name that its user gave it. ValueError: nobody takes that name."""
    if _V3.fullmatch(name) and len(name) <= _LONGEST_V3 and _decoded(name) is None:
        return name
    if not _V049.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a profile: up to 40 letters, digits, _ . and - "
            f"(up to {_LONGEST_V3} where all is small letters, digits, - and . between them)"
        )
    middle, digits = "", ""
    for letter in name:
        if letter.isupper():
            middle, digits = middle + letter.lower(), digits + "1"
        else:
            middle += letter if letter.isalnum() else "-"
            digits += {"_": "2", ".": "3"}.get(letter, "0")
    return f"v1-{middle}-{digits}"


def given_name(stored: str) -> str:
    """The name that a person knows, of one in the datastore."""
    return _decoded(stored) or stored


def _decoded(stored: str) -> str | None:
    found = _MAPPED.fullmatch(stored)
    if found is None or len(found[1]) != len(found[2]):
        return None
    name = ""
    for letter, digit in zip(found[1], found[2], strict=True):
        if digit == "1" and not letter.isalpha():
            return None
        if digit in "23" and letter != "-":
            return None
        name += {"0": letter, "1": letter.upper(), "2": "_", "3": "."}[digit]
    return name if _V049.fullmatch(name) else None
