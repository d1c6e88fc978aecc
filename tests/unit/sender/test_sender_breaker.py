"""The circuit breaker and the canary in whole senders, on a bus in memory."""

import asyncio

import msgspec
import pytest
from sender_world import SETTINGS, World, refused

from events import breaker, facts
from events.facts import BreakerClosed, BreakerOpened
from events.metrics import BREAKERS_OPEN
from events.schemas import BreakerLimits, CanaryRule
from sender.breaker.settings import BreakerSettings
from sender.drivers.base import NotTried

QUICK = msgspec.structs.replace(SETTINGS, breaker=BreakerSettings(minimum_mails=20, report_seconds=0.02))
CANARY = CanaryRule(share=0.1, minimum=10)
CARRIED = 6
"""Two sessions of three mails: what a killed sender may leave in doubt."""


@pytest.fixture
async def world():
    made = World(planned=200)
    await made.set_up()
    yield made
    await made.stop()


async def queue(world, provider, count, *outcomes):
    """Mails for a provider that answers them like this."""
    names = [f"{provider}{number:03}" for number in range(count)]
    for name in names:
        world.relay.script[name] = list(outcomes)
    await world.queue(*names, provider=provider)
    return names


def taken(world):
    return sum(world.relay.took.values())


async def health(world):
    return await breaker.get(world.bus, "spring")


async def opened(world):
    return [fact for fact in await world.facts() if isinstance(fact, BreakerOpened)]


async def stopped(world):
    return set(breaker.stopped(await health(world)))


async def mails_of(world):
    return [fact for fact in await world.facts() if isinstance(fact, facts.MAIL_FACTS)]


async def stories_of(world):
    told = {}
    for fact in sorted(await mails_of(world), key=lambda fact: fact.attempt):
        told.setdefault(fact.mail_id, []).append(facts.type_of(fact))
    return told


async def test_a_lane_that_is_blocked_is_stopped_and_its_mails_wait_while_the_others_go_on(world):
    await queue(world, "gmail", 120, refused("block"))
    fine = await queue(world, "yahoo", 60)
    await world.start(settings=QUICK)
    await world.until(lambda: taken(world) == len(fine))
    await world.until(lambda: opened(world))
    [fact] = await opened(world)
    assert (fact.pool, fact.provider, fact.cause, fact.number) == ("main", "gmail", "blocks", 1)
    assert await stopped(world) == {"main.gmail"}
    await world.until(lambda: stands_still(world))
    assert 0 < await world.left() < 120


async def stands_still(world):
    """What was on its way when the lane was stopped is through."""
    before = await world.left()
    await asyncio.sleep(0.2)
    return await world.left() == before


async def test_a_person_lets_a_lane_go_on_and_nothing_is_lost(world):
    names = await queue(world, "gmail", 120, refused("block"))
    await world.start(settings=QUICK)
    await world.until(lambda: opened(world))
    for name in names:
        world.relay.script[name] = []
    resumed = await breaker.resume(world.bus, "spring", "gmail", world.clock(), "cli")
    assert set(resumed) == {"main.gmail"}
    await world.until(lambda: left_is(world, 0))
    stories = await stories_of(world)
    closed = [fact for fact in await world.facts() if isinstance(fact, BreakerClosed)]
    assert [(fact.provider, fact.number, fact.by) for fact in closed] == [("gmail", 1, "cli")]
    assert all(stories[name] in (["failed"], ["accepted"]) for name in names)


async def left_is(world, number):
    return await world.left() == number


async def test_a_sender_that_comes_later_does_not_touch_a_lane_that_is_stopped(world):
    reason = breaker.Opening(1.0, "blocks", 5, 50, 0.05, "5 of 50", stated=True)
    await breaker.change(world.bus, "spring", lambda known: breaker.open_lane(known, "main.gmail", reason))
    await queue(world, "gmail", 10)
    await queue(world, "yahoo", 10)
    await world.start(settings=QUICK)
    await world.until(lambda: taken(world) == 10)
    await asyncio.sleep(0.1)
    assert await world.left() == 10


async def test_mails_of_a_lane_that_is_stopped_expire_at_the_deadline(world):
    await world.set_campaign(deadline=world.clock() + 100)
    await queue(world, "gmail", 120, refused("block"))
    await world.start(settings=QUICK)
    await world.until(lambda: opened(world))
    world.clock.advance(101)
    await world.until(lambda: left_is(world, 0))
    assert {facts.type_of(fact) for fact in await mails_of(world)} == {"failed", "expired"}


async def test_a_campaign_may_do_without(world):
    await world.set_campaign(breaker=BreakerLimits(enabled=False))
    await queue(world, "gmail", 60, refused("block"))
    await world.start(settings=QUICK)
    await world.until(lambda: left_is(world, 0))
    assert not await opened(world)


async def test_complaints_stop_a_lane_as_soon_as_somebody_counts_them(world):
    await queue(world, "gmail", 100)
    await world.start(settings=QUICK)
    await world.until(lambda: taken(world) == 100)
    await world.until(lambda: counted(world, 100))
    await breaker.change(world.bus, "spring", lambda known: breaker.complained(known, {"main.gmail": 5}, 7))
    await world.until(lambda: opened(world))
    assert (await opened(world))[0].cause == "complaints"


async def counted(world, number):
    lanes = (await health(world)).lanes
    return sum(lane.accepted for lane in lanes.values()) == number


async def test_a_canary_goes_first_and_the_rest_follows_by_itself(world):
    await world.set_campaign(canary=CANARY)
    world.relay.gate = asyncio.Event()
    await queue(world, "gmail", 100)
    await queue(world, "yahoo", 100)
    await world.start(settings=QUICK)
    await world.start(settings=QUICK)
    await world.until(lambda: tried(world) >= 12)
    world.relay.gate.set()
    await world.until(lambda: left_is(world, 0))
    assert (await health(world)).canary.tried == 20
    assert taken(world) == 200


def tried(world):
    return sum(map(len, world.relay.batches))


async def test_no_more_than_the_canary_is_tried_before_its_outcomes_are_known(world):
    await world.set_campaign(canary=CANARY, planned=None)
    await queue(world, "gmail", 100)
    for _ in range(3):
        await world.start(settings=QUICK)
    await world.until(lambda: canary_tried(world, 10))
    await asyncio.sleep(0.2)
    assert taken(world) == 10
    await world.set_campaign(planned=100)
    await world.until(lambda: left_is(world, 0))


async def canary_tried(world, number):
    return (await health(world)).canary.tried == number


async def test_a_canary_that_does_not_look_well_stops_the_whole_campaign(world):
    await world.set_campaign(canary=CANARY)
    await queue(world, "gmail", 100, refused("block"))
    await queue(world, "yahoo", 100)
    await world.start(settings=QUICK)
    await world.until(lambda: opened(world))
    [fact] = await opened(world)
    assert (fact.pool, fact.provider, fact.cause) == ("", "", "canary")
    assert fact.reason.startswith("the canary does not look well: ")
    assert len(await mails_of(world)) <= 20
    await breaker.resume(world.bus, "spring", "", world.clock(), "cli")
    await world.until(lambda: others_done(world))


async def others_done(world):
    return sum(1 for name, number in world.relay.took.items() if name.startswith("yahoo") and number) == 100


async def test_a_canary_whose_mails_are_put_off_fails_when_its_time_is_up(world):
    await world.set_campaign(canary=CANARY)
    await queue(world, "gmail", 200, *[refused("transient")] * 9)
    await world.start(settings=QUICK)
    await world.until(lambda: canary_tried(world, 40))
    world.clock.advance(901)
    await world.until(lambda: opened(world))
    assert "40 of 40 mails have no outcome" in (await opened(world))[0].reason


async def test_what_a_killed_sender_was_granted_is_not_granted_again_and_the_campaign_ends(world):
    await world.set_campaign(canary=CANARY)
    await queue(world, "gmail", 200)
    world.relay.gate = asyncio.Event()
    doomed = await world.start(settings=QUICK)
    await world.until(lambda: tried(world) >= 1)
    await world.kill(doomed)
    world.relay.gate.set()
    alive = await world.start(settings=QUICK)
    await world.until(lambda: all_granted(world, 20))
    assert taken(world) <= 20
    holding = asyncio.create_task(keep_holds(alive))
    await world.until_settled(due_only=True, seconds=20)
    holding.cancel()
    stories = await stories_of(world)
    assert len(stories) == 200
    assert sum(story == ["accepted"] for story in stories.values()) >= 200 - CARRIED
    assert max(world.relay.took.values()) == 1


async def keep_holds(worker):
    """As a worker does by itself, in real time: the clock of the test is faster."""
    while True:
        await worker._intake.extend_holds()
        await asyncio.sleep(0.005)


async def all_granted(world, number):
    known = await health(world)
    return known.canary.tried + known.granted >= number


async def test_while_the_bus_is_away_reports_wait_and_count_once_when_it_is_back(world):
    names = await queue(world, "gmail", 60)
    world.relay.gate = asyncio.Event()
    worker = await world.start(settings=QUICK)
    await world.until(lambda: tried(world) >= 1)
    world.bus.unavailable = True
    world.relay.gate.set()
    await world.until(lambda: worker._breaker._patience.failures)
    world.bus.unavailable = False
    await world.until(lambda: counted(world, len(names)))
    await world.until(lambda: left_is(world, 0))


async def test_a_sender_that_stops_tells_the_rest(world):
    slow = msgspec.structs.replace(QUICK, breaker=BreakerSettings(report_seconds=60.0))
    names = await queue(world, "gmail", 30)
    worker = await world.start(settings=slow)
    await world.until(lambda: left_is(world, 0))
    await worker.stop()
    assert await counted(world, len(names))


async def test_the_metric_shows_what_is_stopped_and_only_that(world):
    BREAKERS_OPEN.clear()
    await queue(world, "gmail", 120, refused("block"))
    await world.start(settings=QUICK)
    await world.until(lambda: opened(world))
    await world.until(lambda: shown() == {("spring", "main", "gmail"): 1.0})
    await breaker.resume(world.bus, "spring", "", world.clock(), "cli")
    await world.until(lambda: ("spring", "main", "gmail") not in shown() or opened_again(world))


def shown():
    [family] = BREAKERS_OPEN.collect()
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


async def opened_again(world):
    return len(await opened(world)) > 1


async def test_resuming_what_is_not_stopped_says_so(world):
    with pytest.raises(breaker.NothingStopped, match="No lane of spring is stopped"):
        await breaker.resume(world.bus, "spring", "", 1.0, "cli")


async def canary_passed(world):
    return (await health(world)).canary.passed_at is not None


async def test_mails_of_the_canary_that_are_put_off_are_made_up_for_by_others(world):
    await world.set_campaign(canary=CANARY)
    names = await queue(world, "gmail", 200)
    for name in names[:12]:
        world.relay.script[name] = [refused("transient")]
    await world.start(settings=QUICK)
    await world.until(lambda: canary_passed(world))
    assert 20 < (await health(world)).canary.tried <= 20 + 12
    assert not await opened(world)


async def test_mails_of_the_canary_that_no_session_took_are_made_up_for_by_others(world):
    """A relay went away before their turn: it said nothing about them."""
    await world.set_campaign(canary=CANARY)
    names = await queue(world, "gmail", 200)
    for name in names[:20]:
        world.relay.script[name] = [NotTried("closed")] * 3
    await world.start(settings=QUICK)
    await world.until(lambda: canary_passed(world))
    assert not await opened(world)


async def test_a_canary_that_is_greylisted_passes_when_its_retries_get_through(world):
    """The other mails lie before the retries, and wait for them."""
    await world.set_campaign(canary=CANARY)
    await queue(world, "gmail", 200, refused("transient"))
    await world.start(settings=QUICK)
    await world.until(lambda: canary_tried(world, 40))
    world.clock.advance(31)  # less than the canary waits
    await world.until(lambda: canary_passed(world))
    await world.until_settled()
    assert taken(world) == 200
    assert not await opened(world)
