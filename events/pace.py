"""How fast a lane's provider lets us go, as it has taught us: rate, pause, connections, and why.

Lies in the bucket `throttle`, with the rest of what a lane's senders share. `sender.adaptive` changes it, people override it, and
everybody reads it with these functions: the rate comes back by itself, as a function of time, so that recovering needs no writes
and a reader can say when it will be over. Rates are mails per second, times Unix seconds. docs/decisions/0013-adaptive-lanes.md
"""

from __future__ import annotations

from math import exp2, floor, log2
from typing import Final, Literal, TypeAlias

import msgspec

Cause: TypeAlias = Literal["throttled", "deferrals", "connections"]

CAUSES: Final[dict[Cause, str]] = {
    "throttled": "the provider asked to slow down",
    "deferrals": "many mails were put off",
    "connections": "too many connections",
}
UNLIMITED: Final = 10_000.0
"""Where no rate was configured there is none again as soon as the lane has come back to this, which nobody notices as a limit."""
_LIFTED_AT: Final = 2
"""Nor is a limit that nobody configured given up before it has grown to so many times what was too much."""


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the provider did, in its own words."""

    cause: Cause
    at: float
    code: int = 0
    enhanced: str = ""
    text: str = ""
    share: float = 0.0
    """Of the mails tried then, those that were put off; 0 where none was involved."""

    def __str__(self) -> str:
        said = " ".join(part for part in (str(self.code or ""), self.enhanced, self.text) if part)
        share = f" ({self.share:.0%} put off)" if self.share else ""
        return f"{CAUSES[self.cause]}{share}: {said}" if said else f"{CAUSES[self.cause]}{share}"


class Pace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Nothing stands in the way of a lane while it is as new."""

    rate: float | None = None
    """What the last decrease left; None: nothing slows the lane."""
    peak: float = 0.0
    """The rate before it, which was too much: the way back leads there first."""
    decreased_at: float = 0.0
    refused: bool = False
    """Nothing at all was accepted before the last decrease."""
    slow_since: float = 0.0
    """When the first of the decreases was that have not been recovered from."""
    parts: tuple[str, ...] = ()
    """The senders whose measured rates are in `rate` and `peak`, each once, where there was no limit."""
    not_before: float = 0.0
    """The lane is paused until then."""
    connections: int | None = None
    """What the last refusal of a connection left; None: nothing was learned."""
    connections_peak: int = 0
    """As many were too many."""
    connections_at: float = 0.0
    connections_parts: tuple[str, ...] = ()
    """The senders whose connections are in `connections`, each once, where nobody configured a limit."""
    why: Why | None = None
    """What slowed the lane last."""
    recovery_seconds: float = 300.0
    """The way from `rate` to `peak` takes this long, then the rate doubles in the same time."""
    configured: float | None = None
    """The rate that was configured when the lane was slowed down last, for readers who do not know the settings."""
    configured_connections: int | None = None
    """The same for connections."""
    override: float | None = None
    """What a person set in place of the configured rate; None: nothing."""
    fixed: bool = False
    """Whatever the provider says, the rate stays at `override`."""
    override_at: float = 0.0


def ceiling_of(pace: Pace, configured: float | None) -> float | None:
    """The rate that a lane returns to, by a person's word or as configured; None: there is no limit."""
    return configured if pace.override is None else pace.override


def rate_at(pace: Pace, configured: float | None, now: float) -> float | None:
    """The limit of a lane now; None: there is none."""
    ceiling = ceiling_of(pace, configured)
    return _recovered(pace, now) if is_slow(pace, configured, now) else ceiling


def is_slow(pace: Pace, configured: float | None, now: float) -> bool:
    """Whether the provider holds the lane below its limit."""
    return pace.rate is not None and not pace.fixed and _recovered(pace, now) < _goal(pace, configured)


def _goal(pace: Pace, configured: float | None) -> float:
    """What the way back ends at."""
    ceiling = ceiling_of(pace, configured)
    return max(UNLIMITED, _LIFTED_AT * pace.peak) if ceiling is None else ceiling


def _recovered(pace: Pace, now: float) -> float:
    assert pace.rate is not None, "asked only where something slows the lane"
    way = max(0.0, now - _starts(pace)) / pace.recovery_seconds
    if way <= 1.0:
        return pace.rate + (pace.peak - pace.rate) * way
    return pace.peak * exp2(min(way - 1.0, 64.0))


def _starts(pace: Pace) -> float:
    """Nothing is learned, and so nothing is recovered, during a pause."""
    return max(pace.decreased_at, pace.not_before)


def is_paused(pace: Pace, now: float) -> bool:
    return now < pace.not_before


def is_held_back(pace: Pace, configured: float | None, connections: int | None, now: float) -> bool:
    """Whether anything that the provider said holds now."""
    fewer = connections_at(pace, connections, now) != connections
    return is_paused(pace, now) or is_slow(pace, configured, now) or fewer


def full_again_at(pace: Pace, configured: float | None) -> float:
    """When the lane has its limit again, if the provider says nothing more; 0: it never lost it."""
    if pace.rate is None or pace.fixed:
        return pace.not_before
    goal = _goal(pace, configured)
    if goal <= pace.rate:
        return _starts(pace)
    way = (goal - pace.rate) / (pace.peak - pace.rate) if goal <= pace.peak else 1.0 + log2(goal / pace.peak)
    return _starts(pace) + way * pace.recovery_seconds


def connections_at(pace: Pace, configured: int | None, now: float) -> int | None:
    """How many connections the lane may have now, in all senders; None: there is no limit."""
    if pace.connections is None:
        return configured
    regained = floor(max(0.0, now - pace.connections_at) / pace.recovery_seconds)
    learned = pace.connections + regained
    if configured is not None:
        return min(learned, configured)
    return learned if learned < _LIFTED_AT * pace.connections_peak else None
