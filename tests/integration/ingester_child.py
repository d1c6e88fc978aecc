"""A process that a test may kill.

`run URL FOLDER` ingests until it dies; in the place of a folder there may be the URL of a ClickHouse. `run URL FOLDER MOMENT`
kills itself at the first such moment as `before cutting` or `after inserting events`. `ask FOLDER` prints what ClickHouse counts.
"""

import asyncio
import json
import os
import signal
import sys
import time

from analytics import ingester, progress
from analytics.clickhouse.client import Store
from analytics.settings import AnalyticsSettings, ClickHouseSettings
from events.nats_bus import BusSettings, NatsBus

SETTINGS = AnalyticsSettings(batch_rows=10_000, batch_age_seconds=0.2, take_over_seconds=2)


def open_store(place):
    """In a folder, or at a server."""
    return Store(ClickHouseSettings(url=place if "://" in place else f"chdb://{place}", keep_days=0))


class Life:
    """Ends at a moment."""

    def __init__(self, last_moment):
        self._last = last_moment

    async def around(self, what, effect):
        self._come_to(f"before {what}")
        result = await effect
        self._come_to(f"after {what}")
        return result

    def _come_to(self, moment):
        if moment == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """Passes every call on, as long as the process lives."""

    def __init__(self, real, life):
        self._real = real
        self._life = life

    def __getattr__(self, name):
        return getattr(self._real, name)


class MortalBus(Mortal):
    async def bucket(self, name):
        return MortalBucket(await self._real.bucket(name), self._life)

    async def read_range(self, stream, first, last):
        return await self._life.around("reading", self._real.read_range(stream, first, last))


class MortalBucket(Mortal):
    def __init__(self, real, life):
        super().__init__(real, life)
        self._known = None

    async def get(self, key):
        entry = await self._real.get(key)
        if key == "events" and entry is not None:
            self._known = progress.decode(entry.value)
        return entry

    async def update(self, key, value, revision):
        known = progress.decode(value)
        is_new = self._known is None or known.range != self._known.range
        step = "cutting" if is_new else "settling" if known.inserted else "taking over"
        result = await self._life.around(step, self._real.update(key, value, revision))
        self._known = known
        return result


class MortalStore(Mortal):
    async def insert(self, table, columns, token):
        await self._life.around(f"inserting {table.name}", self._real.insert(table, columns, token))


async def run(url, folder, moment=""):
    life = Life(moment)
    bus = MortalBus(await NatsBus.connect(BusSettings(url=url), name="ingester"), life)
    store = MortalStore(open_store(folder), life)
    await ingester.run(bus, store, SETTINGS, clock=time.time, stop=asyncio.Event())


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
