"""Header lines: RFC 5322 folding, RFC 2047 encoded words, and RFC 6532 where an address itself is not ASCII.

Each function answers with a whole line or folded lines, CRLF at the end. Text that is not plain ASCII becomes encoded words
from its first character to its last; always in base64, which is as short as `Q` from two accented letters on and an encoding
that C code does. Lines keep to 78 characters wherever there is a place to fold, and to 998 always.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Final

from producer.campaign.compiled import Mailbox
from producer.rendering.errors import Unrenderable

_FOLD_AT: Final = 78
_ENCODED_WORD_LINE: Final = 76
"""RFC 2047 §2: a line with an encoded word is at most this long."""
_ENCODED_WORD_FRAME: Final = len("=?utf-8?b??=")

_FORBIDDEN: Final = re.compile(r"[\r\n\0]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}").fullmatch
"""RFC 5322 §2.2, and short enough that a value fits beside it."""
_plain_text = re.compile(r"(?!.*=\?)[!-~](?:[ -~]*[!-~])?").fullmatch
"""What may stand in a header as it is; something like an encoded word would be decoded by the reader, so it may not."""
_plain_phrase = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*").fullmatch
_MAX_WORD: Final = 900
"""An unbroken word longer than this does not fit a line of 998 octets in every case, and is encoded to be folded."""


def is_field_name(name: str) -> bool:
    return _FIELD_NAME(name) is not None


def unstructured(name: str, value: str) -> str:
    """A header of free text, such as Subject. Raises `Unrenderable` for a value with CR, LF or NUL: header injection."""
    if _plain_text(value):
        line = f"{name}: {value}\r\n"
        return line if len(line) <= _FOLD_AT + 2 else _folded_text(name, value)
    refuse_line_breaks(name, value)
    text = value.strip(" \t")
    if not text:
        return f"{name}: \r\n"
    if _plain_text(text):
        return unstructured(name, text)
    return f"{name}: {encoded_words(text, len(name) + 2)}\r\n"


def refuse_line_breaks(name: str, value: str) -> None:
    """Raises `Unrenderable` where the value would end its line and begin a header of its own."""
    found = _FORBIDDEN.search(value)
    if found is not None:
        character = {"\r": "a carriage return", "\n": "a line feed", "\0": "a NUL"}[found.group()]
        raise Unrenderable(f"{name}: the value has {character} in it, which no header may have: {value[:60]!r}")


def mailboxes(name: str, boxes: Sequence[Mailbox]) -> str:
    """A header of addresses, such as From, with names shown beside them. Raises `Unrenderable` like `unstructured`."""
    lines: list[str] = []
    for number, box in enumerate(boxes):
        start = f"{name}: " if number == 0 else " "
        comma = "," if number < len(boxes) - 1 else ""
        lines += _mailbox(name, start, box, comma)
    return "".join(f"{line}\r\n" for line in lines)


def _mailbox(name: str, start: str, box: Mailbox, comma: str) -> list[str]:
    """The lines of one mailbox: the name and the address share one where they fit."""
    refuse_line_breaks(name, box.address)
    refuse_line_breaks(name, box.name)
    if not box.name.strip():
        return [f"{start}{box.address}{comma}"]
    shown = start + _phrase(box.name.strip(), len(start))
    address = f" <{box.address}>{comma}"
    last_line = len(shown) - (shown.rfind("\n") + 1)
    return [shown + address] if last_line + len(address) <= _ENCODED_WORD_LINE else [shown, address]


def _phrase(text: str, column: int) -> str:
    """A display name (RFC 5322 §3.2.5): as it is, quoted, or encoded."""
    if _plain_text(text) and len(text) < _FOLD_AT - column:
        if _plain_phrase(text):
            return text
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return encoded_words(text, column)


def encoded_words(text: str, column: int) -> str:
    """The text as encoded words from a column on, each on a line of its own (RFC 2047). Any character is let through."""
    data = text.encode("utf-8")
    words: list[str] = []
    start = 0
    if column > _ENCODED_WORD_LINE // 2:
        words, column = [""], 1  # a long field name stands on its own line
    while start < len(data):
        room = (_ENCODED_WORD_LINE - column - _ENCODED_WORD_FRAME) // 4 * 3
        end = _character_boundary(data, start + max(room, 4))
        words.append(f"=?utf-8?b?{b2a_base64(data[start:end], newline=False).decode('ascii')}?=")
        start, column = end, 1
    return "\r\n ".join(words)


def _character_boundary(data: bytes, position: int) -> int:
    """Back to where a character begins: an encoded word holds whole characters only (RFC 2047 §5)."""
    while position < len(data) and data[position] & 0b1100_0000 == 0b1000_0000:
        position -= 1
    return min(position, len(data))


def _folded_text(name: str, value: str) -> str:
    words = value.split(" ")
    if "" in words or max(map(len, words)) > _MAX_WORD:
        # Folding at one of several spaces may leave a line of white space alone, which RFC 5322 §3.2.2 forbids.
        return f"{name}: {encoded_words(value, len(name) + 2)}\r\n"
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _FOLD_AT and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"
