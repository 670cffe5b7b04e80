"""docs/run.md has every key of a speaker's file, with its default, and none that there is not."""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pybgp.app.cli import parser
from pybgp.app.desk import Desk, Reloaded
from pybgp.app.policy_words import ACTIONS, CONDITIONS
from pybgp.app.speaker_file import parse
from pybgp.config import PeerConfig, PrefixLimit
from pybgp.messages.attributes import ROW_NAMED
from pybgp.prefix import Prefix
from pybgp.rib.decision import DecisionRules

PAGE = (Path(__file__).parents[2] / "docs" / "run.md").read_text()
_SECTION = re.compile(r"^## \[+([a-z_.A-Z]+)\]+\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS: dict[str, str] = dict(_SECTION.findall(PAGE))
HEAD = '[speaker]\nlocal_as = 64512\nbgp_identifier = "192.0.2.1"\n'
PEER = '[[peer]]\naddress = "192.0.2.2"\npeer_as = 64512\n'
ROUTE = '[[route]]\nprefix = "10.0.0.0/8"\n'


def rows(section: str) -> list[tuple[list[str], list[str]]]:
    """The keys of each row of a section's tables, and the other cells."""
    found = []
    for line in SECTIONS[section].splitlines():
        if line.startswith("| `"):
            first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.append((re.findall(r"`([a-z_0-9]+)`", first), others))
    return found


def keys(section: str) -> list[str]:
    return [key for names, _cells in rows(section) for key in names]


def test_each_section_has_its_keys_once() -> None:
    attributes = set(ROW_NAMED) - {"mp_reach", "mp_unreach", "as4_path", "as4_aggregator"}
    expected = {
        "speaker": {
            *("local_as", "bgp_identifier", "listen", "port", "multipath", "socket"),
            *("import_policy", "export_policy"),
        },
        "speaker.decision": set(DecisionRules.__dataclass_fields__),
        "peer": (PeerConfig.names() - {"bgp_identifier", "speaker_as"})
        | {"import_policy", "export_policy", "password_file"}
        | set(PrefixLimit.__dataclass_fields__),
        "group.NAME": set(),
        "listen_for": {"prefix", "peer_as", "maximum", "group"},
        "route": attributes | {"prefix", "prefixes", "family", "next_hop"},
        "policy.NAME": {*CONDITIONS, *ACTIONS, "prefix", "ge", "le", "any", "not", "then", "reason"},
    }
    assert {section: set(keys(section)) for section in SECTIONS} == expected
    for section in SECTIONS:
        assert len(keys(section)) == len(set(keys(section))), section


def default(section: str, key: str) -> Any:
    """The default that the page tells as a value; None where it tells it in words."""
    ((_names, cells),) = [row for row in rows(section) if key in row[0]]
    text = cells[0].strip("`")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def test_the_defaults_of_a_peer() -> None:
    config = parse(HEAD + PEER).peers["192.0.2.2"].config
    limits = PrefixLimit.__dataclass_fields__
    told = {key: value for key in keys("peer") if key not in limits and (value := default("peer", key)) is not None}
    assert len(told) > 25
    for key, value in told.items():
        actual = getattr(config, key)
        if isinstance(actual, tuple):
            actual = [str(family) for family in actual]
        if key == "ttl":
            assert actual is None, "the transport's own default"
        else:
            assert (key, value) == (key, actual)


def test_the_defaults_of_the_decision() -> None:
    told = {key: default("speaker.decision", key) for key in keys("speaker.decision")}
    assert DecisionRules(**told) == DecisionRules()


def test_the_defaults_of_a_limit() -> None:
    told = {key: default("peer", key) for key in PrefixLimit.__dataclass_fields__}
    assert PrefixLimit(**{**told, "limit": 5}) == PrefixLimit(limit=5)


def test_the_examples_of_the_page_are_files() -> None:
    """The indented blocks of the sections are pieces of a file, and together with others one without errors."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE[PAGE.index("## [[peer]]") :], re.MULTILINE)
    pieces = [textwrap.dedent(block) for block in blocks if block.strip()]
    limits = next(piece for piece in pieces if piece.strip().startswith("max_prefixes"))
    for line in limits.strip().splitlines():
        families = 'families = ["ipv4-unicast", "ipv6-unicast"]\n'
        assert parse(HEAD + PEER + families + line).peers["192.0.2.2"].config.max_prefixes
    rest = "".join(piece for piece in pieces if piece is not limits)
    assert set(parse(HEAD + rest).policies) == {"accept", "reject", "from-customers"}


def test_the_commands_of_the_page_are_commands() -> None:
    commands = re.findall(r"^    pybgp (.*?)(?:  #.*)?$", PAGE, re.MULTILINE)
    assert len(commands) > 9
    for line in commands:
        parser().parse_args(shlex.split(line, comments=True))


def test_the_requests_of_the_page_are_those_of_the_desk() -> None:
    desk = Desk.__new__(Desk)
    Desk.__init__(desk, None, "", lambda: Reloaded(True, ()), lambda: 0.0)  # type: ignore[arg-type]
    told: dict[str, set[str]] = {}
    table = PAGE[PAGE.index("| request |") : PAGE.index("## [speaker]")]
    for line in table.splitlines()[2:]:
        names, _bar, members = line.strip("| ").partition(" | ")
        for name in re.findall("`([a-z]+)`", names):
            told[name] = set(re.findall("`([a-z]+)`", members))
    assert told == {name: set(takes) for name, (_make, takes) in desk._requests.items()}


def test_the_defaults_of_a_speaker() -> None:
    fixed = parse(HEAD).fixed
    for key in ("listen", "port", "multipath"):
        value = default("speaker", key)
        assert fixed[key] == (tuple(value) if isinstance(value, list) else value)


@pytest.mark.parametrize(
    ("names", "cells"), [row for row in rows("route") if row[0][0] in ROW_NAMED and row[0] != ["next_hop"]]
)
def test_the_examples_of_attributes(names: list[str], cells: list[str]) -> None:
    values = re.findall(r"`(.+?)`", cells[0])
    assert values
    for value in values:
        file = parse(f"{HEAD}{ROUTE}{names[0]} = {value}\n")
        assert file.routes[Prefix("10.0.0.0/8")].attributes.get(ROW_NAMED[names[0]]) is not None


def test_the_options() -> None:
    page = PAGE.partition("## ")[0]
    commands: Any = parser()._subparsers
    run = commands._group_actions[0].choices["run"]
    options = {option for action in run._actions for option in action.option_strings if option.startswith("--")}
    assert options - {"--help"} == set(re.findall(r"^\| `(--[a-z-]+)`", page, re.MULTILINE))
