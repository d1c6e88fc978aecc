"""The clock of the NATS server, by which all senders reserve: their own may differ by any amount.

Asked at `before`, answered `stated` at `after`: the server's clock is ahead of ours by something between `stated - after` and
`stated - before` (Cristian 1989), so by their middle, with an error of half the way there and back. Between two questions
quartz may drift. The base is a clock that nobody sets (`time.monotonic`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from events.bus import Bus
from sender.patience import Patience

ASK_SECONDS: Final = 10.0
_QUESTIONS: Final = 5
"""At a time; the quickest answer is the most precise."""
DRIFT: Final = 100e-6
"""Seconds per second; clocks of servers keep within 50 ppm of each other, or so."""


class Offset(NamedTuple):
    """How far the server's clock is ahead of ours."""

    seconds: float
    error: float
    at: float
    """By our clock."""

    def error_at(self, now: float) -> float:
        return self.error + DRIFT * (now - self.at)


def measured(before: float, stated: float, after: float) -> Offset:
    return Offset(stated - (before + after) / 2, (after - before) / 2, after)


def better(known: Offset | None, new: Offset) -> Offset:
    """The more precise one; the new one where they exclude each other, because somebody set the server's clock."""
    if known is None:
        return new
    error = known.error_at(new.at)
    excluded = abs(new.seconds - known.seconds) > error + new.error
    return new if excluded or new.error < error else known


class ServerClock:
    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self.offset: Offset | None = None

    def now(self) -> float | None:
        """Unix seconds by the server's clock; None: not known yet."""
        return None if self.offset is None else self._clock() + self.offset.seconds

    async def run(self, patience: Patience, told: Callable[[], None]) -> None:
        """Ask now and then, until cancelled; `told` is called after each time."""
        while True:
            for _ in range(_QUESTIONS):
                self.offset = better(self.offset, await patience.insist(self._ask))
            told()
            await asyncio.sleep(ASK_SECONDS)

    async def _ask(self) -> Offset:
        before = self._clock()
        stated = await self._bus.server_time()
        return measured(before, stated, self._clock())
