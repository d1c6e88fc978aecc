"""How a sender waits for what has failed to work again: longer each time, never giving up, and saying so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from events.errors import BusError
from events.metrics import SENDER_ERRORS

_log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 15.0
_CLOCK_RESOLUTION_SECONDS: Final = 0.002
T = TypeVar("T")


class Patience:
    """The pauses of one step (`feed`, `record`, …): each failure in a row doubles them.

    Tasks that share one wait the same failure out together, and it counts once.
    """

    def __init__(self, step: str, first_seconds: float) -> None:
        self.step = step
        self.failures = 0
        self._first = first_seconds
        self._until = 0.0

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until the bus does it. Only for calls that are harmless to repeat."""
        while True:
            try:
                result = await call()
            except BusError as error:
                await self.wait(error)
            else:
                self.succeeded()
                return result

    async def wait(self, error: BaseException, *, at_least_seconds: float = 0.0) -> None:
        """Log what failed, count it, and sleep."""
        now = asyncio.get_running_loop().time()
        if now > self._until - _CLOCK_RESOLUTION_SECONDS:
            self._failed(error)
            self._until = now + max(self.pause_seconds, min(at_least_seconds, LONGEST_PAUSE_SECONDS))
        await asyncio.sleep(self._until - now)

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        SENDER_ERRORS.labels(self.step).inc()
        level = logging.WARNING if self.failures == 1 else logging.DEBUG
        _log.log(level, "%s failed and will be tried again: %s: %s", self.step, type(error).__name__, error)

    @property
    def pause_seconds(self) -> float:
        """How long the newest failure is waited out."""
        return min(LONGEST_PAUSE_SECONDS, self._first * 2.0 ** min(self.failures - 1, 20))

    def succeeded(self) -> None:
        """The next failure starts small again."""
        if self.failures:
            _log.warning("%s works again after %d failures", self.step, self.failures)
            self.failures = 0
