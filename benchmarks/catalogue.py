"""All parts of the benchmark. A new one: a module with a `PART` (`frame/part.py` says what that is), and its name here."""

from __future__ import annotations

from typing import Final

from benchmarks import calibrate, callbacks, dkim, scripts, sql_audience, suppression
from benchmarks.autoscaling import part as autoscaling
from benchmarks.budget import part as budget
from benchmarks.campaigns import adaptive, growth, overtaking, retries, scaling, stalled, throttle
from benchmarks.e2e import part as e2e
from benchmarks.frame.part import Part
from benchmarks.fuzz import part as fuzz
from benchmarks.rollups import part as rollups
from benchmarks.suite import part as suite

PARTS: Final[tuple[Part, ...]] = (
    suite.PART,
    calibrate.PART,
    budget.PART,
    e2e.PART,
    growth.PART,
    scaling.PART,
    autoscaling.PART,
    retries.PART,
    stalled.PART,
    adaptive.PART,
    overtaking.PART,
    throttle.PART,
    rollups.PART,
    sql_audience.PART,
    dkim.PART,
    callbacks.PART,
    fuzz.PART,
    suppression.PART,
    *scripts.parts(),
)
USUAL: Final = suite.PART
"""Without a name this one runs."""
