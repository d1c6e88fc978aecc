"""Classes of batches on a real server, and a store that an earlier release set up."""

import asyncio
import time

from process_watching import until
from producing import SETTINGS, plan, publish_job, recipients, send_everything

from events import streams, subjects
from events.bus import Message
from events.schemas import BatchJob
from events.streams import ConsumerSpec
from producer import worker
from producer.campaign import compiled

EARLIER = ConsumerSpec(stream="BATCHES", name="producer", filter_subject=subjects.BATCHES, max_ack_pending=256)


async def as_an_earlier_release_left_it(bus):
    for spec in streams.PRODUCERS.values():
        await bus.delete_consumer(spec.stream, spec.name)
    await bus.create_consumer(EARLIER)


async def no_batches(bus):
    return (await bus.stream_state("BATCHES")).messages == 0


async def test_batches_of_an_earlier_release_are_found_and_so_are_urgent_ones(nats_bus):
    await as_an_earlier_release_left_it(nats_bus)
    rows = recipients(5)
    await plan(nats_bus, rows[:3], 2)
    await nats_bus.purge("BATCHES", subjects.BATCHES)
    await plan(nats_bus, rows[3:])
    await publish_job(nats_bus, BatchJob("autumn", 2, 3, compiled.batch_name("autumn", 2)), "urgent")
    await nats_bus.setup()
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(nats_bus, SETTINGS, clock=time.time, stop=stop))
    await until(lambda: no_batches(nats_bus))
    stop.set()
    await running
    assert sorted(await send_everything(nats_bus)) == [row.address for row in rows]


async def test_setting_up_again_keeps_what_an_earlier_release_had_in_work(nats_bus):
    await as_an_earlier_release_left_it(nats_bus)
    await nats_bus.publish("BATCHES", [Message(subjects.batches("autumn"), bytes([n])) for n in range(2)])
    earlier = await nats_bus.consumer("BATCHES", "producer")
    (in_work,) = await earlier.fetch(1, 1)
    await nats_bus.setup()
    await nats_bus.setup()
    newer = await nats_bus.consumer("BATCHES", "producer")
    (next_one,) = await newer.fetch(1, 1)
    assert (in_work.payload, next_one.payload) == (b"\0", b"\1")
    await earlier.ack([in_work])
    await newer.ack([next_one])
    assert (await nats_bus.stream_state("BATCHES")).messages == 0


async def test_each_class_has_its_batches(nats_bus):
    await nats_bus.publish(
        "BATCHES", [Message(subjects.batches("autumn", word), word.encode()) for word in streams.PRODUCERS]
    )
    for word, spec in streams.PRODUCERS.items():
        consumer = await nats_bus.consumer(spec.stream, spec.name)
        assert [delivery.payload.decode() for delivery in await consumer.fetch(5, 1)] == [word]
