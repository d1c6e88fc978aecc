"""Senders over time: those that work, those on their way, and those that could be had. Pure."""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class Crew(NamedTuple):
    """Effort is what one sender does in one second at full work, so that it has no unit but seconds."""

    alive: int
    """Work now."""
    coming: int = 0
    """Are wanted already, and will work in `coming_seconds`."""
    coming_seconds: float = 0.0
    more_seconds: float = 0.0
    """Those that are wanted from now on will work in so long."""

    def after(self, seconds: float) -> Crew:
        """As it is so much later, if nothing more is wanted till then."""
        return self._replace(
            coming_seconds=max(0.0, self.coming_seconds - seconds), more_seconds=max(0.0, self.more_seconds - seconds)
        )

    def needed(self, effort: float, seconds: float) -> float:
        """As many senders do this within so many seconds; infinite where those that could be had come too late."""
        if effort <= self.alive * seconds:
            return effort / seconds
        effort -= self.alive * seconds
        theirs = max(0.0, seconds - self.coming_seconds)
        if effort <= self.coming * theirs:
            return self.alive + effort / theirs
        effort -= self.coming * theirs
        rest = seconds - self.more_seconds
        return inf if rest <= 0.0 else self.alive + self.coming + effort / rest

    def seconds_for(self, effort: float, senders: int) -> float:
        """Until so many senders have done it; infinite where that is none."""
        if effort <= 0.0:
            return 0.0
        alive = min(self.alive, senders)
        coming = min(self.coming, senders - alive)
        at, working = 0.0, 0
        for begins, number in sorted(
            [(0.0, alive), (self.coming_seconds, coming), (self.more_seconds, senders - alive - coming)]
        ):
            if working and effort <= (begins - at) * working:
                break
            effort -= (begins - at) * working
            at, working = begins, working + number
        return at + effort / working if working else inf
