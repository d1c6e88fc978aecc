"""What was held back goes on as soon as its reason goes away, and several reasons at once do not get in each other's way."""

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest
from sender_world import SETTINGS, FakeRelay, World

from events import breaker
from events.schemas import CanaryRule
from sender.breaker.settings import BreakerSettings
from sender.settings import Relay

QUICK = msgspec.structs.replace(SETTINGS, breaker=BreakerSettings(minimum_mails=20, report_seconds=0.02))
TWO = msgspec.structs.replace(
    QUICK,
    pools={"main": Relay(max_connections=2, pipeline_depth=3), "backup": Relay(max_connections=2, pipeline_depth=3)},
)
CANARY = CanaryRule(share=0.1, minimum=10)


@pytest.fixture
async def world():
    made = World(planned=100)
    await made.set_up()
    yield made
    await made.stop()


async def left_is(world, number):
    return await world.left() == number


async def test_a_lane_with_a_canary_fetches_again_after_its_holds_lapsed(world):
    await world.set_campaign(canary=CANARY)
    world.relay.down = True
    await world.queue(*[f"g{n}" for n in range(20)], provider="gmail")
    worker = await world.start(settings=QUICK)
    await world.until(lambda: any(len(lane.waiting) == 8 for lane in worker._intake.open))
    world.clock.advance(300)  # nobody could extend them
    world.relay.down = False
    await world.until_settled(due_only=True)
    assert len(world.relay.took) == 20


async def test_outcomes_count_although_the_route_was_changed(world):
    await world.queue(*[f"a{n}" for n in range(30)], provider="gmail")
    worker = await world.start(settings=TWO)
    for number in range(1, 6):
        await world.queue(*[f"b{number}{n}" for n in range(5)], provider="gmail")
        await world.until(lambda so_far=30 + 5 * number: counted(world, so_far))
    assert worker._breaker._campaigns["spring"].reports > 3
    await world.set_campaign(routes={"gmail": ("backup", "main")})
    await world.queue(*[f"c{n}" for n in range(10)], provider="gmail")
    await world.until(lambda: counted(world, 65), seconds=3)


async def counted(world, number):
    lanes = (await breaker.get(world.bus, "spring")).lanes
    return sum(lane.accepted for lane in lanes.values()) == number


async def test_changing_routes_uses_up_no_delivery(world):
    await world.set_campaign(status="paused")
    await world.queue(*[f"g{n}" for n in range(8)], provider="gmail")
    await world.set_campaign(status="running")
    world.relay.down = True
    worker = await world.start(settings=TWO)

    def held():
        return [one for lane in worker._intake.open for one in lane.waiting]

    await world.until(lambda: len(held()) == 8)
    for number in range(6):
        route = ("backup", "main") if number % 2 else ("main", "backup")
        await world.set_campaign(routes={"gmail": route})
        await world.until(lambda route=route: worker._intake._campaigns["spring"].routes.get("gmail") == route)
        await world.until(lambda: len(held()) == 8)
    assert {one.delivery.deliveries for one in held()} == {1}
    world.relay.down = False
    await world.until_settled(due_only=True)
    assert await world.stories() == {f"g{n}": ["accepted"] for n in range(8)}


async def test_a_session_that_was_long_in_coming_takes_nothing_of_a_lane_that_moved_on(world):
    world.relays = {"main": FakeRelay(), "backup": FakeRelay()}
    await world.set_campaign(routes={"gmail": ("main", "backup")})
    worker = await world.start(settings=TWO)
    await world.until(lambda: worker._slots)
    connecting, connected = hold_back(worker._lines["main"].sessions)
    _, others_connected = hold_back(worker._lines["backup"].sessions)
    await world.queue(*[f"g{n}" for n in range(6)], provider="gmail")
    await connecting.wait()
    [lane] = [lane for lane in worker._intake.open if lane.provider == "gmail"]
    worker._router._can = lambda pool, provider: pool == "backup"
    worker._router.move(lane, "backup")
    connected.set()
    await world.until(lambda: len(worker._lines["main"].lanes._idle) == 2)  # nothing is left for main to do
    others_connected.set()
    await world.until_settled(due_only=True)
    assert not world.relays["main"].took
    assert {fact.pool for fact in await world.facts()} == {"backup"}


def hold_back(pool):
    """Sessions of the pool are made only once the second event is set; the first says that somebody waits."""
    connecting, connected, lease = asyncio.Event(), asyncio.Event(), pool.lease

    @asynccontextmanager
    async def slow():
        connecting.set()
        await connected.wait()
        async with lease() as driver:
            yield driver

    pool.lease = slow
    return connecting, connected
