"""Cuts the stream of recipients into batches, each address once.

The same file gives the same batches, byte for byte: a launch that was interrupted cuts again and goes on where it was. A query
may give other rows the next time; there a launch goes on behind the last batch, whose end says all that this takes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Final, NamedTuple

import msgspec

from events import ids, streams
from events.addresses import identity
from producer.errors import KeyUnusable
from producer.recipients.blob import BatchWriter
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.recipients.seen import Seen
from producer.recipients.sql.dialects import Key

_MOST_WITH_ONE_KEY: Final = 10_000
"""Rows beyond the batch they make larger than it should be."""


class End(msgspec.Struct, frozen=True):
    """Where a batch ends in an audience that can be gone on with behind a key: the counts cover all rows up to it."""

    key: Key | None
    """Of the last row; None: there are no rows behind it."""
    duplicates: int
    rejected: int


class Batch(NamedTuple):
    number: int
    """From 1."""
    planned: int
    recipients: bytes
    """The blob."""
    mail_ids: bytes
    """Another one: whom it plans (`events.plans`)."""
    end: End | None = None
    """None in a file."""


class Counts:
    """Where the splitter is in the audience; moves while it reads, for whoever shows progress."""

    def __init__(self) -> None:
        self.planned = 0
        self.duplicates = 0
        self.rejected = 0

    def go_on(self, planned: int, end: End) -> None:
        self.planned, self.duplicates, self.rejected = planned, end.duplicates, end.rejected

    @property
    def rows(self) -> int:
        return self.planned + self.duplicates + self.rejected


class Beginning(NamedTuple):
    """What was cut before."""

    batches: int
    seen: Seen
    """Whom they plan."""


def split(
    campaign: str,
    rows: Iterable[Recipient | Rejected],
    counts: Counts,
    on_rejected: Callable[[Rejected], None],
    batch_size: int = streams.BATCH_SIZE,
    place: Callable[[], Key | None] | None = None,
    beginning: Beginning | None = None,
) -> Generator[Batch]:
    """Batches of at most `batch_size` recipients, in the order of the audience; none is empty.

    `place` tells the key of the row that came last. With it, batches end between two keys: rows that share one stay
    together, and a batch may be larger by them. Raises `KeyUnusable` where too many do.
    """
    number, seen = (beginning.batches + 1, beginning.seen) if beginning else (1, Seen())
    is_new, digest = seen.add, ids.mail_digests(campaign)
    writer, mail_ids = BatchWriter(), bytearray()
    full, last, most = False, None, 0
    for row in rows:
        if full and (place is None or place() != last):
            yield _batch(number, writer, mail_ids, place and End(last, counts.duplicates, counts.rejected))
            number, writer, mail_ids, full = number + 1, BatchWriter(), bytearray(), False
        if isinstance(row, Rejected):
            counts.rejected += 1
            on_rejected(row)
        elif is_new(mail := digest(identity(row.address))):
            counts.planned += 1
            writer.add(row)
            mail_ids += mail
            if full:
                if writer.count > most:
                    raise KeyUnusable(
                        f"Thousands of rows have the key {last!r}. Name one in `key` that tells them apart."
                    )
            elif writer.count >= batch_size or writer.full:
                full, last, most = True, place() if place else None, writer.count + _MOST_WITH_ONE_KEY
        else:
            counts.duplicates += 1
    if writer.count:
        yield _batch(number, writer, mail_ids, place and End(None, counts.duplicates, counts.rejected))


def _batch(number: int, writer: BatchWriter, mail_ids: bytearray, end: End | None) -> Batch:
    return Batch(number, writer.count, writer.finish(), bytes(mail_ids), end)
