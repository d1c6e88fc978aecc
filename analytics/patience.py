"""Waiting for NATS and ClickHouse: they go away and come back, and nothing is lost meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from analytics.errors import ClickHouseUnavailable
from events.errors import RetryLater

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Stopped(Exception):
    """The process is to stop while something it needs is away."""


async def wait(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, but not past a stop; returns whether to stop."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True


class Patience:
    """How long to wait between tries: doubling from `base_seconds` to `max_seconds`."""

    def __init__(self, base_seconds: float, max_seconds: float, stop: asyncio.Event) -> None:
        self._base_seconds = base_seconds
        self._max_seconds = max_seconds
        self._stop = stop

    def go_on_unless_stopped(self) -> None:
        """Raises `Stopped`: for long work that can be gone on with later."""
        if self._stop.is_set():
            raise Stopped

    async def insist(self, step: Callable[[], Awaitable[Result]]) -> Result:
        """Try a step until it succeeds. Raises `Stopped`, and what asking again does not help against."""
        pause = self._base_seconds
        while True:
            try:
                return await step()
            except (RetryLater, ClickHouseUnavailable) as error:
                _log.warning("waiting %.1f s: %s", pause, error)
            if await wait(self._stop, pause):
                raise Stopped
            pause = min(2 * pause, self._max_seconds)
