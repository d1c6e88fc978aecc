"""Connections are leased for mails that could go, whatever tokens there are at this moment."""

import asyncio
from collections import deque

import pytest
import virtual_time

from events.memory_bus import MemoryBus
from events.schemas import Campaign
from sender.lanes import Lane
from sender.settings import Relay
from sender.throttle.limits import Limits
from sender.throttle.throttle import Throttle

EPOCH = 1_800_000_000.0
CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", EPOCH)
POOL = Relay(limits=Limits(rate=400, burst=50), lanes={"microsoft": Limits(rate=20, connections=5)})


class Sessions:
    def keep_open(self, number):
        pass


async def opened(stopped):
    """Whether the lane opens after it had nothing to do for longer than a lease lasts."""
    loop = asyncio.get_running_loop()
    bus = MemoryBus(lambda: EPOCH + loop.time())
    await bus.setup()
    throttle = Throttle(bus, {"main": POOL}, {"main": Sessions()}, lambda: 0.5, 0.01, loop.time)
    running, lane = asyncio.create_task(throttle.run()), Lane(CAMPAIGN, "microsoft", None, None)
    throttle.attach(lane, lambda: None)
    await throttle.time()
    await asyncio.sleep(20)
    lane.waiting, lane.stopped = deque(range(500)), stopped
    lane.gates.is_open()  # asks, once: for tokens and for a connection
    await asyncio.sleep(0.5)
    free = lane.gates.gates[0].slots.free(throttle.now())
    throttle.close()
    running.cancel()
    await asyncio.wait([running])
    return free


@pytest.mark.parametrize("stopped", [False, True])
def test_a_lane_gets_connections_before_its_pool_has_tokens_unless_it_is_stopped(stopped):
    assert virtual_time.run(opened(stopped)) is not stopped
