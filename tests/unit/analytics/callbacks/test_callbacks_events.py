"""What each ESP's callbacks mean, one row for each thing it may say. The shapes are the vendors', the people are ours."""

from __future__ import annotations

import json

import pytest

from analytics.callbacks.base import Event, Request, Told
from analytics.callbacks.registry import ESPS

AT = 1_800_000_000.0
ANN = "ann@example.com"


def tell(esp: str, body: object, **headers: str) -> Told:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ESPS[esp].tell(Request({name.replace("_", "-"): value for name, value in headers.items()}, raw, None))


def only(esp: str, body: object, **headers: str) -> Event:
    told = tell(esp, body, **headers)
    assert (len(told.events), told.unknown, told.broken) == (1, (), 0)
    return told.events[0]


def summary(event: Event) -> tuple[str, str | None]:
    return event.event, event.bounce


def sendgrid(**fields: object) -> list[dict[str, object]]:
    return [
        {"email": ANN, "timestamp": AT, "sg_event_id": "e1", "sg_message_id": "m1", "smtp-id": "<our@id>", **fields}
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "delivered", "response": "250 OK"}, ("delivered", None)),
        ({"event": "deferred", "response": "421 4.7.0 slow down"}, ("deferred", None)),
        (
            {"event": "bounce", "type": "bounce", "reason": "550 5.1.1 no such user", "status": "5.1.1"},
            ("bounced", "hard"),
        ),
        ({"event": "bounce", "type": "blocked", "reason": "550 5.7.1 spam"}, ("bounced", "soft")),
        ({"event": "dropped", "reason": "Bounced Address"}, ("rejected", None)),
        ({"event": "open", "sg_machine_open": True}, ("opened", None)),
        ({"event": "click", "url": "https://example.com/"}, ("clicked", None)),
        ({"event": "spamreport"}, ("complained", None)),
        ({"event": "unsubscribe"}, ("unsubscribed", None)),
        ({"event": "group_unsubscribe", "asm_group_id": 7}, ("unsubscribed", None)),
        ({"event": "group_resubscribe", "asm_group_id": 7}, ("resubscribed", None)),
    ],
)
def test_sendgrid(fields, expected):
    event = only("sendgrid", sendgrid(**fields))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "m1", "our@id", AT)
    assert event.dedupe == f"sendgrid/{fields['event']}/e1"


def test_sendgrid_says_more_in_some_events():
    assert only("sendgrid", sendgrid(event="dropped", reason="Bounced Address")).listed
    assert not only("sendgrid", sendgrid(event="dropped", reason="Invalid")).listed
    assert only("sendgrid", sendgrid(event="open", sg_machine_open=True)).machine
    assert only("sendgrid", sendgrid(event="group_unsubscribe", asm_group_id=7)).group == "7"
    bounce = only("sendgrid", sendgrid(event="bounce", type="bounce", reason="550 5.1.1 no such user", status="5.1.1"))
    assert (bounce.code, bounce.enhanced, bounce.text) == (550, "5.1.1", "no such user")


def mailgun(**fields: object) -> dict[str, object]:
    message = {"headers": {"message-id": "our@id"}}
    return {
        "signature": {},
        "event-data": {"recipient": ANN, "timestamp": AT, "id": "e1", "message": message, **fields},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "delivered"}, ("delivered", None)),
        ({"event": "failed", "severity": "temporary", "delivery-status": {"code": 450}}, ("deferred", None)),
        (
            {"event": "failed", "severity": "permanent", "delivery-status": {"code": 550, "message": "No such user"}},
            ("bounced", "hard"),
        ),
        (
            {"event": "failed", "severity": "permanent", "delivery-status": {"code": 550, "message": "5.7.1 spam"}},
            ("bounced", "soft"),
        ),
        (
            {"event": "failed", "severity": "permanent", "reason": "old", "delivery-status": {"code": 602}},
            ("bounced", "soft"),
        ),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 498}}, ("bounced", "soft")),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-bounce"}, ("rejected", None)),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 607}}, ("rejected", None)),
        ({"event": "complained"}, ("complained", None)),
        ({"event": "unsubscribed"}, ("unsubscribed", None)),
        ({"event": "opened", "client-info": {"bot": "apple"}}, ("opened", None)),
        ({"event": "clicked", "url": "https://example.com/"}, ("clicked", None)),
    ],
)
def test_mailgun(fields, expected):
    event = only("mailgun", mailgun(**fields))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "our@id", "our@id", AT)


def test_mailgun_numbers_its_events_anew_every_day():
    today, tomorrow = (only("mailgun", mailgun(event="opened", timestamp=AT + seconds)) for seconds in (0, 86_400))
    assert today.dedupe != tomorrow.dedupe


def test_mailgun_on_old_domains_sends_forms():
    body = b"event=bounced&recipient=ann%40example.com&timestamp=1800000000&code=550&error=no+such+user&token=t1"
    event = only("mailgun", body, content_type="application/x-www-form-urlencoded")
    assert (summary(event), event.recipient) == (("bounced", "hard"), ANN)
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"event": "delivered", "recipient": ANN, "timestamp": "1800000000"}.items()
    )
    event = only("mailgun", f"{parts}--x--\r\n".encode(), content_type="multipart/form-data; boundary=x")
    assert (summary(event), event.recipient, event.at) == (("delivered", None), ANN, AT)


def postmark(**fields: object) -> dict[str, object]:
    return {"MessageID": "m1", "Metadata": {"jetpost": "ours"}, **fields}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"RecordType": "Delivery", "Recipient": ANN, "DeliveredAt": "2027-01-15T08:00:00Z"}, ("delivered", None)),
        (
            {"RecordType": "Bounce", "Type": "HardBounce", "Email": ANN, "BouncedAt": "2027-01-15T08:00:00.1234567Z"},
            ("bounced", "hard"),
        ),
        ({"RecordType": "Bounce", "Type": "SoftBounce", "Email": ANN}, ("bounced", "soft")),
        (
            {"RecordType": "Bounce", "Type": "Blocked", "Email": ANN, "Details": "smtp;550 5.1.1 no such user"},
            ("bounced", "soft"),
        ),
        ({"RecordType": "Bounce", "Type": "Transient", "Email": ANN}, ("deferred", None)),
        ({"RecordType": "Bounce", "Type": "ManuallyDeactivated", "Email": ANN}, ("rejected", None)),
        ({"RecordType": "Bounce", "Type": "Unsubscribe", "Email": ANN}, ("unsubscribed", None)),
        ({"RecordType": "SpamComplaint", "Email": ANN}, ("complained", None)),
        ({"RecordType": "Open", "Recipient": ANN}, ("opened", None)),
        ({"RecordType": "Click", "Recipient": ANN, "OriginalLink": "https://example.com/"}, ("clicked", None)),
        (
            {
                "RecordType": "SubscriptionChange",
                "Recipient": ANN,
                "SuppressSending": True,
                "SuppressionReason": "ManualSuppression",
            },
            ("unsubscribed", None),
        ),
        ({"RecordType": "SubscriptionChange", "Recipient": ANN, "SuppressSending": False}, ("resubscribed", None)),
    ],
)
def test_postmark(fields, expected):
    event = only("postmark", postmark(**fields))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference) == (ANN, "m1", "ours")


@pytest.mark.parametrize(
    "fields",
    [
        {"RecordType": "Bounce", "Type": "AutoResponder", "Email": ANN},
        {"RecordType": "Bounce", "Type": "Subscribe", "Email": ANN},
        {
            "RecordType": "SubscriptionChange",
            "Recipient": ANN,
            "SuppressSending": True,
            "SuppressionReason": "HardBounce",
        },
    ],
)
def test_postmark_tells_what_is_no_news(fields):
    assert tell("postmark", postmark(**fields)) == Told(())


def test_seven_digits_of_a_second_are_read():
    assert only(
        "postmark", postmark(RecordType="Open", Recipient=ANN, ReceivedAt="2027-01-15T08:00:00.1234567Z")
    ).at == pytest.approx(AT + 0.123456)


def sparkpost(kind: str, **fields: object) -> list[dict[str, object]]:
    event = {
        "type": kind,
        "raw_rcpt_to": ANN,
        "message_id": "m1",
        "event_id": "e1",
        "timestamp": str(int(AT)),
        **fields,
    }
    return [{"msys": {"message_event": {"rcpt_meta": {"jetpost": "ours"}, **event}}}]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("delivery", {}, ("delivered", None)),
        ("delay", {"raw_reason": "451 4.3.0 later"}, ("deferred", None)),
        ("bounce", {"bounce_class": "10"}, ("bounced", "hard")),
        ("bounce", {"bounce_class": "51"}, ("bounced", "soft")),
        ("bounce", {"bounce_class": 22}, ("bounced", "soft")),
        ("bounce", {"bounce_class": "90"}, ("unsubscribed", None)),
        ("bounce", {"bounce_class": "25"}, ("rejected", None)),
        ("out_of_band", {"bounce_class": "30"}, ("bounced", "hard")),
        ("policy_rejection", {}, ("rejected", None)),
        ("spam_complaint", {"fbtype": "abuse"}, ("complained", None)),
        ("spam_complaint", {"fbtype": "opt-out"}, ("unsubscribed", None)),
        ("open", {}, ("opened", None)),
        ("click", {"target_link_url": "https://example.com/"}, ("clicked", None)),
        ("list_unsubscribe", {}, ("unsubscribed", None)),
    ],
)
def test_sparkpost(kind, fields, expected):
    event = only("sparkpost", sparkpost(kind, **fields))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "m1", "ours", AT)


@pytest.mark.parametrize(
    "body",
    [
        [{"msys": {}}],
        sparkpost("injection"),
        sparkpost("initial_open"),
        sparkpost("bounce", bounce_class="60"),
        sparkpost("spam_complaint", fbtype="not-spam"),
    ],
)
def test_sparkpost_tells_what_is_no_news(body):
    assert tell("sparkpost", body) == Told(())


def mailjet(**fields: object) -> dict[str, object]:
    return {"email": ANN, "time": AT, "MessageID": 12345678901234567, "CustomID": "ours", **fields}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "sent"}, ("delivered", None)),
        ({"event": "bounce", "hard_bounce": True, "error": "user unknown"}, ("bounced", "hard")),
        ({"event": "bounce", "hard_bounce": False, "error": "mailbox inactive"}, ("bounced", "soft")),
        ({"event": "bounce", "hard_bounce": False, "error": "greylisted"}, ("deferred", None)),
        ({"event": "blocked", "error": "preblocked"}, ("rejected", None)),
        ({"event": "spam"}, ("complained", None)),
        ({"event": "unsub"}, ("unsubscribed", None)),
        ({"event": "open"}, ("opened", None)),
        ({"event": "click", "url": "https://example.com/"}, ("clicked", None)),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_mailjet(fields, expected, grouped):
    body = mailjet(**fields)
    event = only("mailjet", [body] if grouped else body)
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "12345678901234567", "ours", AT)


def test_a_duplicate_in_a_campaign_says_nothing_of_the_address():
    assert not only("mailjet", mailjet(event="blocked", error="duplicate in campaign")).listed
    assert only("mailjet", mailjet(event="blocked", error="preblocked")).listed


def brevo(**fields: object) -> dict[str, object]:
    return {
        "email": ANN,
        "id": 4,
        "message-id": "<our@id>",
        "ts_epoch": AT * 1_000,
        "date": "2027-01-15 09:00:00",
        **fields,
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("delivered", ("delivered", None)),
        ("deferred", ("deferred", None)),
        ("hard_bounce", ("bounced", "hard")),
        ("soft_bounce", ("bounced", "soft")),
        ("blocked", ("rejected", None)),
        ("complaint", ("complained", None)),
        ("spam", ("complained", None)),
        ("unsubscribe", ("unsubscribed", None)),
        ("unsubscribed", ("unsubscribed", None)),
        ("unique_opened", ("opened", None)),
        ("proxy_open", ("opened", None)),
        ("click", ("clicked", None)),
    ],
)
def test_brevo(kind, expected):
    event = only("brevo", brevo(event=kind))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.at, event.machine) == (ANN, "our@id", AT, kind == "proxy_open")


def test_brevo_writes_seconds_or_milliseconds():
    assert only("brevo", brevo(event="click", ts_epoch=AT)).at == AT
    assert only("brevo", brevo(event="click", ts_epoch=None, ts_event=AT)).at == AT


def test_brevo_batches_come_as_lists():
    told = tell("brevo", [brevo(event="delivered"), brevo(event="click", link="https://example.com/")])
    assert [event.event for event in told.events] == ["delivered", "clicked"]


def resend(kind: str, **data: object) -> dict[str, object]:
    return {
        "type": kind,
        "created_at": "2027-01-15T08:00:00Z",
        "data": {"email_id": "m1", "message_id": "<our@id>", "to": [ANN], **data},
    }


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("email.delivered", {}, ("delivered", None)),
        ("email.delivery_delayed", {}, ("deferred", None)),
        ("email.bounced", {"bounce": {"type": "Permanent", "subType": "General"}}, ("bounced", "hard")),
        ("email.bounced", {"bounce": {"type": "Transient", "subType": "MailboxFull"}}, ("bounced", "soft")),
        ("email.bounced", {"bounce": {"type": "Undetermined", "subType": "Undetermined"}}, ("bounced", "soft")),
        ("email.bounced", {"bounce": {"type": "Permanent", "subType": "Suppressed"}}, ("rejected", None)),
        ("email.complained", {}, ("complained", None)),
        ("email.opened", {}, ("opened", None)),
        ("email.clicked", {"click": {"link": "https://example.com/"}}, ("clicked", None)),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, ("rejected", None)),
        ("email.suppressed", {"suppressed": {"type": "OnAccountSuppressionList"}}, ("rejected", None)),
    ],
)
def test_resend(kind, data, expected):
    event = only("resend", resend(kind, **data), svix_id="msg_1")
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "m1", "our@id", AT)
    assert event.dedupe == "resend/msg_1"


def test_resend_does_not_say_whose_event_it_is_where_a_mail_had_several_recipients():
    assert (
        only("resend", resend("email.bounced", to=[ANN, "bob@example.com"], bounce={"type": "Permanent"})).recipient
        == ""
    )


@pytest.mark.parametrize(
    "kind", ["email.sent", "email.received", "contact.updated", "suppression.added", "domain.created"]
)
def test_resend_tells_what_is_no_news(kind):
    assert tell("resend", resend(kind)) == Told(())


def ses(kind: str, key: str, detail: object, *, name: str = "eventType") -> dict[str, object]:
    mail = {"messageId": "m1", "destination": [ANN], "headers": [{"name": "Message-ID", "value": "<our@id>"}]}
    message = json.dumps({name: kind, key: detail, "mail": mail})
    return {"Type": "Notification", "MessageId": "n1", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": message}


SES_AT = "2027-01-15T08:00:00.000Z"
SES_PEOPLE = [{"emailAddress": ANN}]


@pytest.mark.parametrize(
    ("kind", "key", "detail", "expected"),
    [
        ("Delivery", "delivery", {"recipients": [ANN]}, ("delivered", None)),
        ("DeliveryDelay", "deliveryDelay", {"delayedRecipients": SES_PEOPLE}, ("deferred", None)),
        (
            "Bounce",
            "bounce",
            {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": SES_PEOPLE},
            ("bounced", "hard"),
        ),
        (
            "Bounce",
            "bounce",
            {"bounceType": "Transient", "bounceSubType": "General", "bouncedRecipients": SES_PEOPLE},
            ("bounced", "soft"),
        ),
        ("Bounce", "bounce", {"bounceType": "Undetermined", "bouncedRecipients": SES_PEOPLE}, ("bounced", "soft")),
        (
            "Bounce",
            "bounce",
            {"bounceType": "Permanent", "bounceSubType": "OnAccountSuppressionList", "bouncedRecipients": SES_PEOPLE},
            ("rejected", None),
        ),
        (
            "Complaint",
            "complaint",
            {"complainedRecipients": SES_PEOPLE, "complaintFeedbackType": "abuse"},
            ("complained", None),
        ),
        (
            "Complaint",
            "complaint",
            {"complainedRecipients": SES_PEOPLE, "complaintSubType": "OnAccountSuppressionList"},
            ("rejected", None),
        ),
        ("Reject", "reject", {"reason": "Bad content"}, ("rejected", None)),
        ("Rendering Failure", "failure", {"errorMessage": "no name"}, ("rejected", None)),
        ("Open", "open", {"userAgent": "Mozilla/5.0"}, ("opened", None)),
        ("Click", "click", {"link": "https://example.com/"}, ("clicked", None)),
        ("Subscription", "subscription", {"newTopicPreferences": {"unsubscribeAll": True}}, ("unsubscribed", None)),
    ],
)
@pytest.mark.parametrize("name", ["eventType", "notificationType"])
def test_ses(kind, key, detail, expected, name):
    event = only("ses", ses(kind, key, {"timestamp": SES_AT, **detail}, name=name))
    assert summary(event) == expected
    assert (event.recipient, event.message_id, event.reference, event.at) == (ANN, "m1", "our@id", AT)
    assert event.dedupe == f"ses/{kind}/n1/{ANN}"


def test_ses_tells_of_each_recipient_by_itself():
    people = [{"emailAddress": ANN}, {"emailAddress": "bob@example.com"}]
    told = tell("ses", ses("Bounce", "bounce", {"bounceType": "Permanent", "bouncedRecipients": people}))
    assert [event.recipient for event in told.events] == [ANN, "bob@example.com"]
    assert len({event.dedupe for event in told.events}) == 2


@pytest.mark.parametrize(
    "body",
    [
        {
            "Type": "Notification",
            "MessageId": "n1",
            "Message": "Successfully validated SNS topic for Amazon SES event publishing.",
        },
        {"Type": "SubscriptionConfirmation", "MessageId": "n1", "SubscribeURL": "https://sns.us-east-1.amazonaws.com/"},
        ses("Send", "send", {}),
        ses("Complaint", "complaint", {"complainedRecipients": SES_PEOPLE, "complaintFeedbackType": "not-spam"}),
    ],
)
def test_ses_tells_what_is_no_news(body):
    assert tell("ses", body) == Told(())


def test_without_its_envelope_ses_is_not_believed():
    assert tell("ses", {"eventType": "Bounce"}).broken == 1


def test_our_own_words():
    body = {
        "id": "1",
        "event": "bounced",
        "bounce": "hard",
        "recipient": ANN,
        "message_id": "<our@id>",
        "at": AT,
        "code": 550,
        "text": "no such user",
    }
    event = only("standard", body)
    assert (summary(event), event.recipient, event.reference, event.at) == (("bounced", "hard"), ANN, "our@id", AT)
    assert (event.code, event.text, event.dedupe) == (550, "no such user", "standard/bounced/1")


@pytest.mark.parametrize("esp", sorted(set(ESPS) - {"ses", "sparkpost"}))
def test_what_is_not_known_is_told_and_stops_nothing(esp):
    item = {"event": "levitated", "type": "levitated", "RecordType": "levitated", "id": "1"}
    told = tell(esp, item)
    assert (told.events, told.unknown, told.broken) == ((), ("levitated",), 0)


@pytest.mark.parametrize(
    ("esp", "good"),
    [
        ("sendgrid", sendgrid(event="delivered")),
        ("mailjet", [mailjet(event="sent")]),
        ("brevo", [brevo(event="delivered")]),
    ],
)
def test_one_bad_item_loses_no_other(esp, good):
    told = tell(esp, [None, "text", 7, [], *good, {"event": {"a": 1}}])
    assert [event.event for event in told.events] == ["delivered"]
    assert told.broken == 4
