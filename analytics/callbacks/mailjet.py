"""Mailjet's Event API: https://dev.mailjet.com/email/guides/webhooks/

Not signed: HTTP Basic in the address. Grouped events (version 2) come as a list, others one by one.
"""

from __future__ import annotations

from typing import Final

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Told
from analytics.callbacks.reading import Table

_NAMES: Final[dict[str, EventName]] = {
    "sent": "delivered",
    "bounce": "bounced",
    "blocked": "rejected",
    "spam": "complained",
    "unsub": "unsubscribed",
    "open": "opened",
    "click": "clicked",
}
_LISTED: Final = frozenset({"preblocked", "user unknown", "blacklisted", "spam preblocked"})
"""Why a mail was not tried that say something of the address; `duplicate in campaign` and others do not."""


def tell(request: Request) -> Told:
    return reading.told_by_json(request.body, _event)


def _event(item: Table) -> Event | str | None:
    kind = reading.text(item.get("event"))
    if kind not in _NAMES:
        return kind or "?"
    error = reading.text(item.get("error")).strip().lower()
    name, bounce = _outcome(_NAMES[kind], item, error)
    at, recipient = reading.moment(item.get("time")), reading.text(item.get("email"))
    message_id = reading.identifier(item.get("MessageID") or item.get("mj_message_id"))
    url = reading.text(item.get("url"))
    reply = reading.reply(None, None, item.get("smtp_reply") or item.get("comment") or item.get("error"))
    return Event(
        event=name,
        recipient=recipient,
        message_id=message_id,
        reference=reading.identifier(item.get("CustomID")),
        at=at,
        bounce=bounce,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=name == "rejected" and error in _LISTED,
        url=url if name == "clicked" else "",
        user_agent=reading.text(item.get("agent")),
        dedupe=f"mailjet/{kind}/{reading.digest(message_id, recipient, at, url, error)}",
    )


def _outcome(name: EventName, item: Table, error: str) -> tuple[EventName, Bounce | None]:
    if name != "bounced":
        return name, None
    if error == "greylisted":
        return "deferred", None
    return "bounced", "hard" if item.get("hard_bounce") is True else "soft"


ESP: Final = Esp("mailjet", credentials.by_credentials, tell)
