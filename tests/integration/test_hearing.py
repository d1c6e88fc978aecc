"""What ESPs tell, from a stored callback to facts, counts and the suppression list: over both buses and a real ClickHouse."""

import asyncio
import contextlib
import json
import random
import time

import esps
import pytest
from ingesting import ingest_all
from msgspec.structs import replace
from permitted_bus import PermittedBus

from analytics import engagement, evidence, wishes
from analytics.callbacks import reading, sendgrid
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseUnavailable
from analytics.hearing import confirming, desk, understanding
from analytics.hearing.confirming import Confirming
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from analytics.web.webhooks.fetching import FetchFailed
from events import breaker, callbacks, facts, ids, parked, permissions, schemas, streams, subjects, suppression
from events.bus import Message
from events.callbacks import Callback
from events.errors import BusUnavailable
from events.schemas import Campaign
from events.suppression_list import SuppressionList

AT = 1_800_000_000.0
ADA, BEN = "ada@example.com", "ben@gmail.com"
SETTINGS = AnalyticsSettings(batch_age_seconds=0.01, retry_base_seconds=0.01, retry_max_seconds=0.02)


class SometimesAway(Store):
    away = False

    async def query(self, name, **parameters):
        if self.away:
            raise ClickHouseUnavailable("the test made it so")
        return await super().query(name, **parameters)


@pytest.fixture
async def store():
    opened = SometimesAway(ClickHouseSettings(url="chdb://", keep_days=0))
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def spring(bus):
    campaign = Campaign(
        id="spring",
        name="Spring",
        status="running",
        pool="main",
        return_path="b@example.com",
        created_at=AT,
        list="news",
    )
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    return campaign


def reference(address):
    return f"{ids.mail_id('spring', address)}.spring"


def callback(esp, *events, endpoint="main", suppress=(), now=AT):
    """As the reception stores it."""
    body = json.dumps(list(events) if esp == "sendgrid" else events[0]).encode()
    _, body = esps.signed(esp, body, now)
    made = Callback(esp, endpoint, now, {"content-type": "application/json"}, b"", suppress=suppress)
    return made, body


async def store_all(bus, *told):
    messages = [
        callbacks.message_of(callbacks.with_body(made, body), callbacks.id_of(made, body)) for made, body in told
    ]
    await bus.publish("CALLBACKS", messages)


class Stage:
    """Everything that hears, counts and carries out, step by step."""

    def __init__(self, bus, store, fetch=None):
        self.bus, self.store, self.fetch = bus, store, fetch
        self.now = AT + 10

    def clock(self):
        return self.now

    async def hear(self):
        consumer = await self.bus.consumer("CALLBACKS", "hearing")
        made = desk.Desk(
            PermittedBus(self.bus, permissions.INGESTER),
            consumer,
            self.store,
            suppression.PLAIN,
            self.clock,
            Confirming(self.fetch),
        )
        while (found := await self.bus.consumer_state("CALLBACKS", "hearing")).waiting:
            await made.hear()
        await asyncio.gather(*made.confirming._tasks)
        await consumer.close()
        return found

    async def ingest(self):
        await ingest_all(PermittedBus(self.bus, permissions.INGESTER), self.store, time.time)

    async def carry_out(self):
        consumer = await self.bus.consumer("EVENTS", "wishes")
        made = wishes.Desk(
            PermittedBus(self.bus, permissions.INGESTER), consumer, self.store, suppression.PLAIN, self.clock
        )
        while (await self.bus.consumer_state("EVENTS", "wishes")).waiting:
            await made.carry_out()
        await consumer.close()

    async def suppressed(self, *addresses):
        known = SuppressionList(self.bus, suppression.PLAIN, self.clock)
        await known.catch_up()
        return dict(known.among("news", addresses))

    async def facts(self):
        return [facts.decode(record.payload) async for record in self.bus.read("EVENTS", subjects.EVENTS)]


@pytest.fixture
def stage(bus, store, spring):
    return Stage(bus, store)


@pytest.mark.parametrize("esp", ["sendgrid", "mailgun", "ses", "standard"])
async def test_a_hard_bounce_after_acceptance_is_a_return_and_suppresses(bus, stage, esp):
    await store_all(bus, callback(esp, esps.event(esp, "hard", reference(ADA), ADA, AT)))
    await stage.hear()
    (fact,) = await stage.facts()
    assert (fact.kind, fact.by, fact.recipient, fact.suppress) == ("hard", esp, ADA, "hard_bounce")
    await stage.carry_out()
    assert await stage.suppressed(ADA, BEN) == {ADA: "hard_bounce"}


async def test_soft_bounces_and_blocks_suppress_nobody(bus, stage):
    await store_all(bus, callback("sendgrid", esps.event("sendgrid", "soft", reference(ADA), ADA, AT)))
    await stage.hear()
    await stage.carry_out()
    assert [fact.kind for fact in await stage.facts()] == ["soft"]
    assert await stage.suppressed(ADA) == {}


async def test_a_complaint_suppresses_and_counts_against_its_lane_once(bus, stage):
    told = callback("sendgrid", esps.event("sendgrid", "complained", reference(BEN), BEN, AT))
    await store_all(bus, told)
    await stage.hear()
    await stage.ingest()
    await stage.carry_out()
    assert await stage.suppressed(BEN) == {BEN: "complaint"}
    # A day later, when NATS has forgotten what it was told; ClickHouse has not.
    stage.now += 86_400
    made, body = told
    await store_all(bus, (made, body + b" "))
    await stage.hear()
    await stage.carry_out()
    assert len(await stage.facts()) == 1
    assert (await breaker.get(bus, "spring")).lanes["main.gmail"].complaints == 1


async def test_who_came_back_is_not_suppressed_by_a_repetition(bus, stage):
    left = esps.event("standard", "unsubscribed", reference(ADA), ADA, AT)
    again = esps.event("standard", "resubscribed", reference(ADA), ADA, AT + 3)
    await store_all(bus, callback("standard", left))
    await stage.hear()
    await store_all(bus, callback("standard", again))
    await stage.hear()
    await stage.ingest()
    await stage.carry_out()
    stage.now += 7_200
    await store_all(bus, callback("standard", left, now=AT + 7_200))
    await stage.hear()
    await stage.carry_out()
    assert await stage.suppressed(ADA) == {}


async def test_while_clickhouse_is_away_nothing_waits_for_it(bus, stage, store):
    store.away = True
    stage.now += 7_200
    await store_all(bus, callback("standard", esps.event("standard", "complained", reference(ADA), ADA, AT)))
    await stage.hear()
    assert len(await stage.facts()) == 1


async def test_mails_that_are_not_ours_change_nothing_unless_the_endpoint_is_set_so(bus, stage):
    events = [
        esps.event("sendgrid", "hard", "their-own-id", ADA, AT),
        esps.event("sendgrid", "hard", reference(BEN).replace("spring", "other"), BEN, AT),
    ]
    await store_all(bus, callback("sendgrid", *events))
    await stage.hear()
    assert (await stage.facts(), await stage.suppressed(ADA, BEN)) == ([], {})
    await store_all(bus, callback("sendgrid", *events, suppress=("unknown",)))  # the same words, so NATS knows them
    await store_all(bus, callback("sendgrid", *events[::-1], suppress=("unknown",)))
    await stage.hear()
    assert await stage.suppressed(ADA, BEN) == {ADA: "hard_bounce", BEN: "hard_bounce"}


async def test_one_that_nobody_understands_is_parked_and_stops_no_other(bus, stage, caplog):
    good = callback("sendgrid", esps.event("sendgrid", "delivered", reference(ADA), ADA, AT))
    bad = Callback("sendgrid", "main", AT, {}, b"not a frame", compressed=True)
    gone = Callback("of-tomorrow", "main", AT, {}, b"{}")
    await bus.publish(
        "CALLBACKS",
        [
            Message("callbacks.new.x.y", b"\xc1", "junk"),
            callbacks.message_of(bad, "1"),
            callbacks.message_of(gone, "2"),
        ],
    )
    await store_all(bus, good)
    left = await stage.hear()
    assert [facts.type_of(fact) for fact in await stage.facts()] == ["delivered"]
    assert left.waiting + left.in_flight == 0
    parked = [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", subjects.CALLBACKS_PARKED)]
    assert [one.esp for one in parked] == ["sendgrid", "of-tomorrow"]
    assert all(one.reason for one in parked)


async def test_a_part_that_we_stumble_over_parks_it_and_the_rest_counts(bus, stage, caplog, monkeypatch):
    def read(item):
        return sendgrid._event(item) if item["event"] != "open" else item["nothing"]

    def tell(request):
        return reading.told_by_json(request.body, read)

    made = [esps.event("sendgrid", name, reference(ADA), ADA, AT) for name in ("delivered", "opened")]
    with monkeypatch.context() as release:
        release.setitem(understanding.HEARD, "sendgrid", sendgrid.ESP._replace(tell=tell))
        await store_all(bus, callback("sendgrid", *made))
        await stage.hear()
    assert [facts.type_of(fact) for fact in await stage.facts()] == ["delivered"]
    found = [one async for one in parked.matching(bus, parked.Wanted())]
    assert [one.callback.reason for one in found] == ["KeyError: 'nothing'"]
    await parked.put_back(bus, found)  # to the next release, without that mistake
    await stage.hear()
    assert [facts.type_of(fact) for fact in await stage.facts()] == ["delivered", "opened"]
    assert not [one async for one in parked.matching(bus, parked.Wanted())]


def many_events():
    made, body = callback(
        "sendgrid", *(esps.event("sendgrid", "opened", reference(ADA), ADA, AT, f"{number}") for number in range(500))
    )
    return callbacks.with_body(made, body)


async def test_a_body_that_was_too_large_for_a_message_is_put_together_and_then_deleted(bus, stage):
    packed = many_events()
    whole, parts = callbacks.in_parts(packed, "1", len(packed.body) // 3)
    assert len(parts) >= 3
    for sent_again in (parts, parts[1:]):
        await bus.publish("CALLBACKS", [part._replace(id="") for part in sent_again])
    await bus.publish("CALLBACKS", [callbacks.message_of(whole, "1")])
    await stage.hear()
    assert len(await stage.facts()) == 500
    assert await bus.count_by_subject("CALLBACKS", subjects.CALLBACKS_PARTS) == {}


async def test_a_body_that_an_earlier_release_put_into_the_object_store_is_read_and_then_deleted(bus, stage):
    packed = many_events()
    blobs = await bus.blobs()
    await blobs.put("callback/1", packed.body)
    earlier = replace(packed, body=b"", blob="callback/1")
    await bus.publish("CALLBACKS", [callbacks.message_of(earlier, "1")])
    await stage.hear()
    assert len(await stage.facts()) == 500
    with pytest.raises(KeyError):
        await blobs.get("callback/1")


async def test_a_body_that_lacks_a_part_is_parked(bus, stage):
    packed = many_events()
    whole, parts = callbacks.in_parts(packed, "1", len(packed.body) // 3)
    await bus.publish("CALLBACKS", [*parts[1:], callbacks.message_of(whole, "1")])
    await stage.hear()
    assert await stage.facts() == []
    assert await bus.count_by_subject("CALLBACKS", subjects.CALLBACKS_PARKED) == {"callbacks.parked.sendgrid.main": 1}


async def test_a_mail_in_doubt_of_which_the_esp_tells_has_been_sent(bus, stage, store):
    mail = ids.mail_id("spring", ADA)
    doubt = facts.EmailInDoubt("spring", AT, mail, 1, ADA, "main", "other", "redelivered")
    await bus.publish("EVENTS", [Message(facts.subject_of(doubt), facts.encode(doubt), facts.id_of(doubt))])
    await store_all(bus, callback("mailgun", esps.event("mailgun", "delivered", reference(ADA), ADA, AT + 1)))
    await stage.hear()
    await stage.ingest()
    assert await evidence.look(PermittedBus(bus, permissions.INGESTER), store, AT + 5) == 1


class TestAmazonsSubscription:
    async def offer(self, bus):
        _, body = esps.subscription(AT)
        made = Callback("ses", "main", AT, {"x-amz-sns-message-type": "SubscriptionConfirmation"}, body)
        await bus.publish("CALLBACKS", [callbacks.message_of(made, "offer")])

    async def test_is_confirmed_and_then_done(self, bus, stage):
        asked = []

        async def fetch(url):
            asked.append(url)
            return b""

        stage.fetch = fetch
        await self.offer(bus)
        await stage.hear()
        assert asked == [esps.SUBSCRIBE_URL]
        state = await bus.consumer_state("CALLBACKS", "hearing")
        assert state.waiting + state.in_flight == 0

    async def test_that_cannot_be_confirmed_is_left_for_later(self, bus, stage, caplog):
        async def fetch(_):
            raise FetchFailed("it answers 500")

        stage.fetch = fetch
        await self.offer(bus)
        await stage.hear()
        assert (await bus.consumer_state("CALLBACKS", "hearing")).in_flight == 1

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/?Action=ConfirmSubscription",
            "http://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
        ],
    )
    def test_leads_nowhere_else(self, url):
        headers, body = esps.sns("SubscriptionConfirmation", AT, Message="x", SubscribeURL=url, Token="t")
        assert confirming.address_in("ses", headers, body) == ""


async def test_told_out_of_order_twice_and_late_everything_counts_exactly(bus, stage, store):
    """Two thousand events of three ESPs, shuffled; most of them told two or three times, some of these a day later."""
    dice = random.Random(7)
    people = [f"p{number}@{dice.choice(['gmail.com', 'example.com'])}" for number in range(300)]
    plan = {"delivered": 260, "hard": 20, "soft": 15, "complained": 9, "opened": 140, "clicked": 40}
    events = []
    for name, number in plan.items():
        for place, address in enumerate(dice.sample(people, number)):
            esp = ("sendgrid", "mailgun", "standard")[place % 3]
            events.append(
                (esp, esps.event(esp, name, reference(address), address, AT - 86_400 + dice.random() * 80_000))
            )
    told = [one for one in events for _ in range(dice.choice([1, 1, 2, 3]))]
    dice.shuffle(told)
    half = len(told) // 2
    for part in (told[:half], told[half:], events):  # the last: all of it again, when NATS has forgotten it
        for start in range(0, len(part), 100):
            await store_all(
                bus, *(callback(esp, event, now=AT + start / 1e6) for esp, event in part[start : start + 100])
            )
            await stage.hear()
        await stage.ingest()
        stage.now += 86_400
    found = await engagement.of_campaign(store, "spring")
    assert (found.delivered, found.complained) == (260, 9)
    assert (found.opens, found.unique_opens, found.clicks, found.unique_clicks) == (140, 140, 40, 40)
    assert found.returned_hard == 20
    hard = {event["email"] for esp, event in events if event.get("type") == "bounce"}
    await stage.carry_out()
    assert hard <= (await stage.suppressed(*people)).keys()


async def test_who_dies_before_acknowledging_states_nothing_twice(memory_bus, clock, store):
    clock.now = AT + 10
    campaign = Campaign(
        id="spring", name="Spring", status="running", pool="main", return_path="b@example.com", created_at=AT
    )
    await (await memory_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    events = [esps.event("sendgrid", name, reference(ADA), ADA, AT) for name in ("delivered", "opened", "complained")]
    await store_all(memory_bus, callback("sendgrid", *events))

    class Dies:
        def __init__(self, consumer):
            self.fetch = consumer.fetch

        async def ack(self, _):
            raise BusUnavailable("killed")

    consumer = await memory_bus.consumer("CALLBACKS", "hearing")
    for hears in (Dies(consumer), consumer):
        made = desk.Desk(memory_bus, hears, store, suppression.PLAIN, clock, Confirming(None))
        with contextlib.suppress(BusUnavailable):
            await made.hear()
        clock.advance(streams.ACK_WAIT_SECONDS + 1)
    assert (await memory_bus.stream_state("EVENTS")).messages == 3
    state = await memory_bus.consumer_state("CALLBACKS", "hearing")
    assert state.waiting + state.in_flight == 0


async def test_what_is_understood_makes_room_and_what_is_not_stays(bus, stage, monkeypatch):
    monkeypatch.setattr(desk, "KEPT_BYTES", 20_000)
    told = [
        callback("standard", esps.event("standard", "opened", reference(ADA), ADA, AT, f"{number}"))
        for number in range(200)
    ]
    bad = Callback("sendgrid", "main", AT, {}, b"not a frame", compressed=True)
    await bus.publish("CALLBACKS", [callbacks.message_of(bad, "bad")])
    await store_all(bus, *told[:100])
    await stage.hear()
    before = (await bus.stream_state("CALLBACKS")).messages
    assert 70 <= before <= 80  # a quarter of a hundred is gone, the parked one is there
    await store_all(bus, *told[100:])
    stage.now += desk.TRIMMED_EVERY_SECONDS
    await stage.hear()
    assert (await bus.stream_state("CALLBACKS")).messages < 160
    assert len(await stage.facts()) == 200
    assert [record async for record in bus.read("CALLBACKS", subjects.CALLBACKS_PARKED)]
