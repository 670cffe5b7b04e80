"""What is public is whole, and what the documents show runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import pybgp

ROOT = Path(__file__).parent.parent
EXAMPLES = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/embedding.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_public_name_is_there_once() -> None:
    assert len(set(pybgp.__all__)) == len(pybgp.__all__)
    for name in pybgp.__all__:
        assert hasattr(pybgp, name)


def test_every_public_class_says_what_it_is() -> None:
    for name in pybgp.__all__:
        thing = getattr(pybgp, name)
        if isinstance(thing, type) and not issubclass(thing, Enum):
            assert thing.__doc__, name


@pytest.mark.parametrize("kind", ["Speaker", "PeerHandle", "Routes", "Batches", "Events", "ChangeBatch", "PathView"])
def test_every_public_method_is_typed(kind: str) -> None:
    for name, method in vars(getattr(pybgp, kind)).items():
        if not name.startswith("_") and callable(method):
            assert "return" in method.__annotations__, f"{kind}.{name}"


def test_importing_needs_the_standard_library_alone() -> None:
    """netaddr is for conversions, and loaded when one is asked for."""
    code = "import sys, pybgp; print('netaddr' in sys.modules, 'pyroute2' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.split() == ["False", "False"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_documentation_runs(number: int) -> None:
    said = subprocess.run(
        [sys.executable, "-X", "dev", "-c", EXAMPLES[number]],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout
    assert "Traceback" not in said.stderr
    assert "ResourceWarning" not in said.stderr


def test_the_readme_example_is_the_documented_api() -> None:
    """It speaks to an address of nobody's network, so it is not run: each call must fit the signature."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    methods = {
        node.func.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "speaker"
    }
    assert methods
    for method in methods:
        assert callable(getattr(pybgp.Speaker, method))
    assert len(code.strip().splitlines()) <= 13
