"""The line of a key: tomllib does not tell it."""

from __future__ import annotations

import tomllib

import pytest

from pybgp.app.toml_lines import Lines, Path, name_of

TEXT = '''\
top = 1
[speaker]   # a comment
local_as = 64512
"quoted key" = 2
dotted.inner.key = 3

[[peer]]
address = "192.0.2.1"
description = """
local_as = 5
[speaker]
"""
families = [
  "ipv4-unicast",
  "ipv6-unicast",
]
[[peer]]
  address   =   "192.0.2.2"
[[policy.own.rule]]
prefix = []
[[policy.own.rule]]
then = "x = y"
[policy . other]
default = 'reject'
[[policy.own.rule]]
le = 8
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 1),
        (("speaker",), 2),
        (("speaker", "local_as"), 3),
        (("speaker", "quoted key"), 4),
        (("speaker", "dotted", "inner", "key"), 5),
        (("speaker", "dotted", "inner"), 5),
        (("peer", 0), 7),
        (("peer", 0, "address"), 8),
        (("peer", 0, "description"), 9),
        (("peer", 0, "local_as"), 7),  # that line is inside of a text
        (("peer", 0, "families"), 13),
        (("peer", 1), 17),
        (("peer", 1, "address"), 18),
        (("policy", "own", "rule", 0, "prefix"), 20),
        (("policy", "own", "rule", 1, "then"), 22),
        (("policy", "other", "default"), 24),
        (("policy", "own", "rule", 2, "le"), 26),
        (("peer", 1, "missing"), 17),
        (("nowhere", "at", "all"), 1),
    ],
)
def test_lines(path: Path, line: int) -> None:
    tomllib.loads(TEXT)
    assert Lines(TEXT).of(path) == line


LISTS = (
    """\
as_path = [   # a list [ over lines
  [64512, 2],
  [64513, 3]
]
other = { a = 1, b = [
  "x]", # ]
  """
    "'''a''', "
    '''"""[ not " this
  [speaker]
  key = 5 ["""
]}
empty = ["", '', "\\"[", "a\u2028b"]
after = 1
[[peer]]
quotes = """a""" # [
last = """\\""""
["a.b"]
key = 2
'''
)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("as_path",), 1),
        (("other",), 5),
        (("empty",), 11),
        (("after",), 12),
        (("peer", 0), 13),
        (("peer", 0, "last"), 15),
        (("a.b",), 16),
        (("a.b", "key"), 17),
        (("key",), 1),
    ],
)
def test_what_goes_on_over_lines_is_no_key(path: Path, line: int) -> None:
    tomllib.loads(LISTS)
    assert Lines(LISTS).of(path) == line


def test_names() -> None:
    assert name_of(("peer", 0, "hold_time")) == "peer[0].hold_time"
    assert name_of(("speaker",)) == "speaker"
    assert name_of(()) == ""
