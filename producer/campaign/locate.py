"""On which line each key of a TOML document stands; `tomllib` gives values without places.

Only for documents that `tomllib` accepts: on any other the answer may be wrong. What it reads is keys and the extent of
values, never values themselves.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeAlias

Key: TypeAlias = tuple[str, ...]

_BARE: Final = r"[A-Za-z0-9_-]+"
_BASIC: Final = r'"(?:[^"\\\n]|\\.)*"'
_LITERAL: Final = r"'[^'\n]*'"
_PART: Final = rf"(?:{_BARE}|{_BASIC}|{_LITERAL})"
_KEY: Final = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"

_part = re.compile(_PART)
_header = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]\]?[^\n]*").match
_assignment = re.compile(rf"[ \t]*({_KEY})[ \t]*=").match
_token = re.compile(
    rf'(?P<text>"""(?:[^\\]|\\.)*?"{{3,5}}|\'\'\'.*?\'{{3,5}}|{_BASIC}|{_LITERAL})'
    r"|(?P<comment>#[^\n]*)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<end>\n)|(?P<comma>,)|(?P<other>[^\"'#\[\]{}\n,]+)",
    re.DOTALL,
).match


def lines_of_keys(document: str) -> dict[Key, int]:
    """Lines from 1, by the key's full path; of a key that several lines extend the first."""
    document = document.replace("\r\n", "\n")
    lines: dict[Key, int] = {}
    table: Key = ()
    at = 0
    while at < len(document):
        if header := _header(document, at):
            table = _parse_key(header[2])
            _note(lines, table, document, header.start(2))
            at = header.end()
        elif assignment := _assignment(document, at):
            key = table + _parse_key(assignment[1])
            _note(lines, key, document, assignment.start(1), above=len(table))
            at = _value_end(document, assignment.end(), key, lines)
        else:
            at = _line_end(document, at)
    return lines


def _value_end(document: str, at: int, key: Key, lines: dict[Key, int]) -> int:
    """Where the line after the value begins; keys of inline tables are noted on the way."""
    nesting: list[str] = []
    expects_key = False
    while at < len(document):
        if expects_key and (inner := _assignment(document, at)):
            _note(lines, key + _parse_key(inner[1]), document, inner.start(1))
            at, expects_key = inner.end(), False
            continue
        token = _token(document, at)
        if token is None:
            return _line_end(document, at)
        at = token.end()
        match token.lastgroup:
            case "open":
                nesting.append(token[0])
            case "close" if nesting:
                nesting.pop()
            case "end" if not nesting:
                return at
        if token.lastgroup in {"open", "comma"}:
            expects_key = nesting == ["{"]
    return at


def _note(lines: dict[Key, int], key: Key, document: str, at: int, above: int = 0) -> None:
    """The key, and the tables above it that it brings into being."""
    line = document.count("\n", 0, at) + 1
    for length in range(above + 1, len(key) + 1):
        lines.setdefault(key[:length], line)


def _line_end(document: str, at: int) -> int:
    return document.find("\n", at) + 1 or len(document)


def _parse_key(text: str) -> Key:
    return tuple(_parse_part(part) for part in _part.findall(text))


def _parse_part(part: str) -> str:
    return next(iter(tomllib.loads(f"{part} = 0"))) if part[0] in "\"'" else part
