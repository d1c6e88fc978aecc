"""What is wrong with a campaign, said so that it can be put right: where, what, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

import msgspec


class Problem(msgspec.Struct, frozen=True):
    file: str
    line: int | None
    """From 1; None where it is about something that is not in the file."""
    key: str
    """Of the campaign file, such as `audience.email`; empty: the file as a whole."""
    message: str
    """One sentence: the fact."""
    fix: str
    """One sentence: what to do."""

    def __str__(self) -> str:
        """As compilers say it: `campaign.toml:3: from: "ann" is not an address. Write it as "Ann <ann@example.com>".`"""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.message} {self.fix}".rstrip()


class Findings:
    """Collects problems and warnings of one campaign file, so that all of them can be told at once."""

    def __init__(self, path: Path, lines: Mapping[tuple[str, ...], int] | None = None) -> None:
        self.path = path
        self.lines = lines or {}
        self.document = ""
        """The text of the file."""
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, key: str, message: str, fix: str = "") -> None:
        self.problems.append(Problem(str(self.path), self.line_of(key), key, message, fix))

    def warning(self, key: str, message: str, fix: str = "") -> None:
        self.warnings.append(Problem(str(self.path), self.line_of(key), key, message, fix))

    def elsewhere(self, file: Path, line: int | None, key: str, message: str, fix: str = "") -> None:
        """A problem in a file that the campaign file names."""
        self.problems.append(Problem(str(file), line, key, message, fix))

    def line_of(self, key: str) -> int | None:
        """Of the key, or of the table that would hold it."""
        parts = tuple(key.split(".")) if key else ()
        while parts:
            if parts in self.lines:
                return self.lines[parts]
            parts = parts[:-1]
        return None

    def first_line_of_text(self, key: str) -> int | None:
        """Where a text of several lines begins: below its key, where the quotes end that line."""
        line = self.line_of(key)
        if line is not None and "".join(self.document.split("\n")[line - 1 : line]).rstrip().endswith(('"""', "'''")):
            return line + 1
        return line


def did_you_mean(word: str, among: Iterable[str]) -> str:
    """A question with the nearest of the words, or nothing."""
    near = get_close_matches(word, list(among), n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else ""


def listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
