import asyncio
import contextlib

import pytest

from analytics.web.public import recorder
from analytics.web.public.recorder import Recorder
from events import facts
from events.errors import RetryLater
from events.facts import EmailOpened
from events.memory_bus import MemoryBus
from events.metrics import REACTIONS_LOST


def opened(number):
    return EmailOpened("spring", 1_800_000_000.0, f"mail{number}", "")


@contextlib.asynccontextmanager
async def running(recording):
    task = asyncio.create_task(recording.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lost():
    return REACTIONS_LOST._value.get()


async def stored(bus):
    return (await bus.stream_state("EVENTS")).messages


class WatchedBus(MemoryBus):
    """Counts what is published together, and may surprise."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.surprises = 0

    async def publish(self, stream, messages):
        self.calls.append(len(messages))
        if self.surprises:
            self.surprises -= 1
            raise ZeroDivisionError
        return await super().publish(stream, messages)


@pytest.fixture
async def watched_bus():
    bus = WatchedBus()
    await bus.setup()
    return bus


async def test_what_many_visitors_do_at_once_is_stored_together(watched_bus):
    recording = Recorder(watched_bus)
    async with running(recording):
        await asyncio.gather(*(recording.note(opened(number)) for number in range(1_200)))
    assert await stored(watched_bus) == 1_200
    assert max(watched_bus.calls) == recorder.TOGETHER
    assert recording.kept == 0


async def test_what_is_kept_is_published_when_the_process_ends(memory_bus):
    recording, before = Recorder(memory_bus), lost()
    async with running(recording):
        memory_bus.unavailable = True
        await recording.note(opened(1))
        await recording.note(opened(2))
        memory_bus.unavailable = False
    assert (await stored(memory_bus), lost() - before) == (2, 0)


async def test_what_cannot_be_published_by_the_end_is_counted_as_lost(memory_bus, caplog):
    recording, before = Recorder(memory_bus), lost()
    async with running(recording):
        memory_bus.unavailable = True
        await recording.note(opened(1))
    assert lost() - before == 1
    assert "1 clicks, opens or wishes are lost" in caplog.text


async def test_more_than_there_is_room_for_is_counted_as_lost_and_wishes_are_refused(memory_bus):
    recording, before = Recorder(memory_bus, most_kept=1), lost()
    await asyncio.wait_for(recording.note(opened(1)), 2)
    await recording.note(opened(2))
    assert lost() - before == 1
    with pytest.raises(RetryLater):
        await recording.store(opened(3))


async def test_a_surprise_on_the_bus_loses_nothing(watched_bus):
    recording = Recorder(watched_bus)
    watched_bus.surprises = 1
    async with running(recording):
        await recording.note(opened(1))
        while recording.kept:
            await watched_bus.wait_for_change(0.05)
    (record,) = [record async for record in watched_bus.read("EVENTS", ">")]
    assert facts.decode(record.payload) == opened(1)
