"""Reading JSON that strangers send: whatever is missing, or is something else than expected, reads as nothing."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from math import isnan
from typing import Any, Final

import msgspec

from analytics.callbacks.base import Event, Told
from events import replies
from events.replies import Reply

_MAX_TEXT: Final = 2_000
_MAX_FAULT: Final = 200
_MAX_ITEMS: Final = 5_000
"""Of one body; ESPs send at most 1,000 together."""
_MILLISECONDS_FROM: Final = 100_000_000_000
"""What is larger counts milliseconds: as seconds it would lie in the year 5138."""
_LATEST: Final = 32_503_680_000.0
_ANGLES: Final = "<> \t\r\n"

Table = Mapping[str, Any]

_log = logging.getLogger(__name__)


def document(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Raises `ValueError` for what is no JSON.

    Bytes and escapes that are no characters read as U+FFFD: an ESP that cuts a text in the middle of one costs us no batch.
    """
    try:
        return _decode(body)
    except ValueError:
        mended = _mended(body)
        if mended == body:
            raise
    return _decode(mended)


def _decode(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


_HALF: Final = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}", re.ASCII
)
"""A character in two escapes, or half of one (RFC 8259 §8.2)."""


def _mended(body: bytes) -> bytes:
    text = body.decode("utf-8", "replace").removeprefix("\N{BYTE ORDER MARK}")
    return _HALF.sub(lambda found: found[1] or "\\ufffd", text).encode()


def table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """A list's items; of one object by itself, that object."""
    return value[:_MAX_ITEMS] if isinstance(value, list) else [value]


def text(value: object) -> str:
    """A text as it is, a number as digits."""
    match value:
        case str():
            return value[:_MAX_TEXT]
        case bool() | None:
            return ""
        case int():
            return str(value) if abs(value) < 10**20 else ""
        case float():
            return repr(value)
        case _:
            return ""


def identifier(value: object) -> str:
    """An id or Message-ID, without angle brackets."""
    return text(value).strip(_ANGLES)


def number(value: object) -> float | None:
    match value:
        case bool():
            return None
        case int() | float():
            return float(value) if abs(value) < 1e18 else None
        case str():
            try:
                found = float(value)
            except ValueError:
                return None
            return found if abs(found) < 1e18 else None
        case _:
            return None


def moment(value: object) -> float | None:
    """Unix seconds of a number (seconds or milliseconds, also as text) or of a date as RFC 3339 writes it."""
    found = number(value)
    if found is None and isinstance(value, str):
        found = _iso(value)
    if found is None or isnan(found):
        return None
    if abs(found) >= _MILLISECONDS_FROM:
        found /= 1_000
    return found if 0 < found < _LATEST else None


def _iso(value: str) -> float | None:
    try:
        parsed = datetime.fromisoformat(value.strip())
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def first_moment(*values: object) -> float | None:
    return next((found for value in values if (found := moment(value)) is not None), None)


def reply(code: object, enhanced: object, words: object) -> Reply:
    """An SMTP reply as ESPs pass it on: codes by themselves, in the words, or both."""
    parsed = replies.parse(text(words))
    status = number(code)
    known = int(status) if status is not None and 200 <= status < 600 else 0
    return Reply(known or parsed.code, text(enhanced).strip() or parsed.enhanced, parsed.text)


def digest(*parts: object) -> str:
    """An id for what has none: equal parts, equal id."""
    joined = "\x1f".join(text(part) for part in parts)
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


Read = Callable[[Table], Event | str | None]
"""One item: an event, the name of a type that is not known, or None for what tells nothing that we count."""


def told(found: Iterable[object], read: Read) -> Told:
    """Item by item, so that one that cannot be read loses no other, nor one that we stumble over."""
    events: list[Event] = []
    unknown: list[str] = []
    faults: list[str] = []
    broken = 0
    for item in found:
        if not isinstance(item, dict):
            broken += 1
            continue
        try:
            answer = read(item)
        except Exception as error:
            _log.exception("an item of a callback is one that we stumble over")
            faults.append(f"{type(error).__name__}: {error}"[:_MAX_FAULT])
            continue
        if isinstance(answer, Event):
            events.append(answer)
        elif answer is not None:
            unknown.append(answer)
    return Told(tuple(events), tuple(unknown), broken, tuple(faults))


def told_by_json(body: bytes, read: Read) -> Told:
    """A body that is one JSON object, or a list of them."""
    try:
        return told(items(document(body)), read)
    except ValueError:
        return Told((), (), 1)
