"""Arrow's columns as values for templates, the same as from a Parquet file; JSON columns as what they say."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import repeat
from typing import Any, Final, NamedTuple

import msgspec

from producer.recipients.sql.dialects import Column, Key
from producer.recipients.values import MAX_CHARACTERS, Unusable

_BINARY: Final = Unusable("A column that is used holds binary data.")
_OUT_OF_RANGE: Final = Unusable("A value is outside of what dates and numbers can hold here.")
_NO_JSON: Final = Unusable("A column of JSON holds what is none.")

_PLAIN: Final = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "float", "double"}
)

_decode = msgspec.json.Decoder().decode


def columns_of(schema: Any) -> tuple[Column, ...]:  # noqa: ANN401 - a pyarrow.Schema
    """Names and types; PostgreSQL's driver tells its own names of types beside Arrow's."""
    return tuple(Column(field.name, _type_of(field)) for field in schema)


def _type_of(field: Any) -> str:  # noqa: ANN401 - a pyarrow.Field
    told = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    return told or str(field.type)


class Piece(NamedTuple):
    """Some rows as Python's objects, which take many times the memory of Arrow's."""

    keys: list[Key | None]
    addresses: list[Any]
    values: Iterable[tuple[Any, ...]]
    """Of the further columns, row by row."""
    plain: bool
    """The values need no look at each: JSON has their types, and their text fits."""


def piece_of(batch: Any, *, as_json: bool) -> Piece:  # noqa: ANN401 - a pyarrow.RecordBatch
    """The first column has the keys, the second the addresses."""
    key, address, *further = batch.columns
    found = [values(column, as_json=as_json) for column in further]
    return Piece(
        keys(key, as_json=as_json),
        values(address, as_json=as_json),
        zip(*found, strict=True) if found else repeat((), batch.num_rows),
        not as_json and all(map(_is_plain, further)),
    )


def _is_plain(column: Any) -> bool:  # noqa: ANN401 - a pyarrow.Array
    kind = str(column.type)
    if kind in _PLAIN:
        return True
    if kind != "string":
        return False
    from pyarrow import compute  # noqa: PLC0415 - an extra

    longest = compute.max(compute.binary_length(column)).as_py() or 0
    return longest <= MAX_CHARACTERS and not compute.any(compute.match_substring(column, "\0")).as_py()


def values(column: Any, *, as_json: bool) -> list[Any]:  # noqa: ANN401 - a pyarrow.Array
    """What cannot be had is `Unusable`, and spoils its row only."""
    found = _objects(column)
    if as_json:
        return [_from_json(text) for text in found]
    if str(column.type) == "extension<arrow.json>":
        return [text if text is None else _from_json(text) for text in found]
    return found


def keys(column: Any, *, as_json: bool) -> list[Key | None]:  # noqa: ANN401 - a pyarrow.Array
    """None where there is none that could be gone on behind."""
    found = values(column, as_json=as_json)
    kind = str(column.type)
    if as_json:
        return [value if value.__class__ in (int, str) else None for value in found]
    if kind.startswith(("int", "uint")) or kind in {"string", "large_string"}:
        return found
    if "type_name=numeric" in kind:
        return [None if value is None else _number(value) for value in found]
    return [value.isoformat() if hasattr(value, "isoformat") else None for value in found]


def _number(text: str) -> Key | None:
    """1.0 and 1 are one number, and so one key."""
    number = Decimal(text)
    return f"{number.normalize():f}" if number.is_finite() else None


def _objects(column: Any) -> list[Any]:  # noqa: ANN401 - a pyarrow.Array
    try:
        found: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # pyarrow gives up on all of them for one
        return [_object(scalar) for scalar in column]
    return found


def _object(scalar: Any) -> object:  # noqa: ANN401 - a pyarrow.Scalar
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        return _OUT_OF_RANGE


def _from_json(text: str) -> object:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return _BINARY if text == "blob" else _NO_JSON
