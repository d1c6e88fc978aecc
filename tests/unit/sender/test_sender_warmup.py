"""Warm-up in whole senders, on a bus in memory."""

import asyncio
from collections import Counter

import msgspec
import pytest
from sender_world import SETTINGS, World, refused

from events import streams, warmup
from sender.settings import Relay
from sender.throttle import state as throttle_state
from sender.warmup.settings import WarmupSettings

WARMING = WarmupSettings(enabled=True, first_day_mails=10, growth=2.0, target_mails=100)


def settings(warming=WARMING):
    relay = msgspec.structs.replace(SETTINGS.pools["main"], warmup=warming)
    return msgspec.structs.replace(SETTINGS, pools={"main": relay})


@pytest.fixture
async def world():
    made = World()
    await made.set_up()
    yield made
    await made.stop()


def taken(world):
    return sum(world.relay.took.values())


async def document(world, lane="main.gmail"):
    return {state.lane: state for state in await warmup.all_of(world.bus)}.get(lane)


async def allowed(world, lane="main.gmail"):
    entry = await (await world.bus.bucket(streams.THROTTLE)).get(lane)
    return None if entry is None else throttle_state.decode(entry.value).allowance


async def told(world, number):
    state = await document(world)
    return state is not None and state.today.mails == number


async def test_no_more_than_the_allowance_of_the_day_goes_whoever_sends(world):
    await world.queue(*[f"g{number}" for number in range(40)], provider="gmail")
    await world.queue(*[f"y{number}" for number in range(5)], provider="yahoo")
    for _ in range(3):
        await world.start(settings=settings())
    await world.until(lambda: taken(world) == 15)
    await asyncio.sleep(0.3)
    assert taken(world) == 15
    assert await world.left() == 30


async def test_a_sender_that_starts_anew_goes_on_where_the_day_stands(world):
    await world.queue(*[f"g{number}" for number in range(40)], provider="gmail")
    first = await world.start(settings=settings())
    await world.until(lambda: taken(world) == 10)
    await world.kill(first)
    await world.start(settings=settings())
    await asyncio.sleep(0.3)
    assert taken(world) == 10


async def test_what_senders_did_is_told_and_the_next_day_follows_from_it(world):
    await world.queue(*[f"g{number}" for number in range(40)], provider="gmail")
    worker = await world.start(settings=settings())
    await world.until(lambda: told(world, 10))
    assert await allowed(world) == 10
    assert worker._warmups.left("main.gmail", world.clock()) == 0
    world.clock.advance(86_400)
    await world.until(lambda: allows(world, 20))


async def allows(world, number):
    return await allowed(world) == number


async def test_blocks_end_the_day_and_halve_the_next_one(world):
    start = warmup.fresh("main.gmail", warmup.day_of(world.clock()))
    await warmup.change(world.bus, "main.gmail", 0, lambda _: msgspec.structs.replace(start, step=4))
    names = [f"g{number}" for number in range(30)]
    for name in names:
        world.relay.script[name] = [refused("block")]
    await world.queue(*names, provider="gmail")
    await world.start(settings=settings())
    await world.until(lambda: told(world, 30))
    await world.until(lambda: allows(world, 30))
    world.clock.advance(86_400)
    await world.until(lambda: allows(world, 40))


async def test_a_pool_that_is_not_warmed_up_any_more_is_free_again(world):
    first = await world.start(settings=settings())
    await first.starting
    assert await allowed(world) == 10
    await first.stop()
    await world.queue(*[f"g{number}" for number in range(40)], provider="gmail")
    await world.start(settings=settings(WarmupSettings()))
    await world.until(lambda: taken(world) == 40)
    assert await allowed(world) is None
    assert await document(world) is None


def test_warm_up_is_off_unless_it_is_turned_on():
    assert not Relay().warmup.enabled


async def test_what_a_fresh_pool_may_not_send_today_goes_through_the_next_one(world):
    pools = {"fresh": settings().pools["main"], "main": SETTINGS.pools["main"]}
    await world.set_campaign(routes={"gmail": ("fresh", "main")})
    await world.queue(*[f"g{number}" for number in range(40)], provider="gmail")
    await world.start(settings=msgspec.structs.replace(SETTINGS, pools=pools))
    await world.until(lambda: taken(world) == 40)
    await world.until(lambda: all_stated(world, 40))
    assert Counter(fact.pool for fact in await world.facts()) == {"fresh": 10, "main": 30}


async def all_stated(world, number):
    return len(await world.facts()) == number


async def test_a_lane_that_is_moved_on_in_its_plan_goes_on_at_once(world):
    await world.queue(*[f"g{number}" for number in range(60)], provider="gmail")
    worker = await world.start(settings=settings())
    await world.until(lambda: taken(world) == 10)

    def moved(state):  # as `jetpost warmup set` does
        return msgspec.structs.replace(state, step=3)

    await warmup.change(world.bus, "main.gmail", warmup.day_of(world.clock()), moved)
    await world.until(lambda: "main.gmail" in worker._warmups._known)
    await worker._warmups.look()
    await world.until(lambda: taken(world) == 40, seconds=3)
