"""Reads a mail that came to the return path. Pure; nothing in a mail makes it raise, and its work is bounded.

Who writes to the return path may be anybody: a report becomes a fact only where its mail is known to be ours (`correlation`).
"""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

from analytics.bounces import arf, auto_reply, dsn, parsing, plain, returned
from analytics.bounces.base import Kind, Notice, Report
from analytics.bounces.parsing import Part

_NOT_THE_NOTICE: Final = frozenset(
    {"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers"}
)

_DELIVERED_TO: Final = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to")


def read(raw: bytes) -> Report:
    message = parsing.parse(raw)
    parts = parsing.parts(message)
    text = _words(parts)
    sent_to = tuple(_sent_to(message))
    if complaint := arf.fields(parts):
        back = arf.back_of(parts)
        return Report(
            kind="complaint",
            notices=tuple(arf.notices(complaint, back)),
            returned=back,
            feedback_type=arf.feedback_type(complaint),
            sent_to=sent_to,
        )
    if arf.is_hotmail(parts):
        back = arf.back_of(parts)
        return Report(
            kind="complaint",
            notices=tuple(arf.notices({}, back)),
            returned=back,
            feedback_type="abuse",
            sent_to=sent_to,
        )
    back = returned.find(parts, text)
    found = dsn.notices(parts, text) or dsn.notices_in(text)
    if not found and auto_reply.is_one(message) and not plain.is_from_a_server(message):
        return Report(kind="auto_reply", returned=back, sent_to=sent_to)
    found = found or plain.notices(message, parts, _above(text), back.recipient)
    return Report(kind=_kind(found), notices=tuple(found), returned=back, sent_to=sent_to)


def _sent_to(message: Message) -> list[str]:
    """Where mail servers on the way say it was sent to; behind a forwarding it is not the first that knows."""
    return parsing.addresses_in("\n".join(value for name in _DELIVERED_TO for value in parsing.headers(message, name)))


def _kind(notices: list[Notice]) -> Kind:
    actions = {notice.action for notice in notices}
    if actions & {"failed", "delayed"}:
        return "bounce"
    return "delivered" if actions else "unknown"


def _words(parts: list[Part]) -> str:
    """What the notice says in words, without the mail that it gives back."""
    given_back = _inside(parts)
    texts = [
        parsing.text_of(part.message) for part in parts if part.kind == "text/plain" and part.message not in given_back
    ]
    if not any(text.strip() for text in texts):
        texts = [_undivided(part) for part in parts if part.message not in given_back]
    if not any(text.strip() for text in texts):
        texts = [
            _untagged(parsing.text_of(part.message))
            for part in parts
            if part.kind == "text/html" and part.message not in given_back
        ]
    return _unquoted("\n\n".join(texts)[: parsing.MAX_TEXT])


def _unquoted(text: str) -> str:
    """Without the marks of a reply, where the notice as a whole stands behind them."""
    lines = text.split("\n")
    quoted = sum(line.startswith(">") for line in lines)
    return re.sub(r"^>[ \t]?", "", text, flags=re.MULTILINE) if quoted > len(lines) / 2 else text


def _undivided(part: Part) -> str:
    """What should have parts, and none can be told."""
    payload = part.message.get_payload()
    return payload if part.kind.startswith("multipart/") and isinstance(payload, str) else ""


def _inside(parts: list[Part]) -> list[Message]:
    """Everything within a mail that is given back."""
    inside: list[Message] = []
    for part in parts[1:]:
        if part.kind in _NOT_THE_NOTICE:
            inside += [inner.message for inner in parsing.parts(part.message)[1:]]
    return inside


def _untagged(html: str) -> str:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - few notices have no text

    return LexborHTMLParser(html).text(separator="\n")


def _above(text: str) -> str:
    """The notice, without the mail in it."""
    cut = returned.beginning(text)
    return text if cut < 40 else text[:cut]
