"""A TOML table read key by key: each reading checks the type, and says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from producer.campaign.problems import Findings, did_you_mean, listed

T = TypeVar("T")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAMES: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


class Table:
    """Readings answer None where the key is absent or wrong; what is wrong has then been told to the findings."""

    def __init__(self, values: Mapping[str, Any], findings: Findings, name: str = "") -> None:
        self._values = values
        self._name = name
        self.findings = findings

    def full(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key

    def has(self, key: str) -> bool:
        return key in self._values

    def raw(self, key: str) -> Any:  # noqa: ANN401 - a TOML value
        return self._values.get(key)

    def refuse_unknown(self, known: Sequence[str]) -> None:
        for key in self._values:
            if key not in known:
                fix = did_you_mean(key, known) or f"The keys here are: {listed(known)}."
                self.findings.problem(self.full(key), "There is no such key.", fix)

    def require(self, key: str, example: str) -> None:
        if key not in self._values:
            self.findings.problem(self.full(key), "It is missing.", f"Add it, for example: {key} = {example}")

    def problem(self, key: str, message: str, fix: str = "") -> None:
        self.findings.problem(self.full(key), message, fix)

    def of_type(self, key: str, kind: type[T]) -> T | None:
        value = self._values.get(key)
        if value is None or isinstance(value, kind):
            return value
        self.problem(key, f"It is {kind_of(value)}.", f"Make it {_NAMES[kind]}.")
        return None

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value = self.of_type(key, str)
        if value is not None and not value.strip():
            self.problem(key, "It is empty.", "Fill it in, or leave the key out if it is optional.")
            return None
        return value

    def header_text(self, key: str) -> str | None:
        """A text that may stand in a header: without line breaks and other control characters."""
        value = self.text(key)
        if value is not None and _CONTROL.search(value):
            self.problem(key, "There is a line break or another control character in it.", "Write it on one line.")
            return None
        return value

    def parsed(self, key: str, parse: Callable[[str], T], fix: str) -> T | None:
        """A text as `parse` reads it; the message of its `ValueError` is the problem."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.problem(key, f"{_quoted(value)} cannot be used: {_uncapitalised(str(error))}", fix)
            return None

    def choice(self, key: str, options: Sequence[T]) -> T | None:
        value = self._values.get(key)
        if value is None:
            return None
        for option in options:
            if option == value:
                return option
        words = [str(option) for option in options]
        self.problem(
            key, f"{value!r} is not known.", did_you_mean(str(value), words) or f"It is one of: {listed(words)}."
        )
        return None

    def table(self, key: str) -> Table | None:
        value = self.of_type(key, dict)
        return None if value is None else Table(value, self.findings, self.full(key))

    def names(self) -> list[str]:
        return list(self._values)

    def items(self) -> list[tuple[str, Any]]:
        return list(self._values.items())


def kind_of(value: object) -> str:
    return _NAMES.get(type(value), "a date or time")


def _quoted(value: str) -> str:
    return '"' + (value if len(value) <= 60 else f"{value[:57]}...").encode("unicode_escape").decode("ascii") + '"'


def _uncapitalised(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
