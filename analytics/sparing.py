"""Answers that take long are asked for seldom: however many look, and however often, asking takes a share of the time at most."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

Answer = TypeVar("Answer")


class _Kept(NamedTuple, Generic[Answer]):
    until: float
    answer: Answer


class Sparing(Generic[Answer]):
    """Errors are not kept."""

    def __init__(
        self, share: float, clock: Callable[[], float], stopwatch: Callable[[], float] = time.perf_counter
    ) -> None:
        """`share`: of the time, 0 to 1, for each question; `stopwatch` tells seconds."""
        self._share = share
        self._clock = clock
        self._stopwatch = stopwatch
        self._kept: dict[Hashable, _Kept[Answer]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """As new as its cost allows."""
        known = self._kept.get(key)
        if known is not None and self._clock() < known.until:
            return known.answer
        began = self._stopwatch()
        answer = await ask()
        took, now = self._stopwatch() - began, self._clock()
        self._kept = {other: kept for other, kept in self._kept.items() if now < kept.until}
        self._kept[key] = _Kept(now + took / self._share, answer)
        return answer
