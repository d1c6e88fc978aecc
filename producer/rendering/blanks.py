"""Blanks: pieces of a mail become a form and a function that fills it in, for one recipient after the other (`events.forms`).

Whatever is evaluated twice, such as a name in the text and in the HTML, is evaluated once. What values read the same however
they are written, nearly all do, is told by their letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from events import forms
from events.forms import NO_DECISION, SHAPES_KEPT, Blank, Filling, Form
from producer.rendering.segments import Choice, Expression, Row, Value, Writer

SHORT: Final = 24
"""Characters that most names, places and numbers do not exceed."""
ROOM: Final = {"email": 40}
"""Of values that are longer than that as a rule."""

plain = re.compile(r"(?:[ !#-%(-;?-~]*[!#-%(-;?-~])?").fullmatch
"""No `=`, no space at the end, no `&`, `<`, `>` and quotes: nothing to escape or to encode. Where it is short enough for the room
that `quoted_printable` leaves for it, it stands as it is in all places."""


def room(key: object) -> int:
    """How long a value may be to stand within a line of a body."""
    return ROOM.get(key, SHORT) if isinstance(key, str) else SHORT


class Written(NamedTuple):
    """A value and how it becomes text."""

    key: object
    """Equal for values that are the same."""
    value: Expression
    write: Writer


class Options(NamedTuple):
    key: object
    """Equal for tests that are the same."""
    test: Expression
    then: Sequence[Piece]
    otherwise: Sequence[Piece]


Piece: TypeAlias = "str | Written | Options"
_Decision: TypeAlias = "tuple[int, Expression, tuple[_Decisions, _Decisions]]"
_Decisions: TypeAlias = "tuple[_Decision, ...]"


class Blanks:
    """A form of some pieces, and what fills it in."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._values: dict[object, tuple[Expression, list[Writer]]] = {}
        self._tests: dict[object, int] = {}
        parts, self._decisions = self._collect(pieces)
        self._undecided = [NO_DECISION] * len(self._tests)
        self._fields = [(*value, room(key)) for key, value in self._values.items()]
        self._wanted: dict[str, list[tuple[int, Expression, list[Writer], int]]] = {}
        self.form = Form(parts, len(self._tests))

    def fill(self, row: Row) -> Filling:
        """It raises what the expressions raise, `jinja2.UndefinedError` among it."""
        decided = self._decide(row) if self._decisions else ""
        filling, odd = [""], ""
        for number, of, writers, longest in self._wanted.get(decided) or self._find(decided):
            value = of(row)
            if (
                value.__class__ is str
                and len(value) <= longest
                and ((value.isalnum() and value.isascii()) or plain(value))
            ):
                filling.append(value)
                continue
            texts = [write(value) for write in writers]
            if texts.count(texts[0]) == len(texts):
                filling.append(texts[0])
            else:
                odd += f",{number}"
                filling += texts
        filling[0] = decided + odd
        return filling

    def _decide(self, row: Row) -> str:
        decided = self._undecided.copy()
        _decide(self._decisions, row, decided)
        return "".join(decided)

    def _find(self, decided: str) -> list[tuple[int, Expression, list[Writer], int]]:
        if len(self._wanted) >= SHAPES_KEPT:
            self._wanted.clear()
        found = self._wanted[decided] = []
        for number, ways in forms.wanted(self.form, decided).items():
            value, writers, longest = self._fields[number]
            found.append((number, value, [writers[way] for way in ways], longest))
        return found

    def _collect(self, pieces: Sequence[Piece]) -> tuple[tuple[forms.Part, ...], _Decisions]:
        parts: list[forms.Part] = []
        decisions: list[_Decision] = []
        for piece in pieces:
            match piece:
                case str():
                    parts.append(piece)
                case Written(key, value, write):
                    writers = self._values.setdefault(key, (value, []))[1]
                    if write not in writers:
                        writers.append(write)
                    parts.append(Blank(list(self._values).index(key), writers.index(write)))
                case Options(key, test, then, otherwise):
                    number = self._tests.setdefault(key, len(self._tests))
                    one, inner = self._collect(then)
                    other, inner_of_other = self._collect(otherwise)
                    parts.append(forms.Choice(number, (one, other)))
                    decisions.append((number, test, (inner, inner_of_other)))
        return tuple(parts), tuple(decisions)


def _decide(decisions: _Decisions, row: Row, decided: list[str]) -> None:
    """What decides something in an option that is not taken is not asked."""
    for number, test, inner in decisions:
        if decided[number] == NO_DECISION:
            decided[number] = "0" if test(row) else "1"
        if below := inner[decided[number] == "1"]:
            _decide(below, row, decided)


def pieces(segments: Iterable[str | Value | Choice], write: Writer) -> list[Piece]:
    """A template's segments as pieces."""
    return [segment if isinstance(segment, str) else _piece(segment, write) for segment in segments]


def _piece(segment: Value | Choice, write: Writer) -> Piece:
    match segment:
        case Value(expression, key):
            return Written(key or expression, expression, write)
        case Choice(test, then, otherwise, key):
            return Options(key or test, test, pieces(then, write), pieces(otherwise, write))


def field(name: str, write: Callable[[Any], str] = str) -> Written:
    """A value of the row as it is."""
    return Written(name, lambda row: row[name], write)
