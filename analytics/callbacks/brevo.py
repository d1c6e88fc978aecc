"""Brevo's webhooks: https://developers.brevo.com/docs/transactional-webhooks, https://developers.brevo.com/docs/marketing-webhooks

Not signed: HTTP Basic in the address, or a bearer token. With `batched` they come as lists of up to 500.
"""

from __future__ import annotations

from typing import Final

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Told
from analytics.callbacks.reading import Table

_NAMES: Final[dict[str, tuple[EventName, Bounce | None]]] = {
    "delivered": ("delivered", None),
    "deferred": ("deferred", None),
    "hard_bounce": ("bounced", "hard"),
    "soft_bounce": ("bounced", "soft"),
    "blocked": ("rejected", None),
    "invalid_email": ("rejected", None),
    "error": ("rejected", None),
    "complaint": ("complained", None),
    "spam": ("complained", None),
    "unsubscribe": ("unsubscribed", None),
    "unsubscribed": ("unsubscribed", None),
    "opened": ("opened", None),
    "unique_opened": ("opened", None),
    "proxy_open": ("opened", None),
    "unique_proxy_open": ("opened", None),
    "click": ("clicked", None),
}
_MACHINES: Final = frozenset({"proxy_open", "unique_proxy_open"})
_SILENT: Final = frozenset({"request", "sent", "list_addition", "contact_updated", "contact_deleted"})


def tell(request: Request) -> Told:
    return reading.told_by_json(request.body, _event)


def _event(item: Table) -> Event | str | None:
    """`id` is that of the webhook, not of the event; `date` has no offset."""
    kind = reading.text(item.get("event")).lower()
    if kind not in _NAMES:
        return None if kind in _SILENT else kind or "?"
    name, bounce = _NAMES[kind]
    at = reading.first_moment(item.get("ts_epoch"), item.get("ts_event"), item.get("ts"))
    recipient, message_id = reading.text(item.get("email")), reading.identifier(item.get("message-id"))
    reason, url = reading.text(item.get("reason")), reading.text(item.get("link"))
    reply = reading.reply(None, None, reason)
    return Event(
        event=name,
        recipient=recipient,
        message_id=message_id,
        reference=reading.identifier(item.get("X-Mailin-custom")) or message_id,
        at=at,
        bounce=bounce,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=kind == "blocked" and any(word in reason for word in ("blacklist", "unsubscribed", "blocklist")),
        url=url if name == "clicked" else "",
        machine=kind in _MACHINES,
        user_agent=reading.text(item.get("user_agent")),
        dedupe=f"brevo/{kind}/{reading.digest(message_id, recipient, at, url)}",
    )


ESP: Final = Esp("brevo", credentials.by_credentials, tell)
