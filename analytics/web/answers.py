"""What ClickHouse answered, kept for as long as nothing new was inserted.

Every look at a campaign asks a dozen questions, and whoever watches looks more often than the ingester inserts. An answer that
is kept is as new as one that is asked for: only what moves with the clock alone (the rate of the last seconds) needs its end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, TypeVar

KEPT_SECONDS: Final = 2.0
"""The longest that an answer is kept."""

MOST_KEPT: Final = 2_000
"""Nothing may be inserted for days, while anybody may ask for campaigns that do not exist."""

Answer = TypeVar("Answer")


class Answers:
    """Errors are never kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[Hashable, tuple[float, Any]] = {}
        self._ingested = 0

    def __len__(self) -> int:
        return len(self._kept)

    def as_of(self, ingested: int) -> None:
        """The events up to this one are in ClickHouse now; 0: nobody knows, and nothing is kept."""
        if ingested != self._ingested or not ingested:
            self._kept.clear()
        self._ingested = ingested

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        now = self._clock()
        if key in self._kept:
            asked_at, kept = self._kept[key]
            if now - asked_at < KEPT_SECONDS:
                known: Answer = kept
                return known
        ingested = self._ingested
        answer = await ask()
        if ingested and ingested == self._ingested:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = now, answer
        return answer
