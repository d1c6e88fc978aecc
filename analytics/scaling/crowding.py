"""Whether more senders sent more: a relay that takes no more from four than from two makes each of them look half as fast, and
one would call for ever more. Pure.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

SETTLED_SECONDS: Final = 45.0
"""After so long with the same number of senders what they measure is of all of them."""
HELD_SECONDS: Final = 900.0
"""So long it is believed that more would not help; then it is tried again."""
_TRIED: Final = 2.0
"""With so many times the senders that are enough."""
_PART: Final = 0.25
"""Of what the additional senders would have sent at the speed of those before: less is no help."""


class Crowd(msgspec.Struct, frozen=True, omit_defaults=True):
    """The senders of a pool, and what they sent at full work. Rates are mails per second, of all together."""

    senders: int
    since: float
    """There have been so many since then."""
    rate: float | None = None
    """What they sent; None: they were not at full work, or not for long enough."""
    fewer: int = 0
    """How many there were before, at full work; 0: they never were."""
    fewer_rate: float = 0.0
    ceiling: float | None = None
    """More did not go through, however many senders there were; None: more of them sent more."""
    ceiling_at: float = 0.0
    """When that was found, or when it was time to try again."""
    tries: bool = False
    """It is tried again."""

    @property
    def limit(self) -> float | None:
        """What is counted on; None: more with each sender."""
        return self.ceiling * _TRIED if self.ceiling is not None and self.tries else self.ceiling


def follow(crowd: Crowd | None, senders: int, rate: float | None, now: float) -> Crowd:
    """With as many as there are now; `rate` is what they send together where all are at full work, else None."""
    if crowd is None:
        return Crowd(senders, now)
    if crowd.ceiling is not None and now - crowd.ceiling_at > HELD_SECONDS:
        crowd = replace(crowd, ceiling_at=now, tries=True)
    if senders != crowd.senders:
        crowd = _changed(crowd, senders, now)
    if rate is None or now - crowd.since < SETTLED_SECONDS:
        return crowd
    return _judged(replace(crowd, rate=rate), now)


def _changed(crowd: Crowd, senders: int, now: float) -> Crowd:
    fewer, fewer_rate = crowd.fewer, crowd.fewer_rate
    if crowd.rate is not None and crowd.ceiling is None:
        fewer, fewer_rate = crowd.senders, crowd.rate
    return replace(crowd, senders=senders, since=now, rate=None, fewer=fewer, fewer_rate=fewer_rate)


def _judged(crowd: Crowd, now: float) -> Crowd:
    assert crowd.rate is not None, "it was measured"
    if not 0 < crowd.fewer < crowd.senders:
        return crowd
    expected = crowd.fewer_rate * (1.0 + _PART * (crowd.senders - crowd.fewer) / crowd.fewer)
    if crowd.rate >= expected:
        return replace(crowd, ceiling=None, tries=False)
    return replace(crowd, ceiling=max(crowd.rate, crowd.fewer_rate), ceiling_at=now, tries=False)


def sender_rate(crowd: Crowd) -> float | None:
    """What a sender sends as long as there are not too many; None: there never were too many."""
    return None if crowd.ceiling is None else crowd.ceiling / crowd.fewer
