"""What recipients ask for, carried out: from a fact that names a mail to the suppression list, over a real ClickHouse."""

import pytest
from ingesting import ingest_all
from permitted_bus import PermittedBus

from analytics import evidence, lifting, wishes
from analytics.clickhouse.client import Store
from analytics.errors import ClickHouseUnavailable
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import breaker, facts, ids, permissions, preferences, schemas, streams, subjects, suppression
from events.bus import Message
from events.schemas import Campaign
from events.suppression import Entry, Hashing, Removal

AT = 1_800_000_000.0
ADA, BEN = "ada@example.com", "ben@example.com"
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
def bus(memory_bus_in_real_time):
    return memory_bus_in_real_time


def mail(address, campaign="spring"):
    return ids.mail_id(campaign, address)


def accepted(address, campaign="spring"):
    return facts.EmailAccepted(campaign, AT, mail(address, campaign), 1, address, "main", "other", 1.0)


async def state(bus, *told):
    await bus.publish(
        "EVENTS", [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in told]
    )


@pytest.fixture
async def ingest(bus, store):
    """A function that brings what is on the bus into ClickHouse."""

    return lambda: ingest_all(bus, store, bus.clock)


@pytest.fixture
async def carry_out(bus, store):
    async def run(hashing=suppression.PLAIN, clock=lambda: AT):
        consumer = await bus.consumer("EVENTS", "wishes")
        await wishes.Desk(PermittedBus(bus, permissions.INGESTER), consumer, store, hashing, clock).carry_out()
        await consumer.close()

    return run


async def said(bus):
    """The entries of the suppression list, as they were said; None stands for a removal."""
    found = []
    async for record in bus.read("SUPPRESSION", subjects.SUPPRESSION):
        rows = suppression.decode(record.payload)
        if rows.action == "add":
            found += [(entry.address, entry.reason, entry.list) for entry in rows.entries()]
        else:
            found += [(removal.address, None, removal.list) for removal in rows.removals()]
    return found


async def left(bus):
    state = await bus.consumer_state("EVENTS", "wishes")
    return state.waiting + state.in_flight


async def test_who_unsubscribes_or_complains_is_suppressed(bus, ingest, carry_out):
    await state(
        bus,
        accepted(ADA),
        accepted(BEN),
        facts.EmailUnsubscribed("spring", AT, mail(ADA), "", "list", "weekly", "one-click"),
        facts.EmailComplained("spring", AT, mail(BEN), "", "ses"),
    )
    await ingest()
    await carry_out()
    assert sorted(await said(bus)) == [(ADA, "unsubscribe", "weekly"), (BEN, "complaint", "")]
    assert await left(bus) == 0


async def test_complaints_count_against_the_lane_that_the_mail_went_through(bus, ingest, carry_out):
    campaign = schemas.encode_campaign(Campaign("spring", "Spring", "running", "main", "b@example.com", AT))
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", campaign)
    await state(bus, accepted(BEN), facts.EmailComplained("spring", AT, mail(BEN), "", "ses"))
    await ingest()
    await carry_out()
    lanes = (await breaker.get(bus, "spring")).lanes
    assert {lane: health.complaints for lane, health in lanes.items()} == {"main.other": 1}


async def test_whose_mail_it_was_is_known_without_clickhouse(bus, store, carry_out):
    store.away = True
    await state(bus, accepted(ADA), facts.EmailUnsubscribed("spring", AT, mail(ADA), "", "all"))
    await carry_out()
    assert await said(bus) == [(ADA, "unsubscribe", "")]


async def test_a_wish_that_names_an_address_needs_nobody_to_know_it(bus, store, carry_out):
    store.away = True
    await state(bus, facts.EmailUnsubscribed("spring", AT, mail(ADA), ADA, "all"))
    await carry_out()
    assert await said(bus) == [(ADA, "unsubscribe", "")]


async def test_a_wish_about_a_mail_that_nobody_knows_waits(bus, ingest, carry_out, caplog):
    await state(bus, facts.EmailUnsubscribed("spring", AT, mail(ADA), "", "all"))
    await ingest()
    await carry_out()
    assert await left(bus) == 1
    assert "not known yet" not in caplog.text  # it is nothing to worry about so far


async def test_a_wish_that_nobody_can_carry_out_is_told_in_the_end(bus, carry_out, caplog):
    await state(bus, facts.EmailUnsubscribed("spring", AT, mail(ADA), "", "all"))
    await carry_out(clock=lambda: AT + 90_000)
    assert f"of mail {mail(ADA)} in campaign spring cannot be carried out" in caplog.text
    assert await left(bus) == 0


class Killed(BaseException):
    """kill -9."""


async def test_whoever_dies_before_it_is_acknowledged_leaves_the_wish_to_the_next(memory_bus, clock, store):
    await state(memory_bus, facts.EmailUnsubscribed("spring", AT, mail(ADA), ADA, "all"))
    consumer = await memory_bus.consumer("EVENTS", "wishes")

    class Mortal:
        async def fetch(self, *arguments):
            return await consumer.fetch(*arguments)

        async def ack(self, deliveries):
            raise Killed

    with pytest.raises(Killed):
        await wishes.Desk(memory_bus, Mortal(), store, suppression.PLAIN, clock).carry_out()
    clock.advance(memory_bus.timing.ack_wait_seconds + 1)
    await wishes.Desk(memory_bus, consumer, store, suppression.PLAIN, clock).carry_out()
    assert await left(memory_bus) == 0
    assert set(await said(memory_bus)) == {(ADA, "unsubscribe", "")}


async def test_who_comes_back_gets_mail_again(bus, ingest, carry_out):
    await state(
        bus,
        accepted(ADA),
        facts.EmailUnsubscribed("spring", AT, mail(ADA), "", "all"),
        facts.EmailResubscribed("spring", AT + 5, mail(ADA), "", "all"),
    )
    await ingest()
    await carry_out()
    assert await said(bus) == [(ADA, "unsubscribe", ""), (ADA, None, "")]


@pytest.mark.parametrize("hashing", [suppression.PLAIN, Hashing("a secret of sixteen bytes and more")])
async def test_coming_back_lifts_what_they_said_and_nothing_else(bus, hashing):
    entries = [
        Entry(ADA, "unsubscribe", AT, "one-click"),
        Entry(ADA, "hard_bounce", AT, "campaign winter"),
        Entry(BEN, "unsubscribe", AT, "one-click"),
    ]
    await suppression.suppress(bus, entries, hashing)
    await lifting.lift(bus, Removal(ADA, AT + 60, "page"), hashing)
    stands = list(await lifting._said(bus, Removal(ADA, 0), hashing))
    assert [(entry.reason, entry.source) for entry in stands] == [("hard_bounce", "campaign winter")]
    assert len(await lifting._said(bus, Removal(BEN, 0), hashing)) == 1


async def test_coming_back_when_nothing_was_said_says_nothing(bus):
    await suppression.suppress(bus, [Entry(ADA, "manual", AT, "an operator")])
    await lifting.lift(bus, Removal(ADA, AT + 60, "page"), suppression.PLAIN)
    assert await said(bus) == [(ADA, "manual", "")]


async def test_who_does_not_want_to_be_counted_is_written_down(bus, ingest, carry_out):
    await state(bus, accepted(ADA), facts.TrackingChanged("spring", AT, mail(ADA), "", allowed=False))
    await ingest()
    await carry_out()
    entry = await (await bus.bucket(streams.PREFERENCES)).get(preferences.key_of("Ada@example.com"))
    assert b'"tracked":false' in entry.value
    await preferences.say(bus, preferences.Preference(ADA, AT - 5, tracked=True))  # said before, heard later
    assert await (await bus.bucket(streams.PREFERENCES)).get(preferences.key_of(ADA)) == entry


async def test_a_mail_in_doubt_that_somebody_opens_has_arrived(bus, store, ingest):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", AT, planned=2, batches=1)
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    in_doubt = [
        facts.EmailInDoubt("spring", AT, mail(who), 1, who, "main", "other", "redelivered") for who in (ADA, BEN)
    ]
    await state(bus, *in_doubt)
    await ingest()
    assert await evidence.look(PermittedBus(bus, permissions.INGESTER), store, AT + 60) == 0
    await state(bus, facts.EmailOpened("spring", AT + 60, mail(ADA), ""))
    await ingest()
    assert await evidence.look(PermittedBus(bus, permissions.INGESTER), store, AT + 60) == 1
    await ingest()
    assert await evidence.look(PermittedBus(bus, permissions.INGESTER), store, AT + 120) == 0
    told = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.events_of_campaign("spring"))]
    (resolved,) = [fact for fact in told if isinstance(fact, facts.DoubtResolved)]
    assert (resolved.recipient, resolved.resolution, resolved.by) == (ADA, "accepted", "reader")
