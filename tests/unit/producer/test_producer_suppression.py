"""Who is suppressed gets no mail queued, and a fact that says why, however often producers die while the list changes."""

import asyncio
from itertools import count

import pytest
from fakes import FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from producing import COMPILED, Killed, Life, Mortal, plan, produce, recipients, send_everything, stated

from events import ids, suppression
from events.facts import BatchQueued, EmailSuppressed
from events.memory_bus import MemoryBus
from events.suppression import Entry, ForeignHashes, Hashing, Removal

REMEMBERED, FORGOTTEN = 61.0, 3_600.0
ROWS = 11


def done(bus):
    async def is_done():
        return (await bus.stream_state("BATCHES")).messages == 0

    return is_done


async def say(bus, *said):
    await suppression.suppress(bus, said)


def gone(number, **fields):
    return Entry(f"reader{number}@gmail.com", "complaint", 1_800_000_000, **fields)


def back(number):
    return Removal(f"reader{number}@gmail.com", 1_800_000_000)


async def test_whoever_is_suppressed_gets_a_fact_instead_of_a_mail(memory_bus, clock):
    await say(memory_bus, gone(1), gone(2, list="news"))
    await plan(memory_bus, recipients(4))
    await produce(memory_bus, clock, done(memory_bus))
    [fact] = await stated(memory_bus, EmailSuppressed)
    assert (fact.recipient, fact.attempt, fact.reason) == ("reader1@gmail.com", 0, "complaint")
    assert fact.mail_id == ids.mail_id(COMPILED.id, "reader1@gmail.com")
    [queued] = await stated(memory_bus, BatchQueued)
    assert (queued.queued, queued.failed, queued.suppressed) == (3, 0, 1)
    assert len(await send_everything(memory_bus)) == 3


async def test_where_everybody_is_suppressed_nothing_is_queued(memory_bus, clock):
    await say(memory_bus, *map(gone, range(4)))
    await plan(memory_bus, recipients(4))
    await produce(memory_bus, clock, done(memory_bus))
    [queued] = await stated(memory_bus, BatchQueued)
    assert (queued.queued, queued.suppressed, queued.queued_bytes) == (0, 4, 0)
    assert await send_everything(memory_bus) == []


async def test_a_producer_that_cannot_understand_the_list_queues_nothing(memory_bus, clock):
    await suppression.suppress(memory_bus, [gone(1)], Hashing("correct horse battery staple"))
    await plan(memory_bus, recipients(4))
    with pytest.raises(ForeignHashes):
        await produce(memory_bus, clock, done(memory_bus))
    assert await send_everything(memory_bus) == []


async def live(bus, clock, calls):
    """Works for so many calls to the bus, or to the end; whether it died."""
    died = False
    try:
        await produce(Mortal(bus, Life(calls)), clock, done(bus))
    except* Killed:
        died = True
    return died


async def deaths(lives, *, sending):
    """Producers that die after so many calls, so many seconds apart, while the list changes; then one that lives."""
    clock = FakeClock()
    bus = MemoryBus(clock)
    await bus.setup()
    await say(bus, gone(0), gone(4))
    rows = recipients(ROWS)
    await plan(bus, rows)
    sent, died = [], False
    for calls, seconds, change in lives:
        died = not await done(bus)() and await live(bus, clock, calls)
        sent += await send_everything(bus) if sending else []
        await say(bus, *change)
        clock.advance(seconds)
    if not await done(bus)():
        await produce(bus, clock, done(bus))
    sent += await send_everything(bus)
    withheld = [fact.recipient for fact in await stated(bus, EmailSuppressed)]
    assert sorted(sent + withheld) == sorted(row.address for row in rows)
    [queued] = await stated(bus, BatchQueued)
    assert (queued.queued, queued.suppressed) == (len(sent), len(withheld))
    return died


@pytest.fixture
def short_chunks(monkeypatch):
    monkeypatch.setattr("producer.batch.CHUNK", 4)
    monkeypatch.setattr("producer.batch.PART", 3)


CHANGES = st.lists(st.integers(0, ROWS - 1).flatmap(lambda n: st.sampled_from((gone(n), back(n)))), max_size=4)


@pytest.mark.usefixtures("short_chunks")
@pytest.mark.parametrize("sending", [True, False])
@pytest.mark.parametrize("seconds", [REMEMBERED, FORGOTTEN])
async def test_after_a_death_at_any_call_and_a_change_of_the_list_everybody_has_one_outcome(seconds, sending):
    change = [back(0), gone(1), gone(6), back(4), gone(9)]
    calls = 0
    while await deaths([(calls, seconds, change)], sending=sending):
        calls += 1
    assert calls > 50


@pytest.mark.usefixtures("short_chunks")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lives=st.lists(
        st.tuples(st.integers(10, 80), st.sampled_from([REMEMBERED, 100.0, 150.0, FORGOTTEN]), CHANGES), max_size=4
    ),
    sending=st.booleans(),
)
def test_a_series_of_deaths_and_changes_leaves_everybody_one_outcome(lives, sending):
    asyncio.run(deaths(lives, sending=sending))


async def test_a_producer_that_runs_hears_of_new_entries(memory_bus, clock):
    await plan(memory_bus, recipients(1))
    numbers = count(2)

    async def somebody_is_suppressed():
        if not await done(memory_bus)():
            return False
        if (number := next(numbers)) == 2:
            await say(memory_bus, gone(3))
        await plan(memory_bus, recipients(4), number)
        return bool(await stated(memory_bus, EmailSuppressed))

    await produce(memory_bus, clock, somebody_is_suppressed)
