"""SparkPost's (Bird's) event webhooks: https://developers.sparkpost.com/api/webhooks/, https://support.sparkpost.com/docs/tech-resources/webhook-event-reference

Not signed: HTTP Basic, a bearer token (OAuth 2), or a header of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Told
from analytics.callbacks.reading import Table

_NAMES: Final[dict[str, EventName]] = {
    "delivery": "delivered",
    "delay": "deferred",
    "bounce": "bounced",
    "out_of_band": "bounced",
    "policy_rejection": "rejected",
    "generation_failure": "rejected",
    "generation_rejection": "rejected",
    "spam_complaint": "complained",
    "open": "opened",
    "amp_open": "opened",
    "click": "clicked",
    "amp_click": "clicked",
    "list_unsubscribe": "unsubscribed",
    "link_unsubscribe": "unsubscribed",
}
_SILENT: Final = frozenset(
    {"injection", "initial_open", "amp_initial_open", "sms_status", "relay_injection", "relay_rejection"}
    | {
        "relay_delivery",
        "relay_tempfail",
        "relay_permfail",
        "ab_test_completed",
        "ab_test_cancelled",
        "success",
        "error",
    }
)
"""The first open comes twice: as `initial_open` beside `open`."""
_CLASSES: Final[dict[int, tuple[EventName, Bounce | None] | None]] = {
    10: ("bounced", "hard"),
    30: ("bounced", "hard"),
    25: ("rejected", None),
    90: ("unsubscribed", None),
    60: None,
    80: None,
    100: None,
}
"""https://support.sparkpost.com/docs/deliverability/bounce-classification-codes; every other class is soft. None: an auto-reply,
a subscribe request, a challenge."""
_NO_ABUSE: Final = frozenset({"not-spam", "auth-failure", "dmarc", "opt-out"})


def tell(request: Request) -> Told:
    try:
        found = reading.items(reading.document(request.body))
    except ValueError:
        return Told((), (), 1)
    return reading.told(_events(found), _event)


def _events(found: list[object]) -> Iterator[object]:
    """What lies in the envelopes; an empty one is a ping."""
    for item in found:
        envelope = reading.table(item).get("msys")
        if not isinstance(envelope, dict):
            yield None
        else:
            yield from envelope.values()


def _event(item: Table) -> Event | str | None:
    kind = reading.text(item.get("type"))
    if kind not in _NAMES:
        return None if kind in _SILENT else kind or "?"
    outcome = _outcome(_NAMES[kind], item)
    return None if outcome is None else _make(item, kind, *outcome)


def _outcome(name: EventName, item: Table) -> tuple[EventName, Bounce | None] | None:
    if name == "complained" and reading.text(item.get("fbtype")).lower() in _NO_ABUSE:
        return ("unsubscribed", None) if reading.text(item.get("fbtype")).lower() == "opt-out" else None
    if name != "bounced":
        return name, None
    found = reading.number(item.get("bounce_class"))
    return _CLASSES.get(-1 if found is None else int(found), ("bounced", "soft"))


def _make(item: Table, kind: str, name: EventName, bounce: Bounce | None) -> Event:
    at, recipient = reading.moment(item.get("timestamp")), reading.text(item.get("raw_rcpt_to") or item.get("rcpt_to"))
    message_id, url = reading.identifier(item.get("message_id")), reading.text(item.get("target_link_url"))
    reply = reading.reply(item.get("error_code"), None, item.get("raw_reason") or item.get("reason"))
    known_as = reading.text(item.get("event_id")) or reading.digest(message_id, recipient, at, url)
    return Event(
        event=name,
        recipient=recipient,
        message_id=message_id,
        reference=reading.identifier(reading.table(item.get("rcpt_meta")).get("jetpost")),
        at=at,
        bounce=bounce,
        code=reply.code,
        enhanced=reply.enhanced,
        text=reply.text,
        listed=kind == "generation_rejection" and "suppress" in reply.text.lower(),
        url=url if name == "clicked" else "",
        machine=item.get("is_prefetched") in (True, "true"),
        user_agent=reading.text(item.get("user_agent")),
        dedupe=f"sparkpost/{kind}/{known_as}",
    )


ESP: Final = Esp("sparkpost", credentials.by_credentials, tell)
