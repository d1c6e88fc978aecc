"""Whatever a stranger sends, nothing raises, nothing is believed, and what is told is in our words."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.callbacks import reading
from analytics.callbacks.base import Event, EventName, Request, Secrets
from analytics.callbacks.registry import ESPS

KEYS = st.sampled_from(
    [
        "event",
        "events",
        "type",
        "Type",
        "RecordType",
        "email",
        "recipient",
        "Email",
        "Recipient",
        "timestamp",
        "time",
        "ts_epoch",
        "reason",
        "error",
        "code",
        "status",
        "bounce",
        "msys",
        "message_event",
        "bounce_class",
        "event-data",
        "signature",
        "token",
        "delivery-status",
        "message",
        "headers",
        "message-id",
        "data",
        "to",
        "created_at",
        "Message",
        "MessageId",
        "mail",
        "bouncedRecipients",
        "emailAddress",
        "bounceType",
        "destination",
        "id",
        "user-variables",
        "tags",
        "Metadata",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["bounce", "failed", "Bounce", "delivered", "email.bounced", "hard_bounce", "1e999", "-1", "NaN", "2027-01-15"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "authorization",
            "content-type",
            "svix-id",
            "svix-timestamp",
            "svix-signature",
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "x-signature",
            "x-timestamp",
            "x-amz-sns-message-type",
            "x-twilio-email-event-webhook-signature",
        ]
    ),
    st.text(max_size=40)
    | st.sampled_from(["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "Basic e30="]),
    max_size=5,
)
SECRETS = Secrets(
    signing_key=("key",),
    public_key=("MFkw",),
    webhook_secret=("whsec_MTIz",),
    basic=("u:p",),
    bearer=("t",),
    topic_arns=("arn",),
)


@pytest.mark.parametrize("esp", sorted(ESPS))
@given(headers=HEADERS, body=BODIES)
def test_a_stranger(esp, headers, body):
    request = Request(headers, body, 1_800_000_000.0)
    assert ESPS[esp].verify(request, SECRETS) in {"invalid", "stale"}
    for event in ESPS[esp].tell(request).events:
        assert isinstance(event, Event)
        assert event.event in get_args(EventName)
        assert (event.bounce is None) == (event.event != "bounced")
        assert event.dedupe.startswith(f"{esp}/")
        assert event.at is None or 0 < event.at < 4e10


def test_an_item_that_we_stumble_over_costs_no_other(caplog):
    def read(item):
        return Event(event="opened", dedupe="x") if item["known"] else None

    told = reading.told([{"known": True}, {}, 7, {"known": True}], read)
    assert (len(told.events), told.broken, told.faults) == (2, 1, ("KeyError: 'known'",))
    assert "stumble" in caplog.text


def test_a_list_where_a_word_belongs_is_nothing():
    item = {"msys": {"track_event": {"type": "open", "event_id": "1", "is_prefetched": ["true"]}}}
    (event,) = ESPS["sparkpost"].tell(Request({}, json.dumps([item]).encode(), None)).events
    assert event.machine is False


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\ude00", rb"\ud83d\ud83d", b"\xf0\x9f", b"\xff", rb"\uD83Dx"])
def test_half_a_character_costs_neither_its_item_nor_another(half):
    items = b'[{"event": "bounce", "reason": "550 no such %b user \\ud83d\\ude00"}, {"event": "open"}]' % half
    told = ESPS["sendgrid"].tell(Request({}, items, None))
    assert ([event.event for event in told.events], told.faults, told.broken) == (["bounced", "opened"], (), 0)
    assert told.events[0].code == 550
    assert "\ufffd" in told.events[0].text
    assert told.events[0].text.endswith("\U0001f600")


def test_a_byte_order_mark_is_not_in_the_way():
    assert ESPS["postmark"].tell(Request({}, b'\xef\xbb\xbf{"RecordType": "Open"}', None)).events[0].event == "opened"


def test_deep_nesting_is_no_json():
    body = b"[" * 100_000
    assert ESPS["sendgrid"].tell(Request({}, body, None)).broken == 1
    message = json.dumps({"Type": "Notification", "Message": "[" * 100_000}).encode()
    assert ESPS["ses"].tell(Request({}, message, None)).events == ()
