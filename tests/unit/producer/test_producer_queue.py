"""Urgent batches reach a producer at once, and no class waits for ever."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from events import streams, subjects
from events.bus import Message
from events.errors import BusUnavailable
from events.memory_bus import MemoryBus
from events.schemas import PRIORITIES
from producer.patience import Patience
from producer.queue import LOWER_EVERY, Queue


async def put(bus, *priorities):
    """A batch of each class."""
    messages = [Message(subjects.batches("spring", priority), priority.encode()) for priority in priorities]
    await bus.publish("BATCHES", messages)


@asynccontextmanager
async def opened(bus):
    """A producer's queue, with the patience of one."""
    stop = asyncio.Event()
    consumers = {priority: await bus.consumer(spec.stream, spec.name) for priority, spec in streams.PRODUCERS.items()}
    made = Queue(
        bus, consumers, Patience("batches", stop).insist, Patience("count", stop).insist, stop, fetch_seconds=0.05
    )
    try:
        yield made
    finally:
        stop.set()
        await made.stop_asking()
        await made.hand_back()


async def word(queue):
    """The class of the next batch, which is finished at once."""
    given = await queue.next()
    await queue.ack(given.delivery)
    assert given.delivery.payload.decode() == given.priority
    return given.priority


@pytest.fixture
async def real_time():
    bus = MemoryBus()
    await bus.setup()
    return bus


async def test_the_highest_class_goes_first(real_time):
    await put(real_time, "low", "normal", "urgent", "normal", "urgent")
    async with opened(real_time) as queue:
        assert [await word(queue) for _ in range(5)] == ["urgent", "urgent", "normal", "normal", "low"]
        assert await queue.next() is None


class CutOff(MemoryBus):
    """A bus as on a host that is cut off: requests for batches end with nothing, and questions are not answered."""

    cut = False

    async def consumer_state(self, stream, name):
        if self.cut:
            raise BusUnavailable("the test cut it off")
        return await super().consumer_state(stream, name)


async def test_a_producer_that_is_cut_off_says_so_once(caplog):
    bus = CutOff()
    await bus.setup()
    async with opened(bus) as queue:
        assert await queue.next() is None
        bus.cut = True
        measuring = asyncio.create_task(queue.measure())
        for _ in range(10):
            assert await queue.next() is None
        bus.cut = False
        await measuring
    failed = [record for record in caplog.records if "failed" in record.getMessage() and record.levelname == "WARNING"]
    assert len(failed) == 1


async def test_a_batch_that_comes_wakes_who_waits(real_time):
    async with opened(real_time) as queue:
        coming = asyncio.create_task(queue.next())
        await asyncio.sleep(0)
        await put(real_time, "low")
        assert (await coming).priority == "low"


async def test_an_urgent_batch_is_noticed_while_another_is_in_work(real_time):
    await put(real_time, "normal")
    async with opened(real_time) as queue:
        given = await queue.next()
        assert not queue.urgent_waits
        await put(real_time, "normal", "urgent")
        await asyncio.wait_for(queue._lines["urgent"].asking, 5)
        assert queue.urgent_waits
        await queue.release([given.delivery])
        assert [await word(queue) for _ in range(3)] == ["urgent", "normal", "normal"]


async def test_of_many_producers_one_is_given_the_urgent_batch(real_time):
    await put(real_time, "normal", "normal", "normal")
    async with opened(real_time) as a, opened(real_time) as b, opened(real_time) as c:
        for queue in (a, b, c):
            assert (await queue.next()).priority == "normal"
        await put(real_time, "urgent")
        asking = [queue._lines["urgent"].asking for queue in (a, b, c)]
        await asyncio.wait(asking, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert [queue.urgent_waits for queue in (a, b, c)].count(True) == 1


async def test_while_an_urgent_batch_is_in_work_nothing_else_is_held(real_time):
    await put(real_time, "urgent")
    async with opened(real_time) as queue:
        await queue.next()
        await put(real_time, *PRIORITIES)
        async with opened(real_time) as other:
            assert [await word(other) for _ in range(3)] == list(PRIORITIES)


async def test_now_and_then_the_lowest_class_goes_first_and_is_not_left_for_another(real_time):
    await put(real_time, *["urgent"] * 3 * LOWER_EVERY, *["low"] * 3)
    async with opened(real_time) as queue:
        given = []
        for _ in range(2 * LOWER_EVERY):
            one = await queue.next()
            await queue.ack(one.delivery)
            given.append(one)
        assert Counter(one.priority for one in given) == {"urgent": 2 * LOWER_EVERY - 2, "low": 2}
        assert {one.out_of_turn for one in given if one.priority == "low"} == {True}
        assert {one.out_of_turn for one in given if one.priority == "urgent"} == {False}


async def test_a_class_that_waits_alone_is_never_out_of_turn(real_time):
    await put(real_time, *["normal"] * (LOWER_EVERY + 1))
    async with opened(real_time) as queue:
        for _ in range(LOWER_EVERY + 1):
            given = await queue.next()
            await queue.ack(given.delivery)
            assert not given.out_of_turn


async def test_who_stops_gives_everything_back(real_time):
    await put(real_time, "normal")
    async with opened(real_time) as queue:
        await queue.next()
        await put(real_time, "urgent")
        await asyncio.wait_for(queue._lines["urgent"].asking, 5)
        assert queue.urgent_waits
    async with opened(real_time) as other:
        assert [await word(other) for _ in range(2)] == ["urgent", "normal"]


@pytest.mark.parametrize("priority", PRIORITIES)
def test_a_subject_tells_its_class(priority):
    assert subjects.class_of_batch(subjects.batches("urgent", priority)) == priority


def test_a_class_of_tomorrow_counts_as_normal():
    assert subjects.class_of_batch("batches.immediate.spring") == "normal"
