"""How many mails a lane may send today, and what a day means for the next one. Pure.

A day that went well and was used goes one step up; one that was not used, or did not go well, is repeated; after complaints and
blocks beyond what providers bear, sending ends for the day and the next one is half as large. Days are UTC.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from events.warmup import DAYS_KEPT, Day, Warmup
from sender.breaker.judging import ONCE, is_beyond
from sender.warmup.settings import WarmupSettings

_LONGEST: Final = 400
"""Steps. A plan that has not reached its target by then ends there."""
_SENDERS_KNOWN: Final = 256
"""Senders that come and go leave a number each; beyond so many all are forgotten at midnight."""
_FEWEST_MAILS: Final = 20
"""A day with fewer is not called bad before it is over."""

Step: TypeAlias = Literal["up", "stay", "back"]


class Verdict(NamedTuple):
    step: Step
    why: str


class Tally(msgspec.Struct):
    """Outcomes of a lane since the last report."""

    accepted: int = 0
    hard: int = 0
    blocked: int = 0
    deferred: int = 0

    def __bool__(self) -> bool:
        return bool(self.accepted or self.hard or self.blocked or self.deferred)


@lru_cache(maxsize=64)
def steps(settings: WarmupSettings) -> tuple[int, ...]:
    """Mails by day, if every day goes well."""
    found = list(settings.plan[:_LONGEST]) or [max(1, settings.first_day_mails)]
    while found[-1] < settings.target_mails and len(found) < _LONGEST:
        factor = settings.growth if found[-1] < settings.large_mails else settings.large_growth
        found.append(min(settings.target_mails, max(found[-1] + 1, round(found[-1] * factor))))
    return tuple(found)


def allowance(state: Warmup, settings: WarmupSettings, day: int) -> int | None:
    """Mails that the lane may send on this day in all, whatever it has sent already; None: any number."""
    state = on(state, settings, day)
    if state.done:
        return None
    today = state.today
    if is_bad(today, _accepted_lately(state), settings):
        return min(today.mails, _planned(state, settings))
    return _planned(state, settings)


def on(state: Warmup, settings: WarmupSettings, day: int) -> Warmup:
    """The state as of this day: what came before is judged. A clock that lags behind changes nothing."""
    if day <= state.today.number:
        return state
    ended = state.today
    if not ended.mails and not ended.deferred:
        return _begun(_after_idle_days(state, settings, day), day)
    verdict = judge(state, settings)
    told = msgspec.structs.replace(
        ended, allowance=None if state.done else _planned(state, settings), step=state.step, verdict=verdict.why
    )
    step, done = _next(state, verdict, settings)
    days = (*state.days, told)[-DAYS_KEPT:]
    return _begun(_after_idle_days(msgspec.structs.replace(state, step=step, done=done, days=days), settings, day), day)


def judge(state: Warmup, settings: WarmupSettings) -> Verdict:
    """What the day means for the next one: the worst that is found, the first that is named."""
    day, base = state.today, _accepted_lately(state)
    tries = day.mails + day.deferred
    found: list[Verdict] = []
    if is_beyond(day.blocked, day.mails, settings.back_block_rate, ONCE):
        found.append(Verdict("back", f"blocked: {day.blocked / day.mails:.1%} were refused for reputation or policy"))
    if is_beyond(day.complaints, base, settings.back_complaint_rate, ONCE):
        found.append(Verdict("back", f"complaints: {day.complaints / base:.2%} called it spam"))
    if is_beyond(day.complaints, base, settings.hold_complaint_rate, ONCE):
        found.append(Verdict("stay", f"complaints: {day.complaints / base:.2%} called it spam"))
    if is_beyond(day.hard, day.mails, settings.hold_hard_bounce_rate, ONCE):
        found.append(Verdict("stay", f"bounces: {day.hard / day.mails:.1%} of the addresses do not exist"))
    if is_beyond(day.deferred, tries, settings.hold_deferred_rate, ONCE):
        found.append(Verdict("stay", f"deferred: {day.deferred / tries:.0%} of the tries were put off"))
    if not state.done and day.mails < settings.filled_share * _planned(state, settings):
        found.append(Verdict("stay", f"not filled: {day.mails:,} of {_planned(state, settings):,} mails"))
    return found[0] if found else Verdict("up", "good")


def is_bad(day: Day, accepted_lately: int, settings: WarmupSettings) -> bool:
    """So bad that no more may go today."""
    if day.mails < _FEWEST_MAILS and day.complaints == 0:
        return False
    return is_beyond(day.blocked, day.mails, settings.back_block_rate, ONCE) or is_beyond(
        day.complaints, accepted_lately, settings.back_complaint_rate, ONCE
    )


def counted(state: Warmup, tally: Tally, sender: str, report: int) -> Warmup:
    """With what a sender counted; unchanged where this report is counted already."""
    if state.reports.get(sender, 0) >= report:
        return state
    day = state.today
    today = msgspec.structs.replace(
        day,
        accepted=day.accepted + tally.accepted,
        hard=day.hard + tally.hard,
        blocked=day.blocked + tally.blocked,
        deferred=day.deferred + tally.deferred,
    )
    return msgspec.structs.replace(state, today=today, reports={**state.reports, sender: report})


def _planned(state: Warmup, settings: WarmupSettings) -> int:
    plan = steps(settings)
    return plan[min(state.step, len(plan)) - 1]


def _next(state: Warmup, verdict: Verdict, settings: WarmupSettings) -> tuple[int, bool]:
    plan = steps(settings)
    match verdict.step:
        case "up":
            return (len(plan), True) if state.step >= len(plan) else (state.step + 1, False)
        case "stay":
            return state.step, state.done
        case "back":
            half = _planned(state, settings) / 2
            return max(1, sum(1 for mails in plan if mails <= half)), False


def _after_idle_days(state: Warmup, settings: WarmupSettings, day: int) -> Warmup:
    """As it is; from the beginning where no mail went for long."""
    if not state.days or day - state.days[-1].number <= settings.idle_days:
        return state
    return msgspec.structs.replace(state, step=1, done=False)


def _begun(state: Warmup, day: int) -> Warmup:
    reports = state.reports if len(state.reports) <= _SENDERS_KNOWN else {}
    return msgspec.structs.replace(state, today=Day(day), reports=reports)


def _accepted_lately(state: Warmup) -> int:
    """What complaints are measured against: they are about mails of today or of the day before."""
    before = state.days[-1].accepted if state.days else 0
    return max(state.today.accepted, before, state.today.complaints)
