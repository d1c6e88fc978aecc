"""The circuit breaker where a lane goes through more than one pool."""

import asyncio

import pytest
from msgspec.structs import replace
from sender_world import SETTINGS, FakeRelay, World, refused

from events import breaker, warmup
from sender.breaker import judging
from sender.breaker.settings import BreakerSettings
from sender.settings import Relay
from sender.warmup.settings import WarmupSettings

POOL = Relay(max_connections=2, pipeline_depth=3)
TWO = replace(
    SETTINGS,
    pools={"main": POOL, "backup": POOL},
    breaker=BreakerSettings(minimum_mails=20, report_seconds=0.02),
)


@pytest.fixture
async def world():
    made = World(routes={"gmail": ("main", "backup")})
    made.relays = {"main": FakeRelay(), "backup": FakeRelay()}
    await made.set_up()
    yield made
    await made.stop()


def lane_of(worker, provider="gmail"):
    return next((lane for lane in worker._intake.open if lane.provider == provider), None)


async def test_outcomes_count_for_the_pool_that_the_mails_went_through_although_the_lane_has_moved(world):
    warming = replace(POOL, warmup=WarmupSettings(enabled=True, first_day_mails=1_000))
    main = world.relays["main"]
    main.gate = asyncio.Event()
    await world.queue("g1", "g2", "g3", provider="gmail")
    worker = await world.start(settings=replace(TWO, pools=TWO.pools | {"main": warming, "backup": warming}))
    await world.until(lambda: main.took.total() == 3)
    worker._router.move(lane_of(worker), "backup")
    main.gate.set()
    await world.until_settled()
    await worker.stop()
    health = await breaker.get(world.bus, "spring")
    assert {lane: state.accepted for lane, state in health.lanes.items()} == {"main.gmail": 3}
    days = {state.lane: state.today.accepted for state in await warmup.all_of(world.bus) if state.today.mails}
    assert days == {"main.gmail": 3}


async def queue(world, count, *outcomes):
    """Mails for gmail that every pool answers like this."""
    names = [f"g{number:03}" for number in range(count)]
    for name in names:
        for relay in world.relays.values():
            relay.script[name] = list(outcomes)
    await world.queue(*names, provider="gmail")


async def is_stopped(world):
    return set(breaker.stopped(await breaker.get(world.bus, "spring")))


def goes_down(world, worker, pool):
    """For longer than is waited for."""
    world.relays[pool].down = True
    worker._router.health[pool].failed()
    world.clock.advance(TWO.failover_after_seconds + 1)
    worker._router.look(worker._intake.open)


async def nothing_of_it_goes_through(relay):
    before = relay.batches.copy()
    await asyncio.sleep(0.1)
    assert relay.batches == before


async def test_a_lane_whose_addresses_bounce_stays_stopped_when_it_moves_to_another_pool(world):
    await queue(world, 120, refused("hard"))
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_stopped(world))
    await world.until(lambda: lane_of(worker).stopped)
    worker._router.move(lane_of(worker), "backup")
    assert lane_of(worker).stopped
    await nothing_of_it_goes_through(world.relays["backup"])


async def test_a_sender_that_goes_through_another_pool_already_stops_too(world):
    worker = await world.start(settings=TWO)
    await world.until(lambda: lane_of(worker))
    goes_down(world, worker, "main")
    assert lane_of(worker).pool == "backup"
    complaint = judging.opening("complaints", 9, 100, 0.003, world.clock())
    await breaker.change(world.bus, "spring", lambda known: breaker.open_lane(known, "main.gmail", complaint))
    await world.until(lambda: lane_of(worker).stopped)
    await breaker.resume(world.bus, "spring", "gmail", world.clock(), "cli")
    await world.until(lambda: not lane_of(worker).stopped)


async def test_a_lane_that_is_blocked_does_not_go_on_through_the_next_pool_by_itself(world):
    await queue(world, 120, refused("block"))
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_stopped(world))
    await world.until(lambda: lane_of(worker).stopped)  # the sender has heard of it, too
    goes_down(world, worker, "main")
    assert lane_of(worker).pool == "main"
    await nothing_of_it_goes_through(world.relays["backup"])


async def test_a_person_may_send_a_lane_that_is_blocked_through_another_pool(world):
    await queue(world, 120, refused("block"))
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_stopped(world))
    world.relays["backup"].script.clear()
    await world.set_campaign(routes={"gmail": ("backup",)})  # as `jetpost route` does
    await world.until(lambda: worker._intake._campaigns["spring"].routes == {"gmail": ("backup",)})
    worker._router.look(worker._intake.open)
    await world.until_settled()
    assert world.relays["backup"].took.total() > 0
    assert await is_stopped(world) == {"main.gmail"}


async def test_complaints_count_against_what_went_through_every_pool(world):
    worker = await world.start(settings=TWO)
    await world.until(lambda: lane_of(worker))
    goes_down(world, worker, "main")
    await queue(world, 200)
    await world.until(lambda: world.relays["backup"].took.total() == 200)
    await breaker.change(world.bus, "spring", lambda known: breaker.complained(known, {"main.gmail": 9}, 7))
    await world.until(lambda: is_stopped(world))
    (opening,) = breaker.stopped(await breaker.get(world.bus, "spring")).values()
    assert (opening.cause, opening.bad, opening.mails) == ("complaints", 9, 200)
