"""Reading mail that strangers send, with limits: of size, of parts, of nesting. Nothing in it makes this raise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from itertools import islice
from typing import Final, NamedTuple

MAX_BYTES: Final = 2 << 20
"""What is longer is cut: all that counts stands in the first parts."""
MAX_PARTS: Final = 200
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 64 << 10
"""Characters of one part that are read."""

_MOST_BOUNDARIES: Final = 200
"""A mail that names more is a bomb: of it only the headers are read, since parsing takes time in the square of the depth."""
_MOST_DELIMITERS: Final = 10_000
_MOST_HEADERS: Final = 20
_MOST_BLOCKS: Final = 1_000
"""What follows so many empty lines is cut: of a status part the standard parser makes a mail of every block."""
_LONG_LINE: Final = re.compile(rb"([^\n]{10000})[^\n]+")
"""A line has at most 998 characters (RFC 5322 §2.1.1); parameters of a header take time in the square of its length."""
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_SHORT_BYTES: Final = 128 << 10
"""Of a mail with more lines that may divide parts, this much is read."""


class Part(NamedTuple):
    kind: str
    """`text/plain` and so on, in lower case."""
    message: Message


def parse(raw: bytes) -> Message:
    """Lines may end with LF, CRLF or CR."""
    raw = raw[:MAX_BYTES]
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    raw = _LONG_LINE.sub(rb"\1", raw)
    last_block = next(islice(_EMPTY_LINE.finditer(raw), _MOST_BLOCKS, None), None)
    raw = raw[: last_block.start()] if last_block else raw
    if raw.count(b"\n--") > _MOST_DELIMITERS:
        raw = raw[:_SHORT_BYTES]
    if raw.lower().count(b"boundary=") > _MOST_BOUNDARIES:
        raw = raw.partition(b"\n\n")[0]
    try:
        return message_from_bytes(raw)
    except (ValueError, RecursionError, LookupError, AssertionError, TypeError, IndexError):
        return Message()


def parts(message: Message) -> list[Part]:
    """The message and all that is in it, outermost first."""
    return list(_walk(message))


def _walk(message: Message) -> Iterator[Part]:
    waiting, seen = [(message, 0)], 0
    while waiting and seen < MAX_PARTS:
        part, depth = waiting.pop(0)
        seen += 1
        yield Part(kind_of(part), part)
        children = part.get_payload()
        if depth < MAX_DEPTH and isinstance(children, list):
            waiting[:0] = [(child, depth + 1) for child in children if isinstance(child, Message)]


def kind_of(message: Message) -> str:
    try:
        found = message.get_content_type().lower().split(maxsplit=1)  # a semicolon may be missing
    except (ValueError, LookupError, IndexError):
        return "text/plain"
    return found[0] if found else "text/plain"


def text_of(message: Message) -> str:
    """The words of a part that has no others in it; of one that has, nothing."""
    try:
        payload = message.get_payload(decode=True)
        charset = message.get_content_charset() or "utf-8"
    except (ValueError, LookupError, AssertionError, TypeError, IndexError):
        return ""
    if not isinstance(payload, bytes):
        return ""
    payload = payload[: 4 * MAX_TEXT]
    try:
        found = payload.decode(charset, "replace")
    except (LookupError, UnicodeError, ValueError):
        found = payload.decode("utf-8", "replace")
    return _whole(found[:MAX_TEXT]).replace("\r\n", "\n").replace("\r", "\n")


def header(message: Message, name: str) -> str:
    """A header's value, decoded (RFC 2047) and on one line; empty where there is none."""
    try:
        value = message.get(name)
    except (ValueError, LookupError, IndexError, MessageError):
        return ""
    if value is None:
        return ""
    joined = unfolded(str(value)[:4_000])
    if "=?" not in joined:
        return joined
    try:
        return _whole(str(make_header(decode_header(joined))))
    except (ValueError, LookupError, MessageError, UnicodeError):
        return joined


def headers(message: Message, name: str) -> list[str]:
    """The values of all headers of that name, as they stand."""
    try:
        return [str(value)[:4_000] for value in message.get_all(name, [])[:_MOST_HEADERS]]
    except (ValueError, LookupError, IndexError, MessageError):
        return []


def _whole(text: str) -> str:
    """Without halves of characters, which UTF-7 can spell and nothing can store."""
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


_HALF: Final = re.compile(r"[\ud800-\udfff]")


def unfolded(value: str) -> str:
    """A header's value on one line (RFC 5322 §2.2.3). Takes time in proportion, as a pattern for the white space would not."""
    return " ".join(stripped for line in re.split(r"[\r\n]+", value) if (stripped := line.strip()))


_ADDRESS: Final = re.compile(r"(?:\"[^\"\\\r\n<>]{1,62}\"|[^\s<>()\[\]:;,\"'`|]{1,64})@[^\s<>()\[\]:;,\"'`|@]{1,253}")


def addresses_in(text: str, limit: int = 50) -> list[str]:
    """Whatever looks like an address, each once, in order."""
    found: dict[str, None] = {}
    for match in _ADDRESS.finditer(text[:MAX_TEXT]):
        address = match[0].strip(".=*!?_-").removeprefix("mailto:")
        if "@" in address and "." in address.rpartition("@")[2]:
            found.setdefault(address)
        if len(found) >= limit:
            break
    return list(found)
