"""An SMTP reply, as the sender would judge it."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from events import classification, replies

_WORDS: Final = {"throttled": "throttle"}
"""The class of a throttled try, as the noun that it is called by outside."""


class Item(msgspec.Struct):
    reply: str
    """As it stands in a log or a bounce: `550 5.1.1 no such user`, `smtp; 550-…`."""
    provider: str | None = None


def inspect(item: Item) -> dict[str, Any]:
    parsed = replies.parse(item.reply)
    if 200 <= parsed.code < 300:
        return {"class": "delivered", "reason": "accepted", "suppress": False}
    verdict = classification.classify(parsed, item.provider or "")
    shown: dict[str, Any] = {
        "class": _WORDS.get(verdict.failure_class, verdict.failure_class),
        "reason": verdict.reason,
        "suppress": verdict.suppress,
    }
    if verdict.retry_after_seconds is not None:
        shown["retry_after"] = verdict.retry_after_seconds
    rule = classification.rule_of(parsed, item.provider or "")
    if rule is not None:
        shown["source"] = rule.source
    return shown
