"""What a lane does when its provider objects: slows down, pauses, takes fewer connections. Pure: `Pace -> Pace`.

Additive increase, multiplicative decrease (Chiu and Jain, 1989; RFC 5681 for TCP), for all senders together: the increase is a
function of time (`events.pace`), the decrease happens here, once in a window whoever asks for it. How much depends on how many
mails were put off, as in DCTCP (RFC 8257): a few cost a quarter of the rate, most of them most of it.
docs/decisions/0013-adaptive-lanes.md says why.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from events import pace as paces
from events.pace import Pace, Why
from sender.adaptive.meter import Seen
from sender.adaptive.settings import AdaptiveSettings

GENTLEST: Final = 0.75
"""A decrease leaves no more than this share of the rate."""
HARDEST: Final = 0.25
"""And no less."""
NOTHING_ACCEPTED: Final = 0.02
"""Where fewer than this share are accepted, the provider refuses everything for a while. How long that lasts says nothing about
which rate is too much: so the way back then leads to half of where it led before, and to half of that only where the lane had
come some of the way."""
_LONGER: Final = 0.1
"""A pause is made longer only by this part of it, so that a thousand replies with the same hint are one change."""


class Objection(NamedTuple):
    """What one sender heard, and what it measured."""

    sender: str
    why: Why
    seen: Seen
    """In the window before, this turn included."""
    hint_seconds: float = 0.0


def slow_down(
    pace: Pace, objection: Objection, configured: float | None, settings: AdaptiveSettings, now: float
) -> Pace:
    """The rate after an objection; the same object where it changes nothing."""
    if pace.fixed or (pace.decreased_at and now - pace.decreased_at < settings.window_seconds):
        return pace
    ceiling = paces.ceiling_of(pace, configured)
    current = paces.rate_at(pace, configured, now)
    if current is None:
        return _first(pace, objection, settings, now)
    share = 1.0 - objection.seen.put_off_share
    lowest = settings.floor if ceiling is None else min(settings.floor, ceiling)
    slow = paces.is_slow(pace, configured, now)
    refused = share < NOTHING_ACCEPTED
    return replace(
        pace,
        rate=max(lowest, current * min(max(share, HARDEST), GENTLEST)),
        peak=max(_way_back(pace, current, slow=slow) if refused else current, lowest),
        refused=refused,
        decreased_at=now,
        slow_since=pace.slow_since if slow else now,
        parts=(),
        why=objection.why,
        recovery_seconds=settings.recovery_seconds,
        configured=configured,
    )


def _way_back(pace: Pace, current: float, *, slow: bool) -> float:
    """Where it leads after everything was refused."""
    if not slow:
        return current / 2
    still_there = pace.refused and pace.rate is not None and current < 2 * pace.rate
    return pace.peak if still_there else max(current, pace.peak) / 2


def _first(pace: Pace, objection: Objection, settings: AdaptiveSettings, now: float) -> Pace:
    """There was no limit: the first is what this sender got through; the others add theirs (`join`)."""
    seen = objection.seen
    through = max(seen.accepted_rate, HARDEST * seen.tried_rate, settings.floor)
    return replace(
        pace,
        rate=max(settings.floor, through * GENTLEST),
        peak=through,
        decreased_at=now,
        slow_since=now,
        parts=(objection.sender,),
        why=objection.why,
        recovery_seconds=settings.recovery_seconds,
        configured=None,
    )


def may_join(pace: Pace, sender: str, settings: AdaptiveSettings, now: float) -> bool:
    """Whether the limit is so new that a sender may add what it got through before it knew of a limit."""
    is_new = bool(pace.parts) and now - pace.decreased_at < settings.window_seconds
    return pace.rate is not None and is_new and sender not in pace.parts


def join(pace: Pace, sender: str, seen: Seen, settings: AdaptiveSettings, now: float) -> Pace:
    """The limit that a lane without one got, with the part of one more sender."""
    if pace.rate is None or not may_join(pace, sender, settings, now):
        return pace
    through = max(seen.accepted_rate, HARDEST * seen.tried_rate)
    return replace(
        pace,
        rate=pace.rate + through * GENTLEST,
        peak=pace.peak + through,
        parts=(*pace.parts, sender),
    )


def pause(pace: Pace, hint_seconds: float, why: Why, settings: AdaptiveSettings, now: float) -> Pace:
    """Nothing before the time that the server asked for."""
    seconds = min(hint_seconds, settings.pause_max_seconds)
    if now + seconds <= pace.not_before + _LONGER * seconds:
        return pace
    return replace(pace, not_before=now + seconds, why=why)


class Refusal(NamedTuple):
    """A server said that there are too many connections."""

    sender: str
    why: Why
    in_use: int
    """Connections that this sender had, the one too many included."""
    share: float = 0.0
    """Of the turns in the window before, those that heard the same; 0: not known."""


def fewer_connections(
    pace: Pace, refusal: Refusal, configured: int | None, settings: AdaptiveSettings, now: float
) -> Pace:
    """One fewer than were too many, or as many fewer as were refused; once in a window."""
    if pace.connections_at and now - pace.connections_at < settings.window_seconds:
        return pace
    current = paces.connections_at(pace, configured, now)
    used = max(1, refusal.in_use if current is None else current)
    through = round(used * max(HARDEST, 1.0 - refusal.share))
    return replace(
        pace,
        connections=max(1, min(used - 1, through)),
        connections_peak=used,
        connections_at=now,
        connections_parts=(refusal.sender,) if current is None else (),
        why=refusal.why,
        recovery_seconds=settings.recovery_seconds,
        configured_connections=configured,
    )


def may_join_connections(pace: Pace, sender: str, settings: AdaptiveSettings, now: float) -> bool:
    """As `may_join`."""
    is_new = now - pace.connections_at < settings.window_seconds
    return (
        pace.connections is not None
        and bool(pace.connections_parts)
        and is_new
        and sender not in pace.connections_parts
    )


def join_connections(pace: Pace, sender: str, in_use: int, settings: AdaptiveSettings, now: float) -> Pace:
    """The limit that a lane without one got, with the connections of one more sender."""
    if pace.connections is None or not may_join_connections(pace, sender, settings, now):
        return pace
    return replace(
        pace,
        connections=pace.connections + in_use,
        connections_peak=pace.connections_peak + in_use,
        connections_parts=(*pace.connections_parts, sender),
    )


def override(rate: float, now: float, *, fixed: bool = False) -> Pace:
    """A person's limit in place of the configured one; the lane has it at once, whatever happened before."""
    return Pace(override=rate, fixed=fixed, override_at=now)
