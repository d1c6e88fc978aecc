"""A producer on a real nats-server: its promises hold where the ids, the lock and the order of messages are JetStream's."""

from __future__ import annotations

import asyncio

import pytest
from fakes import FakeClock
from producing import SETTINGS, Killed, Life, Mortal, plan, produce, recipients, send_everything, stated

from events import streams, subjects
from events.bus import Bus
from events.facts import BatchQueued, EmailFailed
from events.schemas import BatchJob
from producer.batch import BatchRun
from producer.campaign import compiled
from producer.chunk import Presses
from producer.progress import ProgressKeeper
from producer.recipients.recipient import Recipient

ROWS = 1_103
JOB = BatchJob("autumn", 1, ROWS, compiled.batch_name("autumn", 1))


def audience() -> list[Recipient]:
    return recipients(ROWS, r501="Eve\nBcc: all@example.com")


async def run(bus: Bus, clock: FakeClock) -> None:
    """One producer's run over the batch, without the delivery around it."""
    keeper = ProgressKeeper(await bus.bucket(streams.PROGRESS), JOB)
    press = await Presses(bus, SETTINGS).get("autumn")
    batch = BatchRun(bus, JOB, keeper, press, clock=clock, stop=asyncio.Event())
    await batch.run(audience(), lambda: True)


async def test_a_producer_takes_a_batch_and_leaves_its_mails(nats_bus):
    rows = audience()
    await plan(nats_bus, rows)

    async def done() -> bool:
        return (await nats_bus.stream_state("BATCHES")).messages == 0

    await produce(nats_bus, FakeClock(), done)
    counts = await nats_bus.count_by_subject("MAIL", subjects.MAIL_DUE)
    assert counts == {"mail.send.main.gmail.autumn": ROWS - 1}
    [queued] = await stated(nats_bus, BatchQueued)
    assert (queued.queued, queued.failed) == (ROWS - 1, 1)


@pytest.mark.parametrize("seconds", [30.0, 3_600.0], ids=["ids remembered", "ids forgotten"])
@pytest.mark.parametrize("calls", [16, 20, 22, 26, 31])
async def test_a_batch_that_was_broken_off_is_queued_once(nats_bus, calls, seconds):
    clock = FakeClock()
    await plan(nats_bus, audience())
    with pytest.raises(Killed):
        await run(Mortal(nats_bus, Life(calls)), clock)
    sent = await send_everything(nats_bus)
    clock.advance(seconds)
    await run(nats_bus, clock)
    sent += await send_everything(nats_bus)
    failed = [fact.recipient for fact in await stated(nats_bus, EmailFailed)]
    assert sorted(sent + failed) == sorted(row.address for row in audience())
