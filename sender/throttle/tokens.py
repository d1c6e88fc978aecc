"""Tokens that this process has reserved and not spent, and how many to reserve next. No I/O; time is passed in.

What is reserved follows what was spent: where tokens lapsed, because this process is slower than its part, the next reservation
is as small as what was spent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from math import ceil, floor, inf
from typing import Final, NamedTuple

from sender.throttle.reservation import Grant

TICK_SECONDS: Final = 0.02
"""Tokens that are due within one tick are ready at its end, together: so turns carry several mails where the rate is high. A tick
is never more than a part of the time in which tokens are good."""
_PARTS: Final = 5
_ON_THE_WAY: Final = 1.5
"""A token that was taken in time is good for half as long again: claiming the mails takes a moment."""
_ROUNDING: Final = 1e-6
_GROWTH: Final = 1.1
"""The next reservation is so much larger as long as nothing lapses."""


class Tokens:
    def __init__(self) -> None:
        self._grants: deque[Grant] = deque()
        self._tick_seconds = TICK_SECONDS
        self._size = 1.0
        """Of the newest reservation."""
        self.spent = 0
        """And `lapsed`: since they were counted last."""
        self.lapsed: Counter[int] = Counter()
        """Tokens that nobody spent, by the day that they count for."""

    def add(self, grant: Grant) -> None:
        self._grants.append(grant)
        self._size = min(self._size, float(grant.number))
        self._tick_seconds = min(TICK_SECONDS, grant.late_seconds / _PARTS)

    def suffice(self, now: float) -> bool:
        """Whether it is too early for the next reservation."""
        return self.left(now) > self._size / 2

    def next_size(self, most: float) -> int:
        """Tokens to reserve next."""
        grown = min(most, max(self._size * _GROWTH, self._size + 1))
        self._size = max(1.0, float(self.spent)) if self.lapsed else grown
        return int(self._size)

    def left(self, now: float) -> int:
        """Tokens that may still be spent, now or later."""
        self._drop_lapsed(now)
        return sum(grant.number for grant in self._grants)

    def ready(self, now: float) -> int:
        """Tokens that may be spent now."""
        self._drop_lapsed(now)
        tick = self._tick(now)
        return sum(_due(grant, tick) for grant in self._grants)

    def next_ready(self, now: float) -> float | None:
        """When more will be ready; None: there are no more."""
        tick = self._tick(now)
        later = [
            grant.start + _due(grant, tick) * grant.spacing
            for grant in self._grants
            if _due(grant, tick) < grant.number
        ]
        return ceil(min(later) / self._tick_seconds - _ROUNDING) * self._tick_seconds if later else None

    def take(self, number: int, now: float) -> list[Grant]:
        """Up to `number` that are ready, as grants of their own; the oldest first."""
        self._drop_lapsed(now)
        tick, taken, kept = self._tick(now), [], deque[Grant]()
        for grant in self._grants:
            part = min(number, _due(grant, tick))
            number -= part
            if part:
                taken.append(grant._replace(number=part))
            if part < grant.number:
                kept.append(_without_first(grant, part))
        self._grants = kept
        self.spent += sum(grant.number for grant in taken)
        return taken

    def put_back(self, unspent: Sequence[Grant]) -> None:
        """What was taken and is not spent; the last ones of what was taken."""
        self._grants.extendleft(reversed(unspent))
        self.spent -= sum(grant.number for grant in unspent)

    def count(self) -> tuple[int, Counter[int]]:
        """What was spent, and what lapsed; from here on it counts anew."""
        counted = max(0, self.spent), self.lapsed
        self.spent, self.lapsed = 0, Counter()
        return counted

    def drop(self) -> None:
        """Nothing may be spent for a while."""
        for grant in self._grants:
            self.lapsed[grant.day] += grant.number
        self._grants.clear()

    def _tick(self, now: float) -> float:
        return floor(now / self._tick_seconds + _ROUNDING) * self._tick_seconds + _ROUNDING

    def _drop_lapsed(self, now: float) -> None:
        if all(grant.start + grant.late_seconds >= now for grant in self._grants):
            return
        kept: deque[Grant] = deque()
        for grant in self._grants:
            lapsed = _lapsed(grant, now)
            if lapsed:
                self.lapsed[grant.day] += lapsed
            if lapsed < grant.number:
                kept.append(_without_first(grant, lapsed))
        self._grants = kept


class Taken(NamedTuple):
    """Tokens of one gate in the hands of a turn."""

    grants: list[Grant]

    @property
    def number(self) -> int:
        return sum(grant.number for grant in self.grants)

    def good_until(self) -> float:
        """Whoever spends them later must ask for others."""
        return min((grant.start + grant.late_seconds * _ON_THE_WAY for grant in self.grants), default=inf)

    def without_first(self, number: int) -> list[Grant]:
        left = []
        for grant in self.grants:
            part = min(number, grant.number)
            number -= part
            if part < grant.number:
                left.append(_without_first(grant, part))
        return left


def _due(grant: Grant, at: float) -> int:
    if at < grant.start:
        return 0
    return grant.number if not grant.spacing else min(grant.number, int((at - grant.start) / grant.spacing) + 1)


def _lapsed(grant: Grant, now: float) -> int:
    late = now - grant.late_seconds - grant.start
    if late <= 0:
        return 0
    return grant.number if not grant.spacing else min(grant.number, ceil(late / grant.spacing))


def _without_first(grant: Grant, number: int) -> Grant:
    return grant._replace(number=grant.number - number, start=grant.start + number * grant.spacing)
