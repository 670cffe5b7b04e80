"""The explicit lists of messages, attributes, capabilities and families: complete, and without duplicates."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pybgp.errors import BadMessageLength, OpenMessageError, ProtocolError
from pybgp.messages import MESSAGES, attributes, by_type, capabilities, nlri
from pybgp.messages.attributes.base import Attribute
from pybgp.messages.nlri.base import NlriCodec


def modules(package: Any) -> list[Any]:
    return [
        importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)
    ]


def defined(package: Any, wanted: Callable[[object], bool]) -> list[object]:
    """What the files of a package define at their top, each thing once."""
    found: dict[int, object] = {}
    for module in modules(package):
        for value in vars(module).values():
            if wanted(value):
                found[id(value)] = value
    return list(found.values())


def assert_complete(listed: Sequence[object], found: list[object]) -> None:
    missing = [value for value in found if not any(value is entry for entry in listed)]
    assert missing == [], "defined in a file of the package, but not listed"
    assert len(listed) == len(found)


def test_every_attribute_is_listed() -> None:
    rows = defined(attributes, lambda value: isinstance(value, Attribute))
    assert_complete(attributes.ATTRIBUTES, rows)


def test_every_family_is_listed() -> None:
    assert_complete(nlri.FAMILIES, defined(nlri, lambda value: isinstance(value, NlriCodec)))


def test_every_capability_is_listed() -> None:
    def known(value: object) -> bool:
        return isinstance(value, type) and isinstance(getattr(value, "code", None), int) and hasattr(value, "fatal")

    found = [cls for cls in defined(capabilities, known) if "code" in vars(cls)]
    assert_complete(capabilities.CAPABILITIES, found)


def test_every_message_is_listed() -> None:
    assert sorted(row.kind for row in MESSAGES) == [1, 2, 3, 4, 5]
    assert len({row.cls for row in MESSAGES}) == len(MESSAGES)


@pytest.mark.parametrize(
    ("build", "rows"),
    [
        (attributes.by_code, attributes.ATTRIBUTES),
        (capabilities.by_code, capabilities.CAPABILITIES),
        (nlri.by_family, nlri.FAMILIES),
        (by_type, MESSAGES),
    ],
)
def test_a_duplicate_is_refused(build: Callable[[Any], object], rows: Sequence[Any]) -> None:
    build(rows)
    with pytest.raises(ValueError, match=r"."):
        build([*rows, rows[0]])


def test_a_duplicate_error_is_refused() -> None:
    assert ProtocolError.by_code[1, 2] is BadMessageLength
    with pytest.raises(TypeError, match="BadMessageLength"):

        class Another(ProtocolError, code=1, subcode=2):
            pass

    assert ProtocolError.by_code[2, 0] is OpenMessageError
