"""When to cut a range of events, and which. Pure: the clock is passed in.

A range is everything in EVENTS between two sequences. Ranges follow each other without gap or overlap, whoever cuts them, so a
range means the same events today and after a crash.
"""

from __future__ import annotations

from typing import Final

import msgspec

from events.bus import StreamState

REMEMBERED_INSERTS: Final = 1_000
"""How many inserts a table of ClickHouse recognises by token. A few are under way; the rest is for those who come late."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    """Cut when there are this many events, and never more at once."""
    age_seconds: float
    """Cut when there have been events for this long."""


class Range(msgspec.Struct, frozen=True):
    """Everything in EVENTS from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many events it holds if the stream has no gap there."""
        return self.last - self.first + 1


def next_range(after: int, events: StreamState, rows: int) -> Range | None:
    """What follows `after`, up to a batch of what is there. It begins right behind, whatever the stream has dropped meanwhile."""
    if events.last_sequence <= after:
        return None
    return Range(after + 1, min(max(after, events.first_sequence - 1) + rows, events.last_sequence))


class Cutter:
    """Knows since when there has been something to cut."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._after = -1
        self._since: float | None = None

    def due(self, after: int, events: StreamState, now: float) -> Range | None:
        """The range behind `after`, once it is full or its events have been seen for long enough."""
        span = next_range(after, events, self._policy.rows)
        if span is None or after != self._after:
            self._after, self._since = after, None
        if span is None:
            return None
        if self._since is None:
            self._since = now
        is_full = events.last_sequence - after >= self._policy.rows
        return span if is_full or now - self._since >= self._policy.age_seconds else None
