"""Frozen dataclasses as plain JSON values and back, by their annotations."""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from pybgp.family import Family


def to_plain(value: object) -> Any:
    """Families as their names, octets as hexadecimal digits, tuples as lists."""
    if isinstance(value, Family):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    return value


def from_plain(value: Any, hint: Any, what: str) -> Any:
    """The inverse for an annotation. Raises ValueError, naming `what` and the value."""
    origin = get_origin(hint)
    if origin is tuple:
        return _tuple(value, get_args(hint), what)
    if hint is Family:
        if not isinstance(value, str):
            raise ValueError(f"{what} is the name of an address family, not {value!r}")
        return Family.parse(value)
    if hint is bytes:
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise ValueError(f"{what} is hexadecimal digits, not {value!r}") from None
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        words = {int: "a whole number", bool: "true or false", str: "a text"}
        raise ValueError(f"{what} is {words.get(hint, hint.__name__)}, not {value!r}")
    return value


def _tuple(value: Any, arguments: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is a list, not {value!r}")
    if len(arguments) == 2 and arguments[1] is ...:
        return tuple(from_plain(item, arguments[0], what) for item in value)
    if len(value) != len(arguments):
        raise ValueError(f"{what} has {len(arguments)} values, not {len(value)}")
    return tuple(from_plain(item, hint, what) for item, hint in zip(value, arguments, strict=True))


@cache
def _hints(cls: Any) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def fields_to_plain(value: Any) -> dict[str, Any]:
    """Every field of a dataclass under its name."""
    cls: Any = type(value)
    return {name: to_plain(getattr(value, name)) for name in _hints(cls)}


def fields_from_plain(cls: Any, values: dict[str, Any], what: str) -> Any:
    """An instance of a dataclass. Raises ValueError for what is missing, unknown or of the wrong kind."""
    hints = _hints(cls)
    unknown = set(values) - set(hints)
    if unknown:
        raise ValueError(f"{what} has no {', '.join(sorted(unknown))}; it has {', '.join(hints) or 'no value'}")
    missing = [f.name for f in fields(cls) if f.default is MISSING and f.name not in values]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    return cls(**{name: from_plain(value, hints[name], f"{what}.{name}") for name, value in values.items()})
