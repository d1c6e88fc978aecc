import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import rows
from analytics.clickhouse import tables
from events import facts
from events.bus import Record

AT = 1_800_000_000.123

MAIL = ("spring", AT, "mail", 2, "jo@example.com", "main", "gmail")
REACTION = ("spring", AT, "mail", "")
FACTS = {
    "accepted": facts.EmailAccepted(*MAIL, latency_seconds=1.5, code=250, enhanced="2.0.0", reply="ok 17"),
    "deferred": facts.EmailDeferred(*MAIL, "soft", 452, "4.2.2", "over quota by 17", AT + 60),
    "bounced": facts.EmailBounced(*MAIL, "hard", 550, "5.1.1", "unknown"),
    "failed": facts.EmailFailed(*MAIL, "block", 550, "5.7.1", "blocked"),
    "expired": facts.EmailExpired(*MAIL),
    "suppressed": facts.EmailSuppressed(*MAIL, "complained"),
    "in_doubt": facts.EmailInDoubt(*MAIL, "claimed before"),
    "requeued": facts.EmailRequeued(*MAIL, "resend", may_repeat=True),
    "doubt_resolved": facts.DoubtResolved(*MAIL, "not_sent", "cli", "the relay's log has no trace of it"),
    "campaign_started": facts.CampaignStarted("spring", AT, "Spring", "main"),
    "batch_planned": facts.BatchPlanned("spring", AT, 3, 50_000),
    "campaign_planned": facts.CampaignPlanned("spring", AT, 3, 120_000, 5, 7),
    "batch_queued": facts.BatchQueued("spring", AT, 3, 49_990, 4, 6, 500_000_000, 4_500_000),
    "campaign_closed": facts.CampaignClosed("spring", AT, "cancelled", 12),
    "campaign_reopened": facts.CampaignReopened("spring", AT, 2),
    "sending_started": facts.SendingStarted("spring", AT, AT - 2),
    "breaker_opened": facts.BreakerOpened("spring", AT, "main", "gmail", 2, "blocks", 30, 400, 0.05, "30 of 400"),
    "breaker_closed": facts.BreakerClosed("spring", AT, "main", "gmail", 2, "cli"),
    "delivered": facts.EmailDelivered(*REACTION, "ses"),
    "opened": facts.EmailOpened(*REACTION, "apple-mpp"),
    "clicked": facts.EmailClicked(*REACTION, 3, "https://shop.example/sale"),
    "unsubscribed": facts.EmailUnsubscribed(*REACTION, "list", "weekly", "one-click"),
    "resubscribed": facts.EmailResubscribed(*REACTION, "all", "", "page"),
    "complained": facts.EmailComplained(*REACTION, "sendgrid"),
    "returned": facts.EmailReturned(*REACTION, "hard", "mailgun", "hard_bounce", "hard", 550, "5.1.1", "unknown"),
    "tracking_changed": facts.TrackingChanged(*REACTION, allowed=False),
}


def record(payload, sequence=7):
    return Record(payload, "events.accepted.spring", sequence, AT, "")


def row_of(fact):
    """The one row that a fact becomes, by column."""
    made = rows.to_rows([record(facts.encode(fact))])
    (table, columns), *more = [
        (table, columns)
        for table, columns in (
            (tables.EVENTS, made.events),
            (tables.CAMPAIGN_FACTS, made.campaign_facts),
            (tables.REACTIONS, made.reactions),
        )
        if columns
    ]
    assert not more
    return {name: value for name, (value,) in zip(table.columns, columns, strict=True)}


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_becomes_a_row_of_its_type(kind):
    row = row_of(FACTS[kind])
    assert row["type"] == kind
    assert (row["sequence"], row["campaign"], row["at"]) == (7, "spring", 1_800_000_000_123)


def test_there_is_an_example_for_every_type_of_fact():
    assert {type(fact) for fact in FACTS.values()} == set(facts.Fact.__args__)


def test_the_fields_of_a_deferral_stand_in_their_columns():
    row = row_of(FACTS["deferred"])
    assert (row["mail_id"], row["attempt"], row["recipient"]) == ("mail", 2, "jo@example.com")
    assert (row["pool"], row["provider"], row["failure_class"]) == ("main", "gmail", "soft")
    assert (row["code"], row["enhanced"], row["reply"]) == (452, "4.2.2", "over quota by 17")
    assert (row["pattern"], row["retry_at"]) == ("over quota by <n>", 1_800_000_060_123)


def test_an_accepted_mail_keeps_its_reply_and_latency_but_needs_no_pattern():
    row = row_of(FACTS["accepted"])
    assert (row["reply"], row["pattern"], row["latency_seconds"], row["retry_at"]) == ("ok 17", "", 1.5, 0)


def test_the_reason_of_a_suppression_stands_where_replies_stand():
    assert row_of(FACTS["suppressed"])["reply"] == "complained"


def test_what_a_reader_did_stands_in_columns_of_its_own():
    row = row_of(FACTS["clicked"])
    assert (row["mail_id"], row["link"], row["url"]) == ("mail", 3, "https://shop.example/sale")
    assert (row["machine"], row["after_seconds"]) == ("", rows.UNKNOWN_SECONDS)
    assert row_of(FACTS["opened"])["machine"] == "apple-mpp"
    assert row_of(FACTS["unsubscribed"])["detail"] == "one-click"
    assert row_of(FACTS["tracking_changed"])["detail"] == "refused"


def test_a_mail_that_came_back_says_why_and_who_says_so():
    row = row_of(FACTS["returned"])
    assert (row["kind"], row["detail"], row["reply"]) == ("hard", "mailgun", "unknown")


def test_what_is_stated_twice_has_the_same_key_and_what_differs_has_not():
    again = msgspec.structs.replace(FACTS["complained"], at=AT + 9_999)
    assert row_of(again)["key"] == row_of(FACTS["complained"])["key"] > 0
    told = [msgspec.structs.replace(FACTS["opened"], known_as=known_as) for known_as in ("one", "other")]
    assert len({row_of(fact)["key"] for fact in told}) == 2


def test_how_a_doubt_was_resolved_and_by_whom_stands_in_its_row():
    row = row_of(FACTS["doubt_resolved"])
    assert (row["failure_class"], row["reply"]) == ("not_sent", "cli: the relay's log has no trace of it")


def test_a_resend_that_may_repeat_a_mail_says_so_in_its_row():
    assert row_of(FACTS["requeued"])["failure_class"] == "in_doubt"


def test_the_counts_of_a_queued_batch_stand_in_their_columns():
    row = row_of(FACTS["batch_queued"])
    assert (row["batch"], row["queued"], row["failed"], row["suppressed"]) == (3, 49_990, 4, 6)
    assert (row["raw_bytes"], row["queued_bytes"], row["planned"]) == (500_000_000, 4_500_000, 0)


@pytest.mark.parametrize("latency", [-0.5, float("nan"), float("inf"), 1e300])
def test_an_impossible_latency_counts_as_none(latency):
    fact = msgspec.structs.replace(FACTS["accepted"], latency_seconds=latency)
    assert row_of(fact)["latency_seconds"] == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"not a fact",
        msgspec.msgpack.encode(["no_such_fact", "spring", 1.0]),
        facts.encode(msgspec.structs.replace(FACTS["accepted"], at=float("nan"))),
        facts.encode(msgspec.structs.replace(FACTS["accepted"], at=1e15)),
        facts.encode(msgspec.structs.replace(FACTS["accepted"], attempt=-1)),
        facts.encode(msgspec.structs.replace(FACTS["bounced"], code=70_000)),
        facts.encode(msgspec.structs.replace(FACTS["batch_queued"], queued=-1)),
    ],
)
def test_what_cannot_be_a_row_is_kept_with_the_reason(payload):
    made = rows.to_rows([record(payload)])
    ((sequence,), (subject,), (kept,), (reason,)) = made.rejected_events
    assert (sequence, subject, kept) == (7, "events.accepted.spring", payload)
    assert reason
    assert not made.events
    assert not made.campaign_facts


@given(st.lists(st.sampled_from([*FACTS.values(), None]), max_size=30))
def test_every_message_becomes_exactly_one_row(chosen):
    messages = [record(b"?" if fact is None else facts.encode(fact), number) for number, fact in enumerate(chosen)]
    made = rows.to_rows(messages)
    sequences = [sequence for columns in made if columns for sequence in columns[0]]
    assert sorted(sequences) == list(range(len(chosen)))


def test_a_table_without_rows_has_no_columns():
    assert rows.to_rows([]) == ([], [], [], [])


USUAL = st.builds(
    facts.EmailAccepted,
    campaign=st.sampled_from(["spring", "summer"]),
    at=st.floats(0, 4_102_444_800.0),
    mail_id=st.text(max_size=16),
    attempt=st.integers(0, 65_535),
    recipient=st.text(max_size=20),
    pool=st.just("main"),
    provider=st.sampled_from(["gmail", "other"]),
    latency_seconds=st.floats(0, 1e9),
    code=st.integers(0, 65_535),
    reply=st.text(max_size=20),
)
UNUSUAL = st.builds(
    facts.EmailAccepted,
    campaign=st.just("spring"),
    at=st.floats(),
    mail_id=st.just("mail"),
    attempt=st.integers(-1, 70_000),
    recipient=st.just("jo@example.com"),
    pool=st.just("main"),
    provider=st.just("gmail"),
    latency_seconds=st.floats(),
    code=st.integers(-1, 70_000),
)
OTHERS = st.sampled_from([*FACTS.values()])


def by_table(made):
    """What is inserted into each table, without its order."""
    return [sorted(map(repr, zip(*columns, strict=True))) for columns in made]


@given(
    st.lists(st.one_of(USUAL, USUAL, OTHERS)),
    st.lists(UNUSUAL, max_size=1),
    st.lists(st.binary(max_size=4), max_size=1),
)
def test_many_facts_together_become_the_rows_that_each_becomes_alone(usual, unusual, unreadable):
    payloads = [*map(facts.encode, [*usual, *unusual]), *unreadable]
    records = [record(payload, sequence) for sequence, payload in enumerate(payloads, 1)]
    alone = [by_table(rows.to_rows([one])) for one in records]
    assert by_table(rows.to_rows(records)) == [
        sorted(row for made in alone for row in made[table]) for table in range(len(rows.Rows._fields))
    ]
    assert by_table(rows.to_rows(records)) == by_table(rows._row_by_row(records))
