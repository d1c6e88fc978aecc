"""Parquet, with pyarrow, which is installed by the extra `jetpost[parquet]` and imported only where it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from producer.errors import AudienceUnreadable
from producer.recipients.opening import Compression, open_seekable
from producer.recipients.rows import EXCERPT_CHARACTERS, Rejected, Row, require_columns
from producer.recipients.values import UnusableValue, plain

_ROWS_AT_A_TIME: Final = 10_000
"""Read in one thread and without reading ahead: a third less memory, and Python is the slower side by far."""


class ParquetReader:
    def __init__(self, path: Path, compression: Compression = "") -> None:
        """Raises `AudienceUnreadable`."""
        try:
            from pyarrow import lib, parquet  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise AudienceUnreadable(
                f"Reading {path} needs pyarrow. Install it with: pip install 'jetpost[parquet]'."
            ) from error
        self._path = path
        self._damaged: type[Exception] = lib.ArrowException
        self._seekable = open_seekable(path, compression)
        self._current: tuple[object, ...] = ()
        try:
            self._file = parquet.ParquetFile(self._seekable, pre_buffer=False)
        except lib.ArrowException as error:
            self._seekable.close()
            raise AudienceUnreadable(f"{path} is not a Parquet file: {error}.") from error
        self.columns: tuple[str, ...] = tuple(self._file.schema_arrow.names)

    def rows(self, address: str, wanted: Sequence[str]) -> Iterator[Row | Rejected]:
        require_columns(self._path, self.columns, (address, *wanted))
        for number, record in enumerate(self._records((address, *wanted)), start=1):
            self._current = record
            try:
                values = tuple([plain(value) for value in record[1:]])
            except UnusableValue as error:
                yield Rejected(number, str(error), self.excerpt())
                continue
            yield Row(number, record[0], values)

    def _records(self, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        try:
            for batch in self._file.iter_batches(
                _ROWS_AT_A_TIME, columns=list(dict.fromkeys(names)), use_threads=False
            ):
                by_name = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                yield from zip(*(by_name[name] for name in names), strict=True)
        except (self._damaged, UnicodeDecodeError) as error:
            raise AudienceUnreadable(f"{self._path} is damaged: {error}.") from error

    def excerpt(self) -> str:
        return ", ".join(map(str, self._current))[:EXCERPT_CHARACTERS]

    def close(self) -> None:
        self._file.close()
        self._seekable.close()
