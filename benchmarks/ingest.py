"""What an event costs on its way into ClickHouse (chdb), and what the dashboard's questions cost afterwards.

    python -m benchmarks.ingest [EVENTS]

First without NATS, by batch size; then the ingester behind an embedded nats-server. All in temporary folders.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop

from analytics import ingester, progress, rows
from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.reports import EventFilter, Reports
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events import facts, ids, providers, streams
from events.bus import Message, Record
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer

CAMPAIGN = "bench"
BATCHES = (100_000, 10_000, 1_000)
REPEATS = 5


def outcomes(count: int) -> Iterator[facts.MailFact]:
    """10,000 a second: nine in ten accepted, the others refused for many reasons."""
    rng = random.Random(7)
    started = time.time() - count / 10_000
    for number in range(count):
        address, at = f"person.{number}@example.com", started + number / 10_000
        provider = rng.choice(providers.PROVIDERS)
        mail = (CAMPAIGN, at, ids.mail_id(CAMPAIGN, address), 1, address, "main", provider)
        reply, kind = f"{rng.getrandbits(48):x}", rng.random()
        if kind < 0.9:
            yield facts.EmailAccepted(*mail, rng.expovariate(0.5), 250, "2.0.0", f"2.0.0 Ok: queued as {reply}")
        elif kind < 0.95:
            yield facts.EmailDeferred(
                *mail, "transient", 451, "4.7.1", f"4.7.1 <{address}>: wait, id {reply}", at + 300
            )
        elif kind < 0.98:
            yield facts.EmailBounced(*mail, "hard", 550, "5.1.1", f"5.1.1 <{address}>: user unknown {reply}")
        elif kind < 0.999:
            yield facts.EmailFailed(*mail, "block", 550, "5.7.1", f"5.7.1 rejected, reference {reply}")
        else:
            yield facts.EmailInDoubt(*mail, "claimed before")


def messages(count: int) -> list[Message]:
    return [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for fact in outcomes(count)]


class Stopwatch:
    """Wall and CPU time of this process since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def print(self, what: str, count: int) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        print(f"{what:34}{cpu / count * 1e6:8.2f} µs CPU an event{count / wall:12,.0f} events/s")


async def without_nats(stated: list[Message]) -> None:
    records = [Record(m.payload, m.subject, number, 0.0, "") for number, m in enumerate(stated, 1)]
    for size in BATCHES:
        chosen = records[: max(size, min(len(records), 50 * size))]
        with tempfile.TemporaryDirectory() as folder:
            store = Store(ClickHouseSettings(url=f"chdb://{folder}"))
            await store.migrate()
            watch = Stopwatch()
            for start in range(0, len(chosen), size):
                made = rows.to_rows(chosen[start : start + size])
                await store.insert(tables.EVENTS, made.events, f"{size}:{start}")
            watch.print(f"decode and insert by {size:,}", len(chosen))
            await store.close()


async def through_nats(stated: list[Message], store: Store, folder: Path) -> None:
    async with NatsServer(folder) as server:
        bus = await NatsBus.connect(BusSettings(url=server.url), name="bench")
        await bus.setup()
        await bus.publish(streams.EVENTS.name, stated)
        book, stop = progress.Book(await bus.bucket(streams.INGEST)), asyncio.Event()
        watch = Stopwatch()
        task = asyncio.create_task(ingester.run(bus, store, AnalyticsSettings(), clock=time.time, stop=stop))
        while (await book.read()).ingested < len(stated):  # noqa: ASYNC110 - nothing here is told of it
            await asyncio.sleep(0.02)
        watch.print("ingester, from EVENTS on NATS", len(stated))
        stop.set()
        await task
        await bus.close()


async def questions(store: Store) -> None:
    reports = Reports(store)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "ledger": lambda: reports.ledger(CAMPAIGN),
        "exact_ledger": lambda: reports.exact_ledger(CAMPAIGN),
        "overview": reports.overview,
        "rate by second, 15 minutes": lambda: reports.rate(CAMPAIGN, time.time() - 900, 1),
        "latency": lambda: reports.latency(CAMPAIGN),
        "latency_over_time": lambda: reports.latency_over_time(CAMPAIGN),
        "providers": lambda: reports.providers(CAMPAIGN),
        "failures": lambda: reports.failures(CAMPAIGN, 50),
        "first_attempts": lambda: reports.first_attempts(CAMPAIGN),
        "events, the newest 100": lambda: reports.events(EventFilter(campaign=CAMPAIGN)),
        "events of one recipient": lambda: reports.events(EventFilter(recipient="person.7@example.com")),
    }
    for name, ask in asked.items():
        await ask()
        started = time.perf_counter()
        for _ in range(REPEATS):
            await ask()
        print(f"{name:34}{(time.perf_counter() - started) / REPEATS * 1e3:8.1f} ms")


async def main(count: int) -> None:
    stated = messages(count)
    await without_nats(stated)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(ClickHouseSettings(url=f"chdb://{folder}/clickhouse"))
        await through_nats(stated, store, Path(folder, "nats"))
        await questions(store)
        await store.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500_000))
