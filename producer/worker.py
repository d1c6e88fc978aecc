"""A producer: takes batches from the bus, and leaves a rendered mail in the queue for every recipient. Reads first for this half.

For each batch: judge whether its campaign is wanted, load what its mails are made with, load its recipients, queue them from
where the last run stopped (`batch`), acknowledge. Everything is stated before it is acknowledged, and whatever a producer holds
when it dies comes again after the ack-wait. While it works, a producer extends what it holds.

Batches of a paused campaign are held back until it goes on, so that they do not come round and round; those of a cancelled one
are dropped, and what a producer may have queued after the cancelling is taken out again. What the bus refuses is waited for,
however long; what fails for another reason is logged and tried again later: nothing is ever dropped for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from events import metrics, schemas, streams, subjects
from events.bus import Bus, Consumer, Delivery
from events.errors import RetryLater
from events.patience import Stopped, sleep
from events.schemas import BatchJob
from producer.batch import BatchRun, Clock
from producer.chunk import Presses
from producer.exchangers import Exchangers
from producer.hosting import Hosting
from producer.patience import Patience
from producer.progress import ProgressKeeper, Superseded
from producer.recipients import blob
from producer.settings import ProducerSettings
from producer.standing import Standings

_log = logging.getLogger(__name__)

FETCH_SECONDS: Final = 1.0
_INSISTS_SECONDS: Final = 5.0
"""On an answer to what is said about deliveries; below the time after which an answer is given up."""
_SAY_AGAIN_SECONDS: Final = 0.5
TRY_AGAIN_SECONDS: Final = 30.0
"""Until a batch that failed for a reason other than the bus is looked at again."""


async def run(bus: Bus, settings: ProducerSettings, *, clock: Clock, stop: asyncio.Event) -> None:
    """Work until `stop` is set; then finish the chunk in hand, write its checkpoint and hand everything back.

    Raises `StreamMissing` where the streams are not set up.
    """
    consumer = await Patience("start", stop).insist(lambda: bus.consumer(streams.BATCHES.name, streams.PRODUCER.name))
    async with _hosting(settings, clock) as hosting:
        worker = Worker(bus, consumer, settings, hosting, clock=clock, stop=stop)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(worker.standings.follow()), tasks.create_task(worker.keep_what_is_held())]
            try:
                await worker.work()
            finally:
                for task in background:
                    task.cancel()
        await worker.hand_back()


@asynccontextmanager
async def _hosting(settings: ProducerSettings, clock: Clock) -> AsyncIterator[Hosting | None]:
    if not settings.mx_lookup:
        yield None
        return
    exchangers = Exchangers(settings.dns_servers)
    try:
        yield Hosting(exchangers.of, clock)
    finally:
        await exchangers.close()


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
        consumer: Consumer,
        settings: ProducerSettings,
        hosting: Hosting | None = None,
        *,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._hosting = hosting
        self.standings = Standings(bus)
        self._bus = bus
        self._consumer = consumer
        self._presses = Presses(bus, settings)
        self._clock = clock
        self._stop = stop
        self._insist = Patience("batches", stop).insist
        self._held: dict[int, Delivery] = {}
        self._parked: list[_Parked] = []

    async def work(self) -> None:
        try:
            while not self._stop.is_set():
                await self._unpark()
                for delivery in await self._insist(lambda: self._consumer.fetch(1, FETCH_SECONDS)):
                    self._held[delivery.sequence] = delivery
                    await self._handle(delivery)
                await self._measure()
        except Stopped as error:
            _log.warning("stopping while the bus refuses; other producers will go on from the checkpoint: %s", error)

    async def _handle(self, delivery: Delivery) -> None:
        campaign = ""
        try:
            job = schemas.decode_batch(delivery.payload)
            campaign = job.campaign
            match await self._insist(lambda: self.standings.ask(campaign)):
                case "wanted":
                    await self._produce(delivery, job)
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
            self._held.pop(delivery.sequence, None)
        except Exception:
            _log.exception("a batch of %s failed and will be tried again", campaign or "an unknown campaign")
            metrics.PRODUCER_ERRORS.inc()
            self._parked.append(_Parked(delivery, campaign, self._clock() + TRY_AGAIN_SECONDS))

    async def _produce(self, delivery: Delivery, job: BatchJob) -> None:
        press = await self._insist(lambda: self._presses.get(job.campaign))
        blobs = await self._insist(self._bus.blobs)
        rows = blob.decode(await self._insist(lambda: blobs.get(job.recipients)))
        if len(rows) != job.planned:
            raise ValueError(f"{job.recipients} holds {len(rows)} recipients, and {job.planned} were planned")
        if self._hosting is not None:
            rows = await self._hosting.place(rows)
        keeper = ProgressKeeper(await self._insist(lambda: self._bus.bucket(streams.PROGRESS)), job)
        batch = BatchRun(self._bus, job, keeper, press, clock=self._clock, stop=self._stop)
        match await batch.run(rows, lambda: not self._stop.is_set() and self.standings.is_wanted(job.campaign)):
            case "queued":
                await self._acknowledge(delivery, keeper)
            case "interrupted":
                await self._release([delivery])

    async def _acknowledge(self, delivery: Delivery, keeper: ProgressKeeper) -> None:
        """In this order: a batch that came again without its checkpoint would have to prove that it is finished."""
        if await self._answer(self._consumer.ack, [delivery]):
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
            await self._release([parked.delivery for parked in ready])
            self._parked = [parked for parked in self._parked if parked not in ready]

    async def _release(self, deliveries: list[Delivery]) -> None:
        await self._answer(self._consumer.release, deliveries)

    async def _answer(self, answer: Callable[[list[Delivery]], Awaitable[None]], deliveries: list[Delivery]) -> bool:
        """Say what becomes of deliveries, and let go of them; whether the server took note.

        A server that was killed may have forgotten that it delivered them, and then never takes note. They come again by
        themselves, and what is finished is found to be.
        """
        loop = asyncio.get_running_loop()
        give_up_at, taken = loop.time() + _INSISTS_SECONDS, False
        while not taken:
            try:
                await answer(deliveries)
                taken = True
            except RetryLater as error:
                _log.warning("the bus takes no answer: %s", error)
                if self._stop.is_set() or loop.time() > give_up_at:
                    break
                await sleep(_SAY_AGAIN_SECONDS, self._stop)
        for delivery in deliveries:
            self._held.pop(delivery.sequence, None)
        return taken

    async def keep_what_is_held(self) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._bus.timing.extend_after_seconds)
            try:
                if self._held:
                    await self._consumer.extend(list(self._held.values()))
            except RetryLater as error:
                _log.debug("extending failed; what is held may go to another producer: %s", error)

    async def hand_back(self) -> None:
        """Give up what is held, so that other producers need not wait for the ack-wait."""
        try:
            if self._held:
                await self._consumer.release(list(self._held.values()))
        except RetryLater as error:
            _log.debug("what is held comes again after the ack-wait: %s", error)
        await self._consumer.close()

    async def _measure(self) -> None:
        state = await self._insist(lambda: self._bus.consumer_state(streams.BATCHES.name, streams.PRODUCER.name))
        if state is not None:
            metrics.BATCHES_WAITING.set(state.waiting + state.in_flight)
