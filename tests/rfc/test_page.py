"""docs/rfc.md is what the marks and their proof make of it; and the prover itself is no yes-man."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rfc.marks import Mark, MarkError, read_mark
from tests.rfc.mutants import NoMutants, find, mutants
from tests.rfc.prove import fingerprint, prove

HERE = "tests/rfc/test_page.py"


def test_the_page_is_current() -> None:
    """Marks are well-formed, and every one is proved for the test and the code as they are."""
    run = subprocess.run([sys.executable, "-m", "tests.rfc", "check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr + "\nrun: make rfc-proof"


def least(values: list[int]) -> int:
    """Something to break."""
    found = values[0]
    for value in values:
        if value < found:
            found = value
    return found


def sees_everything() -> None:
    """Run by the prover, on its own."""
    assert least([2, 1, 3]) == 1
    assert least([1, 2]) == 1


def sees_nothing() -> None:
    least([2, 1, 3])


def sees_no_small_fault() -> None:
    assert least([7]) is not None


def test_a_test_that_sees_faults_counts() -> None:
    verdict = prove(f"{HERE}::test_sees_everything", "tests.rfc.test_page:least")
    assert verdict.counts
    assert verdict.killed >= 2


def test_a_test_that_sees_nothing_does_not_count() -> None:
    verdict = prove(f"{HERE}::test_sees_nothing", "tests.rfc.test_page:least")
    assert verdict.green
    assert not verdict.gutted
    assert not verdict.counts


def test_sees_everything() -> None:
    sees_everything()


def test_sees_nothing() -> None:
    sees_nothing()


def test_mutants_differ_and_name_their_line() -> None:
    made = mutants(find("pybgp.fsm.collision:collision_loser"))
    assert made[0].gutted
    assert len({mutant.what for mutant in made}) == len(made) > 5
    assert all(mutant.what.startswith("line ") for mutant in made[1:])


@pytest.mark.parametrize("code", ["pybgp.nothing:f", "pybgp.prefix:nothing", "pybgp.prefix:NLRI"])
def test_what_is_no_function_is_refused(code: str) -> None:
    with pytest.raises(NoMutants):
        find(code)


@pytest.mark.parametrize("arguments", [("4271",), ("4271", "6.2", "negotiate", "x"), ("4271", 6, "pybgp.a:b", "x")])
def test_a_mark_has_four_texts(arguments: tuple[object, ...]) -> None:
    with pytest.raises(MarkError, match=r"tests/a\.py::b"):
        read_mark("tests/a.py::b", pytest.mark.rfc(*arguments).mark)


def test_a_mark_is_read() -> None:
    made = read_mark("tests/a.py::b", pytest.mark.rfc("4271", "6.2", "pybgp.fsm:x", "it is so").mark)
    assert made == Mark("4271", "6.2", "tests/a.py::b", "pybgp.fsm:x", "it is so")


def test_another_test_has_another_fingerprint() -> None:
    prints = {
        fingerprint(f"{HERE}::{test}", f"tests.rfc.test_page:{code}")
        for test in ("test_sees_everything", "test_sees_nothing")
        for code in ("least", "sees_nothing")
    }
    assert len(prints) == 4
    assert Path(HERE).exists()
