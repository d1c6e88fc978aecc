"""Resend's webhooks: https://resend.com/docs/dashboard/webhooks/event-types, signed as Standard Webhooks (svix)."""

from __future__ import annotations

from typing import Final

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Secrets, Told, Verdict
from analytics.callbacks.reading import Table

_NAMES: Final[dict[str, EventName]] = {
    "email.delivered": "delivered",
    "email.delivery_delayed": "deferred",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "rejected",
    "email.suppressed": "rejected",
}
_SILENT: Final = frozenset({"email.sent", "email.scheduled", "email.received"})
_SILENT_KINDS: Final = ("contact.", "domain.", "suppression.")
_LISTED: Final = frozenset({"suppressed", "onaccountsuppressionlist", "unsubscribedrecipient"})


def verify(request: Request, secrets: Secrets) -> Verdict:
    return credentials.by_standard_webhook(request, secrets.webhook_secret)


def tell(request: Request) -> Told:
    message = request.headers.get("svix-id") or request.headers.get("webhook-id", "")
    return reading.told_by_json(request.body, lambda item: _event(item, message))


def _event(item: Table, message: str) -> Event | str | None:
    kind = reading.text(item.get("type"))
    if kind not in _NAMES:
        return None if kind in _SILENT or kind.startswith(_SILENT_KINDS) else kind or "?"
    data = reading.table(item.get("data"))
    told = reading.table(data.get("bounce") or data.get("suppressed") or data.get("failed"))
    subtype = reading.text(told.get("subType") or told.get("type")).lower()
    name, bounce = _outcome(_NAMES[kind], told, subtype)
    at, url = reading.moment(item.get("created_at")), reading.text(reading.table(data.get("click")).get("link"))
    email_id, recipient = reading.identifier(data.get("email_id")), _only_recipient(data)
    words = told.get("diagnosticCode") or told.get("message") or told.get("reason")
    reply = reading.reply(None, None, words[0] if isinstance(words, list) and words else words)
    return Event(
        event=name,
        recipient=recipient,
        message_id=email_id,
        reference=_tag(data.get("tags")) or reading.identifier(data.get("message_id")),
        at=at,
        bounce=bounce,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=name == "rejected" and (kind == "email.suppressed" or subtype in _LISTED),
        url=url if name == "clicked" else "",
        user_agent=reading.text(reading.table(data.get("click")).get("userAgent")),
        dedupe=f"resend/{message}" if message else f"resend/{kind}/{reading.digest(email_id, recipient, at, url)}",
    )


def _outcome(name: EventName, told: Table, subtype: str) -> tuple[EventName, Bounce | None]:
    if name != "bounced":
        return name, None
    if subtype in _LISTED:
        return "rejected", None
    return "bounced", "hard" if reading.text(told.get("type")).lower() == "permanent" else "soft"


def _only_recipient(data: Table) -> str:
    """Where a mail had several, the event does not say whose it is."""
    to = data.get("to")
    return reading.text(to[0] if isinstance(to, list) and len(to) == 1 else to)


def _tag(tags: object) -> str:
    """Tags come as a table, or as a list of names and values."""
    if isinstance(tags, list):
        named = (reading.table(tag) for tag in tags)
        return next((reading.identifier(tag.get("value")) for tag in named if tag.get("name") == "jetpost"), "")
    return reading.identifier(reading.table(tags).get("jetpost"))


ESP: Final = Esp("resend", verify, tell)
