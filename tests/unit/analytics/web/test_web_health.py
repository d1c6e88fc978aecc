from analytics import progress
from analytics.ranges import Range
from analytics.web import health
from analytics.web.models import CampaignInfo, Health, LaneDepth, Progress
from events import streams
from events.bus import Message, Storage
from events.ledger import Ledger

NOW = 1_800_000_000.0
PLENTY = Storage(used=10, limit=100)


def info(**changes):
    return CampaignInfo(
        **{"id": "s", "name": "S", "status": "running", "pool": "main", "created_at": NOW - 60} | changes
    )


def made(rate):
    return Progress(ledger=Ledger(), balanced=False, consistent=True, share_settled=0.0, rate=rate, eta_seconds=None)


def depth(waiting, held):
    return [LaneDepth(pool="main", provider="gmail", held=held, waiting=waiting, in_flight=0)]


def of_campaign(rate=0.0, waiting=5, held="", **changes):
    return health.of_campaign(Health(), info(**changes), made(rate), depth(waiting, held), NOW).message


def test_a_store_that_is_nearly_full_is_said_with_what_follows():
    told = health.judge(0, Storage(used=1_740_000_000, limit=2_000_000_000))
    assert told.analytics == "live"
    assert "1,740 MB of 2,000 MB (87%): producers wait" in told.message


def test_all_that_is_wrong_is_said():
    told = health.judge(1_000_000, Storage(used=90, limit=100))
    assert told.analytics == "behind"
    assert "producers wait" in told.message
    assert "figures are behind" in told.message


def test_nothing_wrong_is_nothing_said():
    assert health.judge(10, PLENTY).message == ""


def test_mails_that_are_due_and_get_no_outcome_are_said():
    assert "does the relay answer" in of_campaign()


def test_a_campaign_that_moves_waits_for_retries_is_paused_or_has_just_begun_does_not_stand_still():
    assert of_campaign(rate=1.0) == of_campaign(waiting=0) == of_campaign(status="paused") == ""
    assert of_campaign(created_at=NOW - 5) == ""


def test_lanes_that_are_stopped_or_paused_stand_still_for_a_reason_that_is_told_elsewhere():
    assert of_campaign(held="stopped") == of_campaign(held="paused") == ""


def test_a_campaign_that_waits_for_its_start_or_has_just_started_does_not_stand_still():
    assert of_campaign(scheduled=True, starts_at=NOW + 60) == of_campaign(started_at=NOW - 5) == ""


async def test_what_is_not_ingested_counts_as_lag_also_where_it_was_acknowledged(memory_bus):
    await memory_bus.publish("EVENTS", [Message("events.accepted.spring", b"")] * 100)
    book = progress.Book(await memory_bus.bucket(streams.INGEST))
    await book.write(progress.Progress(origin="x", range=Range(1, 40), inserted=True))
    found, ingested = await health.measure(memory_bus)
    assert (found.lag_events, ingested) == (60, 40)


async def test_a_bus_that_does_not_answer_is_told(memory_bus):
    memory_bus.unavailable = True
    found, ingested = await health.measure(memory_bus)
    assert (found.bus, ingested) == ("unavailable", 0)
