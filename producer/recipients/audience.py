"""The audience: a file of any format, or a query, read as a stream of recipients and of rows that are none.

Reads first for this package. Nothing here remembers rows: memory does not grow with the audience.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from producer.errors import AudienceUnreadable
from producer.recipients.addresses import BadAddress, normalise
from producer.recipients.csv_reader import CsvReader
from producer.recipients.ndjson_reader import NdjsonReader
from producer.recipients.opening import Compression
from producer.recipients.parquet_reader import ParquetReader
from producer.recipients.recipient import Recipient
from producer.recipients.rows import ABSENT, Reader, Rejected, Row
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.dialects import Key
from producer.recipients.sql.reader import SqlReader

Format: TypeAlias = Literal["csv", "ndjson", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_ADDRESS_COLUMNS: Final = ("email", "email_address", "e_mail", "emailaddress", "mail", "address")
_SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS: Final[dict[str, Compression]] = {".gz": "gz", ".zst": "zst"}


class AudienceFile(msgspec.Struct, frozen=True):
    path: Path
    format: Format
    compression: Compression = ""
    encoding: str = "utf-8"
    """Of CSV; NDJSON and Parquet are UTF-8 by definition."""

    def __str__(self) -> str:
        return str(self.path)


Audience: TypeAlias = AudienceFile | SqlAudience


class Projection(msgspec.Struct, frozen=True):
    """Which columns become what."""

    address: str
    """The column with the address."""
    columns: tuple[str, ...] = ()
    """The columns that become `Recipient.values`, in their order."""
    defaults: tuple[Any, ...] = ()
    """For each of `columns` what stands where a row has nothing; None: no default."""
    constants: tuple[Any, ...] = ()
    """Values that follow those of the columns, the same for everybody: defaults of variables without a column."""


def format_of(path: Path) -> tuple[Format | None, Compression]:
    """What the file's name says; None where it says nothing."""
    compression = _COMPRESSIONS.get(path.suffix.lower(), "")
    inner = path.with_suffix("") if compression else path
    return _SUFFIXES.get(inner.suffix.lower()), compression


def columns(audience: Audience) -> tuple[str, ...]:
    """Names of the columns. Raises `AudienceUnreadable`."""
    reader = _open(audience)
    try:
        return tuple(reader.columns)
    finally:
        reader.close()


def find_column(name: str, among: Sequence[str]) -> str | None:
    """The column that a variable means: of that name, or of one that reads the same as an identifier (`First name`)."""
    if name in among:
        return name
    return next((column for column in among if _identifier(column) == name), None)


def find_address_column(among: Sequence[str]) -> str | None:
    return next((found for name in _ADDRESS_COLUMNS if (found := find_column(name, among)) is not None), None)


def _identifier(column: str) -> str:
    return re.sub(r"\W+", "_", column.strip().lower()).strip("_")


def read(audience: Audience, projection: Projection) -> Iterator[Recipient | Rejected]:
    """All rows in order. Raises `AudienceUnreadable` at the first step, or where a damaged file breaks off."""
    return iter(Reading(audience, projection))


def look(audience: Audience, projection: Projection, rows: int) -> list[Recipient | Rejected]:
    """Some rows: of a file the first, of a query those that come to hand. Raises `AudienceUnreadable`."""
    return list(islice(Reading(audience, projection, at_most=rows), rows))


class Reading:
    """One pass over an audience, once. In a query it may begin behind a key."""

    def __init__(
        self, audience: Audience, projection: Projection, *, after: Key | None = None, at_most: int | None = None
    ) -> None:
        self._audience = audience
        self._projection = projection
        self._after = after
        self._at_most = at_most
        self._reader: Reader | None = None

    def place(self) -> Key | None:
        """The key of the row given last; None in a file, where every run begins at the beginning."""
        return self._reader.at if isinstance(self._reader, SqlReader) else None

    def cancel(self) -> None:
        """From another thread: whoever waits for a row of a query gets `AudienceUnreadable` soon."""
        if isinstance(self._reader, SqlReader):
            self._reader.cancel()

    def __iter__(self) -> Iterator[Recipient | Rejected]:
        projection = self._projection
        reader = self._reader = _open(self._audience, self._after, self._at_most)
        try:
            for row in reader.rows(projection.address, projection.columns):
                if isinstance(row, Rejected):
                    yield row
                    continue
                try:
                    recipient = _recipient(row, projection)
                except (BadAddress, _Incomplete) as error:
                    yield Rejected(row.line, str(error), reader.excerpt())
                    continue
                yield recipient
        finally:
            reader.close()


class _Incomplete(Exception):
    """The row lacks a value that the templates use; the message names it."""


def _recipient(row: Row, projection: Projection) -> Recipient:
    if not isinstance(row.address, str):
        raise BadAddress("There is no address." if row.address is None else "The address is not text.")
    address, provider, smtputf8 = normalise(row.address)
    values = row.values
    if "" in values or None in values or ABSENT in values:
        values = _filled(values, projection)
    return Recipient(address, provider, smtputf8, values + projection.constants)


def _filled(values: tuple[Any, ...], projection: Projection) -> tuple[Any, ...]:
    asked = zip(values, projection.defaults, projection.columns, strict=True)
    return tuple(
        [
            value if value.__class__ is str and value else _or_default(value, default, column)
            for value, default, column in asked
        ]
    )


def _or_default(value: object, default: object, column: str) -> object:
    if value is not ABSENT and value is not None and value != "":
        return value
    if default is not None:
        return default
    if value is ABSENT:
        raise _Incomplete(f'The row has no value for "{column}", and there is no default for it.')
    return ""


def _open(audience: Audience, after: Key | None = None, at_most: int | None = None) -> Reader:
    if isinstance(audience, SqlAudience):
        return SqlReader(audience, after=after, at_most=at_most)
    return _open_file(audience)


def _open_file(file: AudienceFile) -> Reader:
    if not file.path.is_file():
        raise AudienceUnreadable(f"{file.path} is not a file.")
    match file.format:
        case "csv":
            return CsvReader(file.path, file.compression, file.encoding)
        case "ndjson":
            return NdjsonReader(file.path, file.compression)
        case "parquet":
            return ParquetReader(file.path, file.compression)
