"""What one sender saw of a lane lately: how many mails were tried, accepted and put off. Costs once per turn."""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

_SLOTS: Final = 10
_SHORTEST: Final = 0.5
"""Of a slot: what was measured for less is taken for what comes in so much time."""


class Seen(NamedTuple):
    """Of the newest window, or since the meter began anew in it."""

    tried: int
    accepted: int
    put_off: int
    seconds: float

    @property
    def tried_rate(self) -> float:
        return self.tried / self.seconds

    @property
    def accepted_rate(self) -> float:
        return self.accepted / self.seconds

    @property
    def put_off_share(self) -> float:
        return self.put_off / self.tried if self.tried else 0.0


class Meter:
    """Counts in tenths of the window, and forgets what is older."""

    def __init__(self, window_seconds: float) -> None:
        self._slot_seconds = window_seconds / _SLOTS
        self._slots: deque[list[int]] = deque()
        """[number, tried, accepted, put off], the oldest first."""
        self._began = 0.0
        """When the first of them was begun."""

    def add(self, now: float, tried: int, accepted: int, put_off: int) -> None:
        number = int(now / self._slot_seconds)
        slots = self._slots
        if not slots or slots[-1][0] < number:
            if not slots:
                self._began = now
            slots.append([number, 0, 0, 0])
            while slots[0][0] <= number - _SLOTS:
                slots.popleft()
        newest = slots[-1]
        newest[1] += tried
        newest[2] += accepted
        newest[3] += put_off

    def seen(self, now: float) -> Seen:
        number = int(now / self._slot_seconds)
        recent = [slot for slot in self._slots if slot[0] > number - _SLOTS]
        began = max(recent[0][0] * self._slot_seconds, self._began) if recent else now
        seconds = max(now - began, _SHORTEST * self._slot_seconds)
        return Seen(
            sum(slot[1] for slot in recent), sum(slot[2] for slot in recent), sum(slot[3] for slot in recent), seconds
        )

    def begin_anew(self) -> None:
        """What was tried at another rate says nothing about this one."""
        self._slots.clear()
