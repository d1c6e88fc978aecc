"""Beginning again: when EVENTS or ClickHouse's tables are not those that were written about, or when somebody asks for it.

Whoever begins again **holds** the others first: nobody cuts meanwhile, and those who have taken ranges bring them home or their
time runs out, so that nothing of the old life is inserted into the new one. Then the tables are emptied, and the new beginning
is written on top of what was known, or everything is repeated. Ranges of the new life have other tokens, so that nothing is
taken for a repetition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from analytics import progress, rebuild
from analytics.clickhouse.client import Store
from analytics.patience import Patience
from analytics.progress import Progress
from analytics.range_worker import RangeWorker
from analytics.rebuild import Rebuild
from events.bus import Bucket
from events.errors import RevisionMismatch
from events.patience import Stopped

_LOOK_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)

Need = Callable[[Progress], Awaitable[int | None]]
"""Asked while nobody inserts: the sequence behind which to begin; None: nobody has to begin again."""


class Refilling:
    """As an ingester does it, beside its ranges. Steps raise `Stopped`."""

    def __init__(
        self, worker: RangeWorker, bucket: Bucket, store: Store, clock: Callable[[], float], patience: Patience
    ) -> None:
        self._worker = worker
        self._lease = worker.lease_seconds
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

    async def notice_if_emptied(self) -> None:
        """Write down that ClickHouse was emptied, before anything is taken over: that would hide it."""
        known = await self._insist(self._book.read)
        if await self._lacks_all_up_to(known.ingested):
            _log.warning("ClickHouse is empty: ingesting all of EVENTS again")
            await self._change(
                lambda newest: (
                    replace(newest, refill=True) if newest.origin == known.origin and not newest.refill else None
                )
            )

    async def fill_if_emptied(self) -> None:
        """Have everything ingested again that EVENTS still has, where somebody noticed that ClickHouse was emptied."""
        if self._book.progress.refill:
            await self._begin_again(_from_the_start)

    async def _lacks_all_up_to(self, sequence: int) -> bool:
        if sequence == 0:
            return False
        await self._insist(self._store.catch_up)
        ((has_events,),) = await self._insist(lambda: self._store.query("has_events", until=sequence))
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
            await self._see_it_done(asked)
        elif await self._begin_again(self._where_to_rebuild_from):
            await self._write(await self._filling(asked))

    async def _see_it_done(self, asked: Rebuild) -> None:
        known = await self._insist(self._book.read)
        if known.origin != asked.origin:  # somebody began again since
            await self._write(await self._filling(asked))
        elif known.ingested >= asked.last:
            await self._write(replace(asked, state="done"))
            _log.info("ClickHouse is filled again")

    async def _filling(self, asked: Rebuild) -> Rebuild:
        last = (await self._worker.events()).last_sequence
        return replace(asked, state="filling", last=last, origin=self._book.progress.origin)

    async def _where_to_rebuild_from(self, known: Progress) -> int | None:
        found = await self._insist(self._desk.read)
        if found is None or found.state != "asked":
            return None
        events = await self._worker.events()
        if not found.drop_older:
            await self._insist(self._store.catch_up)
            ((rows, oldest),) = await self._insist(lambda: self._store.query("holdings"))
            if reason := rebuild.refusal(rows, oldest, events, known.cut):
                _log.warning("a rebuild was refused: %s", reason)
                await self._write(replace(found, state="refused", reason=reason))
                return None
        return events.first_sequence - 1

    async def _write(self, request: Rebuild) -> None:
        await self._insist(lambda: self._desk.write(request))

    async def _begin_again(self, need: Need) -> bool:
        """Empty the tables and write down where ranges begin; False where another does, or nobody has to any more."""
        try:
            begun = await self._try_to_begin(need)
        except Stopped:
            with suppress(Stopped):
                await self._let_go()
            raise
        if not begun:
            await self._let_go()
        return begun

    async def _try_to_begin(self, need: Need) -> bool:
        after: int | None = None
        while True:
            if not await self._hold():
                if after is None:
                    return False
                await self._look_again()
            elif await self._wait_until_nobody_inserts():
                # Once it was tried to empty the tables they may be empty, now or later: there is no way back.
                after = await need(self._book.progress) if after is None else after
                if after is None:
                    return False
                if await self._empty() and await self._write_beginning(after):
                    return True

    async def _hold(self) -> bool:
        """Keep the others from cutting, for some time; False where another ingester does so."""
        name, until = self._worker.name, self._worker.lease()

        def hold(known: Progress) -> Progress | None:
            is_held = known.held_from(name, self._clock()) or self._holds_for_long(known)
            return None if is_held else progress.with_hold(known, name, until)

        return await self._change(hold) or self._holds(self._book.progress)

    def _holds(self, known: Progress) -> bool:
        return known.hold is not None and known.hold.owner == self._worker.name and self._clock() < known.hold.until

    def _holds_for_long(self, known: Progress) -> bool:
        """For half of a lease at least."""
        return self._holds(known) and known.hold is not None and known.hold.until - self._clock() > self._lease / 2

    async def _let_go(self) -> None:
        await self._change(lambda known: replace(known, hold=None) if self._holds(known) else None)

    async def _wait_until_nobody_inserts(self) -> bool:
        """Whatever is open is of no use any more, but its owners may be inserting it: an attempt takes less than a lease. False
        where the hold is over before that."""
        while self._holds(known := await self._insist(self._book.read)):
            if self._clock() >= known.may_be_inserted_until() + self._lease:
                return True
            await self._look_again()
            await self._hold()
        return False

    async def _look_again(self) -> None:
        self._patience.go_on_unless_stopped()
        await asyncio.sleep(_LOOK_SECONDS)

    async def _empty(self) -> bool:
        """False where the hold is over: then somebody else may be filling them."""

        async def once() -> bool:
            if not self._holds(await self._book.read()):
                return False
            _log.warning("emptying ClickHouse, to ingest all of EVENTS again")
            await self._store.empty()
            return True

        return await self._insist(once)

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


async def _from_the_start(known: Progress) -> int | None:
    return 0 if known.refill else None
