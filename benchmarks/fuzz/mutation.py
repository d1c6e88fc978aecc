"""Makes new inputs from real ones: bytes, lines and values are changed, lost, repeated, nested and mixed with those of others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from benchmarks.fuzz.case import Input, Kind, Parser

_SCALARS: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 200, 550, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.1, -0.0, 1e308, 1e-308, 5e18),
    *("", " ", "0", "-1", "550", "NaN", "inf", "-inf", "1e999", "1_000", "\u0660\u0661", "0x10", "٣", "1795514400000"),
    *(
        "\ud800",
        "\udfff\ud800",
        "\x00",
        "\u2028",
        "é",
        "a\u0301",
        "\U0001f4a9",
        "ann@exämple.org",
        "@",
        "a@",
        "@b",
        "<>",
    ),
    *("2026-11-24", "2026-11-24T10:00:00.123456789+99:99", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"),
    *("true", "null", "[]", "{}", "a" * 300, "9" * 400, " " * 500, "5.1.1 " * 60, "550-" * 90, "<<<" * 100),
)
_BYTES: Final = tuple(
    bytes([value]) for value in (0, 9, 10, 13, 32, 34, 39, 44, 45, 46, 58, 59, 60, 62, 64, 92, 128, 255)
)
_CHANGES: Final = (1, 1, 1, 1, 2, 2, 3, 4, 6, 10, 20)
_LARGE_ONE_IN: Final = 400
"""So many cases keep below a few kilobytes for each that may fill what is allowed: large ones take long."""
_USUAL_BYTES: Final = 8 * 1024

Change = Callable[["Mutator", bytes], bytes]


class Mutator:
    """Makes one case."""

    def __init__(self, parser: Parser, random: Random) -> None:
        self.parser = parser
        self.random = random
        self.room = parser.most_bytes if random.randrange(_LARGE_ONE_IN) == 0 else _USUAL_BYTES

    def make(self) -> Input:
        seed = list(self.random.choice(self.parser.seeds))
        for place in self._places(seed):
            changes = self.random.choice(_CHANGES)
            for _ in range(changes):
                change = self.random.choice(_OF_KIND[self.parser.kinds[place]])
                seed[place] = change(self, seed[place])[: max(self.room, len(seed[place]))]
            seed[place] = seed[place][: self.parser.most_bytes]
        return tuple(seed)

    def _places(self, seed: Sequence[bytes]) -> list[int]:
        """The parts to change: mostly the last, which has the most in it."""
        if len(seed) == 1 or self.random.random() < 0.6:
            return [len(seed) - 1]
        return [place for place in range(len(seed)) if self.random.random() < 0.5]

    def another(self, kind: Kind) -> bytes:
        """A part of the same kind."""
        other = self.random.choice(self.parser.seeds)
        return self.random.choice([part for part, of in zip(other, self.parser.kinds, strict=True) if of == kind])

    def piece(self, data: bytes, most: int = 200) -> tuple[int, int]:
        start = self.random.randrange(len(data) + 1)
        return start, min(len(data), start + self.random.randrange(1, most))

    def word(self) -> bytes:
        return self.random.choice(self.parser.words)

    def many(self) -> int:
        """How often something is repeated: mostly a little, rarely as often as there is room."""
        return self.random.choice((2, 3, 10, 50, 200, 1_000, self.room))


def _flip(how: Mutator, data: bytes) -> bytes:
    at, _ = how.piece(data, 2)
    value = bytes([data[at] ^ (1 << how.random.randrange(8))]) if at < len(data) else b"\0"
    return data[:at] + value + data[at + 1 :]


def _set(how: Mutator, data: bytes) -> bytes:
    at, _ = how.piece(data, 2)
    return data[:at] + how.random.choice(_BYTES) + data[at + how.random.randrange(2) :]


def _lose(how: Mutator, data: bytes) -> bytes:
    start, end = how.piece(data)
    return data[:start] + data[end:]


def _cut(how: Mutator, data: bytes) -> bytes:
    return data[: how.random.randrange(len(data) + 1)]


def _repeat(how: Mutator, data: bytes) -> bytes:
    start, end = how.piece(data, how.random.choice((2, 3, 8, 40, 400)))
    times = min(how.many(), how.room // max(1, end - start) + 1)
    return data[:start] + data[start:end] * times + data[end:]


def _insert(how: Mutator, data: bytes) -> bytes:
    at, _ = how.piece(data)
    return data[:at] + how.word() + data[at:]


def _fill(how: Mutator, data: bytes) -> bytes:
    """A long run of one word, which is what slow patterns stumble over."""
    at, _ = how.piece(data)
    word = how.random.choice((how.word(), how.random.choice(_BYTES), b"a", b" ", b"\t ", b"=", b"(("))
    return data[:at] + word * min(how.many(), how.room // len(word or b".") + 1) + data[at:]


def _move(how: Mutator, data: bytes) -> bytes:
    start, end = how.piece(data)
    rest = data[:start] + data[end:]
    at, _ = how.piece(rest)
    return rest[:at] + data[start:end] + rest[at:]


def _splice(how: Mutator, data: bytes) -> bytes:
    other = how.random.choice(how.random.choice(how.parser.seeds))
    return data[: how.random.randrange(len(data) + 1)] + other[how.random.randrange(len(other) + 1) :]


_ANYTHING: Final[tuple[Change, ...]] = (_flip, _set, _lose, _cut, _repeat, _insert, _fill, _move, _splice)


def _lines(how: Mutator, data: bytes) -> bytes:
    """A line is lost, doubled, moved, folded, or one of another comes in."""
    lines = data.split(b"\n")
    at = how.random.randrange(len(lines))
    match how.random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines[at:at] = [lines[at]] * min(how.many(), how.room // (len(lines[at]) + 1) + 1)
        case 2:
            lines.insert(how.random.randrange(len(lines)), lines.pop(at))
        case 3:
            cut = how.random.randrange(len(lines[at]) + 1)
            lines[at : at + 1] = [lines[at][:cut], b" " + lines[at][cut:]]
        case 4:
            lines.insert(at, how.random.choice(how.random.choice(how.random.choice(how.parser.seeds)).split(b"\n")))
        case _:
            lines.insert(at, b"")
    return b"\n".join(lines)


def _line_ends(how: Mutator, data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\n", how.random.choice((b"\n", b"\r\n", b"\r", b"\n\r", b"\r\r\n")))


def _wrapped(how: Mutator, data: bytes) -> bytes:
    """The mail within mails, or within parts."""
    for number in range(how.random.choice((1, 2, 5, 12, 40))):
        if len(data) > how.room:
            break
        if how.random.random() < 0.5:
            data = b"Content-Type: message/rfc822\n\n" + data
        else:
            mark = b"m%d" % (number if how.random.random() < 0.8 else 0)
            kind = how.random.choice((b"mixed", b"report", b"alternative", b"digest"))
            head = b"Content-Type: multipart/%b; boundary=%b\n\n--%b\n" % (kind, mark, mark)
            data = head + data + b"\n--%b--\n" % mark
    return data


def _value(how: Mutator, data: bytes) -> bytes:
    """One value of a JSON document, whatever it holds, becomes another."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return _flip(how, data)
    try:
        changed = _changed(how, document)
        return json.dumps(changed, ensure_ascii=how.random.random() < 0.7).encode("utf-8", "surrogatepass")
    except RecursionError:
        return data


def _changed(how: Mutator, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    inner = isinstance(value, (dict, list)) and value and how.random.random() < 0.85
    if inner and isinstance(value, dict):
        name = how.random.choice(list(value))
        return _changed_table(how, value, name)
    if inner:
        at = how.random.randrange(len(value))
        return _changed_list(how, value, at)
    if isinstance(value, str) and value[:1] in {"{", "["} and how.random.random() < 0.8:
        return _value(how, value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogateescape")
    return _another(how, value)


def _changed_table(how: Mutator, value: dict[str, Any], name: str) -> dict[str, Any]:
    match how.random.randrange(8):
        case 0:
            return {key: one for key, one in value.items() if key != name}
        case 1:
            return {(_text(how) if key == name else key): one for key, one in value.items()}
        case 2:
            return {**value, how.random.choice(list(value)): value[name]}
        case _:
            return {**value, name: _changed(how, value[name])}


def _changed_list(how: Mutator, value: list[Any], at: int) -> list[Any]:
    match how.random.randrange(6):
        case 0:
            return value[:at] + value[at + 1 :]
        case 1:
            times = min(how.many(), how.room // 200 + 1)
            return value[:at] + [value[at]] * times + value[at + 1 :]
        case _:
            return [*value[:at], _changed(how, value[at]), *value[at + 1 :]]


def _another(how: Mutator, value: Any) -> Any:  # noqa: ANN401, PLR0911 - any JSON value; one return a change
    match how.random.randrange(8):
        case 0:
            return [value]
        case 1:
            return {_text(how): value}
        case 2:
            return str(value)
        case 3:
            return _text(how)
        case 4 if isinstance(value, str):
            return _replaced(how, value)
        case 5:
            for _ in range(how.random.choice((3, 30, 300))):
                value = [value]
            return value
        case _:
            return how.random.choice(_SCALARS)


def _replaced(how: Mutator, value: str) -> str:
    changed = how.random.choice(_ANYTHING)(how, value.encode("utf-8", "surrogatepass"))
    return changed.decode("utf-8", how.random.choice(("replace", "surrogateescape")))


def _text(how: Mutator) -> str:
    return how.word().decode("utf-8", "replace")


_OF_KIND: Final[dict[Kind, tuple[Change, ...]]] = {
    "bytes": _ANYTHING,
    "text": (*_ANYTHING, _lines, _line_ends),
    "headers": (*_ANYTHING, _lines, _lines),
    "form": (*_ANYTHING, _lines, _line_ends),
    "json": (*_ANYTHING, *[_value] * 18),
    "mail": (*_ANYTHING, *[_lines] * 6, _line_ends, _wrapped),
}
