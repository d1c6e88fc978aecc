"""A process that a test may kill: `run URL FOLDER` ingests until it dies, `ask FOLDER` prints what ClickHouse counts."""

import asyncio
import json
import sys
import time

from analytics import ingester
from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events.nats_bus import BusSettings, NatsBus

SETTINGS = AnalyticsSettings(batch_rows=10_000, batch_age_seconds=0.2)


def open_store(folder):
    return Store(ClickHouseSettings(url=f"chdb://{folder}", keep_days=0))


async def run(url, folder):
    bus = await NatsBus.connect(BusSettings(url=url), name="ingester")
    await ingester.run(bus, open_store(folder), SETTINGS, clock=time.time, stop=asyncio.Event())


async def ask(folder):
    """Each list holds the same numbers, counted by the table and by its rollups."""
    store = open_store(folder)
    kinds = ("accepted", "deferred", "bounced", "failed", "in_doubt")
    steps = [row[1:] for row in await store.query("rate", campaign="spring", since=0, step=5)]
    failures = await store.query("failures", campaign="spring", limit=1_000)
    answer = {
        "mails": dict(await store.query("exact_states", campaign="spring")),
        "totals": {row[1]: row[3] for row in await store.query("outcome_counts", campaigns=["spring"])},
        "rates": dict(zip(kinds, map(sum, zip(*steps, strict=True)), strict=True)),
        "latencies": {"accepted": sum(row[1] for row in await store.query("latency", campaign="spring"))},
        "failures": {row[0]: row[5] for row in failures},
    }
    await store.close()
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    asyncio.run({"run": run, "ask": ask}[command](*arguments))
