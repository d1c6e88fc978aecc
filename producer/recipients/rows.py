"""What readers of every format give: rows, and rows that nothing can be done with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from producer.errors import AudienceUnreadable

EXCERPT_CHARACTERS: Final = 200
"""Of an unusable row, in its report."""

ABSENT: Final = msgspec.UNSET
"""Where a row lacks a column altogether; an empty cell is empty text."""


class Rejected(NamedTuple):
    """A row that cannot be used. It is counted and reported, and stops nothing."""

    line: int | str
    """Where the row begins in the file, from 1; in Parquet the number of the row, in a database its key."""
    reason: str
    excerpt: str


class Row(NamedTuple):
    line: int | str
    address: object
    """As it stands in the file."""
    values: tuple[Any, ...]
    """Of the columns asked for, in their order."""


def require_columns(source: object, columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises `AudienceUnreadable` where a column is gone that was there when the campaign was checked."""
    gone = [name for name in wanted if name not in columns]
    if gone:
        raise AudienceUnreadable(f"{source} has no column {gone[0]!r} any more. Check the campaign again.")


class Reader(Protocol):
    """Rows of one audience, in order, in memory that does not grow with it.

    Raises `AudienceUnreadable` where the file as a whole is unusable; an unusable row is a `Rejected`.
    """

    @property
    def columns(self) -> Sequence[str]:
        """Names of the columns; where the format has no header, those of the first rows."""
        ...

    def rows(self, address: str, wanted: Sequence[str]) -> Iterator[Row | Rejected]:
        """All rows, with the columns `address` and `wanted`. Once."""
        ...

    def excerpt(self) -> str:
        """Of the row that `rows` gave last."""
        ...

    def close(self) -> None: ...
