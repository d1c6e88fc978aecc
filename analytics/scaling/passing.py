"""How many mails a limit lets pass in a time, and how long so many take. Pure.

A lane that its provider has slowed down comes back by itself (`events.pace`), and a day's mails are there again at midnight: so
what passes is not the rate of this moment times the time. What its provider bears lies between what it was slowed down to and
what was too much: more than halfway is counted on only once the lane is there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from analytics.scaling.situation import Limit
from events import pace as paces

_DAY_SECONDS: Final = 86_400
_FAR_SECONDS: Final = 10.0 * _DAY_SECONDS
"""What does not pass within ten days does not pass."""
_STEPS: Final = 32
_HALVINGS: Final = 40


def capacity(limit: Limit, seconds: float, now: float, session_rate: float | None) -> float:
    """Mails that may pass within the next seconds; infinite where nothing limits them.

    `session_rate` is what one connection sends, where that is known: it makes a rate of a limit of connections.
    """
    if limit.down or seconds <= 0.0:
        return 0.0
    rate_at = _course(limit, now, session_rate)
    if _is_steady(limit, now):
        passing = rate_at(now) * seconds
    else:
        step = seconds / _STEPS
        passing = sum(rate_at(now + (n + 0.5) * step) for n in range(_STEPS)) * step
    return min(passing, _of_days(limit, seconds, now))


def seconds_for(limit: Limit, mails: float, now: float, session_rate: float | None) -> float:
    """Until so many mails have passed; infinite where they never will."""
    if mails <= 0.0:
        return 0.0
    if _is_steady(limit, now) and limit.daily is None and not limit.down:
        return mails / rate_now(limit, now, session_rate)
    if capacity(limit, _FAR_SECONDS, now, session_rate) < mails:
        return inf
    low, high = 0.0, _FAR_SECONDS
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if capacity(limit, middle, now, session_rate) < mails:
            low = middle
        else:
            high = middle
    return high


def highest(limit: Limit, seconds: float, now: float, session_rate: float | None) -> float:
    """Mails per second that may pass at any moment within the next seconds; infinite where nothing limits them."""
    if limit.down:
        return 0.0
    rate_at = _course(limit, now, session_rate)
    return max(rate_at(now), rate_at(now + seconds))


def rate_now(limit: Limit, now: float, session_rate: float | None) -> float:
    """Mails per second at this moment; infinite where nothing limits them."""
    return 0.0 if limit.down else _course(limit, now, session_rate)(now)


def _is_steady(limit: Limit, now: float) -> bool:
    """Whether its rate stays what it is."""
    return not paces.is_held_back(limit.pace, limit.rate, limit.connections, now)


def _course(limit: Limit, now: float, session_rate: float | None) -> Callable[[float], float]:
    """Mails per second by time, if its provider says nothing more."""
    pace = limit.pace
    halfway = ((pace.rate or 0.0) + pace.peak) / 2
    highest = max(halfway, _or_inf(paces.rate_at(pace, limit.rate, now)))
    most = max(pace.connections or 0, _or_inf(paces.connections_at(pace, limit.connections, now)))

    def rate_at(at: float) -> float:
        if paces.is_paused(pace, at):
            return 0.0
        connections = min(most, _or_inf(paces.connections_at(pace, limit.connections, at)))
        by_connections = inf if connections == inf or session_rate is None else connections * session_rate
        return min(highest, _or_inf(paces.rate_at(pace, limit.rate, at)), by_connections)

    return rate_at


def _or_inf(value: float | None) -> float:
    return inf if value is None else value


def _of_days(limit: Limit, seconds: float, now: float) -> float:
    if limit.daily is None:
        return inf
    midnights = int((now + seconds) // _DAY_SECONDS) - int(now // _DAY_SECONDS)
    return max(0, limit.daily - limit.used) + limit.daily * midnights
