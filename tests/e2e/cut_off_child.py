"""Asks a nats-server that is cut off from the others, beside it on its host; prints what it is told, as JSON."""

import asyncio
import json
import sys

from events import campaigns, nats_reading, streams, subjects
from events.errors import BusError
from events.nats_bus import BusSettings, NatsBus


async def main(url, campaign):
    bus = await NatsBus.connect(BusSettings(url=url), name="test")
    stream, every = streams.EVENTS.name, subjects.events_of_campaign(campaign)

    async def read():
        return len([record async for record in bus.read(stream, every)])

    async def copy():
        return len([stored async for stored in nats_reading.pages(bus._client, stream, every, 1)])

    async def status():
        return (await campaigns.get(bus, campaign)).status

    async def told(ask):
        try:
            return await ask()
        except BusError as error:
            return type(error).__name__

    asked = (read, copy, status)
    answers = await asyncio.gather(*map(told, asked))
    json.dump({ask.__name__: answer for ask, answer in zip(asked, answers, strict=True)}, sys.stdout)
    await bus.close()


asyncio.run(main(*sys.argv[1:]))
