"""What other releases wrote, this one reads, and the other way round: the bytes on the bus, one file for each type.

A change here changes what lies in people's queues. New fields go last, with defaults, and the files stay as they are.
"""

from pathlib import Path

import msgspec
import pytest

from events import facts, schemas, suppression
from events.suppression import PLAIN, Entry, Hashing, Removal

GOLDEN = Path(__file__).parents[2] / "data" / "events"
MAIL = {
    "campaign": "spring",
    "at": 1_800_000_000.5,
    "mail_id": "abcdefghijklmnop",
    "attempt": 2,
    "recipient": "zoë@example.org",
    "pool": "main",
    "provider": "gmail",
}
REFUSAL = {"failure_class": "soft", "code": 452, "enhanced": "4.2.2", "reply": "452 4.2.2 Mailbox full"}
REACTION = {name: MAIL[name] for name in ("campaign", "at", "mail_id", "recipient")}

FACTS = {
    "campaign_started": facts.CampaignStarted("spring", 1_800_000_000.5, name="Spring sale", pool="main"),
    "batch_planned": facts.BatchPlanned("spring", 1_800_000_000.5, batch=3, planned=50_000),
    "campaign_planned": facts.CampaignPlanned(
        "spring", 1_800_000_000.5, batches=3, planned=120_000, duplicates=7, rejected=2
    ),
    "batch_queued": facts.BatchQueued(
        "spring",
        1_800_000_000.5,
        batch=3,
        queued=49_990,
        failed=4,
        suppressed=6,
        raw_bytes=530_000_000,
        queued_bytes=4_500_000,
    ),
    "campaign_closed": facts.CampaignClosed("spring", 1_800_000_000.5, status="cancelled", cancelled=12, reopened=1),
    "campaign_reopened": facts.CampaignReopened("spring", 1_800_000_000.5, reopened=2),
    "sending_started": facts.SendingStarted("spring", 1_800_000_000.5, scheduled_for=1_799_999_999.0),
    "breaker_opened": facts.BreakerOpened(
        "spring",
        1_800_000_000.5,
        pool="main",
        provider="gmail",
        number=2,
        cause="blocks",
        bad=30,
        mails=400,
        limit=0.05,
        reason="30 of 400 mails (7.50%) were refused for policy or reputation; allowed are 5.00%",
    ),
    "breaker_closed": facts.BreakerClosed("spring", 1_800_000_000.5, pool="main", provider="gmail", number=2, by="cli"),
    "accepted": facts.EmailAccepted(
        **MAIL, latency_seconds=1.25, code=250, enhanced="2.0.0", reply="250 2.0.0 Ok: queued"
    ),
    "deferred": facts.EmailDeferred(**MAIL, **REFUSAL, retry_at=1_800_003_600.0),
    "bounced": facts.EmailBounced(
        **MAIL, **(REFUSAL | {"failure_class": "hard", "code": 550, "enhanced": "5.1.1"}), suppress=True
    ),
    "failed": facts.EmailFailed(**MAIL, **REFUSAL),
    "expired": facts.EmailExpired(**MAIL),
    "suppressed": facts.EmailSuppressed(**MAIL, reason="unsubscribed"),
    "in_doubt": facts.EmailInDoubt(**MAIL, reason="redelivered after a claim"),
    "requeued": facts.EmailRequeued(**MAIL, reason="resend", may_repeat=True),
    "doubt_resolved": facts.DoubtResolved(**MAIL, resolution="not_sent", by="cli", note="not in the relay's log"),
    "delivered": facts.EmailDelivered(**REACTION, by="ses"),
    "opened": facts.EmailOpened(**REACTION, machine="apple-mpp", client="yahoo-proxy", known_as="mailgun/opened/1"),
    "clicked": facts.EmailClicked(
        **REACTION, link=3, url="https://shop.example/sale?a=1&b=2", machine="scanner", known_as="c/2"
    ),
    "unsubscribed": facts.EmailUnsubscribed(**REACTION, scope="list", list="weekly", by="one-click", known_as="u/3"),
    "resubscribed": facts.EmailResubscribed(**REACTION, scope="all", by="page", known_as="r/4"),
    "complained": facts.EmailComplained(**REACTION, by="sendgrid"),
    "returned": facts.EmailReturned(
        **REACTION,
        kind="hard",
        by="mailgun",
        suppress="hard_bounce",
        failure_class="hard",
        code=550,
        enhanced="5.1.1",
        reply="no such user",
    ),
    "tracking_changed": facts.TrackingChanged(**REACTION, allowed=False),
}
BATCH = schemas.BatchJob("spring", 3, 50_000, "spring/batch/3")
QUEUED = schemas.Mail(
    mail_id="abcdefghijklmnop",
    recipient="zoë@example.org",
    attempt=2,
    queued_at=1_800_000_000.5,
    body=b"\x28\xb5\x2f\xfd\x00",
    smtputf8=True,
    charged=1,
    history=(schemas.Attempt(1, 1_800_000_001.0, "soft", 452, "4.2.2", "452 4.2.2 Mailbox full"),),
)
SAID = {
    "suppression": Entry(
        "zoë@example.org", "soft_bounce", 1_800_000_000, "campaign spring", list="news", expires_at=1_800_086_400
    ),
    "suppression_hashed": Entry("zoë@example.org", "complaint", 1_800_000_000, "esp"),
    "suppression_removed": Removal("zoë@example.org", 1_800_000_000, "cli", list="news"),
}
HASHING = dict.fromkeys(SAID, PLAIN) | {"suppression_hashed": Hashing("correct horse battery staple")}
CAMPAIGN = schemas.Campaign(
    id="spring",
    name="Spring sale",
    status="running",
    pool="main",
    return_path="bounces@example.org",
    created_at=1_800_000_000.5,
    deadline=1_800_086_400.0,
    planned=120_000,
    batches=3,
    subject="Grüße",
    from_header="Jetpost <news@example.org>",
)


def golden(name):
    return (GOLDEN / name).read_bytes()


@pytest.mark.parametrize("kind", FACTS)
def test_a_fact_has_its_golden_bytes(kind):
    assert facts.encode(FACTS[kind]) == golden(f"{kind}.msgpack")
    assert facts.decode(golden(f"{kind}.msgpack")) == FACTS[kind]


def test_every_fact_has_golden_bytes():
    kinds = {facts.type_of(fact) for fact in FACTS.values()}
    tags = {
        kind.__struct_config__.tag
        for kind in (*facts.MAIL_FACTS, *facts.CampaignFact.__args__, *facts.Reaction.__args__)
    }
    assert kinds == set(FACTS) == tags


def test_a_mail_has_its_golden_bytes():
    assert schemas.encode_mail(QUEUED) == golden("mail.msgpack")
    assert schemas.decode_mail(golden("mail.msgpack")) == QUEUED


def test_a_batch_has_its_golden_bytes():
    assert schemas.encode_batch(BATCH) == golden("batch.msgpack")
    assert schemas.decode_batch(golden("batch.msgpack")) == BATCH


def test_a_campaign_has_its_golden_bytes():
    assert schemas.encode_campaign(CAMPAIGN) == golden("campaign.json")
    assert schemas.decode_campaign(golden("campaign.json")) == CAMPAIGN


@pytest.mark.parametrize("kind", FACTS)
def test_a_fact_of_a_newer_release_is_read_without_its_new_fields(kind):
    newer = [*msgspec.msgpack.decode(golden(f"{kind}.msgpack")), "a field of tomorrow"]
    assert facts.decode(msgspec.msgpack.encode(newer)) == FACTS[kind]


def test_an_acceptance_of_before_there_were_late_ones_is_read_as_in_time():
    earlier = msgspec.msgpack.decode(golden("accepted.msgpack"))[:-1]
    assert facts.decode(msgspec.msgpack.encode(earlier)) == FACTS["accepted"]


def test_a_bounce_of_before_there_was_a_suppression_list_suppressed_nobody():
    earlier = msgspec.msgpack.decode(golden("bounced.msgpack"))[:-1]
    assert facts.decode(msgspec.msgpack.encode(earlier)) == msgspec.structs.replace(FACTS["bounced"], suppress=False)


@pytest.mark.parametrize("kind", ["opened", "clicked", "unsubscribed", "resubscribed"])
def test_a_reaction_of_before_esps_told_of_them_was_seen_here(kind):
    earlier = msgspec.msgpack.decode(golden(f"{kind}.msgpack"))[:-1]
    assert facts.decode(msgspec.msgpack.encode(earlier)) == msgspec.structs.replace(FACTS[kind], known_as="")


@pytest.mark.parametrize("name", SAID)
def test_what_is_said_of_a_suppressed_address_has_its_golden_bytes(name):
    assert suppression.message_of(SAID[name], HASHING[name]).payload == golden(f"{name}.msgpack")
    rows = suppression.decode(golden(f"{name}.msgpack"))
    (said,) = rows.entries() if rows.action == "add" else rows.removals()
    assert said == SAID[name]._replace(
        key=HASHING[name].key("zoë@example.org"), address="" if HASHING[name].conceals else "zoë@example.org"
    )


def test_a_mail_of_the_first_release_is_read_with_defaults():
    first = msgspec.msgpack.encode(["abcdefghijklmnop", "a@example.org", 1, 1_800_000_000.5, b"body"])
    assert schemas.decode_mail(first).history == ()


@pytest.mark.parametrize(
    "payload", [b"", b"\x00", b"not msgpack", msgspec.msgpack.encode(["unheard_of", "spring", 1.0])]
)
def test_what_is_no_fact_is_refused(payload):
    with pytest.raises(msgspec.MsgspecError):
        facts.decode(payload)
