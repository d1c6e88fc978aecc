"""The stages that somebody else serves: publishing, fetching, claiming, SMTP, stating outcomes, ingesting."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Final

from analytics import ingester, progress
from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from benchmarks import bus as bus_benchmark
from benchmarks import ingest, smtp
from benchmarks.budget.rendering import message
from benchmarks.budget.stage import Stage, served
from events import streams, subjects
from events.bus import Message
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from sender.settings import Relay

NATS: Final = "nats-server"
TOGETHER: Final = 250
"""Claims and outcomes of a busy sender travel about so many at once."""
_LOOK_EVERY_SECONDS: Final = 0.02


async def through_nats(frames: Sequence[bytes], mails: int) -> list[Stage]:
    """From the producer's publish to the sender's outcome."""
    queued = [message((number, frames[number % len(frames)])) for number in range(mails)]
    claims = [Message(subjects.CLAIMS, b"x" * 10, one.id) for one in queued]
    outcomes = ingest.messages(mails)
    async with _server() as (server, bus):
        await bus.create_consumer(streams.lane("bench", "pool", "gmail"))

        async def stage(name: str, by: str, work: Awaitable[None]) -> Stage:
            return await served(name, by, mails, (NATS, server.pid), work)

        def publish(stream: str, messages: list[Message], at_once: int) -> Awaitable[None]:
            return bus_benchmark.publish(bus, stream, messages, at_once)

        return [
            await stage("publish", "producer", publish(streams.MAIL.name, queued, streams.ATOMIC_BATCH)),
            await stage("fetch and acknowledge", "sender", _consume(bus, mails)),
            await stage("claim", "sender", publish(streams.CLAIMS.name, claims, TOGETHER)),
            await stage("state the outcome", "sender", publish(streams.EVENTS.name, outcomes, TOGETHER)),
        ]


async def through_smtp(mails: int) -> Stage:
    """A sender's sessions, in this process, and the mailbox simulator."""
    with smtp.simulator() as sink:
        relay = Relay(port=sink.port)
        making = await smtp.calibrate(mails // 4)
        await smtp.through_pool(mails // 10, relay)
        found = await served("SMTP", "sender", mails, ("simulator", sink.pid), smtp.through_pool(mails, relay))
    return found._replace(own=found.own - making)


async def through_ingester(events: int) -> tuple[Stage, float]:
    """From EVENTS into ClickHouse, in this process; and events a second."""
    stated = ingest.messages(events)
    async with _server() as (server, bus):
        with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
            await bus.publish(streams.EVENTS.name, stated)
            store = Store(ClickHouseSettings(url=f"chdb://{folder}/clickhouse"))
            began = time.perf_counter()
            found = await served("ingest", "web", events, (NATS, server.pid), _ingest(bus, store, events))
            seconds = time.perf_counter() - began
            await store.close()
    return found, events / seconds


async def _ingest(bus: NatsBus, store: Store, events: int) -> None:
    book, stop = progress.Book(await bus.bucket(streams.INGEST)), asyncio.Event()
    running = asyncio.create_task(ingester.run(bus, store, AnalyticsSettings(), clock=time.time, stop=stop))
    while (await book.read()).ingested < events:  # noqa: ASYNC110 - nothing here is told of it
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
    stop.set()
    await running


async def _consume(bus: NatsBus, count: int) -> None:
    lane = await bus.consumer(streams.MAIL.name, streams.lane_name("bench", "pool", "gmail"))
    consumed = 0
    while consumed < count:
        deliveries = await lane.fetch(bus_benchmark.FETCH, 5)
        await lane.ack(deliveries)
        consumed += len(deliveries)


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[tuple[NatsServer, NatsBus]]:
    """With all streams, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="jetpost-bench-") as folder:
        async with NatsServer(Path(folder)) as server:
            bus = await NatsBus.connect(BusSettings(url=server.url), name="jetpost bench")
            try:
                await bus.setup()
                yield server, bus
            finally:
                await bus.close()
