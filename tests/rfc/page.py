"""docs/rfc.md, made of the RFCs' sections, the marks on the tests and the proof."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.rfc.marks import Mark
from tests.rfc.prove import key
from tests.rfc.sections import RFCS

PAGE = Path(__file__).parents[2] / "docs" / "rfc.md"
_HEAD = """\
# RFCs, section by section

Made by `make rfc` from the marks on the tests; do not edit. A test counts only if it turns red when the function
that it names is broken: `make rfc-proof` puts an empty function and then up to 16 forms with one small fault in its
place, and runs that very test. "12/16" is how many of the small faults the test noticed.
"""


def unknown_sections(marks: Iterable[Mark]) -> list[str]:
    """Marks with a section that `sections.py` does not have, in words."""
    known = {(rfc.number, section.number) for rfc in RFCS for section in rfc.sections}
    return [
        f"{mark.test}: RFC {mark.rfc} section {mark.section}" for mark in marks if (mark.rfc, mark.section) not in known
    ]


def without_test(marks: Iterable[Mark], proof: dict[str, Any]) -> list[str]:
    """Sections that are not said to be undone, and have no test that counts."""
    shown = {(mark.rfc, mark.section) for mark in marks if _counts(mark, proof)}
    return [
        f"RFC {rfc.number} section {section.number} {section.title}"
        for rfc in RFCS
        for section in rfc.sections
        if not section.not_done and (rfc.number, section.number) not in shown
    ]


def page(marks: Iterable[Mark], proof: dict[str, Any]) -> str:
    """The whole page as Markdown."""
    by_section: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    for mark in marks:
        if _counts(mark, proof):
            by_section[mark.rfc, mark.section].append(mark)
    return "\n".join([_HEAD, *_summary(by_section), *_chapters(by_section, proof)]) + "\n"


def _summary(by_section: dict[tuple[str, str], list[Mark]]) -> Iterator[str]:
    yield "| RFC | | sections shown | not done |"
    yield "|---|---|---|---|"
    for rfc in RFCS:
        asked = [section for section in rfc.sections if not section.not_done]
        shown = sum((rfc.number, section.number) in by_section for section in asked)
        undone = len(rfc.sections) - len(asked)
        yield f"| [{rfc.number}](#rfc-{rfc.number}) | {rfc.title} | {shown} of {len(asked)} | {undone or ''} |"
    yield ""


def _chapters(by_section: dict[tuple[str, str], list[Mark]], proof: dict[str, Any]) -> Iterator[str]:
    for rfc in RFCS:
        yield f"## RFC {rfc.number}\n\n{rfc.title}.\n"
        yield "| section | | test | faults noticed |"
        yield "|---|---|---|---|"
        for section in rfc.sections:
            marks = by_section.get((rfc.number, section.number), [])
            if section.not_done:
                yield f"| {section.number} | {section.title} | not done: {section.not_done} | |"
            elif not marks:
                yield f"| {section.number} | {section.title} | **no test** | |"
            for number, mark in enumerate(marks):
                verdict = proof[key(mark.test, mark.code)]
                head = f"{section.number} | {section.title}: {mark.shows}" if not number else f" | {mark.shows}"
                noticed = f"{verdict['killed']}/{verdict['mutants']} in `{mark.code.partition(':')[2]}`"
                yield f"| {head} | `{mark.test.removeprefix('tests/')}` | {noticed} |"
        yield ""


def _counts(mark: Mark, proof: dict[str, Any]) -> bool:
    return bool(proof.get(key(mark.test, mark.code), {}).get("counts"))
