"""docs/schema/message.json, as a check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parents[2] / "docs" / "schema"
VALIDATOR = Draft202012Validator(json.loads((FOLDER / "message.json").read_text()))


def check(value: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError where the value is no line of `decode`."""
    VALIDATOR.validate(value)
