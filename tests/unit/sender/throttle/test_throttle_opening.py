"""What shuts a lane for long may go away before its time: the lane is fetched for, and goes, within seconds."""

import asyncio
from collections import deque

import msgspec
import pytest
import virtual_time
from one_sender import EPOCH, TODAY, new_bus, one_sender, until

from events.pace import Pace
from sender.adaptive import slowing
from sender.settings import Relay
from sender.throttle.keeper import Keeper
from sender.throttle.lane_gates import HELD_SECONDS
from sender.throttle.limits import Limits
from sender.throttle.state import State

SOON = 2.0


async def is_shut(lane):
    lane.gates.is_open()  # asks
    await until(lambda: lane.gates.opens_in() > HELD_SECONDS)
    lane.waiting.clear()  # of a lane that is shut for long nothing is fetched
    lane.changed.clear()


async def goes_soon(lane):
    """Its mails are fetched again, and may go."""
    async with asyncio.timeout(SOON):
        await lane.changed.wait()
    assert lane.gates.most_held(100) > 0
    lane.waiting = deque(range(5))
    await until(lane.gates.is_open, SOON)


SLOW = slowing.override(0.001, EPOCH)
USED_UP = State(day=TODAY, used=50)


@pytest.mark.parametrize(
    ("limits", "shut", "after"),
    [
        (Limits(daily=50), USED_UP, msgspec.structs.replace(USED_UP, used=45)),
        (Limits(rate=100, daily=50), USED_UP, msgspec.structs.replace(USED_UP, used=45)),
        (Limits(), msgspec.structs.replace(USED_UP, allowance=50), msgspec.structs.replace(USED_UP, allowance=100)),
        (Limits(rate=100), State(pace=Pace(not_before=EPOCH + 3_600)), State()),
        (Limits(rate=100), State(pace=Pace(not_before=EPOCH + 3_600)), State(pace=Pace(not_before=EPOCH + 1))),
        (Limits(daily=50), State(pace=Pace(not_before=EPOCH + 3_600)), State()),
        (Limits(rate=100), State(tat=EPOCH + 999, spacing=1_000.0, pace=SLOW), State(tat=EPOCH + 999, spacing=1_000.0)),
        (Limits(rate=100), State(tat=EPOCH + 35, spacing=36.0, pace=SLOW), State(tat=EPOCH + 35, spacing=36.0)),
    ],
    ids=[
        "tokens given back",
        "tokens given back, with a rate",
        "allowance raised",
        "pause lifted",
        "pause shortened",
        "pause lifted, with a day",
        "limit of 3.6/h raised",
        "limit of 100/h raised",
    ],
)
def test_a_lane_that_somebody_opens_goes_soon(limits, shut, after):
    async def main():
        bus = await new_bus()
        await Keeper(bus).change("main.gmail", lambda _: shut)
        async with one_sender(bus, main=Relay(lanes={"gmail": limits})) as sender:
            await sender.throttle.synced.wait()
            lane = await sender.lane(mails=5)
            await is_shut(lane)
            await Keeper(bus).change("main.gmail", lambda _: after)
            await goes_soon(lane)

    virtual_time.run(main())


@pytest.mark.parametrize("per_hour", [3, 100])
def test_a_campaign_whose_rate_was_raised_goes_soon(per_hour):
    async def main():
        async with one_sender(await new_bus(), main=Relay()) as sender:
            lane = await sender.lane(mails=5, rate=per_hour / 3_600)
            for permit in await sender.take(lane, 1):
                await permit.spend(permit.number)
            await is_shut(lane)
            lane.becomes(msgspec.structs.replace(lane.campaign, rate=100.0))
            lane.changed.clear()
            sender.throttle.attach(lane, lane.woken.set)
            await goes_soon(lane)

    virtual_time.run(main())


def test_a_sender_goes_on_with_what_another_gives_back():
    async def main():
        bus, pool = await new_bus(), Relay(lanes={"gmail": Limits(daily=20)})
        async with one_sender(bus, main=pool) as first, one_sender(bus, main=pool) as second:
            has_all = await first.lane(mails=20)
            permits = await first.take(has_all, 20)
            has_none = await second.lane(mails=5)
            await is_shut(has_none)
            for permit in permits:
                permit.close()
            first.throttle.detach(has_all)
            await goes_soon(has_none)

    virtual_time.run(main())


def test_the_last_tokens_of_a_day_that_lapsed_may_be_had_again():
    async def main():
        async with one_sender(await new_bus(), main=Relay(lanes={"gmail": Limits(daily=2)})) as sender:
            lane = await sender.lane(mails=5)
            [permit] = await sender.take(lane, 1)
            await permit.spend(1)
            await until(lambda: sender.used() == 2)
            await asyncio.sleep(6)  # a session was that long in coming
            assert sum(permit.number for permit in await sender.take(lane, 1)) == 1

    virtual_time.run(main())


def test_what_lapses_where_no_mails_are_left_is_given_back():
    async def main():
        async with one_sender(await new_bus(), main=Relay(lanes={"gmail": Limits(daily=100)})) as sender:
            lane = await sender.lane(mails=50)
            for permit in await sender.take(lane, 10):
                await permit.spend(permit.number)
            lane.waiting.clear()
            assert sender.used() > 10
            await until(lambda: sender.used() == 10, 20)

    virtual_time.run(main())
