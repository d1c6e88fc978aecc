"""Bring what is on a bus into ClickHouse, as an ingester does when it is told to stop."""

import asyncio

from analytics import ingester, progress
from analytics.settings import AnalyticsSettings


async def ingest_all(bus, store, clock):
    stop = asyncio.Event()
    stop.set()
    await ingester.run(bus, store, AnalyticsSettings(), clock=clock, stop=stop)
    assert await progress.lag(bus) == 0
