"""The matrix as a page of Markdown and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.interop.cell import Outcome

MARKS = {"works": "works", "fails": "**fails**", "not there": "not there"}
HEAD = """# Interoperation with BIRD, FRR, GoBGP, ExaBGP and OpenBGPD

Written by `make interop`, which runs every cell: pybgp in one network namespace, the daemon of Debian in another.
*works*: the test passed in the direction or directions that the row names. *not there*: the daemon does not have it;
its own refusal or its manual's words stand below and are looked up again by every run. *fails*: with what was seen.

"""


def markdown(
    features: Sequence[tuple[str, str]], versions: Mapping[str, str], cells: Mapping[tuple[str, str], Outcome]
) -> str:
    """`features` are (name, title); `cells` by (daemon, feature name)."""
    daemons = list(versions)
    lines = [HEAD + "| feature | " + " | ".join(f"{one} {versions[one]}" for one in daemons) + " |"]
    lines.append("|---" * (len(daemons) + 1) + "|")
    for name, title in features:
        states = [_mark(cells.get((daemon, name))) for daemon in daemons]
        lines.append(f"| {title} | " + " | ".join(states) + " |")
    totals = {state: sum(outcome.state == state for outcome in cells.values()) for state in MARKS}
    lines += ["", f"{len(cells)} cells: " + ", ".join(f"{count} {state}" for state, count in totals.items()) + "."]
    for state, head in (("fails", "What fails"), ("not there", "What is not there, and how one knows")):
        found = [(d, t, cells[d, n]) for n, t in features for d in daemons if _is(cells.get((d, n)), state)]
        if found:
            lines += ["", f"## {head}", "| daemon | feature | evidence |", "|---|---|---|"]
            lines += [f"| {daemon} | {title} | {_cell(outcome.reason)} |" for daemon, title, outcome in found]
    notes = [(d, t, cells[d, n]) for n, t in features for d in daemons if _is(cells.get((d, n)), "works")]
    notes = [one for one in notes if one[2].reason]
    if notes:
        lines += ["", "## Works, but", "| daemon | feature | what to know |", "|---|---|---|"]
        lines += [f"| {daemon} | {title} | {_cell(outcome.reason)} |" for daemon, title, outcome in notes]
    return "\n".join(lines) + "\n"


def _is(outcome: Outcome | None, state: str) -> bool:
    return outcome is not None and outcome.state == state


def _mark(outcome: Outcome | None) -> str:
    return "" if outcome is None else MARKS[outcome.state]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
