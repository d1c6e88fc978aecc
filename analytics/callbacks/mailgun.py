"""Mailgun's webhooks.

- Events: https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure
- Signature: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks

The signature covers token and timestamp, not the event: who has seen one callback could send another body with it. So the
endpoint's address should be secret (HTTPS).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs

from analytics import formdata
from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Secrets, Told, Verdict
from analytics.callbacks.reading import Table
from events import classification
from events.replies import Reply

_NAMES: Final[dict[str, EventName]] = {
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "complained": "complained",
    "unsubscribed": "unsubscribed",
    "rejected": "rejected",
    "failed": "bounced",
    "bounced": "bounced",
    "dropped": "bounced",
}
"""`bounced` and `dropped` are of the form-encoded webhooks of old domains."""
_SILENT: Final = frozenset({"accepted", "stored", "list_member_uploaded", "list_member_upload_error", "list_uploaded"})
_LISTED_CODES: Final = frozenset({605, 606, 607})
_MOST_FIELDS: Final = 500
_MAX_FORM_BYTES: Final = 256 * 1024
"""It is read before anybody knows whose it is, and forms take longer to read than JSON."""
_DAY: Final = 86_400
TOLERANCE_SECONDS: Final = 5 * 3_600.0
"""How far from now a timestamp may be. Mailgun tries again 5, 15 and 30 minutes, 1.5, 3.5 and 7.5 hours later, and does not say
whether it signs anew: at worst the last of these is refused."""


def verify(request: Request, secrets: Secrets) -> Verdict:
    """HMAC-SHA256 over timestamp and token; for mail of a subaccount the parent's key signs, too."""
    body = _body(request)
    table = reading.table(body.get("signature")) or body  # a form has the fields side by side
    timestamp, token = reading.text(table.get("timestamp")), reading.text(table.get("token"))
    given = [reading.text(table.get(name)) for name in ("signature", "parent-signature")]
    signed = f"{timestamp}{token}".encode("utf-8", "surrogatepass")
    expected = [hmac.digest(key.encode(), signed, hashlib.sha256).hex() for key in secrets.signing_key if key]
    sent_at = reading.moment(timestamp)
    if not token or sent_at is None or not any(credentials.same(one, right) for right in expected for one in given):
        return "invalid"
    return request.dated(sent_at, TOLERANCE_SECONDS)


def _body(request: Request) -> Table:
    """JSON, or the fields of a form; empty for anything else."""
    kind = request.headers.get("content-type", "").lower()
    try:
        if "form" in kind and len(request.body) > _MAX_FORM_BYTES:
            return {}
        if "x-www-form-urlencoded" in kind:
            return {
                name: values[-1]
                for name, values in parse_qs(request.body.decode(), max_num_fields=_MOST_FIELDS).items()
            }
        if "multipart/form-data" in kind:
            return formdata.fields(request.headers["content-type"], request.body, _MOST_FIELDS)
        return reading.table(reading.document(request.body))
    except ValueError:
        return {}


def tell(request: Request) -> Told:
    body = _body(request)
    if not body:
        return Told((), (), 1)
    return reading.told([reading.table(body.get("event-data")) or body], _event)


def _event(item: Table) -> Event | str | None:
    kind = reading.text(item.get("event")).lower()
    if kind not in _NAMES:
        return None if kind in _SILENT else kind or "?"
    at = reading.moment(item.get("timestamp"))
    headers = reading.table(reading.table(item.get("message")).get("headers"))
    message_id = reading.identifier(headers.get("message-id") or item.get("Message-Id"))
    reply = _reply(item)
    name, bounce, listed = _outcome(_NAMES[kind], item, reply)
    day = "" if at is None else str(int(at // _DAY))  # an id is only unique within a day
    client = reading.table(item.get("client-info"))
    known_as = reading.text(item.get("id")) or reading.text(item.get("token"))
    return Event(
        event=name,
        recipient=reading.text(item.get("recipient")),
        message_id=message_id,
        reference=reading.identifier(reading.table(item.get("user-variables")).get("jetpost")) or message_id,
        at=at,
        bounce=bounce,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=listed,
        url=reading.text(item.get("url")) if name == "clicked" else "",
        machine=bool(reading.text(client.get("bot"))),
        user_agent=reading.text(client.get("user-agent")),
        dedupe=f"mailgun/{kind}/{known_as or reading.digest(message_id, item.get('recipient'), at, item.get('url'))}/{day}",
    )


def _reply(item: Table) -> Reply:
    status = reading.table(item.get("delivery-status"))
    words = status.get("message") or status.get("description") or item.get("error") or item.get("reject")
    return reading.reply(status.get("code") or item.get("code"), status.get("enhanced-code"), words)


def _outcome(name: EventName, item: Table, reply: Reply) -> tuple[EventName, Bounce | None, bool]:
    if name != "bounced":
        return name, None, False
    if reading.text(item.get("severity")) == "temporary":
        return "deferred", None, False
    code = reading.number(reading.table(item.get("delivery-status")).get("code"))
    if reading.text(item.get("reason")).startswith("suppress-") or code in _LISTED_CODES:
        return "rejected", None, True
    return "bounced", _bounce(item, reply), False


def _bounce(item: Table, reply: Reply) -> Bounce:
    """Permanent means that Mailgun gave up, not that the address is dead: it also gives up what was deferred for too long
    (reason `old`), and what was refused for the sender's sake."""
    if reading.text(item.get("reason")) == "old" or not 500 <= reply.code < 600:
        return "soft"
    rule = classification.rule_of(reply)
    return "hard" if rule is None or rule.failure_class == "hard" else "soft"


ESP: Final = Esp("mailgun", verify, tell)
