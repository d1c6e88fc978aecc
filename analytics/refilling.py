"""Beginning again: when EVENTS or ClickHouse's tables are not those that were written about, or when somebody asks for it.

Whoever begins again **holds** the others first: nobody cuts meanwhile, and what is open is brought home, so that nothing of the
old life is inserted into the new one. Then the tables are emptied, and the new beginning is written on top of what was known,
or everything is repeated. Ranges of the new life have other tokens, so that nothing is taken for a repetition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from analytics import progress, rebuild
from analytics.clickhouse.client import Store
from analytics.patience import Patience
from analytics.progress import Progress
from analytics.range_worker import RangeWorker
from analytics.rebuild import Rebuild
from events.bus import Bucket, StreamState
from events.errors import RevisionMismatch

_LOOK_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)

Need = Callable[[Progress], Awaitable[bool]]


class Refilling:
    """As an ingester does it, beside its ranges. Steps raise `Stopped`."""

    def __init__(
        self, worker: RangeWorker, bucket: Bucket, store: Store, clock: Callable[[], float], patience: Patience
    ) -> None:
        self._worker = worker
        self._book = worker.book
        self._desk = rebuild.Desk(bucket, clock)
        self._store = store
        self._clock = clock
        self._patience = patience
        self._insist = patience.insist

    async def leave_a_lost_stream(self) -> None:
        """Notice that EVENTS is a new one, which ends before what was cut: what is open of the old one is gone."""
        known = await self._insist(self._book.read)
        last = (await self._worker.events()).last_sequence
        if known.cut > last:
            _log.warning("EVENTS ends at %d, before what was ingested (%d): it is a new one", last, known.cut)
            fresh = progress.beginning(last)
            await self._change(lambda newest: fresh if newest.origin == known.origin else None)

    async def fill_if_emptied(self) -> None:
        """Notice that ClickHouse was emptied, and have everything ingested again that EVENTS still has."""
        if await self._is_emptied(await self._insist(self._book.read)):
            _log.warning("ClickHouse is empty: ingesting all of EVENTS again")
            await self._begin_again(0, self._is_emptied)

    async def _is_emptied(self, known: Progress) -> bool:
        if known.ingested == 0:
            return False
        await self._insist(self._store.catch_up)
        ((has_events,),) = await self._insist(lambda: self._store.query("has_events"))
        return not has_events

    async def rebuild_if_asked(self) -> None:
        """Empty ClickHouse and have all of EVENTS ingested again, where somebody asked for it (`rebuild`); or see it done.

        The tables are emptied before the new beginning is written down: whoever dies in between leaves the request as it is,
        and the next one begins again.
        """
        asked = await self._insist(self._desk.open_request)
        if asked is None:
            return
        if asked.state == "filling":
            if (await self._insist(self._book.read)).ingested >= asked.last:
                await self._write(replace(asked, state="done"))
                _log.info("ClickHouse is filled again")
            return
        events = await self._worker.events()
        reason = "" if asked.drop_older else await self._why_not_emptied(events)
        if reason:
            _log.warning("a rebuild was refused: %s", reason)
            await self._write(replace(asked, state="refused", reason=reason))
        elif await self._begin_again(events.first_sequence - 1, self._is_still_asked, empty=True):
            await self._write(replace(asked, state="filling", last=events.last_sequence))

    async def _is_still_asked(self, _: Progress) -> bool:
        found = await self._insist(self._desk.read)
        return found is not None and found.state == "asked"

    async def _why_not_emptied(self, events: StreamState) -> str:
        await self._insist(self._store.catch_up)
        ((rows, oldest),) = await self._insist(lambda: self._store.query("holdings"))
        known = await self._insist(self._book.read)
        return rebuild.refusal(rows, oldest, events, known.cut)

    async def _write(self, request: Rebuild) -> None:
        await self._insist(lambda: self._desk.write(request))

    async def _begin_again(self, after: int, is_needed: Need, *, empty: bool = False) -> bool:
        """Write down that ranges begin behind `after`; False where another ingester is at it, or has done it."""
        while await self._hold():
            if not await self._settle_all():
                continue
            if not await is_needed(self._book.progress):
                await self._let_go()
                return False
            if empty:
                _log.warning("emptying ClickHouse, to ingest all of EVENTS again")
                await self._insist(self._store.empty)
            if await self._write_beginning(after):
                return True
        return False

    async def _hold(self) -> bool:
        """Keep the others from cutting, for some time; False where another ingester does so."""
        name, until = self._worker.name, self._worker.lease()
        return await self._change(
            lambda known: None if known.held_from(name, self._clock()) else progress.with_hold(known, name, until)
        ) or self._holds(self._book.progress)

    def _holds(self, known: Progress) -> bool:
        return known.hold is not None and known.hold.owner == self._worker.name and self._clock() < known.hold.until

    async def _let_go(self) -> None:
        await self._change(lambda known: replace(known, hold=None) if self._holds(known) else None)

    async def _settle_all(self) -> bool:
        """Returns when nothing is open; False where the hold is over before that."""
        while self._holds(known := await self._insist(self._book.read)):
            if not known.open:
                return True
            self._patience.go_on_unless_stopped()
            if left := known.lapsed(self._clock()):
                await self._worker.take_over(left.range)
            else:
                await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _write_beginning(self, after: int) -> bool:
        """On top of what was known when nothing was open; False where somebody has written since."""
        beginning = progress.beginning(after)
        try:
            await self._insist(lambda: self._book.write(beginning))
        except RevisionMismatch:
            # It may have been ourselves: a write whose answer was lost.
            return (await self._insist(self._book.read)).origin == beginning.origin
        return True

    async def _change(self, change: Callable[[Progress], Progress | None]) -> bool:
        return await self._insist(lambda: self._book.change(change))
