"""The disk under the embedded nats-server is full, and has room again: a file system of its own, so root only."""

import asyncio
import logging
import os

from process_watching import until

from events import subjects
from events.bus import Message
from events.errors import RetryLater
from events.nats_bus import BusSettings, NatsBus
from jetpost import embedded_nats

DUE = subjects.mail_due("main", "gmail", "spring")


async def publish(bus, number):
    """Until the bus takes it; says whether it had to be asked again."""
    waited = False
    while True:
        try:
            await bus.publish("MAIL", [Message(DUE, os.urandom(50_000), f"m{number}/1")])
        except RetryLater:
            waited = True
            await asyncio.sleep(0.2)
        else:
            return waited


async def test_a_full_disk_stops_everything_and_room_lets_it_go_on_with_nothing_lost(small_disk, caplog):
    caplog.set_level(logging.ERROR, logger="jetpost.embedded_nats")
    log = small_disk / "other people's files"
    async with embedded_nats.kept_up(small_disk / "nats", "2m") as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        await bus.setup()
        log.write_bytes(bytes(40_000_000))
        stored, refused = 0, asyncio.Event()

        async def publish_all():
            nonlocal stored
            while stored < 900:
                publishing = asyncio.ensure_future(publish(bus, stored))
                if not (await asyncio.wait({publishing}, timeout=5))[0]:
                    refused.set()
                await publishing
                stored += 1

        publishing = asyncio.create_task(publish_all())
        await asyncio.wait_for(refused.wait(), 60)
        await until(lambda: "is full" in caplog.text)
        acknowledged = stored
        assert 0 < acknowledged < 900
        log.unlink()
        async with asyncio.timeout(60):
            await publishing
        found = [record.id async for record in bus.read("MAIL", DUE)]
        await bus.close()
    assert found == [f"m{number}/1" for number in range(900)]
    assert "started again" in caplog.text
