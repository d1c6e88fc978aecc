"""The ingester process."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from analytics import closing, evidence, ingester, wishes
from analytics.hearing import desk
from analytics.reports import Reports
from analytics.scaling import scaler
from events.suppression import Hashing
from jetpost.components.clickhouse import store, watched
from jetpost.components.together import together
from jetpost.process import Process


async def run(process: Process) -> None:
    """Write events to ClickHouse and close campaigns that are done, until told to stop."""
    process.announce()
    await beside(process)


async def beside(process: Process, *others: Callable[[], Awaitable[None]]) -> None:
    """The ingester, together with other parts of the same process."""
    settings, stop = process.settings.analytics, process.stop
    hashing = Hashing(process.settings.suppression.hash_secret)
    async with watched(process), store(settings) as events, store(settings) as ledgers, store(settings) as readers:
        await together(
            stop,
            lambda: ingester.run(process.bus, events, settings, clock=time.time, stop=stop),
            lambda: closing.run(process.bus, Reports(ledgers), settings, clock=time.time, stop=stop),
            lambda: scaler.run(process.bus, Reports(ledgers), settings, clock=time.time, stop=stop),
            lambda: wishes.run(process.bus, readers, settings, clock=time.time, stop=stop, hashing=hashing),
            lambda: desk.run(process.bus, readers, settings, clock=time.time, stop=stop, hashing=hashing),
            lambda: evidence.run(process.bus, readers, settings, clock=time.time, stop=stop),
            *others,
        )
