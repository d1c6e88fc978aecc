"""What reports and ingester rely on in ClickHouse, asked of a real one (chdb, in memory)."""

import math
import random
from collections import Counter

import pytest

from analytics import histogram, rows
from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseRefused, ClickHouseUnavailable
from analytics.reports import EventFilter, Reports
from analytics.settings import ClickHouseSettings
from events import facts, ids, states
from events.bus import Record
from events.ledger import Ledger

EVER = 2**63
AT = 1_796_083_195.0
"""Five seconds before a month ends."""
MONTH_END = AT + 5
PROVIDERS = ("gmail", "microsoft", "other")


async def test_what_migrating_would_do_is_told():
    opened = Store(ClickHouseSettings(url="chdb://", keep_days=0))
    try:
        await opened._run(lambda client: client.command("DROP TABLE IF EXISTS migrations"))
        lacking = await opened.lacking()
        assert lacking[0] == "events"
        assert await opened.migrate() == lacking
        assert await opened.lacking() == []
    finally:
        await opened.close()


@pytest.fixture
def reports(store, clock):
    clock.now = AT + 10
    return Reports(store, clock)


async def insert(store, stated, token="one", first=1):
    made = rows.to_rows(Record(facts.encode(fact), "events", first + n, 0.0, "") for n, fact in enumerate(stated))
    for table, columns in zip((tables.EVENTS, tables.CAMPAIGN_FACTS), made, strict=False):
        if columns:
            await store.insert(table, columns, token)


def mail(number, at=AT, attempt=1, campaign="spring", provider="gmail"):
    """The fields that every fact about a mail begins with."""
    address = f"user{number}@example.com"
    return (campaign, at, ids.mail_id(campaign, address), attempt, address, "main", provider)


def accepted(*where, latency=1.0, **which):
    return facts.EmailAccepted(*mail(*where, **which), latency)


def deferred(*where, **which):
    return facts.EmailDeferred(*mail(*where, **which), "transient", 451, "4.7.1", f"wait {where[0]} seconds", AT + 60)


def failed(*where, **which):
    return facts.EmailFailed(*mail(*where, **which), "block", 550, "5.7.1", "blocked")


def in_doubt(*where, **which):
    return facts.EmailInDoubt(*mail(*where, **which))


def bounced(*where, **which):
    return facts.EmailBounced(*mail(*where, **which), "hard", 550, "5.1.1", f"<user{where[0]}@example.com> unknown")


def some_facts(count, seed=1):
    """Outcomes of `count` mails over ten seconds around the end of a month."""
    rng = random.Random(seed)
    make = {accepted: 80, deferred: 10, bounced: 6, failed: 3, in_doubt: 1}
    return [
        outcome(n, at=AT + 10 * n / count, provider=rng.choice(PROVIDERS))
        for n, outcome in enumerate(rng.choices(list(make), list(make.values()), k=count))
    ]


async def sums(store):
    """How many events the table and each rollup count."""
    return (
        sum(row[3] for row in await store.query("outcome_counts", campaigns=["spring"])),
        sum(sum(row[1:]) for row in await store.query("rate", campaign="spring", since=0, step=60)),
        sum(row[1] for row in await store.query("latency", campaign="spring")),
        sum(row[5] for row in await store.query("failures", campaign="spring", limit=1_000)),
        sum(row[1] for row in await store.query("exact_states", campaign="spring")),
    )


async def test_migrating_twice_applies_nothing_twice(store):
    assert await store.migrate() == []


async def test_a_new_database_has_no_events(store):
    assert await store.query("has_events", until=EVER) == [(0,)]
    await insert(store, [accepted(1)])
    assert await store.query("has_events", until=EVER) == [(1,)]
    assert await store.query("has_events", until=0) == [(0,)]


async def test_repeating_an_insert_with_its_token_counts_nothing_twice_across_a_month_boundary(store):
    stated = some_facts(2_000)
    await insert(store, stated, "range")
    counted = await sums(store)
    await insert(store, stated, "range")
    assert await sums(store) == counted
    assert counted[0] == counted[1] == counted[4] == 2_000


async def test_the_token_tells_inserts_apart_not_their_content(store):
    for token in ("one", "two"):
        await insert(store, [accepted(1)], token)
    assert (await sums(store))[0] == 2


async def test_rollups_agree_with_the_events(store):
    stated = some_facts(3_000)
    await insert(store, stated)
    kinds = Counter(facts.type_of(fact) for fact in stated)
    total, rate, latency, failures, states = await sums(store)
    assert total == rate == states == 3_000
    assert latency == kinds["accepted"]
    assert failures == 3_000 - kinds["accepted"]


async def test_clickhouse_sorts_latencies_into_the_buckets_that_python_names(store):
    latencies = [0.0, 0.0004, 0.001, 0.5, 1.0, 1.0001, 3.7, 59.0, 86_400.0, 9e8]
    await insert(store, [accepted(n, latency=seconds) for n, seconds in enumerate(latencies)])
    expected = Counter(histogram.bucket_of(seconds) for seconds in latencies)
    assert dict(await store.query("latency", campaign="spring")) == expected


async def test_the_ledger_follows_a_campaign(store, reports):
    await insert(store, [facts.BatchPlanned("spring", AT, 1, 6)])
    assert await reports.ledger("spring") == Ledger(planned=6, queued=6)
    await insert(store, [accepted(1), deferred(2), bounced(3), failed(4), in_doubt(5)], "two")
    running = Ledger(planned=6, accepted=1, retrying=1, bounced=1, failed=1, in_doubt=1, queued=1)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == running
    await insert(store, [accepted(2, attempt=2), facts.EmailExpired(*mail(6))], "three")
    done = await reports.ledger("spring")
    assert done == await reports.exact_ledger("spring")
    assert done.balanced


async def test_a_mail_that_was_tried_again_after_doubt_counts_once(store, reports):
    stated = [facts.BatchPlanned("spring", AT, 1, 3)]
    stated += [in_doubt(1), accepted(1, attempt=2), in_doubt(2), deferred(2, attempt=2), in_doubt(3), accepted(3)]
    await insert(store, stated)
    expected = Ledger(planned=3, accepted=2, retrying=1)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == expected


async def test_a_late_acceptance_resolves_a_doubt_while_mails_are_queued_still(store, reports):
    stated = [facts.BatchPlanned("spring", AT, 1, 9), in_doubt(1), in_doubt(2)]
    await insert(store, [*stated, facts.EmailAccepted(*mail(1), 1.0, late=True)])
    assert await reports.ledger("spring") == Ledger(planned=9, accepted=1, in_doubt=1, queued=7)
    assert [row.mail_id for row in await reports.doubts("spring")] == [ids.mail_id("spring", "user2@example.com")]


async def test_a_mail_replayed_from_the_dlq_counts_once(store, reports):
    stated = [facts.BatchPlanned("spring", AT, 1, 2)]
    stated += [deferred(1), failed(1, attempt=2), failed(2)]
    stated += [facts.EmailRequeued(*mail(1, attempt=3)), accepted(1, attempt=3)]
    await insert(store, stated)
    expected = Ledger(planned=2, accepted=1, failed=1)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == expected


async def test_a_mail_that_was_put_back_is_retrying_until_its_next_outcome(store, reports):
    await insert(store, [facts.BatchPlanned("spring", AT, 1, 2), failed(1), in_doubt(2)])
    await insert(store, [facts.EmailRequeued(*mail(n, attempt=2)) for n in (1, 2)], "two")
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == Ledger(planned=2, retrying=2)
    await insert(store, [accepted(1, attempt=2), bounced(2, attempt=2)], "three")
    expected = Ledger(planned=2, accepted=1, bounced=1)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == expected


@pytest.mark.parametrize(("resolution", "column"), [("accepted", "accepted"), ("not_sent", "failed")])
async def test_a_resolved_doubt_is_none_any_more(store, reports, resolution, column):
    await insert(store, [facts.BatchPlanned("spring", AT, 1, 1), in_doubt(1)])
    await insert(store, [facts.DoubtResolved(*mail(1), resolution)], "two")
    expected = Ledger(planned=1, **{column: 1})
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == expected


async def test_putting_back_and_resolving_are_no_outcomes(store, reports):
    stated = [in_doubt(1), facts.DoubtResolved(*mail(1), "accepted"), facts.EmailRequeued(*mail(2, attempt=2))]
    await insert(store, stated)
    assert (await reports.first_attempts("spring")).count == 1
    assert [row.outcome for row in await reports.failures("spring")] == ["in_doubt"]
    assert dict(await store.query("recent_outcomes", since=int(AT), until=int(AT) + 1)) == {"spring": 1}


async def test_the_database_says_where_a_mail_is_as_the_rule_in_python_does(store, reports):
    rng = random.Random(5)
    kinds = [accepted, deferred, bounced, in_doubt, lambda *a, **k: facts.EmailRequeued(*mail(*a, **k))]
    kinds += [lambda *a, r=r, **k: facts.DoubtResolved(*mail(*a, **k), r) for r in ("accepted", "not_sent")]
    told = [rng.choice(kinds)(n, attempt=rng.randint(1, 3)) for n in range(400) for _ in range(rng.randint(1, 4))]
    await insert(store, told)
    expected = Counter(states.state_of(fact) for fact in states.standing(told).values())
    assert dict(await store.query("exact_states", campaign="spring")) == expected


async def test_a_reopened_campaign_runs_until_it_is_closed_again(store, reports):
    stated = [facts.BatchPlanned("spring", AT, 1, 1), facts.CampaignPlanned("spring", AT, 1, 1, 0, 0), failed(1)]
    await insert(store, [*stated, facts.CampaignClosed("spring", AT + 1, "finished", 0)])
    assert (await reports.overview())[0].status == "finished"
    again = [facts.CampaignReopened("spring", AT + 2, 1), facts.EmailRequeued(*mail(1, attempt=2))]
    await insert(store, again, "two")
    assert await reports.ledger("spring") == Ledger(planned=1, retrying=1)
    (reopened,) = await reports.overview()
    assert (reopened.status, reopened.finished_at, reopened.ledger.retrying) == ("running", None, 1)
    await insert(store, [accepted(1, attempt=2), facts.CampaignClosed("spring", AT + 3, "finished", 0, 1)], "three")
    (closed,) = await reports.overview()
    assert (closed.status, closed.finished_at, closed.ledger) == ("finished", AT + 3, Ledger(planned=1, accepted=1))


async def test_an_outcome_stated_twice_makes_the_ledger_count_mail_by_mail(store, reports):
    await insert(store, [facts.BatchPlanned("spring", AT, 1, 1), accepted(1)])
    await insert(store, [accepted(1)], "again")
    assert await reports.ledger("spring") == Ledger(planned=1, accepted=1)


async def test_mails_in_doubt_are_listed_until_something_is_known(store, reports):
    late = facts.EmailAccepted(*mail(2), 1.0, late=True)
    stated = [in_doubt(1), in_doubt(2), late, in_doubt(3), facts.DoubtResolved(*mail(3), "accepted", "cli")]
    stated += [in_doubt(4), facts.EmailRequeued(*mail(4, attempt=2)), in_doubt(5), in_doubt(5, attempt=2), accepted(6)]
    await insert(store, stated)
    assert [(row.recipient, row.attempt) for row in await reports.doubts("spring")] == [
        ("user5@example.com", 2),
        ("user1@example.com", 1),
    ]


async def test_a_closed_campaign_has_nothing_retrying(store, reports):
    stated = [facts.BatchPlanned("spring", AT, 1, 5), accepted(1), deferred(2)]
    await insert(store, [*stated, facts.CampaignClosed("spring", AT, "cancelled", 4)])
    assert await reports.ledger("spring") == Ledger(planned=5, accepted=1, cancelled=4)


async def test_a_batch_planned_twice_counts_once(store, reports):
    await insert(store, [facts.BatchPlanned("spring", AT, 1, 5)])
    await insert(store, [facts.BatchPlanned("spring", AT + 200, 1, 5)], "again")
    assert (await reports.ledger("spring")).planned == 5


async def test_an_unknown_campaign_has_an_empty_ledger(reports):
    assert await reports.ledger("nonesuch") == Ledger()


async def test_the_overview_lists_campaigns_the_newest_first(store, reports):
    await insert(
        store,
        [
            facts.CampaignStarted("spring", AT, "Spring", "main"),
            facts.BatchPlanned("spring", AT, 1, 20),
            facts.BatchQueued("spring", AT, 1, 20, 0, 0, 1_000, 10),
            facts.CampaignPlanned("spring", AT, 1, 20, 3, 4),
            facts.CampaignStarted("summer", AT + 1, "Summer", "main"),
            *(accepted(n, at=AT + 5) for n in range(20)),
            facts.CampaignClosed("spring", AT + 6, "finished", 0),
        ],
    )
    summer, spring = await reports.overview()
    assert (summer.campaign, summer.status, summer.started_at) == ("summer", "planning", AT + 1)
    assert (spring.name, spring.pool, spring.status, spring.finished_at) == ("Spring", "main", "finished", AT + 6)
    assert (spring.duplicates, spring.rejected, spring.batches_planned, spring.batches_queued) == (3, 4, 1, 1)
    assert spring.rate == 2.0
    assert spring.ledger == Ledger(planned=20, accepted=20)


async def test_the_overview_is_of_the_newest_campaigns_and_of_one_that_is_asked_for(store, reports):
    names = ("first", "second", "third", "fourth")
    await insert(store, [facts.CampaignStarted(name, AT + n, name, "main") for n, name in enumerate(names)])
    assert [summary.campaign for summary in await reports.overview(2)] == ["fourth", "third"]
    assert [summary.campaign for summary in await reports.overview(2, also="second")] == ["fourth", "second"]
    assert [summary.campaign for summary in await reports.overview(1, also="first")] == ["first"]


async def test_the_rate_has_a_point_for_every_step(store, reports):
    await insert(store, [accepted(1, at=AT), bounced(2, at=AT + 7), accepted(3, at=AT + 7, campaign="summer")])
    points = await reports.rate("spring", AT, 5)
    assert [(p.at - AT, p.accepted, p.bounced) for p in points] == [(0, 1, 0), (5, 0, 1), (10, 0, 0)]
    assert sum(point.accepted for point in await reports.rate(None, AT, 5)) == 2


async def test_latency_over_time_is_told_by_step(store, reports):
    stated = [accepted(n, at=MONTH_END + n // 50 * 20, latency=1 + n // 50) for n in range(100)]
    await insert(store, stated)
    early, late = await reports.latency_over_time("spring", 10)
    assert (late.at - early.at, early.count, late.count) == (20, 50, 50)
    assert early.p50 == pytest.approx(1, rel=0.1)
    assert late.p99 == pytest.approx(2, rel=0.1)


async def test_latency_has_quantiles_and_buckets(store, reports):
    await insert(store, [accepted(n, latency=0.01 * (n + 1)) for n in range(1_000)])
    latency = await reports.latency("spring")
    assert latency.count == sum(bucket.count for bucket in latency.buckets) == 1_000
    assert latency.p50 == pytest.approx(5.0, rel=0.1)
    assert latency.p999 == pytest.approx(10.0, rel=0.1)


async def test_providers_are_told_apart(store, reports):
    await insert(store, [accepted(1, latency=4.0), deferred(2), deferred(2, attempt=2), bounced(3, provider="other")])
    gmail, other = await reports.providers("spring")
    assert (gmail.provider, gmail.accepted, gmail.deferred) == ("gmail", 1, 2)
    assert gmail.p50 == pytest.approx(4.0, rel=0.1)
    assert (other.provider, other.bounced, other.p99) == ("other", 1, 0.0)


async def test_failures_of_one_reason_are_one_row(store, reports):
    await insert(store, [*(deferred(n) for n in range(5)), *(bounced(n) for n in range(10, 13))])
    first, second = await reports.failures("spring", 10)
    assert (first.outcome, first.failure_class, first.code, first.reply, first.count) == (
        *("deferred", "transient", 451),
        *("wait <n> seconds", 5),
    )
    assert (second.reply, second.count) == ("<address> unknown", 3)
    assert await reports.failures("spring", 1) == [first]


async def test_sizes_add_up_over_batches(store, reports):
    await insert(store, [facts.BatchQueued("spring", AT, n, 10, 0, 0, 1_000, 10) for n in (1, 2)])
    sizes = await reports.sizes("spring")
    assert (sizes.mails, sizes.raw_bytes, sizes.queued_bytes, sizes.ratio) == (20, 2_000, 20, 100.0)


async def test_first_attempts_leave_retries_out(store, reports):
    await insert(store, [accepted(1, at=AT), deferred(2, at=AT + 2.125), accepted(2, at=AT + 60, attempt=2)])
    attempts = await reports.first_attempts("spring")
    assert (attempts.count, attempts.first_at, attempts.last_at) == (2, AT, AT + 2.125)
    assert (await reports.first_attempts("nonesuch")).last_at is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EventFilter(), [4, 3, 2, 1]),
        (EventFilter(campaign="summer"), [4]),
        (EventFilter(types=("deferred", "bounced")), [3, 2]),
        (EventFilter(recipient="user2@example.com"), [2]),
        (EventFilter(mail_id=ids.mail_id("spring", "user3@example.com")), [3]),
        (EventFilter(provider="other"), [3]),
        (EventFilter(failure_class="hard"), [3]),
        (EventFilter(since=AT + 2, until=AT + 3), [3, 2]),
        (EventFilter(before_sequence=3), [2, 1]),
        (EventFilter(after_sequence=3), [4]),
        (EventFilter(campaign="'; DROP TABLE events; --"), []),
    ],
)
async def test_events_are_found_by_what_is_known_of_them(store, reports, wanted, found):
    stated = [accepted(1, at=AT + 1), deferred(2, at=AT + 2), bounced(3, at=AT + 3, provider="other")]
    await insert(store, [*stated, accepted(4, at=AT + 4, campaign="summer")])
    assert [row.sequence for row in await reports.events(wanted)] == found


async def test_an_event_is_shown_as_it_was_stated(store, reports):
    await insert(store, [deferred(17, at=AT + 0.125)])
    (row,) = await reports.events(EventFilter(), limit=1)
    assert (row.at, row.type, row.attempt, row.recipient) == (AT + 0.125, "deferred", 1, "user17@example.com")
    assert (row.code, row.enhanced, row.reply, row.retry_at) == (451, "4.7.1", "wait 17 seconds", AT + 60)
    assert math.isclose(row.latency_seconds, 0)


async def test_a_question_that_is_none_is_refused(store):
    with pytest.raises(ClickHouseRefused):
        await store.query("latency", wrong="parameter")


async def test_a_server_that_is_not_there_is_unavailable(free_port):
    away = Store(ClickHouseSettings(url=f"http://127.0.0.1:{free_port()}/jetpost"))
    with pytest.raises(ClickHouseUnavailable):
        await away.query("has_events", until=EVER)
    await away.close()
