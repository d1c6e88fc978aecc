"""A producer: takes batches from the bus, and leaves a rendered mail in the queue for every recipient. Reads first for this half.

For each batch: judge whether its campaign is wanted, load what its mails are made with, load its recipients, queue them from
where the last run stopped (`batch`), acknowledge. Everything is stated before it is acknowledged, and whatever a producer holds
when it dies comes again after the ack-wait. While it works, a producer extends what it holds.

Urgent batches go first, also before one that is in work: that is left at a clean checkpoint, and somebody goes on with it later
(`queue`). Batches of a paused campaign are held back until it goes on, so that they do not come round and round; those of a
cancelled one are dropped, and what a producer may have queued after the cancelling is taken out again. What the bus refuses is
waited for, however long; what fails for another reason is logged and tried again later: nothing is ever dropped for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from events import metrics, schemas, streams, subjects
from events.bus import Bus, Consumer, Delivery
from events.patience import Stopped
from events.schemas import BatchJob, Priority
from events.suppression import PLAIN, Hashing
from events.suppression_list import SuppressionList
from producer.batch import BatchRun, Clock
from producer.chunk import Presses
from producer.hosting import Hosting
from producer.patience import Patience
from producer.progress import ProgressKeeper, Superseded
from producer.queue import Given, Queue
from producer.recipients import blob
from producer.resolver import Resolver
from producer.settings import ProducerSettings
from producer.standing import Standings

_log = logging.getLogger(__name__)

TRY_AGAIN_SECONDS: Final = 30.0
"""Until a batch that failed for a reason other than the bus is looked at again."""


async def run(
    bus: Bus, settings: ProducerSettings, *, clock: Clock, stop: asyncio.Event, hashing: Hashing = PLAIN
) -> None:
    """Work until `stop` is set; then finish the chunk in hand, write its checkpoint and hand everything back.

    Raises `StreamMissing` where the streams are not set up, and `ForeignHashes`.
    """
    suppression = SuppressionList(bus, hashing, clock)
    await Patience("suppression", stop).insist(suppression.catch_up)
    consumers = await Patience("start", stop).insist(lambda: _consumers(bus))
    queue = Queue(bus, consumers, Patience("batches", stop).insist, Patience("count", stop).insist, stop)
    async with _hosting(settings, clock) as hosting:
        worker = Worker(bus, queue, Presses(bus, settings, suppression), hosting, clock=clock, stop=stop)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(worker.standings.follow()),
                tasks.create_task(queue.keep_what_is_held()),
                tasks.create_task(suppression.follow(Patience("suppression"))),
            ]
            try:
                await worker.work()
                await queue.stop_asking()
            finally:
                queue.abandon()
                for task in background:
                    task.cancel()
        await queue.hand_back()


async def _consumers(bus: Bus) -> dict[Priority, Consumer]:
    return {priority: await bus.consumer(spec.stream, spec.name) for priority, spec in streams.PRODUCERS.items()}


@asynccontextmanager
async def _hosting(settings: ProducerSettings, clock: Clock) -> AsyncIterator[Hosting | None]:
    if not settings.mx_lookup:
        yield None
        return
    resolver = Resolver(settings.dns_servers)
    try:
        yield Hosting(resolver.exchangers, clock)
    finally:
        await resolver.close()


class _Parked(NamedTuple):
    delivery: Delivery
    campaign: str
    until: float | None
    """Unix seconds; None: until the campaign is no longer paused."""


class Worker:
    """One producer's hands: what it holds, and what it does with it."""

    def __init__(
        self,
        bus: Bus,
        queue: Queue,
        presses: Presses,
        hosting: Hosting | None = None,
        *,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._hosting = hosting
        self.standings = Standings(bus)
        self._bus = bus
        self._queue = queue
        self._presses = presses
        self._clock = clock
        self._stop = stop
        self._insist = Patience("batches", stop).insist
        self._parked: list[_Parked] = []

    async def work(self) -> None:
        try:
            while not self._stop.is_set():
                await self._unpark()
                given = await self._queue.next()
                if given is not None:
                    await self._handle(given)
                await self._queue.measure()
        except Stopped as error:
            _log.warning("stopping while the bus refuses; other producers will go on from the checkpoint: %s", error)

    async def _handle(self, given: Given) -> None:
        delivery, campaign = given.delivery, ""
        try:
            job = schemas.decode_batch(delivery.payload)
            campaign = job.campaign
            match await self._insist(lambda: self.standings.ask(campaign)):
                case "wanted":
                    await self._produce(given, job)
                case "paused":
                    self._parked.append(_Parked(delivery, campaign, None))
                case "cancelled":
                    await self._purge(campaign)
                    await self._drop(delivery, job)
                case "finished":
                    await self._drop(delivery, job)
        except Stopped:
            raise
        except Superseded as error:
            _log.info("%s", error)
            self._queue.forget(delivery)
        except Exception:
            _log.exception("a batch of %s failed and will be tried again", campaign or "an unknown campaign")
            metrics.PRODUCER_ERRORS.inc()
            self._parked.append(_Parked(delivery, campaign, self._clock() + TRY_AGAIN_SECONDS))

    async def _produce(self, given: Given, job: BatchJob) -> None:
        press = await self._insist(lambda: self._presses.get(job.campaign))
        blobs = await self._insist(self._bus.blobs)
        rows = blob.decode(await self._insist(lambda: blobs.get(job.recipients)))
        if len(rows) != job.planned:
            raise ValueError(f"{job.recipients} holds {len(rows)} recipients, and {job.planned} were planned")
        if self._hosting is not None:
            rows = await self._hosting.place(rows)
        keeper = ProgressKeeper(await self._insist(lambda: self._bus.bucket(streams.PROGRESS)), job)
        batch = BatchRun(self._bus, job, keeper, press, given.priority, clock=self._clock, stop=self._stop)
        match await batch.run(rows, lambda: self._is_wanted(given, job)):
            case "queued":
                await self._acknowledge(given.delivery, keeper)
            case "interrupted":
                await self._queue.release([given.delivery])

    def _is_wanted(self, given: Given, job: BatchJob) -> bool:
        left_for_urgent = self._queue.urgent_waits and not given.out_of_turn
        return not self._stop.is_set() and not left_for_urgent and self.standings.is_wanted(job.campaign)

    async def _acknowledge(self, delivery: Delivery, keeper: ProgressKeeper) -> None:
        """In this order: a batch that came again without its checkpoint would have to prove that it is finished."""
        if await self._queue.ack(delivery):
            await self._insist(keeper.delete)

    async def _purge(self, campaign: str) -> None:
        """A chunk that was under way when the campaign was cancelled may have come after the purge."""
        due = subjects.mail_due_of_campaign(campaign)
        await self._insist(lambda: self._bus.purge(streams.MAIL.name, due))

    async def _drop(self, delivery: Delivery, job: BatchJob) -> None:
        bucket = await self._insist(lambda: self._bus.bucket(streams.PROGRESS))
        await self._acknowledge(delivery, ProgressKeeper(bucket, job))

    async def _unpark(self) -> None:
        now = self._clock()
        ready = [
            parked
            for parked in self._parked
            if (not self.standings.is_paused(parked.campaign) if parked.until is None else parked.until <= now)
        ]
        if ready:
            await self._queue.release([parked.delivery for parked in ready])
            self._parked = [parked for parked in self._parked if parked not in ready]
