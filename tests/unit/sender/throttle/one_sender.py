"""The limits of one sender, without the rest of it: real gates over a bus in memory, for an event loop with virtual time."""

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager

import msgspec

from events.memory_bus import MemoryBus
from events.schemas import Campaign
from sender.lanes import Lane
from sender.throttle.throttle import Throttle

EPOCH = 1_800_000_000.0  # 08:00 UTC
TODAY = int(EPOCH // 86_400)
CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", EPOCH)


async def new_bus():
    loop = asyncio.get_running_loop()
    bus = MemoryBus(lambda: EPOCH + loop.time())
    await bus.setup()
    return bus


async def until(condition, seconds=60):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- virtual time
            await asyncio.sleep(0.01)


class Sessions:
    def keep_open(self, most):
        self.most_open = most


class OneSender:
    def __init__(self, bus, pools):
        self.turns = Counter()
        """Sessions at work, by provider."""
        self.sessions = {pool: Sessions() for pool in pools}
        clock = asyncio.get_running_loop().time
        self.throttle = Throttle(bus, pools, self.sessions, self._turns_for, lambda: 0.5, 0.01, clock)
        self.running = asyncio.create_task(self.throttle.run())

    def _turns_for(self, pool, provider):
        return self.turns[provider] if provider else self.turns.total()

    async def lane(self, mails=0, provider="gmail", **campaign):
        """An open lane that holds some mails, once the time is known."""
        lane = self.new_lane(mails, provider, **campaign)
        await self.throttle.time()
        return lane

    def new_lane(self, mails=0, provider="gmail", **campaign):
        lane = Lane(msgspec.structs.replace(CAMPAIGN, **campaign), provider, None, None)
        lane.waiting = deque(range(mails))
        lane.woken = asyncio.Event()
        """A session looked for work."""
        self.throttle.attach(lane, lane.woken.set)
        return lane

    async def take(self, lane, number):
        """So many tokens, as permits."""
        permits = []
        async with asyncio.timeout(60):
            while number > 0:
                if lane.gates.is_open():
                    permits.append(lane.gates.take(number))
                    number -= permits[-1].number
                else:
                    lane.woken.clear()
                    await lane.woken.wait()
        return permits

    def used(self, key="main.gmail"):
        return self.throttle.known(key).used_on(TODAY)

    async def die(self):
        self.running.cancel()
        await asyncio.wait([self.running])


@asynccontextmanager
async def one_sender(bus, **pools):
    """Stops in order at the end."""
    sender = OneSender(bus, pools)
    try:
        yield sender
    finally:
        await sender.die()
        await sender.throttle.close()
