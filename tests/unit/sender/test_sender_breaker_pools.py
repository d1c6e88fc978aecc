"""The circuit breaker where a lane goes through more than one pool."""

import asyncio

import pytest
from msgspec.structs import replace
from sender_world import SETTINGS, FakeRelay, World

from events import breaker, warmup
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
