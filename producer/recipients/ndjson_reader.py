"""NDJSON: one JSON object on each line, in UTF-8 (RFC 8259 §8.1)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from producer.recipients.opening import Compression, open_stream, readable
from producer.recipients.rows import ABSENT, EXCERPT_CHARACTERS, Rejected, Row
from producer.recipients.values import UnusableValue, plain

_MAX_LINE_BYTES: Final = 1 << 20
_ROWS_THAT_NAME_COLUMNS: Final = 100

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class NdjsonReader:
    def __init__(self, path: Path, compression: Compression = "") -> None:
        """Reads the first rows for the names of their columns. Raises `AudienceUnreadable`."""
        self._path = path
        self._line = b""
        with readable(path), open_stream(path, compression) as file:
            self.columns = _columns(file)
        self._file = open_stream(path, compression)

    def rows(self, address: str, wanted: Sequence[str]) -> Iterator[Row | Rejected]:
        with readable(self._path):
            for number, line in enumerate(_lines(self._file), start=1):
                self._line = line
                if line.isspace():
                    continue
                try:
                    fields = _parse(line)
                    values = tuple([plain(fields[name]) if name in fields else ABSENT for name in wanted])
                except UnusableValue as error:
                    yield Rejected(number, str(error), self.excerpt())
                    continue
                yield Row(number, fields.get(address), values)

    def excerpt(self) -> str:
        return self._line[: 4 * EXCERPT_CHARACTERS].decode("utf-8", "replace")[:EXCERPT_CHARACTERS].rstrip("\r\n")

    def close(self) -> None:
        self._file.close()


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines, without a byte order mark; of an overlong one the beginning, as long as shows that it is."""
    line = file.readline(_MAX_LINE_BYTES + 1).removeprefix(codecs.BOM_UTF8)
    while line:
        yield line
        while len(line) > _MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE_BYTES + 1) or b"\n"
        line = file.readline(_MAX_LINE_BYTES + 1)


def _parse(line: bytes) -> dict[str, Any]:
    """Raises `UnusableValue`."""
    if len(line) > _MAX_LINE_BYTES:
        raise UnusableValue(f"The line is longer than {_MAX_LINE_BYTES} bytes.")
    try:
        fields: dict[str, Any] = _decode(line)
    except UnicodeDecodeError as error:
        raise UnusableValue("The row contains bytes that are no UTF-8 text.") from error
    except msgspec.ValidationError as error:
        raise UnusableValue("The line is not a JSON object that names its values.") from error
    except msgspec.DecodeError as error:
        raise UnusableValue(f"The line is not JSON: {error}.") from error
    except RecursionError as error:
        raise UnusableValue("Lists and objects lie too deep within each other.") from error
    return fields


def _columns(file: IO[bytes]) -> tuple[str, ...]:
    """Names in the order they first appear; rows that cannot be parsed name nothing."""
    names: dict[str, None] = {}
    for line in islice(_lines(file), _ROWS_THAT_NAME_COLUMNS):
        try:
            names.update(dict.fromkeys(_parse(line)))
        except UnusableValue:
            continue
    return tuple(names)
