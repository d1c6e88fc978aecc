"""Keeps a batch that was cut from a query, before anything tells of it.

Asked again, a database may give other rows. So a batch is fixed by being stored under a name of the run's own; then the
checkpoint, which only one run at a time can move, names it. From there on whoever publishes the batch publishes the same bytes.
"""

from __future__ import annotations

from functools import partial

import msgspec

from events import ids, plans
from events.addresses import identity
from events.bus import Blobs, Bus
from producer.checkpoint import Checkpoint, CheckpointKeeper
from producer.errors import LaunchedElsewhere, PlanLost
from producer.patience import Patience
from producer.recipients import blob
from producer.recipients.seen import Seen
from producer.splitter import Batch


class Stage:
    """Where one run keeps the batch at hand."""

    def __init__(self, blobs: Blobs, campaign: str, keeper: CheckpointKeeper, patience: Patience) -> None:
        self._blobs = blobs
        self._campaign = campaign
        self._keeper = keeper
        self._insist = patience.insist
        self._held = ""

    async def take_over(self, checkpoint: Checkpoint) -> None:
        """What an earlier run keeps is ours; what it kept and had no time to make known is deleted."""
        self._held = checkpoint.stage
        unknown = checkpoint.batch + 1 if checkpoint.end else checkpoint.batch
        await self._insist(partial(self._blobs.delete, _name(self._campaign, unknown, checkpoint.owner)))

    async def recall(self, checkpoint: Checkpoint) -> Batch:
        """The batch that an earlier run was at. Raises `PlanLost`."""
        try:
            recipients = await self._insist(partial(self._blobs.get, checkpoint.stage))
        except KeyError:
            raise PlanLost(PlanLost.__doc__) from None
        return _recalled(self._campaign, checkpoint, recipients)

    async def keep(self, checkpoint: Checkpoint, batch: Batch) -> None:
        """From here on the batch is what it is, in this run and the next; the one before is published. Raises
        `LaunchedElsewhere`.
        """
        name = _name(self._campaign, batch.number, self._keeper.owner)
        await self._insist(partial(self._blobs.put, name, batch.recipients))
        await self.clear()
        moved = msgspec.structs.replace(checkpoint, batch=batch.number, end=batch.end, stage=name)
        try:
            await self._insist(partial(self._keeper.write, moved))
        except LaunchedElsewhere:
            await self._insist(partial(self._blobs.delete, name))
            raise
        self._held = name

    async def clear(self) -> None:
        """Everything kept is published."""
        if self._held:
            await self._insist(partial(self._blobs.delete, self._held))
            self._held = ""


async def planned(bus: Bus, campaign: str, batches: int, patience: Patience) -> tuple[Seen, int]:
    """Whom the batches so far plan, and how many these are. Raises `PlanLost`."""
    seen, count = Seen(), 0
    for number in range(1, batches + 1):
        try:
            digests = await patience.insist(partial(plans.digests, bus, campaign, number))
        except KeyError:
            raise PlanLost(PlanLost.__doc__) from None
        for digest in digests:
            seen.add(digest)
        count += len(digests)
    return seen, count


def _name(campaign: str, batch: int, owner: str) -> str:
    return f"{campaign}/stage/{batch}/{owner}"


def _recalled(campaign: str, checkpoint: Checkpoint, recipients: bytes) -> Batch:
    found = blob.decode(recipients)
    digest = ids.mail_digests(campaign)
    mail_ids = b"".join([digest(identity(recipient.address)) for recipient in found])
    return Batch(checkpoint.batch, len(found), recipients, mail_ids, checkpoint.end)
