"""Where the ingesters are: the ranges that were cut, written down in the bucket `ingest` before they are inserted.

There is one entry for all ingesters, changed with optimistic locking only. A range is cut by one of them, its **owner** until
its lease is over; it stays **open** until somebody knows that it is in ClickHouse. Whoever finds an open range whose lease is
over takes it over, and inserts it again with the same token. Owners and leases spare work; that every event is counted once
rests on the ranges and their tokens.

What changes the entry is pure: the clock is passed in.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from analytics.ranges import REMEMBERED_INSERTS, Range
from events import streams
from events.bus import Bucket, Bus
from events.errors import RevisionMismatch

_PAUSE_SECONDS: Final = 0.02
_KEY: Final = "events"
MOST_BEHIND_AN_OPEN_RANGE: Final = REMEMBERED_INSERTS // 4
"""Ranges. An insert across the ends of months makes several blocks, each of which has a token."""


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A range that was cut. It may be in ClickHouse, in part or as a whole: insert it again with the same token."""

    range: Range
    owner: str = ""
    until: float = 0.0
    """Unix seconds: it is the owner's until then."""
    number: int = 0
    """Of the cut, in this life of the stream."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One ingester alone may cut now, since it is about to begin again."""

    owner: str
    until: float
    """Unix seconds."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    origin: str
    """Which life of the stream the sequences belong to: a new EVENTS counts from 1 again, and its ranges get other tokens."""
    range: Range
    """The newest range that was cut."""
    inserted: bool
    """Whether nothing is open. Beside `range` it is all that the release 0.1, with one ingester at a time, knows of."""
    open: tuple[Open, ...] = ()
    """In the order of the stream. Everything else up to the newest range is in ClickHouse."""
    hold: Hold | None = None
    refill: bool = False
    """ClickHouse was found without what had been ingested: everything is to be ingested again."""
    cuts: int = 0
    """How many ranges were cut in this life."""
    busy_until: float = 0.0
    """Unix seconds: until then owners of ranges that others took over from them may believe that these are theirs."""

    def __post_init__(self) -> None:
        if not self.inserted and not self.open:
            msgspec.structs.force_setattr(self, "open", (Open(range=self.range),))

    @property
    def cut(self) -> int:
        """The sequence up to which everything was cut."""
        return self.range.last

    @property
    def ingested(self) -> int:
        """The sequence up to which everything is in ClickHouse for certain."""
        return self.open[0].range.first - 1 if self.open else self.range.last

    def token(self, span: Range) -> str:
        """The `insert_deduplication_token` of a range."""
        return f"{self.origin}:{span.first}-{span.last}"

    def has_open(self, span: Range, owner: str | None = None) -> bool:
        return any(one.range == span and owner in {None, one.owner} for one in self.open)

    def lapsed(self, now: float, before: int | None = None) -> Open | None:
        """The first open range whose lease is over, where `before` is given only one that lies before that sequence."""
        for one in self.open:
            if one.until <= now and (before is None or one.range.last < before):
                return one
        return None

    @property
    def is_crowded(self) -> bool:
        """Whether so many ranges were cut behind an open one that ClickHouse might forget the token of that."""
        return bool(self.open) and self.cuts - self.open[0].number >= MOST_BEHIND_AN_OPEN_RANGE

    def may_be_inserted_until(self) -> float:
        """Unix seconds: until then somebody may begin to insert something of this life; 0: nobody may."""
        return max((self.busy_until, *(one.until for one in self.open)))

    def held_from(self, owner: str, now: float) -> bool:
        """Whether somebody else is about to begin again, so that this one must not cut."""
        return self.hold is not None and self.hold.owner != owner and now < self.hold.until


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Progress).decode


def beginning(after: int = 0) -> Progress:
    """A new life: the next range begins behind `after`."""
    return Progress(origin=secrets.token_hex(4), range=Range(after + 1, after), inserted=True)


def with_cut(progress: Progress, span: Range, owner: str, until: float) -> Progress:
    number = progress.cuts + 1
    opened = Open(range=span, owner=owner, until=until, number=number)
    open_ranges = (*progress.open, opened)
    return replace(progress, range=span, inserted=False, open=open_ranges, hold=None, cuts=number)


def with_owner(progress: Progress, span: Range, owner: str, until: float) -> Progress:
    """The range becomes, or stays, the owner's."""
    before = next(one for one in progress.open if one.range == span)
    after = replace(before, owner=owner, until=until)
    busy_until = progress.busy_until if before.owner == owner else max(progress.busy_until, before.until)
    open_ranges = tuple(after if one is before else one for one in progress.open)
    return replace(progress, open=open_ranges, busy_until=busy_until)


def without(progress: Progress, span: Range) -> Progress:
    """The range is in ClickHouse."""
    left = tuple(one for one in progress.open if one.range != span)
    return replace(progress, inserted=not left, open=left)


def with_hold(progress: Progress, owner: str, until: float) -> Progress:
    return replace(progress, hold=Hold(owner=owner, until=until))


async def ingested(bus: Bus) -> int:
    """The sequence up to which everything is in ClickHouse for certain; 0: nothing was ever ingested. Raises `RetryLater`."""
    return (await Book(await bus.bucket(streams.INGEST)).read()).ingested


async def lag(bus: Bus) -> int:
    """Events that are stored on the bus and not in ClickHouse for certain. Raises `RetryLater`."""
    last = (await bus.stream_state(streams.EVENTS.name)).last_sequence
    return max(0, last - await ingested(bus))


class Book:
    """The entry in the bucket, as this ingester knows it."""

    def __init__(self, bucket: Bucket) -> None:
        self.progress = beginning()
        self._bucket = bucket
        self._revision = 0

    async def read(self) -> Progress:
        """The newest entry; the first ingester ever begins. Raises `RetryLater`."""
        entry = await self._bucket.get(_KEY)
        if entry is None or entry.deleted:
            self._revision = 0
        else:
            self.progress, self._revision = decode(entry.value), entry.revision
        return self.progress

    async def write(self, progress: Progress) -> None:
        """Raises `RevisionMismatch` where another ingester wrote since `read` or `write`, and `RetryLater`."""
        self._revision = await self._bucket.update(_KEY, encode(progress), self._revision)
        self.progress = progress

    async def change(self, change: Callable[[Progress], Progress | None]) -> bool:
        """Write what `change` makes of the newest entry, again and again until nobody else did so meanwhile; False where it makes
        nothing of it any more. After a write whose answer was lost it sees its own change. Raises `RetryLater`."""
        while (wanted := change(self.progress)) is not None:
            try:
                await self.write(wanted)
            except RevisionMismatch:
                known = self._revision
                await self.read()
                if self._revision == known:  # a copy of the bucket that lags behind answered
                    await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return True
        return False
