"""The bus while its server stops, dies and comes back at the same address with the same store."""

import asyncio
import os
import signal
import sys
import time
from contextlib import aclosing, asynccontextmanager

import pytest

from events import streams, subjects
from events.bus import Message
from events.errors import BusUnavailable, RetryLater
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

DUE = subjects.mail_due("pool", "gmail", "spring")
LANE = streams.lane("spring", "pool", "gmail")
WAIT_SECONDS = 20


@pytest.fixture
async def server(tmp_path):
    """A server of this test's own."""
    async with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def sync_always():
    """What the bus is told of its server."""
    return False


@pytest.fixture
async def own_bus(server, sync_always):
    bus = await NatsBus.connect(BusSettings(url=server.url, sync_always=sync_always), name="test")
    await bus.setup()
    await bus.create_consumer(LANE)
    yield bus
    await bus.close()


@asynccontextmanager
async def stopped(server):
    """The server is away inside, and back afterwards, at the same address."""
    await server.stop()
    try:
        yield
    finally:
        await server.start()


async def eventually(call):
    """Repeat a call as long as it says `RetryLater`."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                return await call()
            except RetryLater:
                await asyncio.sleep(0.05)


def mails(count):
    return [Message(DUE, b"mail", f"m{n}/1") for n in range(count)]


async def test_every_call_says_retry_later_while_the_server_is_away(server, own_bus):
    lane = await own_bus.consumer("MAIL", LANE.name)
    bucket, blobs = await own_bus.bucket("campaigns"), await own_bus.blobs()
    await own_bus.publish("MAIL", mails(1))
    deliveries = await lane.fetch(1, WAIT_SECONDS)
    calls = {
        "fetch": lambda: lane.fetch(1, 1),
        "ack": lambda: lane.ack(deliveries),
        "release": lambda: lane.release(deliveries),
        "extend": lambda: lane.extend(deliveries),
        "publish without ids": lambda: own_bus.publish("MAIL", [Message(DUE, b"")]),
        "state": lambda: own_bus.stream_state("MAIL"),
        "purge": lambda: own_bus.purge("MAIL", DUE),
        "consumer": lambda: own_bus.consumer("MAIL", LANE.name),
        "setup": own_bus.setup,
        "read": lambda: anext(own_bus.read("EVENTS", ">")),
        "get": lambda: bucket.get("spring"),
        "put": lambda: bucket.put("spring", b"1"),
        "update": lambda: bucket.update("spring", b"1", 0),
        "entries": bucket.entries,
        "put blob": lambda: blobs.put("spring/compiled", b"1"),
        "get blob": lambda: blobs.get("spring/compiled"),
    }
    async with stopped(server):
        for name, call in calls.items():
            started = time.monotonic()
            with pytest.raises(RetryLater):
                await call()
            assert time.monotonic() - started < 5, f"{name} took long to say so"


async def test_a_connection_to_nobody_is_refused_with_the_address(free_port):
    port = free_port()
    with pytest.raises(BusUnavailable, match=f"127.0.0.1:{port}"):
        await NatsBus.connect(BusSettings(url=f"nats://127.0.0.1:{port}"), name="test")


async def test_work_goes_on_when_the_server_is_back(server, own_bus):
    lane = await own_bus.consumer("MAIL", LANE.name)
    await own_bus.publish("MAIL", mails(3))
    async with stopped(server):
        pass
    deliveries = await eventually(lambda: lane.fetch(3, 5))
    await eventually(lambda: lane.ack(deliveries))
    assert len(deliveries) == 3
    assert (await own_bus.stream_state("MAIL")).messages == 0


async def test_the_bus_counts_how_often_its_connection_was_lost(server, own_bus):
    assert own_bus.interruptions == 0
    async with stopped(server):
        pass
    await eventually(lambda: own_bus.stream_state("MAIL"))
    assert own_bus.interruptions == 1


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
async def test_an_extension_is_over_when_the_server_has_taken_note_and_not_before(server, own_bus):
    lane = await own_bus.consumer("MAIL", LANE.name)
    await own_bus.publish("MAIL", mails(2))
    deliveries = await lane.fetch(2, WAIT_SECONDS)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        extending = asyncio.ensure_future(lane.extend(deliveries))
        done, _ = await asyncio.wait([extending], timeout=0.3)
        assert not done
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await asyncio.wait_for(extending, WAIT_SECONDS)


async def test_a_waiting_fetch_hears_of_the_loss_at_once(server, own_bus):
    lane = await own_bus.consumer("MAIL", LANE.name)
    fetching = asyncio.ensure_future(lane.fetch(1, WAIT_SECONDS))
    await asyncio.sleep(0)
    async with stopped(server):
        with pytest.raises(RetryLater):
            await asyncio.wait_for(fetching, 5)


@pytest.mark.parametrize("sync_always", [False, True], ids=["singly", "in batches"])
async def test_a_publish_under_way_at_a_restart_finishes_by_itself(server, own_bus):
    async def publish():
        return [await own_bus.publish("MAIL", mails(3_000)[start : start + 100]) for start in range(0, 3_000, 100)]

    publishing = asyncio.ensure_future(publish())
    await asyncio.sleep(0.02)
    async with stopped(server):
        pass
    answers = [answer for stored in await publishing for answer in stored]
    assert (await own_bus.stream_state("MAIL")).messages == 3_000
    assert sorted({answer.sequence for answer in answers}) == list(range(1, 3_001))
    assert not any(answer.duplicate for answer in answers)


@pytest.mark.parametrize("sync_always", [False, True], ids=["singly", "in batches"])
async def test_claims_under_way_when_the_server_is_killed_stay_ours(server, own_bus):
    begun = asyncio.Event()

    async def claim(worker):
        stored = []
        for start in range(0, 500, 50):
            claims = [Message("claims", b"", f"{worker}-{n}/1") for n in range(start, start + 50)]
            stored += await own_bus.publish("CLAIMS", claims)
            begun.set()
        return stored

    claiming = asyncio.gather(*(claim(worker) for worker in range(8)))
    await begun.wait()
    server.kill()
    await server.wait()
    await server.start()
    answers = [answer for stored in await claiming for answer in stored]
    assert not any(answer.duplicate for answer in answers)
    assert (await own_bus.stream_state("CLAIMS")).messages == len(answers) == 4_000


async def test_a_watch_goes_on_over_a_restart(server, own_bus):
    bucket = await own_bus.bucket("campaigns")
    async with asyncio.timeout(WAIT_SECONDS), aclosing(bucket.watch()) as watch:
        assert await anext(watch) is None
        change = asyncio.ensure_future(anext(watch))
        async with stopped(server):
            pass
        await eventually(lambda: bucket.put("spring", b"1"))
        assert (await change).value == b"1"


async def test_scheduled_mails_survive_a_restart(server, own_bus):
    lane = await own_bus.consumer("MAIL", LANE.name)
    later = subjects.mail_waiting("spring", "pool", "gmail", "soft", "a")
    await own_bus.publish("MAIL", [Message(later, b"again", "a/2", time.time() + 0.5, DUE)])
    async with stopped(server):
        pass
    (delivery,) = await eventually(lambda: lane.fetch(1, 10))
    assert delivery.payload == b"again"


async def test_a_closed_bus_says_so(own_bus):
    await own_bus.close()
    with pytest.raises(BusUnavailable):
        await own_bus.publish("MAIL", mails(1))
