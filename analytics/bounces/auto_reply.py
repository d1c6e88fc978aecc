"""Whether a mail is an automatic answer: somebody is away, and the mail has arrived (RFC 3834)."""

from __future__ import annotations

import re
from email.message import Message
from typing import Final

from analytics.bounces import parsing

_SUBJECT: Final = re.compile(
    r"^\s*(?:(?:re|aw|antw|sv)\s*:\s*)?\[?(?:"
    r"auto(?:matic|mated)?[- ]?(?:reply|response|answer)|auto\s*:|out[- ]of[- ](?:the[- ])?office|ooo\b|"
    r"away from (?:my|the) (?:mail|office|desk)|vacation|abwesen|automatische antwort|réponse automatique|absence du bureau|"
    r"respuesta automática|risposta automatica|automatisch antwoord|自動応答|自動返信|자동 응답|自动回复|自動回覆)",
    re.IGNORECASE,
)


def is_one(message: Message) -> bool:
    submitted = parsing.header(message, "auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-notified")):
        return True
    if parsing.header(message, "x-auto-response-suppress") and _SUBJECT.search(parsing.header(message, "subject")):
        return True
    named = ("x-autoreply", "x-autorespond", "x-autoresponder", "x-apple-action", "x-vacation", "x-auto-reply-from")
    values = [parsing.header(message, name).lower() for name in named]
    if any(value and value not in {"no", "none"} for value in values):
        return True
    if parsing.header(message, "precedence").lower() == "auto_reply":
        return True
    return bool(_SUBJECT.search(parsing.header(message, "subject")))
