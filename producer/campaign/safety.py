"""What keeps a campaign from doing harm: the keys `canary` and `breaker` (docs/deliverability.md)."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from events.schemas import BreakerLimits, CanaryRule
from producer.campaign.table import Table
from producer.campaign.timing import seconds_of

KEYS: Final = ("canary", "breaker")
_CANARY_KEYS: Final = ("share", "minimum", "wait")
_BREAKER_KEYS: Final = ("hard_bounces", "blocks", "complaints", "minimum")
_duration = re.compile(r"(?:\d+[smhd])+").fullmatch
_SHARE_FIX: Final = "Write a share above 0 and up to 1, such as 0.05 for 5 %."
_CANARY_FIX: Final = 'Write true, a share such as 0.001, or a table: { share = 0.001, minimum = 50, wait = "15m" }.'
_BREAKER_FIX: Final = (
    "Write false to turn it off, or a table: { hard_bounces = 0.05, blocks = 0.05, complaints = 0.003 }."
)


class Safety(msgspec.Struct, frozen=True, kw_only=True):
    canary: CanaryRule | None = None
    breaker: BreakerLimits = BreakerLimits()


def read(table: Table) -> Safety:
    return Safety(canary=_canary(table), breaker=_breaker(table))


def _canary(table: Table) -> CanaryRule | None:
    match table.raw("canary"):
        case None | False:
            return None
        case True:
            return CanaryRule()
        case dict():
            return _canary_table(table.table("canary"))
        case int() | float():
            share = _share(table, "canary")
            return None if share is None else CanaryRule(share=share)
        case other:
            table.problem("canary", f"{other!r} cannot be used.", _CANARY_FIX)
            return None


def _canary_table(inner: Table | None) -> CanaryRule | None:
    if inner is None:
        return None
    inner.refuse_unknown(_CANARY_KEYS)
    usual = CanaryRule()
    share, minimum, wait = _share(inner, "share"), _number(inner, "minimum"), inner.text("wait")
    return CanaryRule(
        share=usual.share if share is None else share,
        minimum=usual.minimum if minimum is None else minimum,
        wait_seconds=usual.wait_seconds if wait is None else _seconds(inner, wait, usual.wait_seconds),
    )


def _breaker(table: Table) -> BreakerLimits:
    match table.raw("breaker"):
        case None | True:
            return BreakerLimits()
        case False:
            warning = "Nothing stops it when it bounces, is blocked or complained about."
            table.findings.warning("breaker", warning, "Leave the key out unless you watch it yourself.")
            return BreakerLimits(enabled=False)
        case dict():
            return _breaker_table(table.table("breaker"))
        case other:
            table.problem("breaker", f"{other!r} cannot be used.", _BREAKER_FIX)
            return BreakerLimits()


def _breaker_table(inner: Table | None) -> BreakerLimits:
    if inner is None:
        return BreakerLimits()
    inner.refuse_unknown(_BREAKER_KEYS)
    return BreakerLimits(
        hard_bounce_rate=_share(inner, "hard_bounces"),
        block_rate=_share(inner, "blocks"),
        complaint_rate=_share(inner, "complaints"),
        minimum_mails=_number(inner, "minimum"),
    )


def _share(table: Table, key: str) -> float | None:
    value = table.raw(key)
    if value is None:
        return None
    if not _is_number(value) or not 0 < value <= 1:
        table.problem(key, f"{value!r} is no share.", _SHARE_FIX)
        return None
    return float(value)


def _number(table: Table, key: str) -> int | None:
    value = table.raw(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        table.problem(key, f"{value!r} is no number of mails.", "Write a whole number, 1 or more.")
        return None
    return value


def _seconds(table: Table, text: str, otherwise: float) -> float:
    if _duration(text):
        return seconds_of(text)
    table.problem("wait", f"{text!r} is no duration.", 'Write it as "15m" or "1h30m".')
    return otherwise


def _is_number(value: Any) -> bool:  # noqa: ANN401 - a TOML value
    return isinstance(value, int | float) and not isinstance(value, bool)
