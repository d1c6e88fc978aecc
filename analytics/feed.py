"""Events from the bus: delivered as they happen, or read again from the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from analytics.batching import Gathering, Policy, Range
from analytics.rows import Stated
from analytics.settings import AnalyticsSettings
from events import streams, subjects
from events.bus import Bus, Consumer, StreamState

_SHORTEST_WAIT_SECONDS: Final = 0.01


class Feed:
    """Every method raises `RetryLater` and can be called again."""

    def __init__(self, bus: Bus, consumer: Consumer, settings: AnalyticsSettings, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._consumer = consumer
        self._settings = settings
        self._clock = clock
        self._policy = Policy(rows=settings.batch_rows, age_seconds=settings.batch_age_seconds)
        self._gathering = Gathering(self._policy, after=0)

    def is_due(self) -> bool:
        return self._gathering.is_due(self._clock())

    def is_empty(self) -> bool:
        return len(self._gathering) == 0

    async def gather(self) -> None:
        """Hold what is delivered until the next range is due, at the latest."""
        wait = self._gathering.seconds_until_due(self._clock())
        deliveries = await self._consumer.fetch(self._settings.fetch_events, max(wait, _SHORTEST_WAIT_SECONDS))
        settled = self._gathering.add(deliveries, self._clock())
        await self._consumer.ack(settled)

    async def next_range(self) -> tuple[Range, Sequence[Stated]]:
        """The range to cut now, and everything that the stream has in it. Something must be held."""
        span = self._gathering.next_range()
        held = self._gathering.held(span)
        return (span, held) if len(held) == span.size else await self.read_up_to_a_batch(span)

    async def read_up_to_a_batch(self, span: Range) -> tuple[Range, Sequence[Stated]]:
        """What the stream has in a range, or in the beginning of it that fills a batch."""
        found = await self.read(span, self._settings.batch_rows)
        complete = len(found) < self._settings.batch_rows
        return (span if complete else Range(span.first, found[-1].sequence)), found

    async def read(self, span: Range, limit: int | None = None) -> Sequence[Stated]:
        found: list[Stated] = []
        async for record in self._bus.read(streams.EVENTS.name, subjects.EVENTS, from_sequence=span.first):
            if record.sequence > span.last or len(found) == limit:
                break
            found.append(record)
        return found

    async def settle(self, last: int) -> None:
        """Everything up to `last` is in ClickHouse: acknowledge it. What cannot be acknowledged now comes again, and is then."""
        await self._consumer.ack(self._gathering.settle(last, self._clock()))

    def begin_again(self, after: int) -> None:
        """Everything behind `after` is to be ingested, whatever was before."""
        self._gathering = Gathering(self._policy, after)

    async def delivered(self) -> int:
        """The sequence up to which everything was delivered once, to whomever, and maybe acknowledged."""
        consumer = await self._bus.consumer_state(streams.INGESTER.stream, streams.INGESTER.name)
        return (await self.last_sequence()) - (consumer.waiting if consumer else 0)

    async def state(self) -> StreamState:
        return await self._bus.stream_state(streams.EVENTS.name)

    async def last_sequence(self) -> int:
        return (await self.state()).last_sequence

    async def close(self) -> None:
        await self._consumer.close()
