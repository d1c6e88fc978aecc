"""Hears what ESPs told: takes callbacks from CALLBACKS, states facts on EVENTS, acknowledges. Reads first.

    callback ─▶ its events (`analytics.callbacks`) ─▶ our mail (`mails`) ─▶ fact (`meaning`) ─▶ EVENTS ─▶ ingester, wishes

A callback is acknowledged when all that it tells is stored, so whatever dies or is away meanwhile, it comes again, and what was
stated is known by its id. ESPs repeat for hours, longer than NATS remembers ids: what would have an effect twice (a complaint
that is counted, somebody who came back and would be suppressed anew) is looked up in ClickHouse, and what is only counted
counts by distinct keys there.

Each callback is read by itself: one that nobody understands is parked, with the reason, and neither lost nor in the way
(`events.parked`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from analytics import rows
from analytics.clickhouse.client import Store
from analytics.errors import AnalyticsError
from analytics.hearing.confirming import Confirming
from analytics.hearing.understanding import Understanding, Understood
from analytics.patience import Patience
from analytics.settings import AnalyticsSettings
from analytics.web.webhooks.fetching import Fetch, https_get
from events import callbacks, facts, metrics, parked, streams, subjects, suppression
from events.bus import Bus, Consumer, Delivery, Message
from events.callbacks import Callback
from events.errors import BusError
from events.facts import EmailComplained, EmailResubscribed, EmailReturned, EmailUnsubscribed, Reaction
from events.patience import Stopped
from events.suppression import Hashing

TOGETHER: Final = 200
FETCH_SECONDS: Final = 1.0
SOON_SECONDS: Final = streams.DEDUPLICATION_SECONDS / 2
"""What was told so soon after it happened is no late repetition: NATS still remembers the first time."""

KEPT_BYTES: Final = 2 * 1024**3
"""Of what is understood: above it the oldest quarter goes, before its days are over. What is not understood yet stays."""
TRIMMED_EVERY_SECONDS: Final = 60.0

_LASTING: Final = EmailComplained | EmailUnsubscribed | EmailResubscribed | EmailReturned

_log = logging.getLogger(__name__)


class Heard(NamedTuple):
    """One callback and what it comes to."""

    delivery: Delivery
    callback: Callback | None = None
    """None: nobody can decode it."""
    understood: Understood = Understood()
    stumble: str = ""
    """Why it, or a part of it, is parked; empty: it is not."""

    @property
    def esp(self) -> str:
        return self.callback.esp if self.callback else ""


async def run(
    bus: Bus,
    store: Store,
    settings: AnalyticsSettings,
    hashing: Hashing = suppression.PLAIN,
    *,
    clock: Callable[[], float],
    stop: asyncio.Event,
    fetch: Fetch = https_get,
) -> None:
    """Hear until `stop` is set."""
    patience = Patience("hearing", settings, stop)
    try:
        consumer = await patience.insist(lambda: bus.consumer(streams.HEARING.stream, streams.HEARING.name))
    except Stopped:
        return
    desk = Desk(bus, consumer, store, hashing, clock, Confirming(fetch))
    try:
        while not stop.is_set():
            await patience.insist(desk.hear)
    except Stopped:
        _log.warning("stopping without what is held: it stays on the bus")
    finally:
        await desk.confirming.close()
        await consumer.close()


class Desk:
    def __init__(
        self,
        bus: Bus,
        consumer: Consumer,
        store: Store,
        hashing: Hashing,
        clock: Callable[[], float],
        confirming: Confirming,
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._store = store
        self._hashing = hashing
        self._clock = clock
        self._understanding = Understanding(bus, clock)
        self._trimmed_at = 0.0
        self.confirming = confirming

    async def hear(self) -> None:
        """What has come by now. Raises `RetryLater`; then all of it comes again."""
        deliveries = await self._consumer.fetch(TOGETHER, FETCH_SECONDS)
        if deliveries:
            heard = [await self._read(delivery) for delivery in deliveries]
            await self._state(heard)
            entries = [entry for each in heard for entry in each.understood.entries]
            await suppression.suppress(self._bus, entries, self._hashing)
            await self._park(heard)
            await self._confirm_and_acknowledge(heard)
            await self._clean(heard)
        state = await self._bus.consumer_state(streams.HEARING.stream, streams.HEARING.name)
        metrics.CALLBACKS_WAITING.set(state.waiting + state.in_flight if state else 0)
        if deliveries and state is not None and state.in_flight == 0:
            await self._trim(max(delivery.sequence for delivery in deliveries))

    async def _trim(self, understood: int) -> None:
        """Everything up to the sequence `understood` is acknowledged."""
        if self._clock() - self._trimmed_at < TRIMMED_EVERY_SECONDS:
            return
        self._trimmed_at = self._clock()
        stream = await self._bus.stream_state(streams.CALLBACKS.name)
        if stream.bytes > KEPT_BYTES:
            quarter = min(understood, stream.first_sequence + (stream.last_sequence - stream.first_sequence) // 4)
            gone = await self._bus.purge(streams.CALLBACKS.name, subjects.CALLBACKS_NEW, up_to=quarter)
            _log.info("CALLBACKS holds %.1f GB: the oldest %d, which are understood, go", stream.bytes / 1e9, gone)

    async def _confirm_and_acknowledge(self, heard: Sequence[Heard]) -> None:
        """A confirmation goes its own way: it may take seconds, and is acknowledged when it is done."""
        for each in heard:
            if each.understood.confirm:
                self.confirming.begin(each.understood.confirm, each.delivery, self._consumer)
        await self._consumer.ack([each.delivery for each in heard if not each.understood.confirm])

    async def _read(self, delivery: Delivery) -> Heard:
        """Raises `RetryLater` alone: whatever else goes wrong with a callback parks it."""
        try:
            callback = callbacks.decode(delivery.payload)
        except msgspec.DecodeError:
            _log.exception("callback %d cannot be read and is left where it is", delivery.sequence)
            return Heard(delivery)
        try:
            understood = await self._understanding.of(callback)
        except BusError:
            raise
        except Exception as error:
            _log.exception("callback %d of %s is parked", delivery.sequence, callback.endpoint)
            return Heard(delivery, callback, stumble=f"{type(error).__name__}: {error}")
        if understood.fault:
            _log.error("callback %d of %s is parked for a part of it", delivery.sequence, callback.endpoint)
        return Heard(delivery, callback, understood, understood.fault)

    async def _park(self, heard: Sequence[Heard]) -> None:
        """What was put back takes the place of its original; where that is gone, another copy has done so."""
        copies = [each.callback for each in heard if each.callback and each.callback.replays]
        originals = await parked.originals(self._bus, copies)
        places = {0, *originals}
        messages: list[Message] = []
        for delivery, callback, _, stumble in heard:
            if callback and stumble and callback.replays in places:
                known_as = f"{streams.CALLBACKS.name}-{delivery.sequence}"
                messages.append(callbacks.parked_message(callback, known_as, stumble))
                places -= {callback.replays} - {0}
        await self._bus.publish(streams.CALLBACKS.name, messages)
        if originals:
            await self._bus.delete(streams.CALLBACKS.name, originals)

    async def _state(self, heard: Sequence[Heard]) -> None:
        told = [(each.esp, fact) for each in heard for fact in each.understood.facts]
        known = await self._known([fact for _, fact in told if isinstance(fact, _LASTING)])
        fresh = [(esp, fact) for esp, fact in told if not known or rows.key_of(fact) not in known]
        messages = [Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)) for _, fact in fresh]
        stored = await self._bus.publish(streams.EVENTS.name, messages)
        new = Counter(
            (esp, facts.type_of(fact)) for (esp, fact), one in zip(fresh, stored, strict=True) if not one.duplicate
        )
        for labels, number in Counter((esp, facts.type_of(fact)) for esp, fact in told).items():
            metrics.CALLBACK_EVENTS.labels(*labels, "stated").inc(new[labels])
            metrics.CALLBACK_EVENTS.labels(*labels, "repeated").inc(number - new[labels])
        for each in heard:
            for event, result in each.understood.counts:
                metrics.CALLBACK_EVENTS.labels(each.esp, event, result).inc()
            if each.stumble or each.callback is None:
                metrics.CALLBACK_EVENTS.labels(each.esp, "", "parked").inc()

    async def _known(self, lasting: Sequence[Reaction]) -> set[int]:
        """The keys of those that were stated before. ClickHouse may be away: then what NATS has forgotten is stated again."""
        late = [fact for fact in lasting if self._clock() - fact.at > SOON_SECONDS]
        if not late:
            return set()
        pairs = sorted({(fact.campaign, fact.mail_id) for fact in late})
        campaigns, mails = map(list, zip(*pairs, strict=True))
        try:
            return {key for (key,) in await self._store.query("known_reactions", campaigns=campaigns, mails=mails)}
        except AnalyticsError as error:
            _log.warning("ClickHouse does not say what ESPs told before: %s", error)
            return set()

    async def _clean(self, heard: Sequence[Heard]) -> None:
        """What was too large for a message is kept only until it is understood."""
        for each in heard:
            if each.callback and not each.stumble:
                await callbacks.forget_body(self._bus, each.callback)
