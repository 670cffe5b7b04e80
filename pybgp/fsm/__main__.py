"""`python -m pybgp.fsm` prints the table as docs/fsm.md has it."""

from __future__ import annotations

from pybgp.fsm import table
from pybgp.fsm.events import EventKind
from pybgp.fsm.rules import CLOSE, ERROR, FAIL, Do, Rule
from pybgp.fsm.states import State

TAILS = {ERROR: "close, count, damp", FAIL: "close, count", CLOSE: "close"}

HEAD = """\
# The finite state machine

Written by `python -m pybgp.fsm`; do not edit. The machine itself is `pybgp/fsm/table.py`.

Events have the names and numbers of RFC 4271 section 8.1 (29: RFC 9687; 30 and 31: ROUTE-REFRESH, which no RFC
numbers). A cell shows the next state; **·** means that the event changes nothing, and *italics* that the cell
is the state's answer to "any other event". Several lines are tried in their order.
"""

WORDS = """\
## What is done on the way

`close` stops every timer, drops the TCP connection, and gives up the routes of an established session;
`count` increments the ConnectRetryCounter; `damp` is DampPeerOscillations: an idle hold, after errors only.
"""


def grid() -> list[str]:
    """States across, events down."""
    lines = ["| # | event | " + " | ".join(str(state) for state in State) + " |"]
    lines.append("|--:|---|" + "---|" * len(State))
    for event in EventKind:
        cells = [_next_states(state, event) for state in State]
        lines.append(f"| {event.value} | {event.name} | " + " | ".join(cells) + " |")
    return lines


def details() -> list[str]:
    """Each cell with its actions, a list a state."""
    lines: list[str] = []
    for state in State:
        lines += [f"### {state}", "", "| event | when | actions | next state |", "|---|---|---|---|"]
        for event, rules in sorted(table.TABLE[state].items()):
            if any(_acts(state, rule) for rule in rules):
                lines += [_row(event.name, rule) for rule in rules]
        lines += [_row("*any other*", rule) for rule in table.OTHERWISE[state]]
        lines.append("")
    return lines


def markdown() -> str:
    """The whole page."""
    notes = (table.__doc__ or "").partition("\n\n")[2].strip()
    return "\n".join([HEAD, *grid(), "", notes, "", WORDS, *details()]).rstrip() + "\n"


def _acts(state: State, rule: Rule) -> bool:
    return bool(rule.do) or rule.to is not state


def _next_states(state: State, event: EventKind) -> str:
    rules = table.rules_for(state, event)
    found = dict.fromkeys("·" if not _acts(state, rule) else str(rule.to) for rule in rules)
    text = "<br>".join(found)
    return text if event in table.TABLE[state] or text == "·" else f"*{text}*"


def _row(name: str, rule: Rule) -> str:
    when = "" if rule.when is None else _name(rule.when)
    return f"| {name} | {when} | {_actions(rule.do)} | {rule.to} |"


def _actions(do: tuple[Do, ...]) -> str:
    for tail, words in TAILS.items():
        if do[-len(tail) :] == tail:
            return ", ".join([*map(_name, do[: -len(tail)]), words])
    return ", ".join(_name(one) for one in do)


def _name(function: object) -> str:
    return str(getattr(function, "__name__", function)).replace("_", " ").replace("release", "close")


if __name__ == "__main__":
    print(markdown(), end="")
