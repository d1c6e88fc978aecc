"""The ingester: facts from EVENTS into ClickHouse, each exactly once. Reads first.

A range of events is gathered, **cut** (written down, before anything else), **inserted** with the range as its
deduplication token, **acknowledged** and **settled** (written down again). Whatever dies in between: the range is read
again from EVENTS and inserted again with the same token before anything new, and ClickHouse drops what it has. So the
table and every rollup count each fact once.

The stream and the written range decide what is inserted; deliveries only bring it faster than reading would. So
redeliveries, gaps and a second ingester cost time, never correctness. While ClickHouse is away nothing is acknowledged
and nothing dropped: events wait on the bus.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from analytics import progress, rebuild, rows, timing
from analytics.batching import Range
from analytics.clickhouse import tables
from analytics.clickhouse.client import Store
from analytics.feed import Feed
from analytics.patience import Patience
from analytics.progress import Progress
from analytics.rows import Stated
from analytics.settings import AnalyticsSettings
from events import metrics, streams
from events.bus import Bus, StreamState
from events.errors import RevisionMismatch
from events.patience import Stopped

_log = logging.getLogger(__name__)


async def run(
    bus: Bus, store: Store, settings: AnalyticsSettings, *, clock: Callable[[], float], stop: asyncio.Event
) -> None:
    """Ingest until `stop` is set, then what is held. Raises what waiting does not help against, such as a wrong schema."""
    patience = Patience("ingest", settings, stop)
    try:
        await patience.insist(store.migrate)
        ingester = await patience.insist(lambda: _connect(bus, store, settings, clock, patience))
    except Stopped:
        return
    try:
        await ingester.recover()
        await ingester.start_over_if_lost()
        await ingester.take_over()
        while not stop.is_set():
            await ingester.rebuild_if_asked()
            await ingester.gather()
            if ingester.feed.is_due():
                await ingester.ingest()
        while not ingester.feed.is_empty():
            await ingester.ingest()
    except Stopped:
        _log.warning("stopping without what is held: it stays on the bus")
    finally:
        await ingester.feed.close()


async def _connect(
    bus: Bus, store: Store, settings: AnalyticsSettings, clock: Callable[[], float], patience: Patience
) -> Ingester:
    bucket = await bus.bucket(streams.INGEST)
    consumer = await bus.consumer(streams.INGESTER.stream, streams.INGESTER.name)
    feed = Feed(bus, consumer, settings, clock)
    return Ingester(feed, progress.Book(bucket), rebuild.Desk(bucket, clock), store, patience)


class Ingester:
    """The steps. Each is repeated until it succeeds; they raise `Stopped` where that takes longer than the process lives."""

    def __init__(self, feed: Feed, book: progress.Book, desk: rebuild.Desk, store: Store, patience: Patience) -> None:
        self.feed = feed
        self._book = book
        self._desk = desk
        self._store = store
        self._patience = patience
        self._insist = patience.insist

    async def gather(self) -> None:
        await self._insist(self.feed.gather)

    async def ingest(self) -> None:
        """Cut the next range and bring it home."""
        span, messages = await self._insist(self.feed.next_range)
        await self._ingest(span, messages)

    async def _ingest(self, span: Range, messages: Sequence[Stated]) -> None:
        if not await self._cut(span):
            _log.warning("another ingester cut a range first; making sure of it before going on")
            await self.recover()
            return
        await self._insert(messages)
        await self._settle()

    async def recover(self) -> None:
        """Make sure that the newest range that anyone cut is inserted."""
        found = await self._insist(self._book.read)
        if not found.inserted:
            _log.info("inserting events %d to %d again", found.range.first, found.range.last)
            await self._insert(await self._insist(partial(self.feed.read, found.range)))
        await self._settle()

    async def start_over_if_lost(self) -> None:
        """Notice that EVENTS or ClickHouse's tables are not those that were written about.

        An emptied ClickHouse is filled again from everything that EVENTS still has.
        """
        known = self._book.progress.range.last
        last = await self._insist(self.feed.last_sequence)
        await self._insist(self._store.catch_up)
        ((has_events,),) = await self._insist(partial(self._store.query, "has_events"))
        if known > last:
            _log.warning("EVENTS ends at %d, before what was ingested (%d): it is a new one", last, known)
            await self._begin_again(after=last)
        elif known > 0 and not has_events:
            _log.warning("ClickHouse is empty: ingesting all of EVENTS again, up to %d", last)
            await self._begin_again(after=0)
            await self._catch_up(last)

    async def _begin_again(self, after: int) -> None:
        try:
            await self._insist(partial(self._book.write, progress.beginning(after)))
        except RevisionMismatch:
            await self._insist(self._book.read)
        self.feed.begin_again(self._book.progress.range.last)

    async def take_over(self) -> None:
        """Ingest what was delivered to an ingester that died: the bus would deliver it again only after the ack-wait."""
        await self._catch_up(await self._insist(self.feed.delivered))

    async def rebuild_if_asked(self) -> None:
        """Empty ClickHouse and ingest all of EVENTS again, where somebody asked for it (`rebuild`); or go on with that.

        The tables are emptied before the new beginning is written down: whoever dies in between finds them empty, and begins
        again. Ranges of the new life have other tokens, so that nothing is taken for a repetition.
        """
        asked = await self._insist(self._desk.open_request)
        if asked is None:
            return
        if asked.state == "asked":
            events = await self._insist(self.feed.state)
            reason = "" if asked.drop_older else await self._why_not_emptied(events)
            if reason:
                _log.warning("a rebuild was refused: %s", reason)
                await self._insist(partial(self._desk.write, replace(asked, state="refused", reason=reason)))
                return
            await self._empty(events)
            asked = replace(asked, state="filling", last=events.last_sequence)
            await self._insist(partial(self._desk.write, asked))
        await self._catch_up(asked.last)
        await self._insist(partial(self._desk.write, replace(asked, state="done")))
        _log.info("ClickHouse is filled again")

    async def _empty(self, events: StreamState) -> None:
        _log.warning("emptying ClickHouse and ingesting all of EVENTS again, up to %d", events.last_sequence)
        await self._insist(self._store.empty)
        while not await self._write(progress.beginning(events.first_sequence - 1)):
            _log.warning("another ingester cut a range meanwhile; run only one of them while ClickHouse is rebuilt")
        self.feed.begin_again(self._book.progress.range.last)

    async def _why_not_emptied(self, events: StreamState) -> str:
        await self._insist(self._store.catch_up)
        ((rows, oldest),) = await self._insist(partial(self._store.query, "holdings"))
        return rebuild.refusal(rows, oldest, events, self._book.progress.ingested)

    async def _catch_up(self, last: int) -> None:
        """Ingest by reading: what was acknowledged once is not delivered again."""
        while (known := self._book.progress.range.last) < last:
            self._patience.go_on_unless_stopped()
            rest = Range(known + 1, last)
            span, messages = await self._insist(partial(self.feed.read_up_to_a_batch, rest))
            await self._ingest(span, messages)

    async def _cut(self, span: Range) -> bool:
        """Write the range down; False where another ingester was faster."""
        wanted = replace(self._book.progress, range=span, inserted=False)
        return await self._write(wanted)

    async def _insert(self, messages: Sequence[Stated]) -> None:
        """Insert the range that is written down; harmless to repeat."""
        token = self._book.progress.token
        columns = await asyncio.to_thread(rows.to_rows, messages)
        with metrics.INGEST_INSERT_SECONDS.time():
            for table, values in (
                (tables.EVENTS, columns.events),
                (tables.CAMPAIGN_FACTS, columns.campaign_facts),
                (tables.REJECTED_EVENTS, columns.rejected_events),
            ):
                if values:
                    await self._insist(partial(self._store.insert, table, values, token))
            if columns.reactions:
                timed = await self._insist(partial(timing.timed, self._store, columns.reactions))
                await self._insist(partial(self._store.insert, tables.REACTIONS, timed, token))
        metrics.EVENTS_INGESTED.inc(len(messages))
        if columns.rejected_events:
            _report_rejected(columns.rejected_events)

    async def _settle(self) -> None:
        """Acknowledge the inserted range, and write down that it is inserted."""
        known = self._book.progress
        await self._insist(partial(self.feed.settle, known.range.last))
        if not known.inserted and not await self._write(replace(known, inserted=True)):
            await self.recover()

    async def _write(self, wanted: Progress) -> bool:
        try:
            await self._insist(partial(self._book.write, wanted))
        except RevisionMismatch:
            # It may have been ourselves: a write whose answer was lost.
            return await self._insist(self._book.read) == wanted
        return True


def _report_rejected(rejected: Sequence[Sequence[object]]) -> None:
    sequences, _, _, reasons = rejected
    metrics.EVENTS_REJECTED.inc(len(sequences))
    _log.error("%d events cannot be read; the first is %s: %s", len(sequences), sequences[0], reasons[0])
