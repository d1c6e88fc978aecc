"""A decision in words."""

from __future__ import annotations

from math import inf

from analytics.scaling.decision import Decision, Limited
from analytics.scaling.demand import PRODUCERS, Outlook
from analytics.scaling.settings import ScalingSettings
from analytics.scaling.situation import Situation
from events.schedule import duration, utc


def why(decision: Decision, by: Outlook | None, situation: Situation, settings: ScalingSettings) -> str:
    """`by` is the campaign that needs most senders."""
    cooldown = duration(settings.cooldown_seconds)
    match decision.reason:
        case "idle":
            return "Nothing is to be sent."
        case "queue":
            waiting = f"{sum(work.mails for work in situation.works):,.0f} mails wait"
            rule = f"with more than {settings.queue_mails:,} one more sender is wanted every {cooldown}"
            return f"{waiting}, and what a sender sends is not known yet: {rule}."
        case "provider_limited":
            return " ".join(_limited(one, decision) for one in decision.limited)
        case "at_max":
            return f"{_needs(decision, by, situation)} No more than {settings.max_senders} may be.{_late(decision)}"
        case "cooldown":
            kept = f"Those beyond are kept until no more were needed for {cooldown}."
            return f"{_needs(decision, by, situation)} {kept}"
        case "deadline":
            return f"{_needs(decision, by, situation)}{_late(decision)}"


def _needs(decision: Decision, by: Outlook | None, situation: Situation) -> str:
    if by is None or not decision.needed:
        return "None is needed."
    rates = [f"{situation.pools[pool].rate:,.0f}" for pool in sorted({pool for pool, _ in by.work.lanes})]
    left = f"in {duration(by.seconds)}" if by.seconds >= 1.0 else "now past"
    return (
        f"{decision.needed:,} needed: {by.work.mails:,.0f} mails of {by.work.campaign} until"
        f" {utc(by.work.deadline)}, {left}, at {' and '.join(rates)} mails/s a sender."
    )


def _late(decision: Decision) -> str:
    late = [f"{campaign} will be {_by(seconds)}" for campaign, seconds in decision.late.items()]
    return f" {'; '.join(late)}." if late else ""


def _by(seconds: float) -> str:
    return "late until somebody lets its mails go on" if seconds == inf else f"{duration(max(1.0, seconds))} late"


def _limited(one: Limited, decision: Decision) -> str:
    late = decision.late.get(one.campaign, inf)
    end = "it will be late" if late == inf else f"it will be {duration(max(1.0, late))} late"
    return f"More senders would not help {one.campaign}: {_limit(one)}, and {end}."


def _limit(one: Limited) -> str:
    if one.rate is None:
        return f"{one.by} takes no more"
    if one.by == PRODUCERS:
        return f"producers render {_rate(one.rate)}"
    if one.by == f"campaign={one.campaign}":
        return f"its own rate is {_rate(one.rate)}"
    return f"{one.by} takes {_rate(one.rate)} at present" if one.rate else f"{one.by} takes none at present"


def _rate(rate: float) -> str:
    return f"{rate:,.0f} mails/s" if rate >= 10 else f"{rate:.3g} mails/s"
