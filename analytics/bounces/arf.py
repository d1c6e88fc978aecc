"""Abuse reports (RFC 5965), and those about authentication (RFC 6591)."""

from __future__ import annotations

import re
from typing import Final

from analytics.bounces import parsing, returned
from analytics.bounces.base import Notice, Returned
from analytics.bounces.parsing import Part

KIND: Final = "message/feedback-report"
_HOTMAIL: Final = re.compile(r"staff@(?:hotmail|outlook)\.com", re.IGNORECASE)


def fields(parts: list[Part]) -> dict[str, list[str]]:
    """What the report says of itself, by name in lower case; empty where there is no report."""
    for part in parts:
        if part.kind != KIND:
            continue
        payload = part.message.get_payload()
        inner = payload[0] if isinstance(payload, list) and payload else None
        text = parsing.text_of(part.message) or (_lines(inner) if inner is not None else str(payload))
        found: dict[str, list[str]] = {}
        for match in re.finditer(
            r"^([A-Za-z-]{2,60}):[ \t]?(.*(?:\n[ \t]+.*)*)", text[: parsing.MAX_TEXT], re.MULTILINE
        ):
            found.setdefault(match[1].lower(), []).append(" ".join(match[2].split()))
        return found
    return {}


def _lines(message: object) -> str:
    items = getattr(message, "items", None)
    return "\n".join(f"{name}: {value}" for name, value in items()) if items else ""


def is_hotmail(parts: list[Part]) -> bool:
    """Microsoft's JMRP sends the mail alone, without a report about it."""
    outer = parts[0].message
    return bool(_HOTMAIL.search(parsing.header(outer, "from"))) and any(part.kind == "message/rfc822" for part in parts)


def notices(report: dict[str, list[str]], back: Returned) -> list[Notice]:
    """Whom it is about: what the report names, else to whom the mail went. Providers leave the address out; then nobody."""
    named = [found for value in report.get("original-rcpt-to", ()) for found in parsing.addresses_in(value)]
    if not named:
        named = [
            found
            for name in ("x-hmxmroriginalrecipient", "x-original-to", "to")
            for found in parsing.addresses_in(back.headers.get(name, ""))
        ]
    kind = (report.get("feedback-type") or ["abuse"])[0].lower()
    return [Notice(recipient=recipient, reason=kind) for recipient in dict.fromkeys(named)]


def feedback_type(report: dict[str, list[str]]) -> str:
    return (report.get("feedback-type") or ["abuse"])[0].strip().lower()[:40]


def back_of(parts: list[Part]) -> Returned:
    return returned.find(parts, "")
