"""Quoted-printable (RFC 2045 §6.7), with the constant parts of a body encoded before there is any recipient.

Encoded lines may have 76 characters, and a soft line break (`=` at the end of a line) may stand anywhere but within `=XX`. So
`lay_out` breaks constant text as if every value had `RESERVED` characters. A value that is that short and needs no encoding
goes in as it is; any other gets soft breaks on both sides and an encoding of its own. No line is ever too long, and nothing
constant is encoded twice. Why quoted-printable at all: docs/decisions/0006-mime.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from markupsafe import escape

from producer.rendering.blanks import SHORT, plain, room
from producer.rendering.segments import Choice, Segments, Value

RESERVED: Final = SHORT
"""Characters that a line keeps free for a value; for some more (`blanks.ROOM`)."""

_MAX_COLUMN: Final = 75
"""A line may have one character more: the `=` of a soft break."""

_SOFT_BREAK: Final = "=\r\n"

_plain = re.compile(r"(?:[ !-<>-~]*[!-<>-~])?").fullmatch
"""Encoded, this stays as it is: no `=`, no space at the end. `blanks.plain` has nothing to escape in HTML either."""


def encode(text: str, column: int = 0, *, continues: bool = False) -> str:
    """Encode text, to be put at a column of a line. `continues`: what follows on the line is not white space.

    White space at the end of a line has to be encoded, and the end of `text` counts as one unless it continues.
    """
    *lines, last = _lines(text)
    if not lines:
        return _encode_line(last, column, continues)
    first, *middle = lines
    encoded = [_encode_line(first, column), *map(_encode_line, middle), _encode_line(last, 0, continues)]
    return "\r\n".join(encoded)


def encode_body(text: str) -> str:
    """Encode a whole body. Lines are remembered: in a campaign most come again and again."""
    return "\r\n".join(map(_encode_line_once, _lines(text)))


def _lines(text: str) -> list[str]:
    return (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text).split("\n")


def _encode_line(line: str, column: int = 0, continues: bool = False) -> str:
    quoted = line.replace("=", "=3D")
    if not (quoted.isascii() and quoted.isprintable()):
        quoted = _SPECIAL.sub(_quote, quoted)
    if quoted.endswith((" ", "\t")) and not continues:
        quoted = quoted[:-1] + ("=20" if quoted[-1] == " " else "=09")
    return quoted if column + len(quoted) <= _MAX_COLUMN else _broken(quoted, column)


_encode_line_once = lru_cache(maxsize=4_096)(_encode_line)

_SPECIAL: Final = re.compile(r"[^\t -~]+")


def _quote(special: re.Match[str]) -> str:
    return "=" + special.group().encode("utf-8").hex("=").upper()


def _broken(quoted: str, column: int) -> str:
    """Soft breaks where lines would get too long, and not within `=XX`."""
    lines: list[str] = []
    start, end = 0, _MAX_COLUMN - column
    while end < len(quoted):
        escape_begins = quoted.find("=", max(end - 2, start), end)
        if escape_begins >= 0:
            end = escape_begins
        lines.append(quoted[start:end])
        start, end = end, end + _MAX_COLUMN
    lines.append(quoted[start:])
    return _SOFT_BREAK.join(lines)


def write_text(value: object) -> str:
    """Encode a value between segments that `lay_out` made."""
    text = value if value.__class__ is str else str(value)
    if _plain(text):
        return _fitted(text)
    return _remembered(text) if len(text) <= _WORTH_REMEMBERING else _set_apart(encode(text))


def write_html(value: object) -> str:
    """Escape a value as Jinja2's autoescape does, then encode it like `write_text`."""
    if value.__class__ is str:
        if plain(value):
            return _fitted(value)
        if len(value) <= _WORTH_REMEMBERING:
            return _remembered_in_html(value)
    return write_text(str(escape(value)))


_WORTH_REMEMBERING: Final = 40
"""Values up to this long are mostly names and places, and come again."""


@lru_cache(maxsize=4_096)
def _remembered(text: str) -> str:
    return _set_apart(encode(text))


@lru_cache(maxsize=4_096)
def _remembered_in_html(text: str) -> str:
    return write_text(str(escape(text)))


def _fitted(plain: str) -> str:
    if len(plain) <= RESERVED:
        return plain
    lines = [plain[start : start + _MAX_COLUMN] for start in range(0, len(plain), _MAX_COLUMN)]
    return _set_apart(_SOFT_BREAK.join(lines))


def _set_apart(encoded: str) -> str:
    return f"{_SOFT_BREAK}{encoded}{_SOFT_BREAK}"


def lay_out(segments: Segments) -> Segments:
    """The same segments with constant text encoded and room left for the values; for `write_text` or `write_html`."""
    return _lay_out(segments, 0)[0]


def _lay_out(segments: Segments, column: int) -> tuple[Segments, int]:
    laid_out: list[str | Value | Choice] = []
    for index, segment in enumerate(segments):
        match segment:
            case str():
                encoded = encode(segment, column, continues=_continues(segments, index))
                column = _column_after(encoded, column)
                laid_out.append(encoded)
            case Value(_, key):
                if column + room(key) > _MAX_COLUMN:
                    laid_out.append(_SOFT_BREAK)
                    column = 0
                laid_out.append(segment)
                column += room(key)
            case Choice(test, then, otherwise, key):
                one, column_of_one = _lay_out(then, column)
                other, column_of_other = _lay_out(otherwise, column)
                laid_out.append(Choice(test, one, other, key))
                column = max(column_of_one, column_of_other)
    return tuple(laid_out), column


def _continues(segments: Segments, index: int) -> bool:
    """Whether on the same line a value and then something other than white space surely follow."""
    match segments[index + 1 : index + 3]:
        case (Value(), str(text)):
            return text.partition("\n")[0].strip(" \t") != ""
        case _:
            return False


def _column_after(encoded: str, column: int) -> int:
    line_break = encoded.rfind("\n")
    return column + len(encoded) if line_break < 0 else len(encoded) - line_break - 1
