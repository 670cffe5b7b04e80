"""Regular expressions over an AS_PATH: what they find, against Python's own `re`, and in how much work."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pybgp.policy.regular import Regular


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("^$", ["", ""], ["65001"]),
        ("^65001$", ["65001"], ["65001 65001", "650011"]),
        ("_65001_", ["65001", "1 65001", "65001 1", "1 {65001,2}", "(65001 2)"], ["165001", "650010", "6500 1"]),
        ("^65001_", ["65001", "65001 2", "65001 {3}"], ["2 65001", "650012"]),
        ("_65001$", ["65001", "2 65001"], ["65001 2", "265001"]),
        ("^65001 65002_", ["65001 65002", "65001 65002 3"], ["65001 3 65002"]),
        ("^(65001|65002)( [0-9]+)?$", ["65001", "65002 7"], ["65003", "65001 7 8"]),
        ("^([0-9]+)( [0-9]+){2}$", ["1 2 3"], ["1 2", "1 2 3 4"]),
        ("^([0-9]+)( [0-9]+){1,2}$", ["1 2 3", "1 2"], ["1", "1 2 3 4"]),
        ("^([0-9]+)( [0-9]+){2,}$", ["1 2 3", "1 2 3 4"], ["1 2"]),
        ("_6[45][0-9]{3}_", ["1 64999", "65123"], ["66000", "6500", "645001"]),
        ("[^0-9 ]", ["1 {2}", "(1)"], ["1 2"]),
        (r"\{2,3\}", ["1 {2,3}"], ["1 {3,2}", "2,3"]),
        ("^_{", ["{2,3}"], ["1 {2}"]),
        ("^1.*2$", ["1 2", "12", "1 7 2"], ["1", "2 1 3"]),
        ("", ["", "1"], []),
        ("(1|)2", ["12", "2"], ["1"]),
        ("^(1{2}){2}$", ["1111"], ["111", "11111"]),
        ("^(1?){3}2{0}$", ["", "1", "111"], ["1111", "2"]),
    ],
)
def test_what_is_found(expression: str, yes: list[str], no: list[str]) -> None:
    compiled = Regular(expression)
    assert [path for path in yes if not compiled.search(path)] == []
    assert [path for path in no if compiled.search(path)] == []


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("(65001", r"a \( without its \), at character 7"),
        ("65001)", r"a \) without its \(, at character 6"),
        ("[12", r"a \[ without its \]"),
        ("[2-1]", "2-1 is no range"),
        ("*1", "nothing to repeat, at character 1"),
        ("^+", "nothing to repeat"),
        ("1\\", "at the end"),
        ("1{", "AS_SET"),
        ("1{x}", "AS_SET"),
        ("1{2,1}", "no range"),
        ("1{256}", "no range up to 255"),
        ("((1{255}){255})", "too large"),
        ("(" * 60 + ")" * 60, "nests deeper"),
        ("1" * 1001, "at most 1000"),
    ],
)
def test_what_is_no_expression(expression: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Regular(expression)


PARTS = st.recursive(
    st.sampled_from(["1", "2", " ", "_", ".", "[12]", "[^1]", "[0-1 ]", "^", "$", r"\{", ","]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda both: f"({both[0]}|{both[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,1}", "{1,}", "{0}"])).map(
            lambda both: f"({both[0]}){both[1]}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PARTS, st.lists(st.text("12 ,{}", max_size=9), min_size=1, max_size=6))
def test_it_finds_what_re_finds(expression: str, texts: list[str]) -> None:
    compiled = Regular(expression)
    reference = re.compile(expression.replace("_", r"(?:^|[ ,{}()\[\]]|$)"))
    for text in texts:
        assert compiled.search(text) is bool(reference.search(text)), (expression, text)


class Counting(Regular):
    """Counts the steps that had to be worked out."""

    worked = 0

    def _move(self, now: frozenset[int], char: str) -> frozenset[int]:
        self.worked += 1
        return super()._move(now, char)


def test_what_takes_re_for_ever_takes_a_step_a_character() -> None:
    compiled = Counting("^((1+)+ ?)+(1*)*2$")
    assert not compiled.search("1" * 3000 + "3")
    assert not compiled.search("11 " * 3000)
    assert compiled.worked < 100, "few sets of states, each worked out once"
