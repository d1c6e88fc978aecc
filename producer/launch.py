"""Launches a campaign: from a checked file to batches that producers work on. Reads first for this half of the package.

Every step is harmless to repeat, so a launch that died goes on when it is started again: nobody is left out, and nobody is
planned twice. A file gives the same batches in every run; of a query, each batch is kept before anything tells of it, and the
next run asks for the rows behind it. A batch becomes a fact (`BatchPlanned`) before it becomes work, so that there is never
work which the ledger does not know of.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from events import campaigns, facts, links, plans, priority, schemas, streams, subjects
from events.bus import Blobs, Bus, Message
from events.compression import encode_dictionary
from events.facts import BatchPlanned, CampaignPlanned, CampaignStarted
from events.schemas import BatchJob, Campaign
from producer import checkpoint as checkpoints
from producer import room, staging
from producer.campaign import compiled
from producer.campaign.check import Checked, Launchable
from producer.checkpoint import Checkpoint, CheckpointKeeper
from producer.errors import PlanLost, QueryFailed, RejectsUnwritable
from producer.first import first_recipient
from producer.patience import ToldPatience
from producer.recipients.audience import AudienceFile, Reading
from producer.recipients.opening import require_whole
from producer.recipients.recipient import Recipient
from producer.recipients.rejects import RejectsFile, path_beside
from producer.recipients.sql.audience import SqlAudience
from producer.recipients.sql.dialects import Key
from producer.registration import Registered, batch_id, published, register
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings
from producer.splitter import Batch, Beginning, Counts, End, split
from producer.staging import Stage

REPORT_EVERY_SECONDS: Final = 0.25


class Progress(msgspec.Struct, frozen=True):
    rows: int
    """Read so far; after an interruption of a file from the beginning again."""
    planned: int
    """Recipients so far."""
    duplicates: int
    rejected: int
    waiting_for: str = ""
    """Why nothing moves at the moment; empty: it moves."""


class Launched(msgspec.Struct, frozen=True):
    campaign: str
    planned: int
    batches: int
    duplicates: int
    rejected: int
    rejects: Path | None
    """The file that lists the unusable rows; None where there were none."""
    resumed: bool
    """An earlier run had begun it."""
    cancelled: bool
    """The campaign was cancelled meanwhile, and the rest of the audience left alone."""


async def launch(
    bus: Bus,
    checked: Checked,
    settings: ProducerSettings,
    *,
    clock: Callable[[], float],
    on_progress: Callable[[Progress], None],
) -> Launched:
    """Plan everybody in the audience, or go on where an earlier run stopped.

    Waits while the bus refuses, however long. Raises `producer.errors.ProducerError` where the campaign cannot be launched:
    before anything is registered, unless the audience turns out to be damaged half-way.
    """
    assert checked.launchable is not None, "campaigns with problems are not launched"
    launchable = checked.launchable
    file = launchable.audience.path if isinstance(launchable.audience, AudienceFile) else checked.path
    rejects = path_beside(file, launchable.campaign.id, settings.rejects_dir)
    _require_writable(rejects.parent)
    if isinstance(launchable.audience, AudienceFile):
        await asyncio.to_thread(require_whole, launchable.audience.path, launchable.audience.compression)
    run = _Run(bus, launchable, settings, clock, on_progress)
    first = None if await run.has_batches() else await asyncio.to_thread(first_recipient, launchable, settings)
    await run.register()
    if first is not None:
        await run.store(first)
    await run.open_lanes()
    await run.announce()
    with RejectsFile(rejects, run.rejected_before) as unusable:
        await run.split(unusable)
    await run.close_planning()
    return run.launched(rejects)


class _Run:
    """One run of a launch. Each step asks the bus again until it is taken."""

    _registered: Registered
    _keeper: CheckpointKeeper
    _stage: Stage
    _reading: Reading
    _rejects: RejectsFile

    def __init__(
        self,
        bus: Bus,
        launchable: Launchable,
        settings: ProducerSettings,
        clock: Callable[[], float],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._bus = bus
        self._launchable = launchable
        self._id = launchable.campaign.id
        self._settings = settings
        self._clock = clock
        self._on_progress = on_progress
        self._counts = Counts()
        self._planned = 0
        self._batches = 0
        self._cancelled = False
        self._priority = launchable.timing.priority
        self._patience = ToldPatience(self._report)
        self._insist = self._patience.insist

    async def has_batches(self) -> bool:
        """An earlier run stored some of a query. Then all else is stored, and asking for a first row again may cost minutes."""
        left = await self._insist(partial(checkpoints.of_campaign, self._bus, self._id))
        return left is not None and left.end is not None

    @property
    def rejected_before(self) -> int:
        """Unusable rows that this run does not come by again."""
        end = self._registered.checkpoint.end
        return end.rejected if end else 0

    async def register(self) -> None:
        fresh = await asyncio.to_thread(checkpoints.begin, self._launchable, self._settings.batch_size)
        progress = await self._insist(partial(self._bus.bucket, streams.PROGRESS))
        self._keeper = CheckpointKeeper(progress, self._id, uuid.uuid4().hex)
        self._registered = await self._insist(
            partial(register, self._bus, self._launchable, fresh, self._keeper, self._clock())
        )

    async def store(self, first: Recipient) -> None:
        """What producers need. What an earlier run stored stays: mails may have been made with it."""
        ready = msgspec.structs.replace(
            self._launchable.campaign,
            created_at=int(self._registered.campaign.starts_at or self._registered.campaign.created_at),
            public_url=self._settings.public_url.rstrip("/"),
        )
        dictionary = compile_campaign(ready, self._settings).dictionary(first)
        await self._keep(streams.BLOBS, compiled.blob_name(self._id), compiled.encode(ready))
        await self._keep(streams.BLOBS, compiled.dictionary_name(self._id), encode_dictionary(dictionary))
        if ready.links:
            for store in (streams.LINKS, streams.BLOBS):  # there the web app of the release before looks for it
                await self._keep(store, links.blob_name(self._id), links.encode(ready.links))

    async def _keep(self, store: str, name: str, data: bytes) -> None:
        blobs = await self._insist(partial(self._bus.blobs, store))
        await self._insist(partial(_put_once if self._registered.resumed else _put, blobs, name, data))

    async def open_lanes(self) -> None:
        for lane in streams.lanes(self._id, self._launchable.campaign.pool):
            await self._insist(partial(self._bus.create_consumer, lane))

    async def announce(self) -> None:
        campaign = self._registered.campaign
        await self._state(CampaignStarted(self._id, campaign.created_at, campaign.name, campaign.pool))

    async def split(self, rejects: RejectsFile) -> None:
        """Cuts the audience, or what is left of a query, and publishes what is not published yet."""
        checkpoint, source = self._registered.checkpoint, self._launchable.audience
        self._rejects = rejects
        self._stage = Stage(await self._insist(self._bus.blobs), self._id, self._keeper, self._patience)
        if self._registered.resumed and isinstance(source, SqlAudience):
            await self._stage.take_over(checkpoint)
        beginning = await self._go_on(checkpoint, checkpoint.end) if checkpoint.end else None
        if checkpoint.end is None or checkpoint.end.key is not None:
            after = checkpoint.end.key if checkpoint.end else None
            self._reading = Reading(source, self._launchable.projection, after=after)
            place = self._reading.place if isinstance(source, SqlAudience) else None
            try:
                await self._cut(self._reading, place, beginning)
            except QueryFailed as error:
                hint = f" {self._planned:,} are planned; the same command goes on behind them." if self._planned else ""
                raise QueryFailed(f"{error}{hint}") from error
        await self._stage.clear()

    async def _go_on(self, checkpoint: Checkpoint, end: End) -> Beginning:
        """Publishes the batch of a query that an earlier run was at, and recalls whom it planned."""
        if batch_id(self._id, checkpoint.batch) not in self._registered.published:
            await self._tell_kept(checkpoint)
        seen, self._planned = await staging.planned(self._bus, self._id, checkpoint.batch, self._patience)
        self._batches = checkpoint.batch
        self._counts.go_on(self._planned, end)
        return Beginning(checkpoint.batch, seen)

    async def _tell_kept(self, checkpoint: Checkpoint) -> None:
        try:
            batch = await self._stage.recall(checkpoint)
        except PlanLost:
            # A run that we took over from may have published it after we looked, as the last thing that it could do.
            if batch_id(self._id, checkpoint.batch) not in await self._insist(partial(published, self._bus, self._id)):
                raise
        else:
            await self._tell(batch)

    async def _cut(self, rows: Reading, place: Callable[[], Key | None] | None, beginning: Beginning | None) -> None:
        checkpoint = self._registered.checkpoint
        cutting = split(
            *(self._id, rows, self._counts, self._rejects.write, checkpoint.batch_size),
            place=place,
            beginning=beginning,
        )
        with closing(cutting) as batches:
            while batch := await self._next(batches):
                if batch.number >= checkpoint.batch:
                    campaign = await self._insist(partial(campaigns.get, self._bus, self._id))
                    if campaign.status == "cancelled":
                        return
                    await self._keep_priority(campaign)
                    await self._publish(batch)
                self._planned += batch.planned
                self._batches = batch.number

    async def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch, cut in a thread, with reports of progress meanwhile."""
        cutting = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
        try:
            while not cutting.done():
                await asyncio.wait([cutting], timeout=REPORT_EVERY_SECONDS)
                self._report()
        except asyncio.CancelledError:
            self._reading.cancel()
            raise
        finally:
            await asyncio.wait(
                [cutting]
            )  # a thread cannot be stopped: a cancelled launch of a file ends with its batch
        return cutting.result()

    async def _keep_priority(self, campaign: Campaign) -> None:
        """Somebody changed the priority: what we queued since as before goes to where the rest is."""
        if campaign.priority != self._priority:
            self._priority = campaign.priority
            await self._insist(partial(priority.move_batches, self._bus, self._id, self._priority))

    async def _publish(self, batch: Batch) -> None:
        if batch.end is None:
            checkpoint = msgspec.structs.replace(self._registered.checkpoint, batch=batch.number)
            await self._insist(partial(self._keeper.write, checkpoint))
            if batch_id(self._id, batch.number) in self._registered.published:
                return
        await self._insist(partial(room.require, self._bus, self._priority))
        if batch.end is not None:
            self._rejects.flush()
            await self._stage.keep(self._registered.checkpoint, batch)
        await self._tell(batch)

    async def _tell(self, batch: Batch) -> None:
        name, identifier = compiled.batch_name(self._id, batch.number), batch_id(self._id, batch.number)
        blobs = await self._insist(self._bus.blobs)
        await self._insist(partial(blobs.put, name, batch.recipients))
        await self._insist(partial(blobs.put, plans.blob_name(self._id, batch.number), batch.mail_ids))
        await self._state(BatchPlanned(self._id, self._clock(), batch.number, batch.planned))
        job = schemas.encode_batch(BatchJob(self._id, batch.number, batch.planned, name))
        message = Message(subjects.batches(self._id, self._priority), job, identifier)
        await self._insist(partial(self._bus.publish, streams.BATCHES.name, [message]))

    async def close_planning(self) -> None:
        duplicates, rejected = self._counts.duplicates, self._counts.rejected
        await self._state(CampaignPlanned(self._id, self._clock(), self._batches, self._planned, duplicates, rejected))

        def planned(campaign: Campaign) -> Campaign:
            return campaigns.planned(
                campaign, recipients=self._planned, batches=self._batches, duplicates=duplicates, rejected=rejected
            )

        campaign = await self._insist(partial(campaigns.change, self._bus, self._id, planned))
        await self._keep_priority(campaign)
        self._cancelled = campaign.status == "cancelled"
        self._report()

    async def _state(self, fact: facts.CampaignFact) -> None:
        identifier = facts.id_of(fact)
        if identifier not in self._registered.published:
            message = Message(facts.subject_of(fact), facts.encode(fact), identifier)
            await self._insist(partial(self._bus.publish, streams.EVENTS.name, [message]))

    def _report(self, waiting_for: str = "") -> None:
        counts = self._counts
        self._on_progress(Progress(counts.rows, counts.planned, counts.duplicates, counts.rejected, waiting_for))

    def launched(self, rejects: Path) -> Launched:
        return Launched(
            campaign=self._id,
            planned=self._planned,
            batches=self._batches,
            duplicates=self._counts.duplicates,
            rejected=self._counts.rejected,
            rejects=rejects if self._counts.rejected else None,
            resumed=self._registered.resumed,
            cancelled=self._cancelled,
        )


def _require_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK):
        raise RejectsUnwritable(f"{folder} cannot be written to. Set `rejects_dir` to a folder that can.")


async def _put(blobs: Blobs, name: str, data: bytes) -> None:
    await blobs.put(name, data)


async def _put_once(blobs: Blobs, name: str, data: bytes) -> None:
    try:
        await blobs.get(name)
    except KeyError:
        await blobs.put(name, data)
