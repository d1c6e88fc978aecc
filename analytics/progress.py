"""Where the ingester is: the range that was cut last, written down in the bucket `ingest` before it is inserted.

There is one entry for all ingesters, changed with optimistic locking only: a range is cut by one of them, and whoever
finds that another was faster first makes sure that the other's range is inserted.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from analytics.batching import Range
from events import streams
from events.bus import Bucket, Bus

_KEY: Final = "events"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    origin: str
    """Which life of the stream the sequences belong to: a new EVENTS counts from 1 again, and its ranges get other tokens."""
    range: Range
    """The newest range that was cut. Everything before it is in ClickHouse."""
    inserted: bool
    """Whether the range itself is, too. If not, it may be, in part or as a whole: insert it again with the same token."""

    @property
    def token(self) -> str:
        """The `insert_deduplication_token` of the range."""
        return f"{self.origin}:{self.range.first}-{self.range.last}"

    @property
    def ingested(self) -> int:
        """The sequence up to which everything is in ClickHouse for certain."""
        return self.range.last if self.inserted else self.range.first - 1


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Progress).decode


def beginning(after: int = 0) -> Progress:
    """A new life: the next range begins behind `after`."""
    return Progress(origin=secrets.token_hex(4), range=Range(after + 1, after), inserted=True)


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
        if entry is not None and not entry.deleted:
            self.progress, self._revision = decode(entry.value), entry.revision
        return self.progress

    async def write(self, progress: Progress) -> None:
        """Raises `RevisionMismatch` where another ingester wrote since `read` or `write`, and `RetryLater`."""
        self._revision = await self._bucket.update(_KEY, encode(progress), self._revision)
        self.progress = progress
