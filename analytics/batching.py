"""When to cut a range of events, and which. Pure: the clock is passed in.

A range is everything in EVENTS between two sequences. Ranges follow each other without gap or overlap, whatever the order
and number of deliveries, so a range means the same events today and after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from events.bus import Delivery


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    rows: int
    """Cut when this many events are held, and never more at once."""
    age_seconds: float
    """Cut when an event has been held this long."""


class Range(msgspec.Struct, frozen=True):
    """Everything in EVENTS from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many events it holds if the stream has no gap there."""
        return self.last - self.first + 1


class Gathering:
    """The deliveries that were not cut yet. `after` is the last sequence that was: everything up to it is settled."""

    def __init__(self, policy: Policy, after: int) -> None:
        self.after = after
        self._policy = policy
        self._held: dict[int, Delivery] = {}
        self._oldest_at: float | None = None

    def __len__(self) -> int:
        return len(self._held)

    def add(self, deliveries: Iterable[Delivery], now: float) -> list[Delivery]:
        """Hold deliveries, the newest copy of each; returns those that are settled, which only need their acknowledgement."""
        settled = []
        for delivery in deliveries:
            if delivery.sequence > self.after:
                self._held[delivery.sequence] = delivery
            else:
                settled.append(delivery)
        if self._held and self._oldest_at is None:
            self._oldest_at = now
        return settled

    def seconds_until_due(self, now: float) -> float:
        """0 when a range is to be cut; without anything held, the longest wait there is."""
        if len(self._held) >= self._policy.rows:
            return 0.0
        if self._oldest_at is None:
            return self._policy.age_seconds
        return max(0.0, self._oldest_at + self._policy.age_seconds - now)

    def is_due(self, now: float) -> bool:
        return bool(self._held) and self.seconds_until_due(now) == 0.0

    def next_range(self) -> Range:
        """From what follows the last range to the highest sequence held, or to the one that fills a batch."""
        sequences = sorted(self._held)
        return Range(self.after + 1, sequences[: self._policy.rows][-1])

    def held(self, span: Range) -> list[Delivery]:
        """The deliveries within a range, in the order of the stream. Fewer than its size: the stream has to be asked."""
        return [self._held[sequence] for sequence in sorted(self._held) if span.first <= sequence <= span.last]

    def settle(self, last: int, now: float) -> list[Delivery]:
        """Everything up to `last` is in ClickHouse: forget and return the deliveries that wait for their acknowledgement."""
        settled = [delivery for sequence, delivery in self._held.items() if sequence <= last]
        for delivery in settled:
            del self._held[delivery.sequence]
        self.after = max(self.after, last)
        self._oldest_at = now if self._held else None
        return settled
