"""The file that says which rows of an audience were left out, and why."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from producer.recipients.rows import Rejected


class RejectsFile:
    """CSV with the columns line, reason, row; made when the first row comes.

    Of what an earlier run left, the first `keep` rows stay: those that this run does not come by again. Cells that a
    spreadsheet would take for a formula get an apostrophe in front.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._writer: Any = None
        kept = _rows(path, keep) if keep else []
        path.unlink(missing_ok=True)
        for row in kept:
            self._write(row)

    def write(self, rejected: Rejected) -> None:
        self._write((_harmless(str(rejected.line)), rejected.reason, _harmless(rejected.excerpt)))

    def _write(self, row: Sequence[str]) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(("line", "reason", "row"))
        self._writer.writerow(row)

    def flush(self) -> None:
        """What was written survives this process."""
        if self._file is not None:
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def path_beside(file: Path, campaign: str, directory: Path | None) -> Path:
    """In the directory, else beside the audience or, where that is a query, beside the campaign file."""
    return (directory or file.parent) / f"{campaign}.rejects.csv"


def _rows(path: Path, count: int) -> list[list[str]]:
    """The first so many, without the header; fewer where the file was cut short or is gone."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            return [row for row in islice(csv.reader(file), 1, count + 1) if len(row) == 3]
    except FileNotFoundError:
        return []


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
