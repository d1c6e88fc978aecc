"""How far a batch has come, as the bucket `progress` holds it, and the lock that keeps two producers apart.

The bucket's optimistic lock is the fence: whoever takes a batch over moves the revision, and the next step of the one who had
it before raises `Superseded`.
"""

from __future__ import annotations

import msgspec

from events.bus import Bucket
from events.errors import RevisionMismatch
from events.schemas import BatchJob


class Superseded(Exception):
    """Another producer has taken the batch over: leave it alone."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a batch. Counts are of the rows before `settled`."""

    owner: str
    """The run that has the batch in hand."""
    settled: int = 0
    """Rows before this one are in the queue, or have an event that says why not."""
    begun: int = 0
    """Rows from `settled` up to this one may have been published; nobody knows until the next checkpoint says so."""
    begun_at: float
    """None of those can have been published before this moment, Unix seconds."""
    mail_before: int = 0
    """A sequence of MAIL from before that moment."""
    events_before: int = 0
    """A sequence of EVENTS from before that moment."""
    queued: int = 0
    failed: int = 0
    raw_bytes: int = 0
    queued_bytes: int = 0
    suppressed: int = 0
    begun_suppressed: int = 0
    """How many recipients from `settled` to `begun` were suppressed, as the one who began them saw it."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Progress).decode


class ProgressKeeper:
    """The checkpoint of one batch, in the hands of one run."""

    def __init__(self, bucket: Bucket, job: BatchJob) -> None:
        self._bucket = bucket
        self._key = key(job)
        self._revision = 0

    async def read(self) -> Progress | None:
        """What the last run left, if any; once `write` succeeded after this, nobody else may move it."""
        entry = await self._bucket.get(self._key)
        if entry is None or entry.deleted:
            self._revision = 0
            return None
        self._revision = entry.revision
        return _decode(entry.value)

    async def write(self, progress: Progress) -> None:
        """Harmless to repeat. Raises `Superseded`."""
        value = _encode(progress)
        try:
            self._revision = await self._bucket.update(self._key, value, self._revision)
        except RevisionMismatch as error:
            entry = await self._bucket.get(self._key)
            if entry is None or entry.value != value:
                raise Superseded(f"{self._key} was taken over") from error
            self._revision = entry.revision  # it was stored, and only the answer was lost

    async def delete(self) -> None:
        await self._bucket.delete(self._key)


def key(job: BatchJob) -> str:
    return f"{job.campaign}/batch/{job.number}"
