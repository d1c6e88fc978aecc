"""The ack-wait is a setting; how long the server remembers ids follows from it."""

import asyncio

import pytest

from events import streams, subjects
from events.bus import Message
from events.nats_bus import BusSettings, NatsBus

WAIT_SECONDS = 10


@pytest.fixture
async def quick_bus(empty_nats_server):
    bus = await NatsBus.connect(BusSettings(url=empty_nats_server.url, ack_wait_seconds=0.3), name="test")
    await bus.setup()
    yield bus
    await bus.close()


async def test_what_is_not_acknowledged_comes_again_after_the_ack_wait_of_the_settings(quick_bus):
    await quick_bus.create_consumer(streams.lane("spring", "main", "gmail"))
    await quick_bus.publish("MAIL", [Message(subjects.mail_due("main", "gmail", "spring"), b"mail", "m/1")])
    lane = await quick_bus.consumer("MAIL", streams.lane_name("spring", "main", "gmail"))
    assert [one.deliveries for one in await lane.fetch(1, WAIT_SECONDS)] == [1]
    assert [one.deliveries for one in await lane.fetch(1, WAIT_SECONDS)] == [2]


async def test_ids_are_forgotten_after_three_times_the_ack_wait(quick_bus):
    claim = [Message(subjects.CLAIMS, b"", "m/1")]
    assert not (await quick_bus.publish("CLAIMS", claim))[0].duplicate
    assert (await quick_bus.publish("CLAIMS", claim))[0].duplicate
    async with asyncio.timeout(WAIT_SECONDS):
        while (await quick_bus.publish("CLAIMS", claim))[0].duplicate:  # noqa: ASYNC110 - nothing tells when the server forgets
            await asyncio.sleep(0.05)
