"""Several senders hear what a provider says, and agree on one pace."""

import asyncio
from contextlib import asynccontextmanager
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import pace as paces
from events import streams
from events.errors import RetryLater
from events.memory_bus import MemoryBus
from events.metrics import LANE_OBJECTIONS, LANE_PAUSED_SECONDS, LANE_RATE_LIMIT
from sender.adaptive.learner import Learner
from sender.adaptive.settings import AdaptiveSettings
from sender.drivers.base import Accepted, ConnectionFailed, Refused, Reply
from sender.patience import Patience
from sender.settings import Relay
from sender.throttle.keeper import Keeper
from sender.throttle.limits import Limits

OK = Accepted(Reply(250, "2.0.0", "ok"), 0.0)
SLOW_DOWN = Refused("throttled", "rate", Reply(421, "4.7.28", "unusual rate"))
WAIT = Refused("throttled", "rate", Reply(450, "4.7.1", "slow down; try again in 60 seconds"), 60.0)
TOO_MANY = Refused("throttled", "connections", Reply(421, "4.7.0", "too many connections"))
BUSY = Refused("transient", "temporary", Reply(451, "4.3.2", "try later"))
LIMITED = {"main": Relay(lanes={"gmail": Limits(rate=100.0, connections=20)})}
FREE = {"main": Relay()}
KEY = "main.gmail"
ATTENTIVE = {"throttle_mails": 1, "throttle_share": 1e-9}
"""A single reply counts; what it takes by default has tests of its own."""
USUAL = AdaptiveSettings()


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Shared(Keeper):
    """What `Throttle` is to the learner, without lanes."""

    def __init__(self, bus, clock, sender):
        super().__init__(bus)
        self.sender, self.now = sender, clock

    async def time(self):
        return self.now()


class Senders:
    """Some senders at work; `settled` returns when nobody has anything to tell any more."""

    def __init__(self, bus, clock, pools, count, **settings):
        self.keepers = [Shared(bus, clock, f"sender-{number}") for number in range(count)]
        self.all = [
            Learner(
                AdaptiveSettings(**ATTENTIVE | settings),
                pools,
                keeper,
                clock,
                lambda _pool, _provider: 6,
                Patience("adapt", 0.001),
            )
            for keeper in self.keepers
        ]

    async def settled(self):
        """Everybody has told what they heard, and heard what others told."""
        for _ in range(3):
            for one in self.all:
                await one.told()
            for _ in range(10):
                await asyncio.sleep(0)

    async def pace(self, key=KEY):
        await self.settled()
        return (await self.keepers[0].change(key, lambda state: state)).pace


@asynccontextmanager
async def senders(bus, clock, pools=LIMITED, count=1, **settings):
    made = Senders(bus, clock, pools, count, **settings)
    tasks = [asyncio.create_task(one.run()) for one in made.all] + [
        asyncio.create_task(keeper.follow(one.changed)) for keeper, one in zip(made.keepers, made.all, strict=True)
    ]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_turn_without_objections_writes_nothing(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [OK] * 16)
        await some.settled()
    assert await (await memory_bus.bucket(streams.THROTTLE)).entries() == []


async def test_an_objection_slows_the_lane_down_and_says_why(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [OK] * 15 + [SLOW_DOWN])
        pace = await some.pace()
    assert paces.rate_at(pace, 100.0, clock.now) == 75.0
    assert str(pace.why) == "the provider asked to slow down (6% put off): 421 4.7.28 unusual rate"


async def test_a_few_replies_among_many_mails_slow_nothing_down(memory_bus, clock):
    usual = {"throttle_mails": USUAL.throttle_mails, "throttle_share": USUAL.throttle_share}
    async with senders(memory_bus, clock, **usual) as some:
        for _ in range(200):
            some.all[0].observe("main", "gmail", [OK] * 49 + [SLOW_DOWN])  # 2 %
            clock.now += 0.1
        some.all[0].observe("main", "gmail", [OK] * 49 + [WAIT])
        assert await some.pace() == paces.Pace()
        for _ in range(USUAL.throttle_mails - 1):
            some.all[0].observe("main", "yahoo", [SLOW_DOWN])
        assert (await some.pace("main.yahoo")).rate is None
        some.all[0].observe("main", "yahoo", [SLOW_DOWN])
        assert (await some.pace("main.yahoo")).rate is not None


async def test_other_lanes_go_on(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [SLOW_DOWN])
        assert (await some.pace("main.yahoo")).rate is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 16), st.integers(1, 16)), min_size=1, max_size=60),
    st.booleans(),
)
def test_a_burst_of_throttle_replies_from_many_senders_is_one_decrease(turns, limited):
    async def story():
        clock, bus = Clock(), MemoryBus()
        await bus.setup()
        async with senders(bus, clock, LIMITED if limited else FREE, 5) as some:
            for sender, good, bad in turns:
                some.all[sender].observe("main", "gmail", [OK] * good + [SLOW_DOWN] * bad)
                clock.now += 9.0 / len(turns)
                if sender == 0:
                    await asyncio.sleep(0)
            return await some.pace()

    decreases = LANE_OBJECTIONS.labels("main", "gmail", "rate")._value
    before = decreases.get()
    pace = asyncio.run(story())
    assert decreases.get() == before + 1
    if limited:
        assert 25.0 <= pace.rate <= 75.0
        assert pace.peak in {100.0, 50.0}  # the half where nothing was accepted
    else:
        assert pace.rate == pytest.approx(max(0.75 * pace.peak, 0.1))


async def test_without_a_limit_the_first_one_is_what_all_senders_got_through(memory_bus, clock):
    async with senders(memory_bus, clock, FREE, 3) as some:
        for _ in range(10):
            for one in some.all:
                one.observe("main", "gmail", [OK] * 10)
            clock.now += 1.0
        some.all[1].observe("main", "gmail", [OK] * 9 + [SLOW_DOWN])
        pace = await some.pace()
    assert sorted(pace.parts) == ["sender-0", "sender-1", "sender-2"]
    assert pace.peak == pytest.approx(30.0, rel=0.2)
    assert pace.rate == pytest.approx(0.75 * pace.peak)


async def test_a_hint_pauses_the_lane_for_all(memory_bus, clock):
    async with senders(memory_bus, clock, count=2) as some:
        some.all[0].observe("main", "gmail", [OK, WAIT])
        await some.settled()
        assert some.keepers[1].known(KEY).pace.not_before == clock.now + 60.0
        assert LANE_PAUSED_SECONDS.labels("main", "gmail")._value.get() == 60.0


async def test_too_many_connections_become_fewer_and_leave_the_rate_alone(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [OK, TOO_MANY])
        pace = await some.pace()
    assert paces.connections_at(pace, 20, clock.now) == 19
    assert pace.rate is None


async def test_where_most_connections_are_refused_far_fewer_are_left(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [TOO_MANY])
        await some.settled()
        for _ in range(10):
            clock.now += 1.0
            some.all[0].observe("main", "gmail", [OK])
            some.all[0].observe("main", "gmail", [TOO_MANY])
        pace = await some.pace()
    assert paces.connections_at(pace, 20, clock.now) == 10  # of 19, of which half were refused


async def test_without_a_limit_connections_of_all_senders_are_added(memory_bus, clock):
    async with senders(memory_bus, clock, FREE, 3) as some:
        some.all[0].observe("main", "gmail", [TOO_MANY])
        assert (await some.pace()).connections == 3 * 6 - 1


async def test_a_connection_that_was_refused_concerns_the_pool(memory_bus, clock):
    reply = Reply(421, "4.7.0", "too many connections from your address, try again in 30 seconds")
    async with senders(memory_bus, clock) as some:
        error = ConnectionFailed("no", reply=reply, retry_after_seconds=30.0)
        error.beside = 5
        some.all[0].refused("main", error)
        pace = await some.pace("main")
    assert (pace.connections, pace.not_before) == (5, clock.now + 30.0)  # as many as were open


async def test_a_connection_that_failed_otherwise_says_nothing_of_the_speed(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].refused("main", ConnectionFailed("no", reply=None))
        some.all[0].refused("main", ConnectionFailed("no", reply=Reply(535, "5.7.8", "authentication failed")))
        assert await some.pace("main") == paces.Pace()


async def test_many_mails_put_off_slow_a_lane_down_and_a_few_do_not(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        for _ in range(10):
            some.all[0].observe("main", "gmail", [OK] * 12 + [BUSY] * 4)
        assert (await some.pace()).rate is None
        for _ in range(10):
            some.all[0].observe("main", "gmail", [BUSY] * 16)
        assert (await some.pace()).why.cause == "deferrals"


async def test_a_few_mails_say_nothing_about_a_share(memory_bus, clock):
    async with senders(memory_bus, clock) as some:
        some.all[0].observe("main", "gmail", [BUSY] * 16)
        assert (await some.pace()).rate is None


async def test_adapting_can_be_turned_off(memory_bus, clock):
    async with senders(memory_bus, clock, enabled=False) as some:
        some.all[0].observe("main", "gmail", [SLOW_DOWN] * 16)
        some.all[0].refused("main", ConnectionFailed("no", reply=Reply(421, "4.7.0", "too many connections")))
        assert await some.pace() == await some.pace("main") == paces.Pace()


async def test_what_a_lane_s_limit_is_can_be_seen(memory_bus, clock):
    async with senders(memory_bus, clock, recovery_seconds=1.0) as some:
        some.all[0].observe("main", "gmail", [OK] * 99 + [SLOW_DOWN])
        await some.settled()
        assert LANE_RATE_LIMIT.labels("main", "gmail")._value.get() == 75.0
        clock.now += 100.0
        some.all[0].changed(KEY)
        assert LANE_RATE_LIMIT.labels("main", "gmail")._value.get() == 100.0
    async with senders(memory_bus, clock, FREE) as some:
        await some.settled()
        some.all[0].changed("main.yahoo")
        assert LANE_RATE_LIMIT.labels("main", "yahoo")._value.get() == inf


async def test_objections_that_nats_did_not_take_in_time_mean_nothing_any_more(memory_bus, clock):
    class Away(Shared):
        away = True

        async def change(self, key, transition):
            if self.away:
                raise RetryLater("away")
            return await super().change(key, transition)

    keeper = Away(memory_bus, clock, "a")
    one = Learner(AdaptiveSettings(), LIMITED, keeper, clock, lambda *_: 1, Patience("adapt", 0.001))
    running = asyncio.create_task(one.run())
    one.observe("main", "gmail", [SLOW_DOWN])
    await asyncio.sleep(0.01)
    clock.now += 60.0
    keeper.away = False
    await one.told()
    assert (await keeper.change(KEY, lambda state: state)).pace.rate is None
    running.cancel()
    await asyncio.wait([running])
