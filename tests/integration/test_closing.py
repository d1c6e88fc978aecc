"""The closing loop between a bus in memory and a real ClickHouse (chdb, in memory)."""

import asyncio

import pytest
from ingesting import ingest_all
from permitted_bus import PermittedBus

from analytics import closing as closing_loop
from analytics.clickhouse.client import Store
from analytics.closing import Closing
from analytics.reports import Reports
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import breaker, campaigns, facts, permissions, plans, schemas, streams, subjects
from events.bus import Message
from events.ledger import Ledger
from events.schemas import Campaign

SETTINGS = AnalyticsSettings(batch_age_seconds=0.01, exact_check_interval_seconds=0.0)


@pytest.fixture
def bus(memory_bus):
    return memory_bus


@pytest.fixture
def reports(store, clock):
    return Reports(store, clock)


@pytest.fixture
def closing(bus, reports, clock):
    return Closing(PermittedBus(bus, permissions.INGESTER), reports, SETTINGS, clock)


async def start_campaign(bus, status="running", planned=3):
    campaign = Campaign("spring", "Spring", status, "main", "b@example.com", bus.clock(), planned=planned, batches=2)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    for lane in streams.lanes("spring", "main"):
        await bus.create_consumer(lane)
    blobs = await bus.blobs()
    for name in ("compiled", "dictionary", "batch/1", "batch/2"):
        await blobs.put(f"spring/{name}", b"data")


async def state(bus, store, *stated):
    """Publish facts, and have them ingested as they would be."""
    await bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in stated])
    await ingest_all(bus, store, bus.clock)


def accepted(number, at):
    return facts.EmailAccepted("spring", at, f"m{number}", 1, f"{number}@example.com", "main", "gmail", 1.0)


def planned(at, count=3):
    return facts.BatchPlanned("spring", at, 1, count), facts.CampaignPlanned("spring", at, 1, count, 0, 0)


async def last_fact(bus):
    return [facts.decode(record.payload) async for record in bus.read("EVENTS", ">")][-1]


async def test_a_campaign_whose_recipients_all_have_an_outcome_is_finished(bus, store, closing, clock):
    await start_campaign(bus)
    await state(bus, store, *planned(clock()), *(accepted(n, clock()) for n in range(3)))
    await closing.look()
    campaign = await campaigns.get(bus, "spring")
    assert (campaign.status, campaign.finished_at) == ("finished", clock())
    assert await last_fact(bus) == facts.CampaignClosed("spring", clock(), "finished", 0)


async def test_what_a_finished_campaign_leaves_is_what_a_replay_needs(bus, store, closing, clock):
    await start_campaign(bus)
    await breaker.change(bus, "spring", lambda known: breaker.complained(known, {"main.gmail": 1}, 1))
    await state(bus, store, *planned(clock()), *(accepted(n, clock()) for n in range(3)))
    await closing.look()
    assert await breaker.all_of(bus) == []
    blobs = await bus.blobs()
    assert await blobs.get("spring/compiled") == await blobs.get("spring/dictionary") == b"data"
    for number in (1, 2):
        with pytest.raises(KeyError):
            await blobs.get(f"spring/batch/{number}")
    for lane in streams.lanes("spring", "main"):
        assert await bus.consumer_state("MAIL", lane.name) is None


async def test_a_campaign_with_a_recipient_left_stays_open(bus, store, closing, clock):
    await start_campaign(bus)
    await state(bus, store, *planned(clock()), accepted(1, clock()), accepted(2, clock()))
    await closing.look()
    clock.advance(1_000)
    await closing.look()
    assert (await campaigns.get(bus, "spring")).status == "running"


@pytest.mark.parametrize("where", ["due", "waiting", "batch"])
async def test_a_campaign_with_anything_in_a_queue_stays_open(bus, store, closing, clock, where):
    await start_campaign(bus)
    due = subjects.mail_due("main", "gmail", "spring")
    waiting = subjects.mail_waiting("spring", "main", "gmail", "soft", "m9")
    stream, message = {
        "due": ("MAIL", Message(due, b"")),
        "waiting": ("MAIL", Message(waiting, b"", due_at=clock() + 9_999, target=due)),
        "batch": ("BATCHES", Message(subjects.batches("spring"), b"")),
    }[where]
    await bus.publish(stream, [message])
    await state(bus, store, *planned(clock()), *(accepted(n, clock()) for n in range(3)))
    await closing.look()
    assert (await campaigns.get(bus, "spring")).status == "running"


async def test_an_outcome_stated_twice_does_not_keep_a_campaign_open(bus, store, closing, clock):
    await start_campaign(bus)
    twice = [accepted(1, clock()), accepted(1, clock())]
    await state(bus, store, *planned(clock()), *twice, accepted(2, clock()), accepted(3, clock()))
    await closing.look()
    assert (await campaigns.get(bus, "spring")).status == "finished"


async def test_a_cancelled_campaign_is_closed_after_it_has_been_quiet(bus, store, closing, reports, clock):
    await start_campaign(bus, status="cancelled", planned=None)
    await state(bus, store, facts.BatchPlanned("spring", clock(), 1, 3), accepted(1, clock()))
    await closing.look()
    assert (await campaigns.get(bus, "spring")).finished_at is None
    clock.advance(SETTINGS.cancel_quiet_seconds)
    await closing.look()
    closed = await campaigns.get(bus, "spring")
    assert (closed.status, closed.finished_at) == ("cancelled", clock())
    await state(bus, store)
    assert await reports.ledger("spring") == Ledger(planned=3, accepted=1, cancelled=2)


async def test_an_outcome_after_the_cancellation_begins_the_quiet_anew(bus, store, closing, clock):
    await start_campaign(bus, status="cancelled")
    await state(bus, store, facts.BatchPlanned("spring", clock(), 1, 3))
    await closing.look()
    clock.advance(SETTINGS.cancel_quiet_seconds)
    await state(bus, store, accepted(1, clock()))
    await closing.look()
    assert (await campaigns.get(bus, "spring")).finished_at is None
    clock.advance(SETTINGS.cancel_quiet_seconds)
    await closing.look()
    assert await last_fact(bus) == facts.CampaignClosed("spring", clock(), "cancelled", 2)


async def test_closing_goes_on_where_a_dead_process_stopped(bus, store, closing, clock):
    await start_campaign(bus)
    await state(bus, store, *planned(clock()), *(accepted(n, clock()) for n in range(3)))
    await campaigns.change(bus, "spring", lambda campaign: campaigns.finish(campaign, clock()))
    await closing.clear_recently_closed()
    assert await bus.consumer_state("MAIL", streams.lanes("spring", "main")[0].name) is None


class Counting:
    """Reports during whose counting something happens."""

    def __init__(self, reports, happens):
        self._reports = reports
        self._happens = happens

    def __getattr__(self, name):
        return getattr(self._reports, name)

    async def exact_ledger(self, campaign):
        counted = await self._reports.exact_ledger(campaign)
        await self._happens()
        return counted


def given_up(number, at):
    return facts.EmailFailed(
        "spring", at, f"m{number}", 1, f"{number}@example.com", "main", "gmail", "block", 550, "", ""
    )


def put_back(number, at):
    return facts.EmailRequeued("spring", at, f"m{number}", 2, f"{number}@example.com", "main", "gmail", "replayed")


async def lanes(bus):
    names = [lane.name for lane in streams.lanes("spring", "main")]
    return [name for name in names if await bus.consumer_state("MAIL", name)]


async def test_a_campaign_that_is_reopened_while_it_is_counted_goes_on(bus, store, reports, clock):
    await start_campaign(bus)
    await state(bus, store, *planned(clock(), 1), given_up(0, clock()))

    async def reopen():
        await campaigns.reopen_campaign(bus, "spring", clock())

    await Closing(bus, Counting(reports, reopen), SETTINGS, clock).look()
    campaign = await campaigns.get(bus, "spring")
    assert (campaign.status, campaign.finished_at) == ("running", None)
    assert len(await lanes(bus)) == 5


async def test_a_finished_campaign_is_reopened_by_a_replay_and_finishes_again(bus, store, closing, reports, clock):
    await start_campaign(bus, planned=1)
    await state(bus, store, *planned(clock(), 1), given_up(0, clock()))
    await closing.look()
    assert await lanes(bus) == []
    await campaigns.reopen_campaign(bus, "spring", clock())
    await state(bus, store, put_back(0, clock()))
    (summary,) = await reports.overview()
    assert (summary.status, summary.finished_at) == ("running", None)
    assert await reports.ledger("spring") == await reports.exact_ledger("spring") == Ledger(planned=1, retrying=1)
    assert len(await lanes(bus)) == 5
    await state(bus, store, facts.EmailAccepted("spring", clock(), "m0", 2, "0@example.com", "main", "gmail", 1.0))
    await closing.look()
    (campaign,) = await campaigns.all_of(bus)
    assert (campaign.status, campaign.reopened) == ("finished", 1)
    await state(bus, store)
    assert await reports.ledger("spring") == Ledger(planned=1, accepted=1)


async def test_lanes_that_were_deleted_while_their_campaign_was_reopened_come_back_at_the_start(bus, closing, clock):
    await start_campaign(bus)
    await campaigns.reopen_campaign(bus, "spring", clock())
    for lane in streams.lanes("spring", "main"):
        await bus.delete_consumer("MAIL", lane.name)
    await closing.clear_recently_closed()
    assert len(await lanes(bus)) == 5


async def test_a_finished_campaign_that_is_reopened_is_finished_again_with_its_new_outcomes(
    bus, store, closing, reports, clock
):
    await start_campaign(bus)
    failed = facts.EmailFailed(
        "spring", clock(), "m9", 1, "9@example.com", "main", "gmail", "block", 550, "5.7.1", "no"
    )
    await state(bus, store, *planned(clock()), accepted(1, clock()), accepted(2, clock()), failed)
    await closing.look()
    await campaigns.reopen_campaign(bus, "spring", clock())
    put_back = facts.EmailRequeued("spring", clock(), "m9", 2, "9@example.com", "main", "gmail", "replay")
    await state(bus, store, put_back)
    await closing.look()
    assert (await campaigns.get(bus, "spring")).status == "running"
    assert await reports.ledger("spring") == Ledger(planned=3, accepted=2, retrying=1)
    outcome = facts.EmailAccepted("spring", clock(), "m9", 2, "9@example.com", "main", "gmail", 1.0)
    await state(bus, store, outcome)
    await closing.look()
    assert (await campaigns.get(bus, "spring")).status == "finished"
    assert await last_fact(bus) == facts.CampaignClosed("spring", clock(), "finished", 0, reopened=1)
    await state(bus, store)
    assert (await reports.ledger("spring")).balanced


async def test_whom_a_campaign_planned_is_remembered_as_long_as_events(bus, closing, clock):
    await start_campaign(bus)
    blobs = await bus.blobs()
    for number in (1, 2):
        await blobs.put(plans.blob_name("spring", number), bytes(10))
    await campaigns.change(bus, "spring", lambda one: campaigns.finish(one, clock()))
    await closing.forget_old_plans()
    assert len([mails async for mails in plans.read(bus, "spring", 2)]) == 2
    clock.advance(streams.EVENTS.max_age_seconds + 1)
    await closing.forget_old_plans()
    for number in (1, 2):
        with pytest.raises(KeyError):
            await blobs.get(plans.blob_name("spring", number))


async def test_where_a_campaign_runs_and_clickhouse_is_new_closing_does_not_wait_for_the_ingester_to_make_tables(bus):
    await start_campaign(bus)
    new, stop, looked = Store(ClickHouseSettings(url="chdb://", keep_days=0)), asyncio.Event(), asyncio.Event()

    class Watched(Reports):
        async def ledger(self, campaign):
            found = await super().ledger(campaign)
            looked.set()
            return found

    settings = AnalyticsSettings(closing_interval_seconds=0.01)
    task = asyncio.create_task(
        closing_loop.run(bus, Watched(new, bus.clock), settings, clock=bus.clock, stop=stop), name="closing"
    )
    waiting = asyncio.create_task(looked.wait())
    await asyncio.wait({task, waiting}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await task
    await waiting
    await new.close()


async def test_a_ledger_is_asked_for_again_only_when_something_was_inserted(bus, store, clock):
    asked = []

    class Counting(Reports):
        async def ledger(self, campaign):
            asked.append(campaign)
            return await super().ledger(campaign)

    await start_campaign(bus)
    await state(bus, store, *planned(clock()), accepted(1, clock()))
    closing = Closing(bus, Counting(store, clock), SETTINGS, clock)
    for _ in range(3):
        await closing.look()
    assert asked == ["spring"]
    await state(bus, store, accepted(2, clock()))
    await closing.look()
    assert asked == ["spring"] * 2
