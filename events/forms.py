"""Forms: the text that a campaign's mails share, with blanks and choices, and what fills one in for one mail.

Two mails of a campaign differ in a name and a few links. What differs is known when a mail is made, so it need not be searched
for again: the queue holds what fills the blanks, about 120 bytes of a mail of 10 KB, and a join of strings restores the rest.
Which mails this suits, and what becomes of the others: `compression`, docs/decisions/0011-forms.md.

A *filling* is a list. First a key, which says which shape the form takes: a digit for each decision (`-` where none was made),
and behind commas the fields that are odd. Then the values, in the order in which the shape has them: one for each field, or if
the field is odd one for each way in which it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter, mul
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

Filling: TypeAlias = "list[str]"


class Blank(msgspec.Struct, frozen=True, array_like=True, tag=0):
    field: int
    way: int
    """How the field is written here: for HTML, for a header. Most values read the same in all ways."""


class Choice(msgspec.Struct, frozen=True, array_like=True, tag=1):
    decision: int
    options: tuple[tuple[Part, ...], ...]


Part: TypeAlias = "str | Blank | Choice"


class Form(msgspec.Struct, frozen=True, array_like=True):
    parts: tuple[Part, ...]
    decisions: int = 0
    """How many there are; several choices may depend on one."""


NO_DECISION: Final = "-"
SHAPES_KEPT: Final = 500
"""Each may hold a copy of the constant text. A form with ten decisions may take more; they are then made anew now and then."""


_WHOLE_LINE_ENDS: Final = re.compile(r"(?:[^\r\n]++|\r\n)*+")


class Shape(NamedTuple):
    """A form after all decisions: text, blank, text, and so on."""

    parts: list[str]
    """With empty text in the blanks, which have the odd places."""
    pick: Callable[[Filling], Sequence[str]]
    """The values of a filling as the blanks take them."""
    constant_bytes: int
    times: tuple[int, ...]
    """How many blanks each item of a filling goes into."""
    in_lines: bool
    """With values that have `whole_line_ends` it is lines that end with CRLF, the last one too, and has no other CR or LF."""


class Filler:
    """Fills in one form."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._shapes: dict[str, Shape] = {}

    def fill(self, filling: Filling) -> str:
        """Raises `ValueError` or `LookupError` for what does not belong to this form."""
        return self.fill_in(filling)[0]

    def fill_in(self, filling: Filling) -> tuple[str, bool]:
        """The text, and `Shape.in_lines`. Raises `ValueError` or `LookupError` for what does not belong to this form."""
        shape = self._shapes.get(filling[0]) or self._make(filling[0])
        if len(filling) != len(shape.times):
            raise ValueError(f"{len(filling)} items for a shape that takes {len(shape.times)}")
        parts = shape.parts.copy()
        parts[1::2] = shape.pick(filling)
        return "".join(parts), shape.in_lines

    def length(self, filling: Filling) -> int:
        """Of what `fill` gives, in bytes, where all values are ASCII."""
        shape = self._shapes.get(filling[0]) or self._make(filling[0])
        filled: int = sum(map(mul, shape.times, map(len, filling)))
        return shape.constant_bytes + filled

    def _make(self, key: str) -> Shape:
        if len(self._shapes) >= SHAPES_KEPT:
            self._shapes.clear()
        decided, *odd = key.split(",")
        made = self._shapes[key] = shape(self._form, decided, frozenset(map(int, odd)))
        return made


def wanted(form: Form, decided: str) -> dict[int, list[int]]:
    """The fields that have blanks after these decisions, and in which ways they are written; all in order."""
    ways: dict[int, list[int]] = {}
    for part in _chosen(form.parts, decided):
        if isinstance(part, Blank) and part.way not in ways.setdefault(part.field, []):
            ways[part.field].append(part.way)
    return ways


def shape(form: Form, decided: str, odd: frozenset[int]) -> Shape:
    """Raises `ValueError` or `LookupError` for decisions that do not belong to this form."""
    places: dict[tuple[int, int], int] = {}
    place = 1
    for field, ways in wanted(form, decided).items():
        for way in ways:
            places[field, way] = place
            place += field in odd
        place += field not in odd
    texts, blanks = [""], list[int]()
    for part in _chosen(form.parts, decided):
        if isinstance(part, str):
            texts[-1] += part
        else:
            blanks.append(places[part.field, part.way])
            texts.append("")
    parts = [""] * (2 * len(blanks) + 1)
    parts[::2] = texts
    size = sum(len(text.encode()) for text in texts)
    in_lines = whole_line_ends(texts) and texts[-1].endswith("\r\n")
    return Shape(parts, _picker(blanks), size, tuple(map(blanks.count, range(place))), in_lines)


def whole_line_ends(texts: Iterable[str]) -> bool:
    """No text has a CR or LF but in pairs, so that none can come about where they are joined either."""
    return all(map(_WHOLE_LINE_ENDS.fullmatch, texts))


def _chosen(parts: tuple[Part, ...], decided: str) -> Iterator[str | Blank]:
    for part in parts:
        if isinstance(part, Choice):
            yield from _chosen(part.options[int(decided[part.decision])], decided)
        else:
            yield part


def _picker(blanks: Sequence[int]) -> Callable[[Filling], Sequence[str]]:
    match blanks:
        case []:
            return lambda _: ()
        case [only]:
            return lambda filling: (filling[only],)
        case _:
            pick: Callable[[Any], Sequence[str]] = itemgetter(*blanks)
            return pick
