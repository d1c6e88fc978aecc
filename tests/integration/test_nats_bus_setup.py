"""`setup` on a store that an earlier release made."""

from events import nats_config, streams, subjects
from events.bus import ConsumerState, Message


async def test_a_consumer_that_is_as_it_should_be_keeps_its_place(nats_bus):
    await nats_bus.publish("EVENTS", [Message("events.unsubscribed.spring", b"", f"e{n}") for n in range(3)])
    consumer = await nats_bus.consumer("EVENTS", streams.WISHES.name)
    await consumer.ack(await consumer.fetch(3, 5))

    await nats_bus.setup()

    assert await nats_bus.consumer_state("EVENTS", streams.WISHES.name) == ConsumerState(0, 0)


async def test_what_setup_would_mend_is_told(nats_bus):
    assert await nats_bus.lacking() == []
    older = nats_config.stream_config(streams.MAIL, 1, nats_bus.timing) | {"subjects": [subjects.MAIL_DUE]}
    await nats_bus._api("STREAM.UPDATE.MAIL", older)
    await nats_bus._api("STREAM.DELETE.KV_throttle")
    await nats_bus._api("STREAM.DELETE.OBJ_blobs")

    assert await nats_bus.lacking() == ["MAIL", "throttle", "blobs"]
    await nats_bus.setup()
    assert await nats_bus.lacking() == []
