"""A decision in metrics, where those who start and stop senders read it."""

from __future__ import annotations

from math import inf

from analytics.scaling.decision import Decision
from events import metrics


def show(decision: Decision) -> None:
    """Campaigns and limits that it does not name are not shown any more."""
    metrics.SENDERS_WANTED.clear()
    metrics.SENDERS_WANTED.labels(decision.reason).set(decision.wanted)
    metrics.SENDERS_ALIVE.set(decision.alive)
    metrics.SENDER_CAPACITY.clear()
    for pool, rate in decision.capacity.items():
        metrics.SENDER_CAPACITY.labels(pool).set(rate)
    metrics.CAMPAIGN_DEADLINE_RISK.clear()
    for campaign, seconds in decision.late_seconds.items():
        metrics.CAMPAIGN_DEADLINE_RISK.labels(campaign).set(inf if seconds is None else seconds)
    metrics.SENDING_LIMITED.clear()
    for one in decision.limited:
        metrics.SENDING_LIMITED.labels(one.by).set(1)


def hide() -> None:
    """Nothing can be said any more: who reads it sees that, rather than what held a while ago."""
    metrics.SENDERS_WANTED.clear()
    metrics.CAMPAIGN_DEADLINE_RISK.clear()
    metrics.SENDING_LIMITED.clear()
