"""Connections are leased for mails that could go, whatever tokens there are just now, and for as long as they are in use."""

import asyncio
from collections import deque

import pytest
import virtual_time
from msgspec.structs import replace
from one_sender import new_bus, one_sender, until

from sender.settings import Relay
from sender.throttle.connections import LEASE_SECONDS
from sender.throttle.keeper import Keeper
from sender.throttle.limits import Limits

POOL = Relay(limits=Limits(rate=400, burst=50), lanes={"microsoft": Limits(rate=20, connections=5)})
ONE_AT_A_TIME = Relay(limits=Limits(connections=1))


async def opened(stopped):
    """Whether the lane opens after it had nothing to do for longer than a lease lasts."""
    async with one_sender(await new_bus(), main=POOL) as sender:
        lane = await sender.lane(provider="microsoft")
        await asyncio.sleep(20)
        lane.waiting, lane.stopped = deque(range(500)), stopped
        lane.gates.is_open()  # asks, once: for tokens and for a connection
        await asyncio.sleep(0.5)
        return lane.gates.gates[0].slots.free(sender.throttle.now())


@pytest.mark.parametrize("stopped", [False, True])
def test_a_lane_gets_connections_before_its_pool_has_tokens_unless_it_is_stopped(stopped):
    assert virtual_time.run(opened(stopped)) is not stopped


async def never(condition, seconds):
    with pytest.raises(TimeoutError):
        await until(condition, seconds)


def test_a_lane_that_comes_back_begins_nothing_while_its_sessions_are_still_at_work():
    async def main():
        async with one_sender(await new_bus(), main=ONE_AT_A_TIME) as sender:
            lane = await sender.lane(mails=5)
            await until(lane.gates.is_open)
            sender.turns["gmail"] = 1
            sender.throttle.detach(lane)
            sender.throttle.attach(lane, lane.woken.set)
            await never(lane.gates.is_open, 2 * LEASE_SECONDS)
            sender.turns["gmail"] = 0
            await until(lane.gates.is_open, 1)

    virtual_time.run(main())


def test_others_get_the_connection_of_a_lane_that_moved_on_once_its_session_is_free():
    async def main():
        bus = await new_bus()
        async with one_sender(bus, main=ONE_AT_A_TIME) as first, one_sender(bus, main=ONE_AT_A_TIME) as second:
            leaving, waiting = await first.lane(mails=5), await second.lane(mails=5)
            await until(leaving.gates.is_open)
            first.turns["gmail"] = 1
            first.throttle.detach(leaving)
            await never(waiting.gates.is_open, 2 * LEASE_SECONDS)
            first.turns["gmail"] = 0
            await until(waiting.gates.is_open, LEASE_SECONDS / 2)
            assert first.sessions["main"].most_open == 0

    virtual_time.run(main())


def test_sessions_that_were_at_work_before_there_was_a_limit_count():
    async def main():
        bus = await new_bus()
        async with one_sender(bus, main=Relay()) as sender:
            sender.turns["gmail"] = 3
            await sender.throttle.synced.wait()
            await learn(bus, 3)
            lane = await sender.lane(mails=5)
            await never(lane.gates.is_open, LEASE_SECONDS)
            sender.turns["gmail"] = 2
            await until(lane.gates.is_open, 1)

    virtual_time.run(main())


def test_without_the_limit_as_many_stay_open_as_before():
    async def main():
        bus = await new_bus()
        async with one_sender(bus, main=Relay(max_connections=7)) as sender:
            await sender.throttle.synced.wait()
            await learn(bus, 2, "main")
            lane = await sender.lane(mails=5)
            await until(lambda: lane.gates.is_open() and sender.sessions["main"].most_open == 2)
            sender.throttle.detach(lane)
            await until(lambda: sender.sessions["main"].most_open == 0)
            await Keeper(bus).change("main", lambda state: replace(state, pace=replace(state.pace, connections=None)))
            await until(lambda: sender.throttle.known("main").pace.connections is None)
            sender.throttle.attach(lane, lane.woken.set)
            assert lane.gates is None
            assert sender.sessions["main"].most_open == 7

    virtual_time.run(main())


async def learn(bus, connections, key="main.gmail"):
    def learned(state):
        pace = replace(state.pace, connections=connections, connections_peak=10, connections_at=1_800_000_000.0)
        return replace(state, pace=pace)

    await Keeper(bus).change(key, learned)
