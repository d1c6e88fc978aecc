"""A limit is used, too: with mail enough no more than a twentieth of it is lost, whoever comes, goes and dies.

Real gates of several senders, over a bus that takes its time, in an event loop whose time passes at once.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from itertools import chain
from random import Random

import pytest
import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

from events.memory_bus import MemoryBus
from events.providers import PROVIDERS
from events.schemas import Campaign
from sender.lanes import Lane, Lanes
from sender.patience import Patience
from sender.throttle.gate import Gate
from sender.throttle.keeper import Keeper
from sender.throttle.lane_gates import LaneGates
from sender.throttle.limits import Limits, effective
from sender.throttle.reservation import CHUNK_SECONDS, LEAD_SECONDS
from sender.throttle.returns import Returns
from sender.throttle.server_clock import ServerClock
from sender.throttle.shared import Shared
from sender.throttle.state import EMPTY

EPOCH = 1_800_000_000.0
SECONDS = 5.0
SESSIONS = 6
STARTING_SECONDS = 0.3
CAMPAIGN = Campaign("spring", "Spring", "running", "main", "b@example.com", EPOCH)


class SlowBus:
    """A bus, and a bucket, as far as limits need it, some milliseconds away."""

    def __init__(self, bus, random):
        self._bus = bus
        self._random = random

    async def _travel(self):
        await asyncio.sleep(self._random.uniform(0.0005, 0.004))

    async def server_time(self):
        await self._travel()
        now = self._bus.clock()
        await self._travel()
        return now

    async def bucket(self, name):
        made = SlowBus(self._bus, self._random)
        made._bucket = await self._bus.bucket(name)
        return made

    async def get(self, key):
        await self._travel()
        return await self._bucket.get(key)

    async def update(self, key, value, revision):
        await self._travel()
        revision = await self._bucket.update(key, value, revision)
        await self._travel()
        return revision


class Sender:
    """Lanes that are never short of mail, and sessions that serve them."""

    def __init__(self, bus, lanes, random, spent):
        loop = asyncio.get_running_loop()
        offset = random.uniform(0, 1_000)
        clock = ServerClock(bus, lambda: loop.time() + offset)
        keeper = Keeper(bus)
        shared = Shared(keeper, clock, random.random, f"{offset}", Patience("throttle", 0.01), Returns(keeper.change))
        self.random, self.spent, self.gates = random, spent, {}
        self.lanes = Lanes(SESSIONS, 0.5, lambda: EPOCH + loop.time())
        for provider, limits in lanes.items():
            lane = Lane(CAMPAIGN, provider, None, None)
            lane.waiting = deque(range(500))
            for key, limit in limits.items():
                if key not in self.gates:
                    self.gates[key] = Gate(key, limit, shared)
            lane.gates = LaneGates(lane, [self.gates[key] for key in limits], clock, self.lanes.notify)
            self.lanes.add(lane)
        self.tasks = [asyncio.create_task(clock.run(Patience("clock", 0.01), self._look))]
        self.tasks += [asyncio.create_task(self._session()) for _ in range(SESSIONS)]

    def _look(self):
        for gate in self.gates.values():
            gate.look()
        self.lanes.notify()

    async def _session(self):
        while True:
            lane = await self.lanes.next()
            moves, permit = lane.moves, lane.gates.take(16)
            lane.taken_at = EPOCH + asyncio.get_running_loop().time()
            await asyncio.sleep(self.random.uniform(0.001, 0.006))  # the claim
            number = await permit.spend(permit.number)
            self.spent[lane.provider] += [asyncio.get_running_loop().time()] * number
            await asyncio.sleep(self.random.uniform(0.001, 0.01))  # the server's answer
            permit.close()
            self.lanes.done(lane, moves)

    async def die(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        for gate in self.gates.values():
            gate.close()


async def run(lanes, seed, senders, events):
    """The times of all mails, by lane, and how often a sender died."""
    random, spent, loop = Random(seed), {lane: [] for lane in lanes}, asyncio.get_running_loop()
    bus = MemoryBus(lambda: EPOCH + loop.time())
    await bus.setup()
    slow = SlowBus(bus, random)
    alive = [Sender(slow, lanes, random, spent) for _ in range(senders)]
    died = 0
    for at, joins in sorted(events):
        await asyncio.sleep(max(0.0, at - loop.time()))
        if joins:
            alive.append(Sender(slow, lanes, random, spent))
        elif len(alive) > 1:
            await alive.pop(random.randrange(len(alive))).die()
            died += 1
    await asyncio.sleep(SECONDS - loop.time())
    for sender in alive:
        await sender.die()
    return {lane: sorted(times) for lane, times in spent.items()}, died


def most_in_a_second(spent):
    return max((at - bisect_left(spent, time - 1.0) + 1 for at, time in enumerate(spent)), default=0)


EVENTS = st.lists(st.tuples(st.floats(0.5, SECONDS), st.booleans()), max_size=6)


def assert_kept_and_used(spent, limit, died):
    assert most_in_a_second(spent) <= limit.rate + effective(limit, EMPTY, 0).burst
    lost = died * (limit.rate * (CHUNK_SECONDS + LEAD_SECONDS) + 1)
    assert len(spent) >= 0.95 * limit.rate * (SECONDS - STARTING_SECONDS) - lost - 1


@pytest.mark.parametrize("rate", [5.0, 60.0, 400.0])
@settings(max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 4), EVENTS)
def test_a_limit_is_kept_and_used(rate, seed, senders, events):
    limit = Limits(rate=rate)
    spent, died = virtual_time.run(run({"gmail": {"main": limit}}, seed, senders, events))
    assert_kept_and_used(spent["gmail"], limit, died)


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 4), EVENTS)
def test_the_least_of_several_limits_is_kept_and_used(seed, senders, events):
    limits = {"campaign=spring": Limits(rate=90), "main.gmail": Limits(rate=60), "main": Limits(rate=300)}
    spent, died = virtual_time.run(run({"gmail": limits}, seed, senders, events))
    assert_kept_and_used(spent["gmail"], limits["main.gmail"], died)


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.integers(1, 4), EVENTS)
def test_a_lane_uses_its_limit_beside_others_that_share_its_pool(seed, senders, events):
    pool, own = Limits(rate=400, burst=80), Limits(rate=40, burst=10)
    lanes = {provider: {"main": pool} for provider in PROVIDERS} | {"gmail": {"main.gmail": own, "main": pool}}
    spent, died = virtual_time.run(run(lanes, seed, senders, events))
    assert_kept_and_used(sorted(chain(*spent.values())), pool, died)
    assert_kept_and_used(spent["gmail"], own, died)
