"""The schema's examples: one for each kind of line, each what `decode` gives for it and `encode` takes."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from pybgp.app.lines import decode_line, encode_line
from pybgp.messages import MESSAGES
from pybgp.messages.attributes.path_attributes import AttributePool
from tests.app.schema import FOLDER, VALIDATOR, check
from tests.app.test_lines import AS4

EXAMPLES = sorted((FOLDER / "examples").glob("*.json"))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)


def test_there_is_an_example_for_each_kind() -> None:
    kinds = {path.stem for path in EXAMPLES}
    assert kinds == {row.kind.name.lower().replace("_", "-") for row in MESSAGES} | {"error", "session-reset"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path: object) -> None:
    value = json.loads(path.read_text())  # type: ignore[attr-defined]
    check(value)
    if "error" in value:
        return
    octets = encode_line(json.dumps(value).encode(), AS4)
    assert decode_line(octets.encode(), AS4, AttributePool()) == value
