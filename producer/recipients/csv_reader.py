"""CSV (RFC 4180), as people export it: comma, semicolon or tab, any encoding, and now and then a broken row.

A quote that is never closed costs its own line and no more: the lines after it, which it seemed to swallow, are read again
as rows of their own.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from producer.errors import AudienceUnreadable
from producer.recipients.opening import Compression, open_stream, readable
from producer.recipients.rows import EXCERPT_CHARACTERS, Rejected, Row, require_columns

_DELIMITERS: Final = (",", ";", "\t")
_MAX_LINE_CHARACTERS: Final = 1 << 20
_MAX_LINES_IN_A_ROW: Final = 100
"""A quoted cell may contain line breaks; one that runs on for longer was not meant to."""

_UNDECODABLE: Final = "\udcff"
"""Stands for bytes that are no text in the file's encoding; no decoder gives a lone surrogate otherwise."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _UNDECODABLE, error.end


codecs.register_error("jetpost.mark", _mark)


class CsvReader:
    def __init__(self, path: Path, compression: Compression = "", encoding: str = "utf-8") -> None:
        """Reads the header row. Raises `AudienceUnreadable`."""
        self._path = path
        binary = open_stream(path, compression)
        text = io.TextIOWrapper(binary, "utf-8-sig" if _is_utf8(encoding) else encoding, "jetpost.mark", newline="")
        self._lines = _Lines(text)
        try:
            with readable(path):
                self.columns, self._delimiter = self._header(encoding)
        except AudienceUnreadable:
            self.close()
            raise

    def rows(self, address: str, wanted: Sequence[str]) -> Iterator[Row | Rejected]:
        require_columns(self._path, self.columns, (address, *wanted))
        lines, width = self._lines, len(self.columns)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        address_at = self.columns.index(address)
        pick = _picker([self.columns.index(name) for name in wanted])
        with readable(self._path):
            while True:
                lines.begin_row()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except (csv.Error, _RowUnreadable) as error:
                    yield lines.reject(_explain(error))
                    continue
                if len(cells) == width and not lines.unusable:
                    yield Row(lines.number, cells[address_at], pick(cells))
                elif cells:
                    yield lines.reject(lines.unusable or f"The row has {len(cells)} cells; the header has {width}.")

    def excerpt(self) -> str:
        return self._lines.excerpt()

    def close(self) -> None:
        self._lines.close()

    def _header(self, encoding: str) -> tuple[tuple[str, ...], str]:
        for line in self._lines:
            if self._lines.unusable:
                raise AudienceUnreadable(
                    f"The header of {self._path} is not text in {encoding}. "
                    'Set `encoding` in the audience table, for example "utf-16" or "windows-1252".'
                )
            if line.strip():
                return _parse_header(line)
            self._lines.begin_row()
        raise AudienceUnreadable(f"{self._path} is empty: it needs a header row with the names of its columns.")


class _RowUnreadable(Exception):
    """The lines of a row make no row; the message says why."""


class _Lines:
    """Lines of a file for `csv.reader`, which remembers those of the current row so that they can be read again."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._readline = text.readline
        self._row: list[str] = []
        self._again: list[str] = []
        """Lines to be read again, the next one last."""
        self._before = 0
        self.unusable = ""
        """Why the current row is unusable whatever its cells are; empty: it is not."""

    @property
    def number(self) -> int:
        """Of the first line of the current row, from 1."""
        return self._before + 1

    def begin_row(self) -> None:
        self._before += len(self._row)
        self._row.clear()
        self.unusable = ""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
        else:
            line = self._readline(_MAX_LINE_CHARACTERS)
            if not line:
                raise StopIteration
            if len(line) == _MAX_LINE_CHARACTERS:
                self._skip_rest(line)
        self._row.append(line)
        if not line.isascii() and _UNDECODABLE in line:
            self.unusable = "The row contains bytes that are no text in the file's encoding."
        elif "\0" in line:
            self.unusable = "The row contains a NUL character."
        if len(line) == _MAX_LINE_CHARACTERS:
            raise _RowUnreadable(f"The line is longer than {_MAX_LINE_CHARACTERS} characters.")
        if len(self._row) > _MAX_LINES_IN_A_ROW:
            raise _RowUnreadable("A quote is opened and not closed.")
        return line

    def _skip_rest(self, line: str) -> None:
        while line and line[-1] not in "\r\n":
            line = self._readline(_MAX_LINE_CHARACTERS)

    def reject(self, reason: str) -> Rejected:
        """The row's first line, which alone is given up; what seemed to belong to it is read again."""
        rejected = Rejected(self.number, reason, _excerpt(self._row[:1]))
        self._again.extend(reversed(self._row[1:]))
        del self._row[1:]
        return rejected

    def excerpt(self) -> str:
        return _excerpt(self._row)

    def close(self) -> None:
        self._text.close()


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}


def _parse_header(line: str) -> tuple[tuple[str, ...], str]:
    """Names of the columns, and the delimiter: whichever cuts the header into most cells."""
    by_delimiter = {mark: next(csv.reader([line], delimiter=mark)) for mark in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda mark: len(by_delimiter[mark]))
    return tuple(cell.strip() for cell in by_delimiter[delimiter]), delimiter


def _picker(positions: Sequence[int]) -> Callable[[list[str]], tuple[Any, ...]]:
    match positions:
        case []:
            return lambda _: ()
        case [only]:
            return lambda cells: (cells[only],)
        case _:
            return itemgetter(*positions)


def _explain(error: Exception) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return "A quote is opened and not closed."
    if "expected after" in text:
        return "There is text after a closing quote; a quote within a quoted cell must be doubled."
    return text if isinstance(error, _RowUnreadable) else f"The row is not valid CSV: {text}."


def _excerpt(lines: Sequence[str]) -> str:
    return "".join(lines)[:EXCERPT_CHARACTERS].rstrip("\r\n").replace(_UNDECODABLE, "\ufffd")
