"""Cuts the stream of recipients into batches, each address once.

The same audience gives the same batches, byte for byte: a launch that was interrupted cuts again and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from events import ids, streams
from producer.recipients.blob import BatchWriter
from producer.recipients.recipient import Recipient
from producer.recipients.rows import Rejected
from producer.recipients.seen import Seen


class Batch(NamedTuple):
    number: int
    """From 1."""
    planned: int
    recipients: bytes
    """The blob."""


class Counts:
    """Where the splitter is in the audience; moves while it reads, for whoever shows progress."""

    def __init__(self) -> None:
        self.planned = 0
        self.duplicates = 0
        self.rejected = 0

    @property
    def rows(self) -> int:
        return self.planned + self.duplicates + self.rejected


def split(
    campaign: str,
    rows: Iterable[Recipient | Rejected],
    counts: Counts,
    on_rejected: Callable[[Rejected], None],
    batch_size: int = streams.BATCH_SIZE,
) -> Generator[Batch]:
    """Batches of at most `batch_size` recipients, in the order of the audience; none is empty."""
    number, writer = 1, BatchWriter()
    for recipient in _unique(campaign, rows, counts, on_rejected):
        writer.add(recipient)
        if writer.count >= batch_size or writer.full:
            yield Batch(number, writer.count, writer.finish())
            number, writer = number + 1, BatchWriter()
    if writer.count:
        yield Batch(number, writer.count, writer.finish())


def _unique(
    campaign: str,
    rows: Iterable[Recipient | Rejected],
    counts: Counts,
    on_rejected: Callable[[Rejected], None],
) -> Iterator[Recipient]:
    is_new, digest = Seen().add, ids.mail_digest
    for row in rows:
        if isinstance(row, Rejected):
            counts.rejected += 1
            on_rejected(row)
        elif is_new(digest(campaign, row.identity)):
            counts.planned += 1
            yield row
        else:
            counts.duplicates += 1
