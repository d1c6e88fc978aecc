"""A mail that came back, as Jetpost reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from analytics.bounces.base import Notice, Report
from analytics.bounces.parsing import MAX_BYTES
from analytics.bounces.read import read

_WORDS: Final = {"throttled": "throttle", None: None}


class Item(msgspec.Struct):
    file: str


def inspect(item: Item) -> dict[str, Any]:
    """Raises `OSError` where the file cannot be read."""
    with Path(item.file).open("rb") as file:
        return {"file": item.file, **shown(read(file.read(MAX_BYTES)))}


def shown(report: Report) -> dict[str, Any]:
    answer: dict[str, Any] = {"kind": report.kind, "recipients": [_notice(notice) for notice in report.notices]}
    optional = {"message_id": report.returned.message_id, "feedback_type": report.feedback_type}
    return answer | {name: value for name, value in optional.items() if value}


def _notice(notice: Notice) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "recipient": notice.recipient,
        "action": notice.action,
        "status": notice.status or None,
        "class": _WORDS.get(notice.failure_class, notice.failure_class),
        "hard": notice.hard,
    }
    optional = {"original": notice.original, "code": notice.code, "reason": notice.reason, "text": notice.text}
    return answer | {name: value for name, value in optional.items() if value}
