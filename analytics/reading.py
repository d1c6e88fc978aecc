"""Ranges of EVENTS, read while the one before is being inserted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from analytics.ranges import Range
from events import streams
from events.bus import Bus, Passage


class ReadAhead:
    """Keeps one range at most. What was read and is not asked for is forgotten."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._key: tuple[str, Range] | None = None
        self._reading: asyncio.Task[Sequence[Passage]] | None = None

    async def read(self, origin: str, span: Range) -> Sequence[Passage]:
        """`origin` names the life of the stream. Raises `RetryLater` and can be called again."""
        if self._reading is None or self._key != (origin, span):
            return await self._read(span)
        reading, self._reading = self._reading, None
        return await reading

    def begin(self, origin: str, span: Range) -> None:
        """Read what is likely to be asked for next."""
        self.forget()
        self._key, self._reading = (origin, span), asyncio.create_task(self._read(span))

    def forget(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._reading = None

    async def _read(self, span: Range) -> Sequence[Passage]:
        return await self._bus.read_range(streams.EVENTS.name, span.first, span.last)
