"""The file that says which rows of an audience were left out, and why."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from producer.recipients.rows import Rejected


class RejectsFile:
    """CSV with the columns line, reason, row; made when the first row comes, over what an earlier run left.

    Cells that a spreadsheet would take for a formula get an apostrophe in front.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None
        self._writer: Any = None
        path.unlink(missing_ok=True)

    def write(self, rejected: Rejected) -> None:
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
            self._writer.writerow(("line", "reason", "row"))
        self._writer.writerow((rejected.line, rejected.reason, _harmless(rejected.excerpt)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def path_beside(audience: Path, campaign: str, directory: Path | None) -> Path:
    return (directory or audience.parent) / f"{campaign}.rejects.csv"


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
