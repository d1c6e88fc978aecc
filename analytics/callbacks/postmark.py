"""Postmark's webhooks: https://postmarkapp.com/developer/webhooks/webhooks-overview, bounce types: https://postmarkapp.com/developer/api/bounce-api#bounce-types

They are not signed: HTTP Basic in the address, or a header of one's own.
"""

from __future__ import annotations

from typing import Final

from analytics.callbacks import credentials, reading
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Told
from analytics.callbacks.reading import Table

_BOUNCES: Final[dict[str, tuple[EventName, Bounce | None] | None]] = {
    "HardBounce": ("bounced", "hard"),
    "BadEmailAddress": ("bounced", "hard"),
    "Transient": ("deferred", None),
    "SoftBounce": ("bounced", "soft"),
    "DnsError": ("bounced", "soft"),
    "SpamNotification": ("bounced", "soft"),
    "VirusNotification": ("bounced", "soft"),
    "Blocked": ("bounced", "soft"),
    "DMARCPolicy": ("bounced", "soft"),
    "Unknown": ("bounced", "soft"),
    "SpamComplaint": ("complained", None),
    "Unsubscribe": ("unsubscribed", None),
    "ManuallyDeactivated": ("rejected", None),
    "Unconfirmed": ("rejected", None),
    "SMTPApiError": ("rejected", None),
    "TemplateRenderingFailed": ("rejected", None),
    "Subscribe": None,
    "AutoResponder": None,
    "AddressChange": None,
    "OpenRelayTest": None,
    "ChallengeVerification": None,
    "InboundError": None,
}
"""None: an answer of some kind, which says nothing of whether the mail arrived."""


def tell(request: Request) -> Told:
    return reading.told_by_json(request.body, _event)


def _event(item: Table) -> Event | str | None:
    match reading.text(item.get("RecordType")):
        case "Delivery":
            return _make(item, "delivered", item.get("DeliveredAt"))
        case "Bounce" | "SpamComplaint" as kind:
            return _bounced(item, kind)
        case "Open":
            return _make(item, "opened", item.get("ReceivedAt"))
        case "Click":
            return _make(item, "clicked", item.get("ReceivedAt"))
        case "SubscriptionChange":
            return _subscription(item)
        case other:
            return other or "?"


def _bounced(item: Table, kind: str) -> Event | str | None:
    type_ = reading.text(item.get("Type")) or kind
    if type_ not in _BOUNCES:
        return f"Bounce {type_}"
    found = _BOUNCES[type_]
    return None if found is None else _make(item, found[0], item.get("BouncedAt"), found[1])


def _subscription(item: Table) -> Event | None:
    """A hard bounce or complaint that stops mail to an address comes as a record of its own, too, which counts."""
    if item.get("SuppressSending") is False:
        return _make(item, "resubscribed", item.get("ChangedAt"))
    if reading.text(item.get("SuppressionReason")) in {"HardBounce", "SpamComplaint"}:
        return None
    return _make(item, "unsubscribed", item.get("ChangedAt"))


def _make(item: Table, name: EventName, when: object, bounce: Bounce | None = None) -> Event:
    at, kind = reading.moment(when), reading.text(item.get("RecordType"))
    recipient = reading.text(item.get("Recipient") or item.get("Email"))
    message_id, url = reading.identifier(item.get("MessageID")), reading.text(item.get("OriginalLink"))
    details = reading.reply(None, None, item.get("Details") or item.get("Description"))
    numbered = reading.text(item.get("ID")) if kind in {"Bounce", "SpamComplaint"} else ""
    return Event(
        event=name,
        recipient=recipient,
        message_id=message_id,
        reference=reading.identifier(reading.table(item.get("Metadata")).get("jetpost")),
        at=at,
        bounce=bounce,
        code=details.code,
        enhanced=details.enhanced,
        text=details.text,
        listed=reading.text(item.get("Type")) == "ManuallyDeactivated",
        url=url if name == "clicked" else "",
        user_agent=reading.text(item.get("UserAgent")),
        dedupe=f"postmark/{kind}/{numbered or reading.digest(message_id, recipient, when, url, name)}",
    )


ESP: Final = Esp("postmark", credentials.by_credentials, tell)
