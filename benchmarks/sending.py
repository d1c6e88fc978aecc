"""What a sender costs per mail without SMTP: a real nats-server, and a relay that accepts everything at once.

    python benchmarks/sending.py [--mails 50000] [--connections 20] [--depth 16]

Prints mails per second and CPU µs per mail of the sender process (fetch, claim, record, acknowledge); the server's own CPU
comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from events import ids, providers, schemas, streams, subjects
from events.bus import Message
from events.compression import Compressor
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from events.schemas import Campaign, Mail
from sender import worker
from sender.drivers.base import Accepted, Driver, Outbound, Outcome, Reply
from sender.settings import Relay, SenderSettings

CAMPAIGN = "bench"
DICTIONARY = (Path(__file__).read_bytes().replace(b"\n", b"\r\n") * 3)[:10_000]
"""What every mail says but for a number: 10 KB with the line ends that mails have."""
NO_DOMAINS: Mapping[str, str] = {}
OK = Reply(250, "2.0.0", "accepted")


class NullPool:
    """Accepts everything, without a network."""

    def __init__(self, depth: int) -> None:
        self.room = depth
        self.accepted = 0

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Driver]:
        yield self

    async def deliver(self, mails: Sequence[Outbound]) -> list[Outcome]:
        self.accepted += len(mails)
        await asyncio.sleep(0)
        return [Accepted(OK, time.time()) for _ in mails]

    async def close(self) -> None:
        """Nothing to close."""


async def prepare(bus: NatsBus, mails: int, domains: Mapping[str, str] = NO_DOMAINS) -> None:
    """A campaign with so many mails in its lanes, in turn; `domains` are those of the recipients, by mailbox provider."""
    await bus.setup()
    campaign = Campaign(CAMPAIGN, CAMPAIGN, "running", "default", "bounces@example.com", time.time())
    await (await bus.blobs()).put(f"{CAMPAIGN}/dictionary", DICTIONARY)
    await (await bus.bucket(streams.CAMPAIGNS)).put(CAMPAIGN, schemas.encode_campaign(campaign))
    for lane in streams.lanes(CAMPAIGN, "default"):
        await bus.create_consumer(lane)
    compress = Compressor(DICTIONARY).compress
    for start in range(0, mails, streams.ATOMIC_BATCH):
        numbers = range(start, min(mails, start + streams.ATOMIC_BATCH))
        await bus.publish(
            "MAIL", [_message(number, compress(DICTIONARY + b"%d" % number), domains) for number in numbers]
        )


def _message(number: int, body: bytes, domains: Mapping[str, str]) -> Message:
    provider = providers.PROVIDERS[number % len(providers.PROVIDERS)]
    recipient = f"{number}@{domains.get(provider, 'example.org')}"
    mail_id = ids.mail_id(CAMPAIGN, recipient)
    mail = Mail(mail_id, recipient, 1, time.time(), body)
    return Message(
        subjects.mail_due("default", provider, CAMPAIGN), schemas.encode_mail(mail), ids.attempt_id(mail_id, 1)
    )


async def measure(bus: NatsBus, connect: worker.Connect, settings: SenderSettings, mails: int) -> dict[str, float]:
    """Send all that is queued; raises `SystemExit` where not every mail was stated."""
    stop = asyncio.Event()
    began, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(worker.run(bus, settings, connect, clock=time.time, stop=stop))
    while (await bus.stream_state("MAIL")).messages:  # noqa: ASYNC110 -- what is waited for happens in the server
        await asyncio.sleep(0.1)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    stop.set()
    await running
    stated = (await bus.stream_state("EVENTS")).messages
    if stated != mails:
        raise SystemExit(f"{mails} queued, {stated} stated")
    return {"mails_per_second": round(mails / seconds), "cpu_us_per_mail": round(used / mails * 1e6, 1)}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mails", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--depth", type=int, default=16)
    options = parser.parse_args()
    relay = Relay(max_connections=options.connections, pipeline_depth=options.depth)
    with tempfile.TemporaryDirectory() as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
            await prepare(bus, options.mails)
            settings = SenderSettings(pools={"default": relay})
            pool = NullPool(options.depth)
            print(json.dumps(await measure(bus, lambda name, relay: pool, settings, options.mails)))
            if pool.accepted != options.mails:
                raise SystemExit(f"{options.mails} queued, {pool.accepted} accepted")
            await bus.close()


if __name__ == "__main__":
    uvloop.run(main())
