"""How many mails a limit lets pass in a time, and how long so many take. Pure.

A lane that its provider has slowed down comes back by itself (`events.pace`), and a day's mails are there again at midnight: so
what passes is not the rate of this moment times the time.
"""

from __future__ import annotations

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
    if _is_steady(limit, now):
        passing = _rate(limit, now, session_rate) * seconds
    else:
        step = seconds / _STEPS
        passing = sum(_rate(limit, now + (n + 0.5) * step, session_rate) for n in range(_STEPS)) * step
    return min(passing, _of_days(limit, seconds, now))


def seconds_for(limit: Limit, mails: float, now: float, session_rate: float | None) -> float:
    """Until so many mails have passed; infinite where they never will."""
    if mails <= 0.0:
        return 0.0
    if _is_steady(limit, now) and limit.daily is None and not limit.down:
        return mails / _rate(limit, now, session_rate)
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


def rate_now(limit: Limit, now: float, session_rate: float | None) -> float:
    """Mails per second at this moment; infinite where nothing limits them."""
    return 0.0 if limit.down else _rate(limit, now, session_rate)


def _is_steady(limit: Limit, now: float) -> bool:
    """Whether its rate stays what it is."""
    return not paces.is_held_back(limit.pace, limit.rate, limit.connections, now)


def _rate(limit: Limit, at: float, session_rate: float | None) -> float:
    if paces.is_paused(limit.pace, at):
        return 0.0
    rate = paces.rate_at(limit.pace, limit.rate, at)
    connections = paces.connections_at(limit.pace, limit.connections, at)
    by_connections = inf if connections is None or session_rate is None else connections * session_rate
    return min(inf if rate is None else rate, by_connections)


def _of_days(limit: Limit, seconds: float, now: float) -> float:
    if limit.daily is None:
        return inf
    midnights = int((now + seconds) // _DAY_SECONDS) - int(now // _DAY_SECONDS)
    return max(0, limit.daily - limit.used) + limit.daily * midnights
