"""What the bus says when the server cannot or may not do it."""

import asyncio

import pytest

from events import nats_bus, subjects
from events.bus import Message
from events.errors import BusError, ServerTooOld, StreamFull
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

DUE = subjects.mail_due("pool", "gmail", "spring")
MAILS = [Message(DUE, bytes(20_000), f"m{n}/1") for n in range(400)]


@pytest.fixture(params=[False, True], ids=["singly", "in batches"])
async def small_bus(request, tmp_path):
    """A bus whose server may store two megabytes."""
    async with NatsServer(tmp_path, max_file_store=2_000_000) as server:
        bus = await NatsBus.connect(BusSettings(url=server.url, sync_always=request.param), name="test")
        await bus.setup()
        yield bus
        await bus.close()


@pytest.mark.parametrize("at_once", [1, 20])
async def test_a_full_store_says_so_and_takes_more_when_it_has_room(small_bus, at_once):
    async def publish_all():
        for start in range(0, len(MAILS), at_once):
            await small_bus.publish("MAIL", MAILS[start : start + at_once])

    with pytest.raises(StreamFull):
        await publish_all()
    full = await small_bus.storage()
    assert (full.limit, full.nearly_full) == (2_000_000, True)
    stored = (await small_bus.stream_state("MAIL")).messages
    assert stored > 0
    await small_bus.purge("MAIL", DUE)
    (answer,) = await small_bus.publish("MAIL", [Message(DUE, bytes(20_000), "late/1")])
    assert not answer.duplicate
    assert not (await small_bus.storage()).nearly_full


async def test_a_message_too_large_is_refused_and_the_connection_stays(nats_bus):
    with pytest.raises(BusError, match="larger than NATS takes"):
        await nats_bus.publish("MAIL", [Message(DUE, bytes(2_000_000))])
    assert (await nats_bus.stream_state("MAIL")).messages == 0


async def test_a_server_too_old_is_refused_at_once(nats_server, monkeypatch):
    monkeypatch.setattr(nats_bus, "OLDEST_SERVER", (99, 0))
    with pytest.raises(ServerTooOld, match="Jetpost needs"):
        await NatsBus.connect(BusSettings(url=nats_server.url), name="test")


async def test_a_schedule_in_a_stream_without_schedules_is_refused(nats_bus):
    with pytest.raises(BusError):
        await nats_bus.publish("EVENTS", [Message("events.a.b", b"", "x", 1.0, "events.a.c")])


async def test_more_batches_at_once_than_the_server_allows_are_all_stored(nats_bus_in_batches):
    """The server takes 50 atomic batches of one stream at a time; the others go singly."""
    bus = nats_bus_in_batches
    batches = [[Message("claims", b"", f"{batch}-{n}") for n in range(20)] for batch in range(120)]
    answers = await asyncio.gather(*(bus.publish("CLAIMS", batch) for batch in batches))
    assert not any(answer.duplicate for stored in answers for answer in stored)
    assert (await bus.stream_state("CLAIMS")).last_sequence == 2_400
