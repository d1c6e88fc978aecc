"""The mail that a notice is about, as far as it is given back: it says which of ours it was."""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

from analytics.bounces import parsing
from analytics.bounces.base import Returned
from analytics.bounces.parsing import Part

_WHOLE: Final = frozenset({"message/rfc822", "message/global"})
_HEADERS: Final = frozenset({"text/rfc822-headers", "message/rfc822-headers", "message/global-headers", "text/rfc822"})
_INTRODUCED: Final = re.compile(
    r"^[ \t>-]*(?:- ?(?:this is a copy of|original message|returned message|message header|below this line is a copy|"
    r"included is a copy|message headers? follow|unsent message|forwarded message).*|"
    r"(?:below this line is|here is) (?:a copy|the header).*)$",
    re.IGNORECASE | re.MULTILINE,
)
"""What servers write above the mail where they put it into the text."""
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]?(.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_MAX_FIELDS: Final = 200


def find(parts: list[Part], text: str) -> Returned:
    """From the part that holds it, or else from where it stands in the words of the notice, `text`."""
    for part in parts[1:]:
        if part.kind in _WHOLE:
            inner = part.message.get_payload()
            inside = inner[0] if isinstance(inner, list) and inner else None
            if isinstance(inside, Message) and inside.keys():
                return _of(_fields_of(inside))
            return _of(fields_in(parsing.text_of(part.message) or str(inner)[: parsing.MAX_TEXT]))
        if part.kind in _HEADERS:
            return _of(fields_in(parsing.text_of(part.message)))
    return _of(fields_in(_after_introduction(text)))


def _after_introduction(text: str) -> str:
    return text[beginning(text) :]


_FIRST_FIELD: Final = re.compile(
    r"^(?:Return-Path|Received|Message-ID|X-Originating-IP|DKIM-Signature):", re.MULTILINE | re.IGNORECASE
)


def beginning(text: str) -> int:
    """Where the given back mail begins within the words of a notice; their length where it does not."""
    introduced = _INTRODUCED.search(text)
    if introduced:
        return introduced.start()
    first = _FIRST_FIELD.search(text)
    return first.start() if first else len(text)


def _fields_of(message: Message) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name in message.keys()[:_MAX_FIELDS]:
        fields.setdefault(name.lower(), parsing.header(message, name))
    return fields


def fields_in(text: str) -> dict[str, str]:
    """The header fields that stand in a text, unfolded; of several with one name the first."""
    fields: dict[str, str] = {}
    for match in _FIELD.finditer(text[: parsing.MAX_TEXT]):
        fields.setdefault(match[1].lower(), parsing.unfolded(match[2])[:2_000])
        if len(fields) >= _MAX_FIELDS:
            break
    return fields


def _of(fields: dict[str, str]) -> Returned:
    to = parsing.addresses_in(fields.get("to", ""))
    return Returned(
        message_id=fields.get("message-id", "").strip("<> \t"),
        recipient=to[0] if len(to) == 1 else "",
        headers=fields,
    )
