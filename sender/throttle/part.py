"""Which part of a limit goes to this process, as others take theirs."""

from __future__ import annotations

from typing import Final

_WINDOW_SECONDS: Final = 0.5
_ROOM: Final = 1.25
"""It asks for a little more than it got, so that its part may grow."""
_LEAST: Final = 0.02


class Part:
    """Who gets a quarter of the limit reserves a quarter of the usual stretch at a time, and comes by four times as often: none
    waits long for its next tokens while it holds some of another limit. No I/O."""

    def __init__(self) -> None:
        self._part = 1.0
        self._got = 0
        self._since: float | None = None

    def add(self, number: int) -> None:
        self._got += number

    def now(self, rate: float, now: float) -> float:
        """1: everything, as far as it knows."""
        if self._since is None:
            self._since = now
        elif (seconds := now - self._since) >= _WINDOW_SECONDS:
            self._part = min(1.0, _LEAST + _ROOM * self._got / (rate * seconds))
            self._got, self._since = 0, now
        return self._part
