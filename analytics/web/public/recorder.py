"""Brings what visitors did to EVENTS: many facts with one call, and kept while NATS is away.

A wish (unsubscribing) is answered only when it is stored. A click or an open is waited for a moment, and then answered all the
same: the fact stays here, and is published when NATS is back, under the same id. What is lost when the process ends before that,
or when more is kept than `MOST_KEPT`, is counted and logged: nothing is lost silently.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, NamedTuple

from events import facts, metrics, streams
from events.bus import Bus, Message
from events.errors import BusError, RetryLater, describe
from events.facts import Fact

MOST_KEPT: Final = 100_000
"""Facts, some 50 MB."""
TOGETHER: Final = streams.ATOMIC_BATCH
STORED_WITHIN_SECONDS: Final = 3.0
"""A wish that is not stored by then is answered with 503."""
WAITED_FOR_SECONDS: Final = 0.25
"""A click: whoever follows a link should not feel that it is counted."""
AGAIN_SECONDS: Final = 0.5
FLUSHED_WITHIN_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


class _Kept(NamedTuple):
    message: Message
    stored: asyncio.Future[None]


class Recorder:
    """`run` must run. Repeats are recognised by the ids of facts."""

    def __init__(self, bus: Bus, most_kept: int = MOST_KEPT) -> None:
        self._bus = bus
        self._most_kept = most_kept
        self._kept: deque[_Kept] = deque()
        self._news = asyncio.Event()
        self._away = False

    @property
    def kept(self) -> int:
        return len(self._kept)

    async def store(self, *wished: Fact) -> None:
        """Returns when they are stored. Raises `RetryLater`; they are then stored later, or never."""
        if self._away:
            raise RetryLater("NATS does not answer")
        waiting = [self._keep(fact) for fact in wished]
        try:
            async with asyncio.timeout(STORED_WITHIN_SECONDS):
                await asyncio.gather(*map(asyncio.shield, waiting))
        except TimeoutError:
            raise RetryLater("NATS does not answer") from None

    async def note(self, fact: Fact) -> None:
        """Returns when it is stored, or a moment later."""
        try:
            stored = self._keep(fact)
        except RetryLater:
            self._lose(1)
            return
        if not self._away:
            await asyncio.wait([stored], timeout=WAITED_FOR_SECONDS)

    def _keep(self, fact: Fact) -> asyncio.Future[None]:
        if len(self._kept) >= self._most_kept:
            raise RetryLater("too much is waiting for NATS")
        kept = _Kept(
            Message(facts.subject_of(fact), facts.encode(fact), facts.id_of(fact)),
            asyncio.get_running_loop().create_future(),
        )
        self._kept.append(kept)
        self._news.set()
        return kept.stored

    async def run(self) -> None:
        """Publishes until it is cancelled; then what is left, as far as NATS takes it within a moment."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._kept:
                    if not await self._publish():
                        await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await self._flush()

    async def _publish(self) -> bool:
        batch = [self._kept[index] for index in range(min(len(self._kept), TOGETHER))]
        try:
            await self._bus.append(streams.EVENTS.name, [kept.message for kept in batch])
        except Exception as error:  # whatever it is, what visitors did is kept
            if not self._away:
                expected = isinstance(error, BusError)
                _log.warning(
                    "%d clicks, opens and wishes wait for NATS: %s",
                    len(self._kept),
                    describe(error),
                    exc_info=None if expected else error,
                )
            self._away = True
            return False
        for kept in batch:
            self._kept.popleft()
            if not kept.stored.done():
                kept.stored.set_result(None)
        if self._away:
            _log.info("NATS takes clicks, opens and wishes again")
        self._away = False
        return True

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSHED_WITHIN_SECONDS):
                while self._kept and await self._publish():
                    pass
        except TimeoutError:
            pass
        self._lose(len(self._kept))

    def _lose(self, number: int) -> None:
        if number:
            metrics.REACTIONS_LOST.inc(number)
            _log.error("%d clicks, opens or wishes are lost: NATS did not take them in time", number)
