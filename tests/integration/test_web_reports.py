"""The web app over what a real ClickHouse (chdb, in memory) counted from facts."""

import httpx
import msgspec
import pytest
from ingesting import ingest_all

from analytics.reports import Reports
from analytics.web import models
from analytics.web.app import create_app
from analytics.web.settings import WebSettings
from events import facts, schemas, streams
from events.bus import Message
from events.schemas import Campaign

BEGUN = 1_800_000_000.0


@pytest.fixture
async def client(memory_bus, store, clock):
    app = create_app(memory_bus, Reports(store, clock), WebSettings(), clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


def history():
    """Five recipients: three accepted, one bounced, one waiting for its second attempt."""
    yield facts.CampaignStarted("spring", BEGUN, "Spring", "relay")
    yield facts.BatchPlanned("spring", BEGUN, 1, 5)
    yield facts.CampaignPlanned("spring", BEGUN, 1, 5, 2, 1)
    yield facts.BatchQueued("spring", BEGUN + 1, 1, 5, 0, 0, 50_000, 500)
    for number in range(3):
        to = (f"m{number}", 1, f"{number}@gmail.com", "relay", "gmail")
        yield facts.EmailAccepted("spring", BEGUN + 2 + number, *to, 0.5)
    to = ("m3", 1, "gone@yahoo.com", "relay", "yahoo")
    yield facts.EmailBounced("spring", BEGUN + 3, *to, "hard", 550, "5.1.1", "No such user")
    to = ("m4", 1, "full@yahoo.com", "relay", "yahoo")
    yield facts.EmailDeferred("spring", BEGUN + 4, *to, "soft", 452, "4.2.2", "Mailbox full", BEGUN + 60)


@pytest.fixture
async def counted(memory_bus, store, clock):
    """The history is in ClickHouse, ten seconds after the campaign began."""
    campaign = Campaign("spring", "Spring", "running", "relay", "b@example.com", BEGUN, planned=5, batches=1)
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    messages = [Message(facts.subject_of(fact), facts.encode(fact)) for fact in history()]
    await memory_bus.publish("EVENTS", messages)
    clock.now = BEGUN + 10
    await ingest_all(memory_bus, store, clock)


async def test_a_report_says_what_the_facts_say(client, counted):
    response = await client.get("/api/campaigns/spring/report")
    report = msgspec.json.decode(response.content, type=models.CampaignReport)
    ledger = report.figures.progress.ledger
    assert (ledger.planned, ledger.accepted, ledger.bounced, ledger.retrying, ledger.queued) == (5, 3, 1, 1, 0)
    assert report.figures.progress.consistent
    assert report.figures.mails_per_second == 5 / 4
    assert report.figures.sizes.ratio == 100
    assert sum(point.accepted for point in report.rate.points) == 3
    assert {row.provider: (row.accepted, row.bounced) for row in report.providers} == {"gmail": (3, 0), "yahoo": (0, 1)}
    assert {(row.failure_class, row.code) for row in report.failures} == {("hard", 550), ("soft", 452)}


async def test_events_are_found_by_type_and_recipient(client, counted):
    response = await client.get("/api/campaigns/spring/events?type=deferred&recipient=full@yahoo.com")
    (event,) = msgspec.json.decode(response.content, type=models.EventPage).events
    assert (event.reply, event.retry_at) == ("Mailbox full", BEGUN + 60)


async def test_a_store_without_any_facts_answers_with_no_campaigns(client):
    overview = msgspec.json.decode((await client.get("/api/campaigns")).content, type=models.Overview)
    assert overview.campaigns == []


async def test_a_campaign_whose_facts_are_not_counted_yet_is_shown_with_nothing_done(client, memory_bus):
    campaign = Campaign("spring", "Spring", "planning", "relay", "b@example.com", BEGUN)
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    report = msgspec.json.decode((await client.get("/api/campaigns/spring/report")).content, type=models.CampaignReport)
    assert report.figures.progress.ledger.planned == 0
