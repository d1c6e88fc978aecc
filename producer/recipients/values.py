"""Values of NDJSON, Parquet and databases as the bus can carry them: JSON's types, and integers that fit in 64 bits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any, Final, NamedTuple

MAX_DEPTH: Final = 20
"""Lists and objects within each other; no template digs deeper."""

MAX_CHARACTERS: Final = 1 << 20
"""In one text; no mail is that large."""


class UnusableValue(ValueError):
    """A value that no mail can contain; the message says why."""


class Unusable(NamedTuple):
    """Stands in a column for a value that could not be read; `plain` raises its reason."""

    reason: str

    def __str__(self) -> str:
        return "(unreadable)"


def plain(value: object, depth: int = 0) -> object:
    """The value in JSON's types; what JSON has no type for becomes text. Raises `UnusableValue`."""
    match value:
        case str():
            return _text(value)
        case None | bool() | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**64 else str(value)
        case Unusable(reason):
            raise UnusableValue(reason)
        case Mapping() | list() | tuple():
            return _nested(value, depth + 1)
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            raise UnusableValue("A column that is used holds binary data.")
        case _:
            return str(value)


def _text(value: str) -> str:
    if "\0" in value:
        raise UnusableValue("The row contains a NUL character.")
    if len(value) > MAX_CHARACTERS:
        raise UnusableValue(f"A value is longer than {MAX_CHARACTERS} characters.")
    return value


def _nested(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> object:
    if depth > MAX_DEPTH:
        raise UnusableValue(f"Lists and objects lie more than {MAX_DEPTH} deep within each other.")
    if isinstance(value, Mapping):
        return {_text(str(name)): plain(item, depth) for name, item in value.items()}
    return [plain(item, depth) for item in value]
