"""Pools that take over from each other: nothing is lost, nothing is sent twice, and the facts say who sent."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest
import virtual_time
from msgspec.structs import replace
from sender_world import SETTINGS, FakeRelay, World

from events.memory_bus import MemoryBus
from events.schemas import Campaign
from sender.breaker.keeper import Breaker
from sender.breaker.settings import BreakerSettings
from sender.campaigns import is_open, route_of
from sender.drivers.base import ConnectionFailed
from sender.lanes import Lane, Lanes
from sender.patience import Patience
from sender.routing import Health, Router
from sender.settings import Relay
from sender.throttle.limits import Limits
from sender.throttle.throttle import Throttle

TWO = replace(
    SETTINGS,
    pools={"main": Relay(max_connections=2, pipeline_depth=3), "backup": Relay(max_connections=2, pipeline_depth=3)},
    failover_after_seconds=30.0,
)
BOTH = {"other": ("main", "backup"), "gmail": ("main", "backup")}


def campaign(**routes):
    return Campaign("spring", "Spring", "running", "main", "", 0.0, routes=routes)


def test_a_sender_without_the_preferred_pool_leaves_the_lane_to_others():
    routed = campaign(gmail=("main", "backup"), yahoo=("backup", "main"))
    assert route_of(routed, "gmail", {"main", "backup"}) == ("main", "backup")
    assert route_of(routed, "gmail", {"main"}) == ("main",)
    assert route_of(routed, "gmail", {"backup"}) == ()
    assert route_of(routed, "apple", {"main"}) == ("main",)
    assert is_open(routed, frozenset({"backup"}))
    assert not is_open(campaign(), frozenset({"backup"}))


def test_a_pool_counts_as_down_when_every_attempt_failed_for_long_enough():
    now = 100.0
    health = Health(lambda: now, 30.0)
    health.failed()
    now = 129.0
    health.failed()
    assert not health.is_down
    now = 130.0
    assert health.is_down
    health.succeeded()
    assert not health.is_down


@pytest.fixture
async def world():
    made = World(routes=BOTH)
    made.relays = {"main": FakeRelay(), "backup": FakeRelay()}
    yield made
    await made.stop()


async def pools_in_facts(world):
    return Counter(fact.pool for fact in await world.facts())


def look(worker):
    worker._router.look(worker._intake.open)


async def probed(worker, pool):
    worker._router.probe()
    await asyncio.wait([worker._router._probes[pool]])


async def is_open_for(worker, *providers):
    return {lane.provider for lane in worker._intake.open} >= set(providers)


async def test_while_a_pool_cannot_be_reached_the_next_one_takes_over_and_gives_back(world):
    await world.set_up()
    main, backup = world.relays.values()
    main.down = True
    await world.queue(*[f"a{n}" for n in range(9)], provider="gmail")
    worker = await world.start(settings=TWO)
    await world.until(lambda: worker._router.health["main"]._failing_since is not None)
    look(worker)
    assert not backup.took  # a relay may be restarted
    world.clock.advance(31)
    look(worker)
    await world.until_settled()
    assert Counter(backup.took) == {f"a{n}": 1 for n in range(9)}
    assert await pools_in_facts(world) == {"backup": 9}

    main.down = False
    worker._router.health["main"].succeeded()  # as a probe does
    look(worker)
    await world.queue(*[f"b{n}" for n in range(9)], provider="gmail")
    await world.until_settled()
    assert Counter(main.took) == {f"b{n}": 1 for n in range(9)}
    assert set(backup.took) == {f"a{n}" for n in range(9)}


async def test_a_probe_finds_that_a_pool_is_back(world):
    await world.set_up()
    world.relays["main"].down = True
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_open_for(worker, "gmail"))
    health = worker._router.health["main"]
    health.failed()
    world.clock.advance(31)
    await probed(worker, "main")
    assert health.is_down
    world.relays["main"].down = False
    await probed(worker, "main")
    assert health.is_down  # not so soon after the last one
    world.clock.advance(15)
    await probed(worker, "main")
    assert not health.is_down


async def test_a_lane_with_one_pool_waits_for_it(world):
    await world.set_up()
    world.relays["main"].down = True
    await world.queue("y1", provider="yahoo")
    worker = await world.start(settings=TWO)
    await world.until(lambda: worker._router.health["main"]._failing_since is not None)
    world.clock.advance(31)
    look(worker)
    assert not world.relays["backup"].took
    world.relays["main"].down = False
    await world.until_settled()
    assert set(world.relays["main"].took) == {"y1"}


async def test_each_provider_has_a_route_of_its_own(world):
    await world.set_up()
    await world.set_campaign(routes={"gmail": ("backup",)})
    await world.queue("g1", "g2", provider="gmail")
    await world.queue("y1", "y2", provider="yahoo")
    await world.start(settings=TWO)
    await world.until_settled()
    assert set(world.relays["backup"].took) == {"g1", "g2"}
    assert set(world.relays["main"].took) == {"y1", "y2"}


async def test_a_route_may_be_changed_while_the_campaign_runs(world):
    await world.set_up()
    await world.set_campaign(routes={"gmail": ("main",)})
    world.relays["main"].down = True
    await world.queue("g1", "g2", provider="gmail")
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_open_for(worker, "gmail"))
    await world.set_campaign(routes={"gmail": ("backup",)})
    await world.until_settled()
    assert Counter(world.relays["backup"].took) == {"g1": 1, "g2": 1}


async def test_what_a_day_has_no_room_for_flows_over_to_the_next_pool(world):
    capped = replace(TWO.pools["main"], lanes={"gmail": Limits(daily=4)})
    await world.set_up()
    await world.queue(*[f"g{n}" for n in range(10)], provider="gmail")
    worker = await world.start(settings=replace(TWO, pools=TWO.pools | {"main": capped}))
    main, backup = world.relays.values()
    await world.until(lambda: sum(main.took.values()) == 4)
    await world.until(lambda: worker._throttle.is_used_up("main", "gmail"))
    look(worker)
    await world.until_settled(due_only=True)
    assert sum(main.took.values()) == 4
    assert sum(backup.took.values()) == 6
    assert set((main.took | backup.took).values()) == {1}
    assert await pools_in_facts(world) == {"main": 4, "backup": 6}


async def test_the_retry_of_a_mail_that_the_next_pool_sent_finds_its_lane(world):
    from sender_world import refused  # noqa: PLC0415 - beside what it is for

    await world.set_up()
    main, backup = world.relays.values()
    main.down = True
    backup.script["g1"] = [refused("transient")]
    await world.queue("g1", provider="gmail")
    worker = await world.start(settings=TWO)
    await world.until(lambda: worker._router.health["main"]._failing_since is not None)
    world.clock.advance(31)
    look(worker)
    await world.until_settled()
    assert (await world.stories())["g1"] == ["deferred", "accepted"]
    assert Counter(backup.took) == {"g1": 1}


class DeadRelay:
    """Says nothing until all timeouts of a connection are over."""

    seconds = 40.0

    def __init__(self):
        self.tried = self.trying = 0

    @asynccontextmanager
    async def lease(self):
        self.tried += 1
        self.trying += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.trying -= 1
        raise ConnectionFailed("timed out")
        yield


async def after_two_failovers(seconds):
    """A router whose first pool has been down for long, and its lanes, so long after a second pool went down, too."""
    loop = asyncio.get_running_loop()
    bus = MemoryBus(loop.time)
    await bus.setup()
    pools = {name: Relay() for name in ("main", "second", "backup")}
    sessions = {name: DeadRelay() for name in pools}
    throttle = Throttle(bus, pools, sessions, lambda *_: 0, lambda: 0.5, 0.01, loop.time)
    breaker = Breaker(bus, BreakerSettings(), loop.time, Patience("breaker", 0.01))
    pooled = {name: Lanes(2, 0.5, loop.time) for name in pools}
    router = Router(pooled, sessions, throttle, breaker, loop.time, failover_after_seconds=5)
    routed = campaign(gmail=("main", "backup"), yahoo=("second", "backup"))
    lanes = {provider: Lane(routed, provider, None, None) for provider in ("gmail", "yahoo")}
    for lane in lanes.values():
        pooled[lane.pool].add(lane)
    router.health["main"].failed()
    running = asyncio.create_task(router.run(lanes.values))
    await asyncio.sleep(20)
    router.health["second"].failed()
    await asyncio.sleep(seconds)
    moved, tried = {provider: lane.pool for provider, lane in lanes.items()}, sessions["main"].tried
    running.cancel()
    await asyncio.wait([running])
    assert not any(relay.trying for relay in sessions.values())
    return moved, tried


def test_a_dead_relay_that_is_tried_delays_nobody_elses_failing_over():
    moved, _ = virtual_time.run(after_two_failovers(7))
    assert moved == {"gmail": "backup", "yahoo": "backup"}


def test_a_dead_relay_is_tried_by_one_connection_at_a_time():
    _, tried = virtual_time.run(after_two_failovers(100))
    assert tried == 3


async def test_a_relay_that_cannot_be_tried_is_down_and_tried_again(world, caplog):
    await world.set_up()
    worker = await world.start(settings=TWO)
    await world.until(lambda: is_open_for(worker, "gmail"))
    health, pool = worker._router.health["main"], worker._lines["main"].sessions
    health.failed()
    world.clock.advance(31)
    lease, pool.lease = pool.lease, None
    await probed(worker, "main")
    assert health.is_down
    assert "trying pool main failed" in caplog.text
    pool.lease = lease
    world.clock.advance(15)
    await probed(worker, "main")
    assert not health.is_down
