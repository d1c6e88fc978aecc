"""What a sender measures of itself, and that it says so."""

import asyncio
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest

from events import fleet, streams
from events.fleet import Bounds, Line
from sender.pulse import Load, Pulse
from sender.settings import Relay
from sender.throttle.limits import Limits

POOLS = {
    "main": Relay(max_connections=2, limits=Limits(rate=50.0), lanes={"gmail": Limits(daily=9), "yahoo": Limits()})
}


class Ticks:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def load(ticks):
    return Load(2, ticks)


def work(load, ticks, seconds, mails, *, sessions=2, turns=4):
    """So many sessions side by side, each with as many mails in so many turns."""
    for _ in range(turns):
        with ExitStack() as sessions_at_work:
            for _ in range(sessions):
                sessions_at_work.enter_context(load.of(SimpleNamespace(held=[None] * (mails // turns))))
            ticks.now += seconds / turns


def test_what_goes_through_while_all_sessions_work_is_what_a_sender_can_do(load, ticks):
    work(load, ticks, 4.0, mails=100)
    load.measure()
    assert (load.rate, load.full) == (50.0, True)


def test_what_goes_through_while_sessions_are_idle_says_nothing(load, ticks):
    load.measure()
    assert (load.rate, load.full) == (None, False), "nothing has happened yet"
    work(load, ticks, 4.0, mails=100, sessions=1, turns=8)
    load.measure()
    assert (load.rate, load.full) == (None, False)
    work(load, ticks, 3.0, mails=100)
    ticks.now += 2.0
    load.measure()
    assert load.rate is None, "busy for 60 % of the time"


def test_sessions_that_wait_a_little_between_turns_could_do_that_much_more(load, ticks):
    work(load, ticks, 4.0, mails=100)
    ticks.now += 1.0
    load.measure()
    assert load.rate == 50.0


def test_sessions_that_send_nothing_say_nothing(load, ticks):
    work(load, ticks, 4.0, mails=0)
    load.measure()
    assert load.rate is None


def test_what_is_measured_follows_what_was_measured_before(load, ticks):
    for mails in (100, 200, 200):
        work(load, ticks, 4.0, mails)
        load.measure()
    assert load.rate == pytest.approx(50.0 + 15.0 + 10.5)


def test_turns_that_take_longer_than_it_is_between_two_looks_count_as_long_as_they_took(load, ticks):
    for _ in range(8):
        with load.of(SimpleNamespace(held=[None] * 60)), load.of(SimpleNamespace(held=[None] * 60)):
            for _ in range(3):
                ticks.now += 2.0
                load.measure()
    load.measure()
    assert load.rate == pytest.approx(20.0, rel=0.05)


def test_a_turn_that_fails_was_work_too(load, ticks):
    for _ in range(8):
        with suppress(OSError), load.of(SimpleNamespace(held=[None] * 10)):
            work(load, ticks, 1.0, mails=10, sessions=1, turns=1)
            raise OSError("the connection is gone")
    load.measure()
    assert load.rate == 20.0


@pytest.fixture
def pulse(memory_bus, ticks):
    return Pulse(memory_bus, "me", POOLS, lambda pool: pool == "main", ticks)


async def test_a_sender_says_what_it_serves_and_what_it_was_told_to_keep_to(pulse, memory_bus, clock):
    await pulse.beat()
    (beat,) = await fleet.read(memory_bus)
    assert (beat.sender, beat.at) == ("me", clock())
    assert beat.pools == {"main": Line(2, None, True, Bounds(rate=50.0), {"gmail": Bounds(daily=9)})}


async def test_it_says_so_again_and_again(pulse, memory_bus):
    task = asyncio.create_task(pulse.run())
    watching = (await memory_bus.bucket(streams.SENDERS)).watch()
    async for entry in watching:
        if entry is not None:
            break
    await watching.aclose()
    task.cancel()
    assert entry.key == "me"


async def test_one_that_stops_takes_its_word_back_and_says_nothing_more(pulse, memory_bus):
    await pulse.beat()
    await pulse.leave()
    await pulse.beat()
    assert await fleet.read(memory_bus) == []


async def test_one_that_stops_while_nats_is_away_stops_all_the_same(pulse, memory_bus):
    await pulse.beat()
    memory_bus.unavailable = True
    await pulse.leave()
    memory_bus.unavailable = False
    await pulse.beat()
    assert len(await fleet.read(memory_bus)) == 1, "others notice by its silence"
