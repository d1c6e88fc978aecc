"""Amazon SES by way of SNS.

- Event publishing: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
- Notifications: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from analytics.callbacks import reading, sns
from analytics.callbacks.base import Bounce, Esp, Event, EventName, Request, Told
from analytics.callbacks.reading import Table

_LISTED: Final = frozenset({"Suppressed", "OnAccountSuppressionList", "UnsubscribedRecipient"})
"""Subtypes of what was never tried."""
_NO_ABUSE: Final = frozenset({"not-spam", "auth-failure", "dmarc"})
"""Kinds of feedback that are no complaint of a reader (RFC 5965, RFC 6591)."""
_SILENT: Final = frozenset({"Send", "Received", "AmazonSnsSubscriptionSucceeded"})

_Part = tuple[EventName, Bounce | None, bool, Sequence[Table], Table]
"""Event, bounce, listed, for whom, and the table that tells more."""


def tell(request: Request) -> Told:
    message = sns.envelope(request)
    if not message:
        return Told((), (), 1)
    if message["Type"] != "Notification":
        return Told(())
    try:
        content = reading.document(reading_bytes(message.get("Message")))
    except ValueError:  # such as the text that says that the topic was validated
        return Told(())
    body = reading.table(content)
    kind = reading.text(body.get("eventType") or body.get("notificationType"))
    part = _PARTS.get(kind)
    if part is None:
        return Told(()) if kind in _SILENT else Told((), (kind or "?",))
    return Told(tuple(_events(message, body, kind, part(body))))


def reading_bytes(value: object) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else b""


def _events(message: Table, body: Table, kind: str, part: _Part | None) -> Iterator[Event]:
    if part is None:
        return
    name, bounce, listed, recipients, detail = part
    mail = reading.table(body.get("mail"))
    for person in recipients:
        recipient = reading.text(person.get("emailAddress"))
        words = (
            person.get("diagnosticCode")
            or detail.get("smtpResponse")
            or detail.get("reason")
            or detail.get("errorMessage")
        )
        reply = reading.reply(None, person.get("status"), words)
        yield Event(
            event=name,
            recipient=recipient,
            message_id=reading.identifier(mail.get("messageId")),
            reference=_reference(mail),
            at=reading.moment(detail.get("timestamp")),
            bounce=bounce,
            code=reply.code,
            enhanced=reply.enhanced,
            text=reply.text,
            listed=listed,
            url=reading.text(detail.get("link")) if name == "clicked" else "",
            user_agent=reading.text(detail.get("userAgent")),
            dedupe=f"ses/{kind}/{reading.text(message.get('MessageId'))}/{recipient.lower()}",
        )


def _reference(mail: Table) -> str:
    """The tag that we gave, or the Message-ID that we set: SES lists the headers as they came."""
    tags = reading.table(mail.get("tags")).get("jetpost")
    if isinstance(tags, list) and tags:
        return reading.identifier(tags[0])
    headers = mail.get("headers")
    named = (reading.table(header) for header in headers) if isinstance(headers, list) else ()
    return next(
        (
            reading.identifier(one.get("value"))
            for one in named
            if reading.text(one.get("name")).lower() == "message-id"
        ),
        "",
    )


def _people(value: object) -> list[Table]:
    return [{"emailAddress": one} if isinstance(one, str) else reading.table(one) for one in reading.items(value or [])]


def _destination(body: Table) -> list[Table]:
    return _people(reading.table(body.get("mail")).get("destination"))


def _bounce(body: Table) -> _Part:
    detail = reading.table(body.get("bounce"))
    people = _people(detail.get("bouncedRecipients"))
    if reading.text(detail.get("bounceType")) != "Permanent":
        return "bounced", "soft", False, people, detail
    if reading.text(detail.get("bounceSubType")) in _LISTED:
        return "rejected", None, True, people, detail
    return "bounced", "hard", False, people, detail


def _complaint(body: Table) -> _Part | None:
    detail = reading.table(body.get("complaint"))
    people = _people(detail.get("complainedRecipients"))
    if reading.text(detail.get("complaintSubType")) in _LISTED:
        return "rejected", None, True, people, detail
    if reading.text(detail.get("complaintFeedbackType")) in _NO_ABUSE:
        return None
    return "complained", None, False, people, detail


def _subscription(body: Table) -> _Part | None:
    """A reader used SES's own subscription page (https://docs.aws.amazon.com/ses/latest/dg/sending-email-subscription-management.html)."""
    detail = reading.table(body.get("subscription"))
    left = reading.table(detail.get("newTopicPreferences")).get("unsubscribeAll") is True
    return ("unsubscribed" if left else "resubscribed", None, False, _destination(body), detail)


def _of_recipients(name: EventName, key: str, people: str) -> Callable[[Table], _Part]:
    def part(body: Table) -> _Part:
        detail = reading.table(body.get(key))
        listed = [
            {"emailAddress": one} if isinstance(one, str) else reading.table(one) for one in _list(detail.get(people))
        ]
        return name, None, False, listed or _destination(body), detail

    return part


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


_PARTS: Final[dict[str, Callable[[Table], _Part | None]]] = {
    "Bounce": _bounce,
    "Complaint": _complaint,
    "Subscription": _subscription,
    "Delivery": _of_recipients("delivered", "delivery", "recipients"),
    "DeliveryDelay": _of_recipients("deferred", "deliveryDelay", "delayedRecipients"),
    "Reject": _of_recipients("rejected", "reject", ""),
    "Rendering Failure": _of_recipients("rejected", "failure", ""),
    "Open": _of_recipients("opened", "open", ""),
    "Click": _of_recipients("clicked", "click", ""),
}

ESP: Final = Esp("ses", sns.verify, tell)
