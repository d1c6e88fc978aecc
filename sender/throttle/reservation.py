"""How a sender gets tokens: it reserves a stretch of the near future, and each token has its moment there. Pure.

The generic cell rate algorithm (ITU-T I.371), with one theoretical arrival time for all senders. A reservation of n tokens moves
it on by n/rate; the k-th token is due at `start + k/rate`, and may be spent from then on and until `late_seconds` after. So all
tokens that were ever given out are due 1/rate apart, and whatever senders do with theirs (spend, die, freeze and go on), no more
than `rate × T + burst` are spent in any T seconds (docs/decisions/0012-throttling.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from sender.throttle.limits import Effective
from sender.throttle.state import State, day_of, next_day

CHUNK_SECONDS: Final = 0.1
"""At most so much of the time is reserved at once, but a token in any case: what a dying sender wastes."""
LEAST_CHUNK_SECONDS: Final = 0.01
"""Senders share a chunk, so that each gets tokens ten times a second: those of one limit should not lapse while it waits for
those of another. Not less than this: with many senders each comes by less often, so that there are not more changes."""
REMEMBERED_SECONDS: Final = 2.0
"""So long a sender counts as one that reserves."""
LEAD_SECONDS: Final = 0.1
"""Nobody reserves what begins later than this: the way to the server and back, and others, must not make a gap."""
UNRATED_CHUNK: Final = 1_000
UNRATED_SECONDS: Final = 5.0
"""Where only a day's mails are limited: so many are reserved at once, for so long."""
_LOST_SECONDS: Final = 60.0
"""An arrival time so far ahead was written by a clock that was wrong."""


class Grant(NamedTuple):
    """Tokens in hand."""

    number: int
    start: float
    """When the first is due."""
    spacing: float
    """Seconds from one to the next."""
    late_seconds: float
    """So long each may be spent after it is due."""
    day: int
    """The day that they count for."""


class Wait(NamedTuple):
    """None now."""

    until: float
    """Ask again then."""
    why: str
    """`rate`, `daily`, `paused`: a label of metrics."""


Reservation: TypeAlias = Grant | Wait


def shut(state: State, limits: Effective, now: float) -> Wait | None:
    """Why nothing can be reserved, and until when; None: something can."""
    if limits.not_before > now:
        return Wait(limits.not_before, "paused")
    if limits.daily is not None and state.used_on(day_of(now)) >= limits.daily:
        return Wait(next_day(now), "daily")
    if limits.rate is not None and (opens := _tat(state, limits.rate, now) - LEAD_SECONDS) > now:
        return Wait(opens, "rate")
    return None


def reserve(state: State, limits: Effective, wanted: int, now: float, sender: str = "") -> tuple[State, Reservation]:
    """Up to `wanted` tokens for a sender, at least 1. The state is the same one where there are none."""
    wait = shut(state, limits, now)
    if wait is not None:
        return state, wait
    day, number = day_of(now), wanted
    used = state.used_on(day)
    if limits.daily is not None:
        number = min(number, limits.daily - used)
    if limits.rate is None:
        number = min(number, UNRATED_CHUNK)
        return _used(state, day, used + number), Grant(number, now, 0.0, UNRATED_SECONDS, day)
    reserving = _with(state.reserving, sender, now)
    seconds = max(CHUNK_SECONDS / len(reserving), LEAST_CHUNK_SECONDS)
    number = min(number, max(1, int(limits.rate * seconds)))
    start, spacing = max(_tat(state, limits.rate, now), now - limits.late_seconds / 2), 1 / limits.rate
    moved = msgspec.structs.replace(state, tat=start + number * spacing, spacing=spacing, reserving=reserving)
    return _used(moved, day, used + number), Grant(number, start, spacing, limits.late_seconds, day)


def _tat(state: State, rate: float, now: float) -> float:
    """The arrival time. Where the rate was raised since, the next token is due 1/rate after the last one, not as long after it as
    at the old rate, which may have been a mail in a quarter of an hour."""
    tat = state.tat - max(0.0, state.spacing - 1 / rate)
    return tat if tat - now < _LOST_SECONDS + 1 / rate else now


def give_back(state: State, number: int, day: int) -> State:
    """Tokens that lapsed no longer count for their day. Their time has passed and does not come again."""
    if state.day != day or not number:
        return state
    return msgspec.structs.replace(state, used=max(0, state.used - number))


def give_back_all(state: State, tokens: Mapping[int, int]) -> State:
    """The same for several: numbers of tokens, by the day that they count for."""
    for day, number in tokens.items():
        state = give_back(state, number, day)
    return state


def _used(state: State, day: int, used: int) -> State:
    return msgspec.structs.replace(state, day=day, used=used)


def _with(reserving: Mapping[str, float], sender: str, now: float) -> Mapping[str, float]:
    """And without those that did not say so for a while."""
    if now - reserving.get(sender, 0.0) < REMEMBERED_SECONDS / 2 and all(
        now - said < REMEMBERED_SECONDS for said in reserving.values()
    ):
        return reserving
    return {name: said for name, said in reserving.items() if now - said < REMEMBERED_SECONDS} | {sender: round(now, 1)}
