"""A range of events into ClickHouse's tables. Every insert has the range's token, so that all of it is harmless to repeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from analytics import rows, timing
from analytics.clickhouse import tables
from analytics.clickhouse.client import Columns, Store
from analytics.patience import Patience
from analytics.rows import Stated
from events import metrics

_log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[None]]


class Inserter:
    def __init__(self, store: Store, patience: Patience) -> None:
        self._store = store
        self._patience = patience

    async def insert(
        self, messages: Sequence[Stated], token: str, *, make_sure: Step, keep: Step, in_turn: Step
    ) -> None:
        """Returns when all of it is there. Raises `Stopped`, and what the three steps raise.

        `make_sure` is called before each attempt at an insert, `keep` after it has succeeded. `in_turn` returns when everything
        before the range is in ClickHouse: how long after its mail a click came is asked there.
        """
        made = await asyncio.to_thread(rows.to_rows, messages)

        async def insert_into(table: tables.Table, values: Columns) -> None:
            async def once() -> None:
                await make_sure()
                with metrics.INGEST_INSERT_SECONDS.time():
                    await self._store.insert(table, values, token)

            await self._patience.insist(once)
            await keep()

        for table, values in (
            (tables.EVENTS, made.events),
            (tables.CAMPAIGN_FACTS, made.campaign_facts),
            (tables.REJECTED_EVENTS, made.rejected_events),
        ):
            if values:
                await insert_into(table, values)
        if made.reactions:
            await in_turn()
            timed = await self._patience.insist(lambda: timing.timed(self._store, made.reactions))
            await insert_into(tables.REACTIONS, timed)
        metrics.EVENTS_INGESTED.inc(len(messages))
        if made.rejected_events:
            _report_rejected(made.rejected_events)


def _report_rejected(rejected: Columns) -> None:
    sequences, _, _, reasons = rejected
    metrics.EVENTS_REJECTED.inc(len(sequences))
    _log.error("%d events cannot be read; the first is %s: %s", len(sequences), sequences[0], reasons[0])
