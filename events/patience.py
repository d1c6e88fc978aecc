"""How a step waits for what it needs to work again: longer each time, however long it takes, saying why once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from events.errors import RetryLater, describe
from events.metrics import STEPS_WAITING

_log = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 15.0
_CLOCK_RESOLUTION_SECONDS: Final = 0.002
T = TypeVar("T")


class Stopped(Exception):
    """The process is to stop while something it needs is away. Nothing was lost: the next one goes on."""


class Patience:
    """The pauses of one step (`feed`, `queue`, …): each failure in a row doubles them, one success ends them.

    Tasks that share one wait the same failure out together, and it counts once. While `stop` is set nothing is waited for:
    `Stopped` is raised.
    """

    def __init__(
        self,
        step: str,
        first_seconds: float,
        *,
        longest_seconds: float = LONGEST_PAUSE_SECONDS,
        waits_for: tuple[type[Exception], ...] = (RetryLater,),
        stop: asyncio.Event | None = None,
        told_as: str = "",
    ) -> None:
        """`waits_for` names the errors after which `insist` calls again; `told_as` is the step's name in the log, if another."""
        self.step = step
        self.told_as = told_as or step
        self.failures = 0
        self._first = first_seconds
        self._longest = longest_seconds
        self._waits_for = waits_for
        self._stop = stop
        self._until = 0.0

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it succeeds. Only for calls that are harmless to repeat. Raises `Stopped`."""
        while True:
            try:
                result = await call()
            except self._waits_for as error:
                await self.wait(error)
            else:
                self.succeeded()
                return result

    async def wait(self, error: BaseException, *, at_least_seconds: float = 0.0) -> None:
        """Say what failed, and sleep. Raises `Stopped`."""
        now = asyncio.get_running_loop().time()
        if now > self._until - _CLOCK_RESOLUTION_SECONDS:
            self.failures += 1
            STEPS_WAITING.labels(self.step).set(1)
            self.failed(error)
            self._until = now + max(self.pause_seconds, min(at_least_seconds, self._longest))
        if await sleep(self._until - now, self._stop):
            raise Stopped(describe(error)) from error

    def succeeded(self) -> None:
        """The next failure starts small again."""
        if self.failures:
            self.works_again()
            STEPS_WAITING.labels(self.step).set(0)
            self.failures = 0
            self._until = 0.0

    def go_on_unless_stopped(self) -> None:
        """For long work that can be gone on with later. Raises `Stopped`."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped

    @property
    def pause_seconds(self) -> float:
        """How long the newest failure is waited out."""
        return min(self._longest, self._first * 2.0 ** min(self.failures - 1, 20))

    # What is said, for those who say it otherwise.

    def failed(self, error: BaseException) -> None:
        """The first of several failures in a row is a warning."""
        level = logging.WARNING if self.failures == 1 else logging.DEBUG
        _log.log(level, "%s failed and will be tried again: %s: %s", self.told_as, type(error).__name__, error)

    def works_again(self) -> None:
        _log.warning("%s works again after %d failures", self.told_as, self.failures)


async def sleep(seconds: float, stop: asyncio.Event | None) -> bool:
    """Shorter where `stop` is set meanwhile, and then says so."""
    if stop is None:
        await asyncio.sleep(seconds)
        return False
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return stop.is_set()
    return True
