"""An ingester at work on ranges: it takes one, brings it home, and takes the next. See `ingester`."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from analytics import progress
from analytics.clickhouse.client import Store
from analytics.inserting import Inserter
from analytics.patience import Patience
from analytics.progress import Book, Open, Progress
from analytics.ranges import Cutter, Policy, Range, next_range
from analytics.reading import ReadAhead
from analytics.settings import AnalyticsSettings
from events import streams
from events.bus import Bus, Passage, StreamState

_TURN_LOOK_SECONDS: Final = 0.05

_log = logging.getLogger(__name__)


class Taken(msgspec.Struct):
    """A range that is this ingester's."""

    span: Range
    origin: str
    token: str
    until: float
    """Unix seconds: whether it still is has to be asked after that."""


class _Lost(Exception):
    """The range is not this ingester's any more."""


class RangeWorker:
    """Each step is repeated until it succeeds; they raise `Stopped` where that takes longer than the process lives."""

    def __init__(
        self,
        bus: Bus,
        book: Book,
        store: Store,
        settings: AnalyticsSettings,
        clock: Callable[[], float],
        patience: Patience,
        inserting: Patience,
    ) -> None:
        """`inserting` waits for ClickHouse alone: a range that is given up does not mean that it works again."""
        self.name = secrets.token_hex(4)
        self.book = book
        self._bus = bus
        self._ahead = ReadAhead(bus)
        self._inserter = Inserter(store, inserting)
        self._settings = settings
        self._clock = clock
        self._cutter = Cutter(Policy(rows=settings.batch_rows, age_seconds=settings.batch_age_seconds))
        self._patience = patience
        self._insist = patience.insist
        self._failed = False
        """It had to give up a range: others may take the next one first."""

    @property
    def lease_seconds(self) -> float:
        return self._settings.take_over_seconds

    def lease(self) -> float:
        """Until when what is taken now is ours."""
        return self._clock() + self.lease_seconds

    async def ingest_next(self) -> bool:
        """Bring the next range home; False where nothing is due."""
        known = await self._insist(self.book.read)
        grace = self._settings.take_over_seconds / 4 if self._failed else 0.0
        if left := known.lapsed(self._clock() - grace):
            await self.take_over(left)
            return True
        if known.is_crowded or known.held_from(self.name, self._clock()):
            return False
        events = await self.events()
        span = self._cutter.due(known.cut, events, self._clock())
        if span is None:
            return False
        following = next_range(span.last, events, self._settings.batch_rows)
        return await self._ingest(span, following)

    def close(self) -> None:
        self._ahead.forget()

    async def ingest_rest(self) -> None:
        """What is there, however new, as far as it is a batch."""
        known = await self._insist(self.book.read)
        span = next_range(known.cut, await self.events(), self._settings.batch_rows)
        if span is not None:
            await self._ingest(span)

    async def take_over_all(self) -> None:
        """Bring home whatever is open, without waiting until its lease is over: its owner most likely died with its process."""
        for left in (await self._insist(self.book.read)).open:
            await self.take_over(left)

    async def take_over(self, left: Open) -> None:
        """Bring home an open range of another's, or of an earlier life of this process, unless it was taken meanwhile."""
        origin, until = self.book.progress.origin, self.lease()

        def take(known: Progress) -> Progress | None:
            is_left = known.origin == origin and left in known.open
            return progress.with_owner(known, left.range, self.name, until) if is_left else None

        if await self._change(take) or self._has(left.range, origin):
            _log.info("inserting events %d to %d again", left.range.first, left.range.last)
            await self._bring_home(Taken(left.range, origin, self.book.progress.token(left.range), until))

    async def events(self) -> StreamState:
        return await self._insist(lambda: self._bus.stream_state(streams.EVENTS.name))

    async def _ingest(self, span: Range, following: Range | None = None) -> bool:
        """Cut a range and bring it home, while `following` is read if it is a whole batch; False where another was faster."""
        origin, until = self.book.progress.origin, self.lease()

        def cut(known: Progress) -> Progress | None:
            is_next = known.origin == origin and known.cut == span.first - 1
            may = is_next and not known.is_crowded and not known.held_from(self.name, self._clock())
            return progress.with_cut(known, span, self.name, until) if may else None

        # It may be ours although nothing was changed: by a write whose answer was lost.
        if await self._change(cut) or self._has(span, origin):
            taken = Taken(span, origin, self.book.progress.token(span), until)
            await self._bring_home(taken, following)
            return True
        return False

    def _has(self, span: Range, origin: str) -> bool:
        return self.book.progress.origin == origin and self.book.progress.has_open(span, self.name)

    async def _bring_home(self, taken: Taken, following: Range | None = None) -> None:
        try:
            messages = await self._insist(lambda: self._read(taken))
            if following is not None and following.size >= self._settings.batch_rows:
                self._ahead.begin(taken.origin, following)
            await self._inserter.insert(
                messages,
                taken.token,
                make_sure=lambda: self._make_sure(taken),
                keep=lambda: self._keep(taken),
                in_turn=lambda: self._wait_for_turn(taken),
            )
        except _Lost:
            _log.info("events %d to %d are left to whoever is first to take them", taken.span.first, taken.span.last)
            return
        self._failed = False
        await self._change(lambda known: progress.without(known, taken.span) if self._knows(known, taken) else None)

    async def _read(self, taken: Taken) -> Sequence[Passage]:
        await self._make_sure(taken)
        return await self._ahead.read(taken.origin, taken.span)

    def _knows(self, known: Progress, taken: Taken) -> bool:
        return known.origin == taken.origin and known.has_open(taken.span)

    async def _make_sure(self, taken: Taken) -> None:
        """Before a range is read or inserted: another may have taken it over, and it may be so long ago that ClickHouse has
        forgotten its token.

        Raises `RetryLater`, and `_Lost` also when its lease is over: whoever cannot bring it home lets others try.
        """
        if self._clock() >= taken.until:
            self._failed = True
            raise _Lost
        if not self._is_mine(await self.book.read(), taken):
            raise _Lost

    def _is_mine(self, known: Progress, taken: Taken) -> bool:
        return known.origin == taken.origin and known.has_open(taken.span, self.name)

    async def _keep(self, taken: Taken) -> None:
        """After a step that took its time: the lease begins anew once half of it is over. Raises `_Lost`."""
        if self._clock() < taken.until - self._settings.take_over_seconds / 2:
            return
        until = self.lease()

        def renew(known: Progress) -> Progress | None:
            is_mine = self._is_mine(known, taken)
            return progress.with_owner(known, taken.span, self.name, until) if is_mine else None

        if not await self._change(renew):
            raise _Lost
        taken.until = until

    async def _wait_for_turn(self, taken: Taken) -> None:
        """Everything before the range is in ClickHouse; what its owner does not come to is done here. Raises `_Lost`."""
        while self.book.progress.ingested < taken.span.first - 1:
            self._patience.go_on_unless_stopped()
            if not self._knows(self.book.progress, taken):
                raise _Lost
            if left := self.book.progress.lapsed(self._clock(), before=taken.span.first):
                await self.take_over(left)
            else:
                await asyncio.sleep(_TURN_LOOK_SECONDS)
            await self._keep(taken)
            await self._insist(self.book.read)

    async def _change(self, change: Callable[[Progress], Progress | None]) -> bool:
        return await self._insist(lambda: self.book.change(change))
