"""When a campaign may be sent, before whom, and how fast: the keys `deadline`, `start`, `past_due`, `past_due_after`, `priority`,
`weight`, `rate`.

Moments have their offset, so that no change of clocks makes one of them ambiguous; durations count from now.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Final, get_args

import msgspec

from events import streams
from events.schedule import duration, utc
from events.schemas import GRACE_SECONDS, PRIORITIES, PastDue, Priority
from producer.campaign.table import Table

KEYS: Final = ("deadline", "start", "past_due", "past_due_after", "priority", "weight", "rate")
MOST_WEIGHT: Final = 1_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOMENT_FIX: Final = (
    'Write a date with its offset, such as 2027-03-01T18:00:00Z, or a duration, such as "6h" or "1d12h".'
)
_RATE_FIX: Final = 'Write mails per second, such as 50, or a text with the unit: "50/s", "3000/m", "100000/h".'
_rate_text = re.compile(r"(\d+(?:\.\d+)?) ?/ ?([smhd])").fullmatch
_duration = re.compile(r"(?:\d+[smhd])+").fullmatch


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Times are Unix seconds."""

    deadline: float | None = None
    starts_at: float | None = None
    past_due: PastDue = "hold"
    grace_seconds: float = GRACE_SECONDS
    priority: Priority = "normal"
    weight: int = 1
    rate: float | None = None
    """Mails per second, of all senders together."""


def read(table: Table, now: float, start: float | None) -> Timing:
    """What the file says; `start` in place of its own where it is given, and one that is not after `now` means at once."""
    deadline = _deadline(table, now)
    starts_at = _start(table, now) if start is None else start
    if starts_at is not None and starts_at <= now:
        starts_at = None
    if starts_at is not None and deadline is not None and deadline <= starts_at:
        fact = f"It is at {utc(deadline)}, and the start at {utc(starts_at)}: every mail would expire unsent."
        table.problem("deadline", fact, 'Move it behind the start; a duration, such as "6h", counts from now.')
    _warn_of_far_start(table, starts_at, now)
    return Timing(
        deadline=deadline,
        starts_at=starts_at,
        past_due=table.choice("past_due", get_args(PastDue)) or "hold",
        grace_seconds=_grace(table),
        priority=table.choice("priority", PRIORITIES) or "normal",
        weight=_weight(table),
        rate=_rate(table),
    )


def moment_of(text: str, now: float) -> float:
    """Unix seconds of `now`, `2h` (from now), or `2027-03-01T09:00:00+01:00`. Raises `ValueError` where it is none of these."""
    if text == "now":
        return now
    if _duration(text):
        return now + seconds_of(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment. {_MOMENT_FIX}") from None
    if at.tzinfo is None and "T" not in text and " " not in text:
        raise ValueError(f"{text!r} is a day without a time. Add it, and the offset, such as {text}T09:00+01:00.")
    if at.tzinfo is None:
        raise ValueError(f"{text!r} does not say in which zone. Add its offset, such as {text}+01:00, or Z for UTC.")
    return at.timestamp()


def seconds_of(text: str) -> float:
    """Of a duration such as `1d12h`."""
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)))


def _deadline(table: Table, now: float) -> float | None:
    at = _moment(table, "deadline", now)
    if at is not None and at <= now:
        table.problem("deadline", f"{utc(at)} has passed: every mail would expire unsent.", "Move it into the future.")
    return at


def _start(table: Table, now: float) -> float | None:
    at = _moment(table, "start", now)
    if at is not None and at <= now:
        fix = "Move it into the future; or send at once: leave it out, or say `--at now`."
        table.problem("start", f"{utc(at)} has passed.", fix)
    return at


def _moment(table: Table, key: str, now: float) -> float | None:
    value = table.raw(key)
    if value is None:
        return None
    if isinstance(value, str) and _duration(value):
        return now + seconds_of(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        table.problem(key, f"{value!s} is not a moment.", _MOMENT_FIX)
        return None
    return value.timestamp()


def _warn_of_far_start(table: Table, starts_at: float | None, now: float) -> None:
    kept = streams.EVENTS.max_age_seconds
    if starts_at is not None and starts_at - now > kept:
        fact = f"It is {duration(starts_at - now)} ahead, and EVENTS keeps what was planned for {duration(kept)}."
        fix = "Until it is sent, ClickHouse alone knows the plan then: send the campaign nearer to its start, or back both up."
        table.findings.warning("start", fact, fix)


def _grace(table: Table) -> float:
    value = table.text("past_due_after")
    if value is None:
        return GRACE_SECONDS
    if not _duration(value):
        table.problem("past_due_after", f"{value!r} is no duration.", 'Write one such as "30m", "1h" or "1d".')
        return GRACE_SECONDS
    return seconds_of(value)


def _weight(table: Table) -> int:
    value = table.raw("weight")
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_WEIGHT:
        fix = f"Make it a whole number from 1 to {MOST_WEIGHT:,}."
        table.problem("weight", f"{value!r} cannot be a weight.", fix)
        return 1
    return value


def _rate(table: Table) -> float | None:
    value = table.raw("rate")
    if value is None:
        return None
    if isinstance(value, str) and (found := _rate_text(value)):
        value = float(found[1]) / _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        table.problem("rate", f"{value!r} cannot be a rate.", _RATE_FIX)
        return None
    return float(value)
