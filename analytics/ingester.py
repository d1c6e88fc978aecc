"""The ingester: facts from EVENTS into ClickHouse, each exactly once. Reads first.

A range of events is **cut** (written down as this ingester's, before anything else), read from the stream, **inserted** with the
range as its deduplication token, and **settled** (written down as being there). Whatever dies in between: the range is read
and inserted again with the same token, and ClickHouse drops what it has. So the table and every rollup count each fact once.

Any number of ingesters may run. Each cuts the next range as soon as it has brought home the one before, so that they share the
work as they can; a range has one owner at a time, and goes to another when its owner has not been heard of for long. While
ClickHouse is away nothing is dropped: events wait on the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from analytics.clickhouse.client import Store
from analytics.patience import Patience
from analytics.progress import Book
from analytics.range_worker import RangeWorker
from analytics.refilling import Refilling
from analytics.settings import AnalyticsSettings
from events import streams
from events.bus import Bus
from events.patience import Stopped, sleep

_LOOKS: Final = 16
"""So often the stream is looked at in the time after which events are ingested at the latest."""

_log = logging.getLogger(__name__)


async def run(
    bus: Bus, store: Store, settings: AnalyticsSettings, *, clock: Callable[[], float], stop: asyncio.Event
) -> None:
    """Ingest until `stop` is set, then what is there. Raises what waiting does not help against, such as a wrong schema."""
    patience = Patience("ingest", settings, stop)
    try:
        await patience.insist(store.migrate)
        bucket = await patience.insist(lambda: bus.bucket(streams.INGEST))
        worker = RangeWorker(bus, Book(bucket), store, settings, clock, patience, Patience("insert", settings, stop))
        with contextlib.closing(worker):
            await _work(worker, Refilling(worker, bucket, store, clock, patience), settings, stop)
    except Stopped:
        _log.warning("stopping without what was begun: it stays on the bus")


async def _work(worker: RangeWorker, refilling: Refilling, settings: AnalyticsSettings, stop: asyncio.Event) -> None:
    await refilling.leave_a_lost_stream()
    await refilling.notice_if_emptied()
    await refilling.fill_if_emptied()
    await worker.take_over_all()
    while not stop.is_set():
        await refilling.fill_if_emptied()
        await refilling.rebuild_if_asked()
        if not await worker.ingest_next():
            await sleep(settings.batch_age_seconds / _LOOKS, stop)
    await worker.ingest_rest()
