"""Scheduled campaigns are held until their start, let go once, and never sent late without being asked."""

import asyncio

import pytest
from fakes import FakeClock
from sender_world import World

from events import campaigns, facts, schedule, streams
from events.errors import BusUnavailable
from events.facts import SendingStarted
from sender.starts import Starts

HOUR = 3_600.0


async def world_with_start(*, after=60.0, mails=3, **more):
    clock = FakeClock()
    world = World(clock, starts_at=clock() + after, **more)
    return await world.set_up(mails)


def starts(world, *pools):
    return Starts(world.bus, world.clock, frozenset(pools or ["main"]))


async def noticed(world, one):
    one.take_note("spring", await campaigns.get(world.bus, "spring"))
    return one


async def stated(world):
    return [fact for fact in await world.facts() if isinstance(fact, SendingStarted)]


async def test_nothing_is_fetched_or_sent_before_the_start_and_everything_after_it():
    world = await world_with_start()
    worker = await world.start()
    await world.until(lambda: len(worker._intake.open) == 5)
    states = [await world.bus.consumer_state("MAIL", one.name) for one in streams.lanes("spring", "main")]
    assert sum(state.in_flight for state in states) == 0
    world.clock.advance(60)
    await worker._intake.starts.look()
    await world.until_settled()
    await worker.stop()
    assert sum(world.relay.took.values()) == 3
    assert [type(fact).__name__ for fact in await world.facts()].count("SendingStarted") == 1


async def test_the_start_is_stated_with_when_it_was_to_be():
    world = await world_with_start(after=60)
    one = await noticed(world, starts(world))
    world.clock.advance(62)
    await one.look()
    assert await stated(world) == [SendingStarted("spring", world.clock(), scheduled_for=world.clock() - 2)]
    assert (await campaigns.get(world.bus, "spring")).start_stated


async def test_of_many_senders_one_decides():
    world = await world_with_start()
    many = [await noticed(world, starts(world)) for _ in range(5)]
    world.clock.advance(61)
    bucket = await world.bus.bucket(streams.CAMPAIGNS)
    before = (await bucket.get("spring")).revision
    await asyncio.gather(*(one.look() for one in many))
    assert len(await stated(world)) == 1
    assert (await bucket.get("spring")).revision == before + 2  # let go, and stated


async def test_a_start_that_nobody_was_there_for_pauses_the_campaign():
    world = await world_with_start(after=60)
    world.clock.advance(60 + HOUR + 1)
    worker = await world.start()

    async def is_paused():
        return (await campaigns.get(world.bus, "spring")).status == "paused"

    await world.until(is_paused)
    await worker.stop()
    missed = await campaigns.get(world.bus, "spring")
    assert (missed.pause_reason, missed.started_at) == (schedule.PAST_DUE, None)
    assert not world.relay.took
    assert await stated(world) == []


async def test_it_goes_on_when_a_person_says_so_and_that_is_stated():
    world = await world_with_start(after=60)
    world.clock.advance(60 + 2 * HOUR)
    worker = await world.start()
    missed = schedule.begin(world.campaign, world.clock())
    await world.until(lambda: worker._intake._campaigns.get("spring") == missed)
    await campaigns.resume_campaign(world.bus, "spring", world.clock())
    await world.until_settled(due_only=True)
    await world.until(lambda: stated(world))
    await worker.stop()
    assert sum(world.relay.took.values()) == 3


async def test_a_start_that_its_sender_did_not_live_to_state_is_stated_by_another():
    world = await world_with_start(after=60)
    world.clock.advance(60)
    await campaigns.change(world.bus, "spring", lambda one: schedule.begin(one, world.clock()))
    one = await noticed(world, starts(world))
    world.clock.advance(500)
    await one.look()
    assert await stated(world) == [SendingStarted("spring", world.clock() - 500, world.clock() - 500)]


async def test_a_sender_decides_by_the_time_when_it_can_say_so():
    """It saw the moment come, and could not reach the bus until long after."""
    world = await world_with_start(after=60)
    one = await noticed(world, starts(world))
    world.clock.advance(60)
    real = world.bus.bucket

    async def away(name):
        raise BusUnavailable("cut off")

    world.bus.bucket = away
    with pytest.raises(BusUnavailable):
        await one.look()
    world.bus.bucket = real
    world.clock.advance(2 * HOUR)
    await one.look()
    assert (await campaigns.get(world.bus, "spring")).pause_reason == schedule.PAST_DUE


async def test_senders_of_other_pools_leave_it_alone():
    world = await world_with_start(after=60)
    one = await noticed(world, starts(world, "another"))
    world.clock.advance(61)
    await one.look()
    assert (await campaigns.get(world.bus, "spring")).is_scheduled
    assert one.seconds_to_wait() is None


async def test_it_waits_for_the_nearest_start_and_looks_at_the_clock_meanwhile():
    world = await world_with_start(after=HOUR)
    one = await noticed(world, starts(world))
    assert one.seconds_to_wait() == 30
    world.clock.advance(HOUR - 5)
    assert one.seconds_to_wait() == 5
    world.clock.advance(6)
    await one.look()
    assert one.seconds_to_wait() is None


async def test_a_campaign_that_was_deleted_holds_up_no_other():
    world = await world_with_start(after=60)
    one = await noticed(world, starts(world))
    await (await world.bus.bucket(streams.CAMPAIGNS)).delete("spring")
    world.clock.advance(61)
    await one.look()


def test_every_start_of_a_campaign_has_one_id():
    assert facts.id_of(SendingStarted("spring", 1.0, 2.0)) == facts.id_of(SendingStarted("spring", 3.0, 4.0))
