"""A warm-up on paper: what a plan allows day by day to a provider that behaves as told. Pure; the rules are those of `plan`.

`jetpost warmup simulate` prints it, and docs/warm-up.md holds what it prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from events import warmup
from events.warmup import Day
from sender.warmup import plan
from sender.warmup.plan import Tally
from sender.warmup.settings import WarmupSettings

DAYS: Final = 45
VOLUME: Final = 400_000
_PARTS: Final = 50
"""A day is sent in so many parts: what goes wrong shows in the middle of it."""
_BEARABLE: Final = 3.0
"""The provider puts off what is more than so many times the best day of the last week."""
_FREE_MAILS: Final = 2_000
"""It bears so many of anybody."""


class Happening(NamedTuple):
    """What a day is like. Shares of the mails."""

    words: str = ""
    demand: float = 1.0
    """Of the usual mails."""
    hard: float = 0.005
    blocked: float = 0.0
    complaints: float = 0.0004


USUAL: Final = Happening()
SCENARIO: Final[Mapping[int, Happening]] = {
    6: Happening("no campaign today", demand=0.0),
    7: Happening("no campaign today", demand=0.0),
    12: Happening("an old list is imported", hard=0.11),
    18: Happening("a campaign that readers dislike", complaints=0.006),
    25: Happening("the provider blocks a link in the mails", blocked=0.2),
    33: Happening("a small campaign", demand=0.05),
}


class Row(NamedTuple):
    day: int
    """From 1."""
    allowed: int | None
    """At its beginning; None: any number."""
    counts: Day
    happening: Happening
    left: int
    """Mails that were due and have to wait, or go another way."""


def simulate(
    settings: WarmupSettings,
    *,
    days: int = DAYS,
    volume: int = VOLUME,
    scenario: Mapping[int, Happening] = SCENARIO,
) -> list[Row]:
    """So many days of a campaign that has `volume` mails for the lane each day."""
    first = warmup.day_of(0.0)
    state, rows, reports, sequence = warmup.fresh("pool.provider", first), [], 0, 0
    for number in range(days):
        today, happening = first + number, scenario.get(number + 1, USUAL)
        state = plan.on(state, settings, today)
        allowed, demand = plan.allowance(state, settings, today), int(volume * happening.demand)
        bearable = _bearable(state.days)
        tried = 0
        for part in range(_PARTS):
            limit = plan.allowance(state, settings, today)
            due = _until(demand if allowed is None else min(demand, allowed), part + 1)
            size = (due if limit is None else min(due, limit)) - tried
            if size <= 0:
                continue
            tally, complaints = _outcomes(happening, tried, size, bearable)
            tried, reports = tried + size, reports + 1
            state = plan.counted(state, tally, "one", reports)
            if complaints:
                sequence += 1
                state = warmup.complained(state, complaints, sequence)
        rows.append(Row(number + 1, allowed, state.today, happening, demand - state.today.mails))
    ended = plan.on(state, settings, first + days)
    verdicts = {day.number: day for day in ended.days}
    return [row._replace(counts=verdicts.get(first + row.day - 1, row.counts)) for row in rows]


def _until(total: int, part: int) -> int:
    return total * part // _PARTS


def _bearable(days: tuple[Day, ...]) -> int:
    return max(_FREE_MAILS, int(_BEARABLE * max((day.accepted for day in days[-7:]), default=0)))


def _outcomes(happening: Happening, before: int, size: int, bearable: int) -> tuple[Tally, int]:
    """Rounded so that the parts of a day add up to its shares."""

    def share(rate: float) -> int:
        return int((before + size) * rate) - int(before * rate)

    deferred = max(0, min(size, before + size - bearable))
    hard, blocked = min(share(happening.hard), size - deferred), share(happening.blocked)
    blocked = min(blocked, size - deferred - hard)
    accepted = size - deferred - hard - blocked
    return Tally(accepted, hard, blocked, deferred), min(accepted, share(happening.complaints))
