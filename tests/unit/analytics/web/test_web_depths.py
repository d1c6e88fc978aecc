"""What lies in lanes, and what keeps it there."""

import msgspec
import pytest

from analytics.web import depths, figures
from analytics.web.depths import Holds
from events import breaker, campaigns, streams
from events.breaker import EVERY_LANE, Opening
from events.pace import Pace

ROUTES = {"gmail": ("warm", "relay"), "yahoo": ("relay",)}


@pytest.fixture
async def info(bus):
    """A campaign with several pools."""
    changed = await campaigns.change(bus, "spring-launch", lambda one: msgspec.structs.replace(one, routes=ROUTES))
    return figures.info_of(changed)


async def stop(bus, clock, lane, cause="blocks"):
    opening = Opening(clock(), cause, 9, 100, 0.05, "too many")
    await breaker.change(bus, "spring-launch", lambda health: breaker.open_lane(health, lane, opening))


async def pause(bus, lane, until):
    pace = Pace(rate=1.0, peak=50.0, decreased_at=until, slow_since=until - 60, not_before=until)
    await (await bus.bucket(streams.THROTTLE)).put(lane, msgspec.json.encode({"pace": pace}))


async def found(bus, clock, info, **options):
    held_by = await depths.holds(bus, clock(), info.id)
    lanes = await depths.of_campaign(bus, info, held_by, **options)
    return {lane.provider: (lane.pools[0], lane.waiting, lane.held, lane.held_until) for lane in lanes}


async def test_lanes_tell_what_waits_and_through_which_pools_it_goes(bus, clock, info):
    told = await found(bus, clock, info)
    assert len(told) == 5
    assert told["gmail"] == ("warm", 40, "", None)
    assert told["microsoft"][0] == "relay"
    assert await found(bus, clock, info, only_held=True) == {}


async def test_a_lane_is_held_where_its_preferred_pool_is_stopped_or_paused(bus, clock, info):
    await stop(bus, clock, "warm.gmail")
    await stop(bus, clock, "warm.yahoo")  # not the one that yahoo's mails go through
    await pause(bus, "relay.apple", clock() + 60)
    await pause(bus, "relay.gmail", clock() + 60)  # where they would go if the other pool were away
    told = await found(bus, clock, info, only_held=True)
    assert {provider: lane[2:] for provider, lane in told.items()} == {
        "gmail": ("stopped", None),
        "apple": ("paused", clock() + 60),
    }


async def test_a_lane_is_held_where_mails_through_another_pool_bounced(bus, clock, info):
    await stop(bus, clock, "relay.gmail", "hard_bounces")
    told = await found(bus, clock, info, only_held=True)
    assert {provider: lane[2] for provider, lane in told.items()} == {"gmail": "stopped"}


async def test_a_pool_that_is_paused_holds_all_its_lanes_and_a_stopped_campaign_all_of_its_own(bus, clock, info):
    await pause(bus, "relay", clock() + 60)
    assert set(await found(bus, clock, info, only_held=True)) == {"microsoft", "yahoo", "apple", "other"}
    await stop(bus, clock, EVERY_LANE)
    assert {lane[2] for lane in (await found(bus, clock, info)).values()} == {"stopped"}


async def test_a_bus_that_does_not_answer_and_a_campaign_that_has_ended_have_no_lanes(bus, clock, info):
    ended = msgspec.structs.replace(info, finished_at=clock())
    assert await depths.of_campaign(bus, ended, Holds()) == []
    bus.unavailable = True
    assert await depths.holds(bus, clock()) == Holds({}, [])
    assert await depths.of_campaign(bus, info, Holds()) == []
