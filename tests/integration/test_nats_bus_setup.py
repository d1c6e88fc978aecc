"""`setup` on a store that an earlier release made."""

from msgspec.structs import replace

from events import nats_config, streams, subjects
from events.bus import ConsumerState, Message


async def test_a_consumer_that_acknowledged_otherwise_is_made_anew_and_begins_at_the_start(nats_bus):
    await nats_bus.delete_consumer("EVENTS", streams.INGESTER.name)
    await nats_bus.create_consumer(replace(streams.INGESTER, cumulative=False))
    await nats_bus.publish("EVENTS", [Message("events.a.b", b"", f"e{n}") for n in range(3)])
    earlier = await nats_bus.consumer("EVENTS", streams.INGESTER.name)
    await earlier.ack(await earlier.fetch(1, 5))
    await earlier.close()

    await nats_bus.setup()

    now = await nats_bus.consumer("EVENTS", streams.INGESTER.name)
    deliveries = await now.fetch(3, 5)
    assert [delivery.sequence for delivery in deliveries] == [1, 2, 3]
    await now.ack(deliveries[-1:])
    assert await nats_bus.consumer_state("EVENTS", streams.INGESTER.name) == ConsumerState(0, 0)


async def test_a_consumer_that_is_as_it_should_be_keeps_its_place(nats_bus):
    await nats_bus.publish("EVENTS", [Message("events.a.b", b"", f"e{n}") for n in range(3)])
    consumer = await nats_bus.consumer("EVENTS", streams.INGESTER.name)
    await consumer.ack(await consumer.fetch(3, 5))

    await nats_bus.setup()

    assert await nats_bus.consumer_state("EVENTS", streams.INGESTER.name) == ConsumerState(0, 0)


async def test_what_setup_would_mend_is_told(nats_bus):
    assert await nats_bus.lacking() == []
    older = nats_config.stream_config(streams.MAIL, 1, nats_bus.timing) | {"subjects": [subjects.MAIL_DUE]}
    await nats_bus._api("STREAM.UPDATE.MAIL", older)
    await nats_bus._api("STREAM.DELETE.KV_throttle")
    await nats_bus._api("STREAM.DELETE.OBJ_blobs")

    assert await nats_bus.lacking() == ["MAIL", "throttle", "blobs"]
    await nats_bus.setup()
    assert await nats_bus.lacking() == []
