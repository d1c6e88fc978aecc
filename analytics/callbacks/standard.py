"""For everybody else: our own words as JSON, one object or a list, signed.

    {"id": "…", "event": "bounced", "bounce": "hard", "recipient": "ann@example.com", "message_id": "…", "at": 1800000000,
     "code": 550, "enhanced": "5.1.1", "text": "user unknown", "url": "…", "machine": false}

`id` and `event` are required; `event` is one of `base.EventName`. Signed as Standard Webhooks, or by
`X-Signature: sha256=<hex>`: an HMAC with the same secret over the text of `X-Timestamp` (Unix seconds), a dot, and the body.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, get_args

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Esp, Event, EventName, Request, Secrets, Told, Verdict
from analytics.callbacks.reading import Table

_NAMES: Final[tuple[EventName, ...]] = get_args(EventName)


def verify(request: Request, secrets: Secrets) -> Verdict:
    if "x-signature" not in request.headers:
        return credentials.by_standard_webhook(request, secrets.webhook_secret)
    sent_at, given = request.headers.get("x-timestamp", ""), request.headers["x-signature"].removeprefix("sha256=")
    if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 16):
        return "invalid"
    signed = sent_at.encode() + b"." + request.body
    keys = [secret.encode() for secret in secrets.webhook_secret if secret]
    if not any(credentials.same(given.lower(), hmac.digest(key, signed, hashlib.sha256).hex()) for key in keys):
        return "invalid"
    return request.dated(int(sent_at), credentials.TOLERANCE_SECONDS)


def tell(request: Request) -> Told:
    return reading.told_by_json(request.body, _event)


def _event(item: Table) -> Event | str | None:
    kind, known_as = reading.text(item.get("event")), reading.text(item.get("id"))
    name = next((name for name in _NAMES if name == kind), None)
    if name is None or not known_as:
        return kind if known_as else f"{kind} without id"
    bounce: Final = "hard" if item.get("bounce") == "hard" else "soft"
    reply = reading.reply(item.get("code"), item.get("enhanced"), item.get("text"))
    return Event(
        event=name,
        recipient=reading.text(item.get("recipient")),
        message_id=reading.identifier(item.get("message_id")),
        reference=reading.identifier(item.get("reference")) or reading.identifier(item.get("message_id")),
        at=reading.moment(item.get("at") or item.get("timestamp")),
        bounce=bounce if name == "bounced" else None,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=item.get("listed") is True,
        url=reading.text(item.get("url")),
        machine=item.get("machine") is True,
        user_agent=reading.text(item.get("user_agent")),
        group=reading.text(item.get("group")),
        dedupe=f"standard/{kind}/{known_as}",
    )


ESP: Final = Esp("standard", verify, tell)
