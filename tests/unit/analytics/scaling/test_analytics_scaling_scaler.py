"""The ingester looks at the bus, decides, and tells: in metrics, and in a document that others read."""

import asyncio
import json
from contextlib import aclosing

import pytest
from permitted_bus import PermittedBus
from prometheus_client import REGISTRY
from scaling_samples import SETTINGS

from analytics.patience import Patience
from analytics.scaling import scaler, stored
from analytics.scaling.decision import Limited
from analytics.scaling.scaler import Scaler
from analytics.scaling.stored import STALE_SECONDS
from analytics.settings import AnalyticsSettings
from events import fleet, permissions, schemas, streams, subjects
from events.bus import Message
from events.errors import BusUnavailable
from events.fleet import Beat, Bounds, Line
from events.ledger import Ledger
from events.schemas import Campaign


@pytest.fixture
def bus(memory_bus):
    return memory_bus


@pytest.fixture
def looking(bus, clock):
    return Scaler(PermittedBus(bus, permissions.INGESTER), SETTINGS, clock)


async def put(bus, bucket, key, value):
    await (await bus.bucket(bucket)).put(key, value)


async def start_campaign(bus, mails=2_000, **more):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", bus.clock(), planned=mails, **more)
    await put(bus, streams.CAMPAIGNS, "spring", schemas.encode_campaign(campaign))
    due = subjects.mail_due("main", "gmail", "spring")
    await bus.publish("MAIL", [Message(due, b"") for _ in range(mails)])


async def beat(bus, name="a", rate=0.5, **more):
    line = Line(20, rate, **more)
    await put(bus, streams.SENDERS, name, fleet.encode(Beat(name, bus.clock(), {"main": line})))


def shown(name, **labels):
    return REGISTRY.get_sample_value(name, labels)


async def test_what_is_wanted_is_shown_with_its_reason(bus, looking):
    await start_campaign(bus)
    await beat(bus)
    decision = await looking.look()
    assert (decision.wanted, decision.reason, decision.alive) == (2, "deadline", 1)
    assert (shown("senders_wanted", reason="deadline"), shown("senders_alive")) == (2, 1)
    assert shown("sender_capacity_mails_per_second", pool="main") == 0.5
    assert shown("campaign_deadline_risk_seconds", campaign="spring") == 0.0
    await bus.purge("MAIL", ">")
    assert (await looking.look()).reason == "cooldown"
    assert shown("senders_wanted", reason="deadline") is None
    assert shown("senders_wanted", reason="cooldown") == 2


async def test_what_limits_a_campaign_is_shown(bus, looking):
    await start_campaign(bus)
    await beat(bus, lanes={"gmail": Bounds(rate=0.25)})
    decision = await looking.look()
    assert decision.limited == (Limited("spring", "main.gmail", 0.25),)
    assert shown("sending_limited", by="main.gmail") == 1
    assert shown("campaign_deadline_risk_seconds", campaign="spring") == 2_000 / 0.25 - 3_600


async def test_what_senders_share_about_a_lane_limits_it_and_what_cannot_be_read_does_not(bus, looking):
    await start_campaign(bus)
    await beat(bus)
    await put(bus, streams.THROTTLE, "main", b'{"pace": "slow"}')
    await put(bus, streams.THROTTLE, "campaign=spring", b'{"tat": 1.5}')
    assert (await looking.look()).limited == ()
    await put(bus, streams.THROTTLE, "main.gmail", b'{"tat": 3.5, "allowance": 50}')
    assert (await looking.look()).limited == (Limited("spring", "main.gmail", None),)


async def test_a_sender_that_was_killed_does_not_count_after_a_few_seconds(bus, looking, clock):
    await beat(bus)
    assert (await looking.look()).alive == 1
    clock.advance(fleet.ALIVE_SECONDS + 0.1)
    assert (await looking.look()).alive == 0


async def test_others_read_what_was_decided_as_long_as_it_holds(bus, looking, clock):
    assert await stored.newest(bus, clock()) is None
    decision = await looking.look()
    assert await stored.newest(bus, clock()) == decision
    clock.advance(STALE_SECONDS + 1)
    assert await stored.newest(bus, clock()) is None


async def test_the_next_ingester_goes_on_where_the_last_one_stopped(bus, looking, clock):
    await start_campaign(bus)
    await beat(bus)
    await looking.look()
    await bus.purge("MAIL", ">")
    clock.advance(5)
    decision = await Scaler(bus, SETTINGS, clock).look()
    assert (decision.wanted, decision.reason) == (2, "cooldown")
    assert decision.capacity == {"main": 0.5}


async def test_what_an_ingester_of_another_release_wrote_is_decided_anew(bus, looking):
    await put(bus, streams.INGEST, "scaling", b'{"decision": 7}')
    assert (await looking.look()).reason == "idle"


async def test_it_is_written_when_it_changes_and_now_and_then(bus, looking, clock):
    async def revision():
        return (await (await bus.bucket(streams.INGEST)).get("scaling")).revision

    await looking.look()
    first = await revision()
    clock.advance(1)
    await looking.look()
    assert await revision() == first
    await start_campaign(bus)
    await looking.look()
    changed = await revision()
    assert changed > first
    clock.advance(5)
    await looking.look()
    assert await revision() > changed


async def test_where_it_takes_long_to_work_out_it_is_worked_out_less_often(looking):
    await looking.look()
    looking._took = 0.001
    assert looking.pause_seconds == scaler.ONCE_PER_SECOND
    looking._took = 0.1
    assert looking.pause_seconds == 5.0


class Counted:
    """Reports, as far as they matter here."""

    def __init__(self):
        self.asked = []

    async def ledger(self, campaign):
        self.asked.append(campaign)
        return Ledger(planned=2_000, queued=500, retrying=100)


async def test_what_clickhouse_counts_tells_retries_from_first_tries(bus, looking, clock):
    reports = Counted()
    await start_campaign(bus, deadline=clock() - 1_000.0)
    await beat(bus, rate=1.0)
    uncounted = await looking.look()
    await looking.count(reports)
    counted = await looking.look()
    assert reports.asked == ["spring"]
    assert uncounted.late["spring"] > counted.late["spring"] > 0
    clock.advance(STALE_SECONDS + 1)
    assert (await looking.look()).late["spring"] == pytest.approx(uncounted.late["spring"] + STALE_SECONDS + 1, rel=0.1)


async def test_campaigns_of_which_nothing_is_queued_are_not_counted(bus, looking):
    reports = Counted()
    await start_campaign(bus, mails=0)
    await looking.look()
    await looking.count(reports)
    assert reports.asked == []


async def test_where_nats_is_away_for_long_nothing_is_shown_any_more(bus, looking, clock):
    await looking.look()
    bus.unavailable = True
    with pytest.raises(BusUnavailable):
        await looking.look()
    assert shown("senders_wanted", reason="idle") == 0
    clock.advance(STALE_SECONDS + 1)
    with pytest.raises(BusUnavailable):
        await looking.look()
    assert shown("senders_wanted", reason="idle") is None
    bus.unavailable = False
    await looking.look()
    assert shown("senders_wanted", reason="idle") == 0


async def test_a_decision_that_fails_is_tried_again_and_ends_nothing(caplog):
    stop, called = asyncio.Event(), []

    async def fail_once():
        called.append(len(called))
        if len(called) == 1:
            raise ZeroDivisionError
        stop.set()

    patience = Patience("scale", AnalyticsSettings(retry_base_seconds=0.001), stop)
    await scaler.again(fail_once, lambda: 0.001, patience, stop)
    assert called == [0, 1]
    assert "working out how many senders are wanted failed" in caplog.text


async def test_senders_are_wanted_while_clickhouse_does_not_answer(bus, clock):
    stop, asked = asyncio.Event(), asyncio.Event()

    class Silent:
        async def ledger(self, _campaign):
            asked.set()
            await asyncio.Event().wait()

    await start_campaign(bus)
    await beat(bus)
    settings = AnalyticsSettings(scaling=SETTINGS)
    task = asyncio.create_task(scaler.run(bus, Silent(), settings, clock=clock, stop=stop, count_seconds=0.01))
    await asked.wait()
    clock.advance(5)
    async with asyncio.timeout(10), aclosing((await bus.bucket(streams.INGEST)).watch()) as told:
        async for entry in told:
            if entry is not None and json.loads(entry.value)["decision"]["at"] == clock():
                break
    stop.set()
    await task
