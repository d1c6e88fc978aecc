"""Brings callbacks to CALLBACKS: those that came while others were being stored go together, with one call.

Nothing is kept for later: what NATS does not take is refused, and the ESP sends it again. So a burst while NATS is away costs
neither memory nor a callback.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from events import streams
from events.bus import Bus, Message
from events.errors import BusError, RetryLater

TOGETHER: Final = streams.ATOMIC_BATCH
MOST_BYTES_TOGETHER: Final = 4 * 1024 * 1024
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
STORED_WITHIN_SECONDS: Final = 5.0
"""ESPs wait 10 s for an answer, some of them less."""
LOOKED_EVERY_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    message: Message
    stored: asyncio.Future[None]


class Keeper:
    """`run` must run."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._looked_at = 0.0
        self._full = False

    async def store(self, message: Message) -> None:
        """Returns when it is stored. Raises `RetryLater`; then it may be stored all the same, and is known again by its id."""
        if self._bytes + len(message.payload) > MOST_WAITING_BYTES:
            raise RetryLater("too much is waiting for NATS")
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(message, stored))
        self._bytes += len(message.payload)
        self._news.set()
        await stored

    async def store_parts(self, parts: Sequence[Message]) -> None:
        """What a message refers to. Raises `RetryLater`."""
        try:
            async with asyncio.timeout(STORED_WITHIN_SECONDS):
                await self._require_room()
                await self._bus.append(streams.CALLBACKS.name, parts)
        except TimeoutError:
            raise RetryLater("NATS does not answer") from None

    async def run(self) -> None:
        """Stores until it is cancelled; then what is left is refused."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    await self._store(self._next())
        finally:
            self._settle(list(self._waiting), RetryLater("stopping"))
            self._waiting.clear()

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < TOGETHER and size < MOST_BYTES_TOGETHER:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].message.payload)
        self._bytes -= size
        return batch

    async def _store(self, batch: list[_Waiting]) -> None:
        error: BusError | None = RetryLater("NATS does not answer")
        try:
            async with asyncio.timeout(STORED_WITHIN_SECONDS):
                await self._require_room()
                await self._bus.append(streams.CALLBACKS.name, [one.message for one in batch])
            error = None
        except BusError as failed:
            error = failed
        except TimeoutError:
            pass
        except Exception as failed:
            _log.exception("%d callbacks cannot be stored", len(batch))
            error = RetryLater(str(failed))
        finally:
            self._settle(batch, error)

    async def _require_room(self) -> None:
        """What is left of a store that is nearly full belongs to senders. Raises `RetryLater`."""
        now = self._clock()
        if not 0 <= now - self._looked_at < LOOKED_EVERY_SECONDS:
            self._full = (await self._bus.storage()).nearly_full
            self._looked_at = now
        if self._full:
            raise RetryLater("the store of NATS is nearly full")

    @staticmethod
    def _settle(batch: list[_Waiting], error: BusError | None) -> None:
        for one in batch:
            if one.stored.done():
                continue
            if error is None:
                one.stored.set_result(None)
            else:
                one.stored.set_exception(error)
