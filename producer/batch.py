"""One batch, from its rows to mails in the queue, each exactly once however often producers die on the way.

A chunk of rows is rendered while the one before it is being published. Before a chunk is published, the checkpoint says that it
may have been (`Progress.begun`); the next checkpoint, after its PubAcks, settles it. So when a producer dies one chunk at most is
uncertain, and the run that takes over settles that one first, on the same boundaries:

- As long as the server remembers message ids, publishing the chunk again is harmless: what was stored is answered `duplicate`.
  That holds until `remembered_seconds` of the bus after `begun_at`, since no copy can have been stored before `begun_at`.
- After that senders may have sent those mails and the server forgotten them, and publishing again would send them twice. But
  the streams know (`evidence`): what lies in MAIL or has an event is left out, and the rest is published.

The streams are asked, too, where somebody in an uncertain chunk is or was suppressed: the list may have changed since, and what
was said of them stands.

A producer that lives through an outage does the same: each repeated publish asks first how old its chunk is. Taking over keeps
`begun_at`, so that a series of dying producers cannot make an old chunk look young. A second producer with the same batch in hand
(the first was too slow to extend its delivery, or the job lies in BATCHES twice) raises `Superseded` at its next checkpoint.

What this cannot rule out: a process that is frozen for minutes in the microseconds between asking for the chunk's age and
writing to the socket, while another finishes the batch, and then goes on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from events import facts, metrics, streams
from events.bus import Bus, Message
from events.errors import RetryLater
from events.facts import BatchQueued
from events.schemas import BatchJob, Priority
from producer import evidence, room
from producer.chunk import CHUNK, Chunk, Press
from producer.patience import Patience
from producer.progress import Progress, ProgressKeeper
from producer.recipients.recipient import Recipient

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
Ending = Literal["queued", "interrupted"]

PART: Final = streams.ATOMIC_BATCH
"""Mails published with one call."""


class BatchRun:
    """One producer's run over one batch."""

    def __init__(
        self,
        bus: Bus,
        job: BatchJob,
        keeper: ProgressKeeper,
        press: Press,
        priority: Priority = "normal",
        *,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._bus = bus
        self._job = job
        self._keeper = keeper
        self._press = press
        self._priority: Priority = priority
        self._clock = clock
        self._patience = Patience("queue", stop, told_as=f"batch {job.number} of {job.campaign}")
        self._insist = self._patience.insist
        self._progress = Progress(owner=os.urandom(8).hex(), begun_at=0)

    async def run(self, rows: Sequence[Recipient], is_wanted: Callable[[], bool]) -> Ending:
        """Queue all rows; between chunks, and while there is no room for the next, ask `is_wanted`, and leave a clean
        checkpoint where it says no.

        Raises `Superseded`, and `Stopped` once `stop` is set while the bus refuses.
        """
        left = await self._insist(self._keeper.read)
        if (left is None or left.settled == len(rows)) and await self._is_stated_queued():
            return "queued"
        await self._take_over(left or self._progress)
        if await self._queue(rows, is_wanted) < len(rows):
            await self._insist(self._write_checkpoint)
            return "interrupted"
        await self._insist(self._write_checkpoint)
        await self._state_queued()
        return "queued"

    async def _take_over(self, left: Progress) -> None:
        """Make the batch ours, where the last run left it."""
        self._progress = msgspec.structs.replace(left, owner=self._progress.owner)
        if left.begun == left.settled:
            # Nothing is uncertain: what comes next cannot have been published before this moment.
            mail = await self._insist(lambda: self._bus.stream_state(streams.MAIL.name))
            events = await self._insist(lambda: self._bus.stream_state(streams.EVENTS.name))
            self._advance(mail_before=mail.last_sequence, events_before=events.last_sequence)
        await self._insist(self._write_checkpoint)

    async def _queue(self, rows: Sequence[Recipient], is_wanted: Callable[[], bool]) -> int:
        """Publish chunk after chunk, rendering the next meanwhile; returns the first row that was not reached."""
        position = self._progress.settled
        publishing: asyncio.Task[bool] | None = None
        try:
            while position < len(rows) and is_wanted():
                uncertain = self._progress.begun > position
                end = self._progress.begun if uncertain else min(position + CHUNK, len(rows))
                chunk = await self._press.print(rows, position, end, self._clock(), whole=uncertain)
                if publishing is not None and not await publishing:
                    break
                publishing = asyncio.create_task(self._settle(chunk, is_wanted))
                position = chunk.end
        finally:
            if publishing is not None:
                await publishing
        return self._progress.settled

    async def _settle(self, chunk: Chunk, is_wanted: Callable[[], bool]) -> bool:
        """See to it that every mail of the chunk is queued, once; False: there was no room until it was not wanted any more."""
        if not await self._has_room(is_wanted):
            return False
        may_differ = False
        if self._progress.begun < chunk.end:
            self._advance(begun=chunk.end, begun_at=self._clock(), begun_suppressed=chunk.suppressed)
            await self._insist(self._write_checkpoint)
        else:
            may_differ = bool(self._progress.begun_suppressed or chunk.suppressed)
        chunk, last_sequence = await self._insist(lambda: self._publish(chunk, may_differ))
        self._advance(
            settled=chunk.end,
            mail_before=max(self._progress.mail_before, last_sequence),
            queued=self._progress.queued + chunk.queued,
            failed=self._progress.failed + chunk.failed,
            raw_bytes=self._progress.raw_bytes + chunk.raw_bytes,
            queued_bytes=self._progress.queued_bytes + chunk.queued_bytes,
            suppressed=self._progress.suppressed + chunk.suppressed,
        )
        self._count(chunk)
        return True

    async def _has_room(self, is_wanted: Callable[[], bool]) -> bool:
        """Waits for room in the store, as long as the batch is wanted. Raises `Stopped`."""
        while True:
            try:
                await room.require(self._bus, self._priority)
            except RetryLater as error:
                await self._patience.wait(error)
                if not is_wanted():
                    return False
            else:
                self._patience.succeeded()
                return True

    async def _publish(self, chunk: Chunk, may_differ: bool) -> tuple[Chunk, int]:
        """Publish what is not known to be queued already; returns the last sequence in MAIL, where the server tells.

        `may_differ`: who was suppressed when the chunk was begun and who is now may not be the same. Ids do not help there: the
        fact and the mail of one recipient have different ones.
        """
        if may_differ or not self._is_young(self._progress.begun_at):
            found = await evidence.already_queued(self._bus, self._job.campaign, chunk.mail_ids, self._progress)
            _log.info(
                "%s: %d of %d mails were queued already", self._patience.told_as, len(found), chunk.end - chunk.start
            )
            chunk = chunk.without(found)
        last_sequence = await self._store(chunk.mails)
        if chunk.withheld:
            await self._bus.publish(streams.EVENTS.name, chunk.withheld)
        return chunk, last_sequence

    async def _store(self, mails: Sequence[Message]) -> int:
        """Publish in parts that are under way together; all have ended, well or not, when this returns or raises."""
        parts = [mails[start : start + PART] for start in range(0, len(mails), PART)]
        publishing = (self._bus.publish(streams.MAIL.name, part) for part in parts)
        last_sequence = 0
        for stored in await asyncio.gather(*publishing, return_exceptions=True):
            if isinstance(stored, BaseException):
                raise stored
            last_sequence = max(last_sequence, *(answer.sequence for answer in stored))
        return last_sequence

    async def _state_queued(self) -> None:
        done = self._progress
        fact = BatchQueued(
            self._job.campaign,
            self._clock(),
            batch=self._job.number,
            queued=done.queued,
            failed=done.failed,
            suppressed=done.suppressed,
            raw_bytes=done.raw_bytes,
            queued_bytes=done.queued_bytes,
        )
        message = Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact))

        async def state() -> None:
            if self._is_young(fact.at) or not await evidence.is_stated_queued(self._bus, self._job):
                await self._bus.publish(streams.EVENTS.name, [message])

        await self._insist(state)

    async def _is_stated_queued(self) -> bool:
        return await self._insist(lambda: evidence.is_stated_queued(self._bus, self._job))

    def _is_young(self, moment: float) -> bool:
        """Whether the server remembers ids from then; a clock that was set back proves nothing."""
        return 0 <= self._clock() - moment <= self._bus.timing.remembered_seconds

    def _advance(self, **changes: int | float) -> None:
        self._progress = msgspec.structs.replace(self._progress, **changes)

    async def _write_checkpoint(self) -> None:
        await self._keeper.write(self._progress)

    def _count(self, chunk: Chunk) -> None:
        metrics.MAILS_QUEUED.labels(self._job.campaign).inc(chunk.queued)
        metrics.MAILS_UNRENDERABLE.labels(self._job.campaign).inc(chunk.failed)
        if chunk.suppressed:
            metrics.MAILS_SUPPRESSED.labels(self._job.campaign).inc(chunk.suppressed)
        metrics.QUEUED_BYTES.labels("raw").inc(chunk.raw_bytes)
        metrics.QUEUED_BYTES.labels("stored").inc(chunk.queued_bytes)
