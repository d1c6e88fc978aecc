"""Cuts the stream of recipients into batches, each address once.

The same audience gives the same batches, byte for byte: a launch that was interrupted cuts again and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from events import ids, streams
from producer.recipients.addresses import identity
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
    mail_ids: bytes
    """Another one: whom it plans (`events.plans`)."""


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
    number, writer, mail_ids = 1, BatchWriter(), bytearray()
    for digest, recipient in _unique(campaign, rows, counts, on_rejected):
        writer.add(recipient)
        mail_ids += digest
        if writer.count >= batch_size or writer.full:
            yield Batch(number, writer.count, writer.finish(), bytes(mail_ids))
            number, writer, mail_ids = number + 1, BatchWriter(), bytearray()
    if writer.count:
        yield Batch(number, writer.count, writer.finish(), bytes(mail_ids))


def _unique(
    campaign: str,
    rows: Iterable[Recipient | Rejected],
    counts: Counts,
    on_rejected: Callable[[Rejected], None],
) -> Iterator[tuple[bytes, Recipient]]:
    is_new, digest = Seen().add, ids.mail_digests(campaign)
    for row in rows:
        if isinstance(row, Rejected):
            counts.rejected += 1
            on_rejected(row)
        elif is_new(mail := digest(identity(row.address))):
            counts.planned += 1
            yield mail, row
        else:
            counts.duplicates += 1
