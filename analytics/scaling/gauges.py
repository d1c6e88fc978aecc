"""A decision in metrics, where those who start and stop senders read it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from prometheus_client import Gauge

from analytics.scaling.decision import Decision
from events import metrics


def show(decision: Decision) -> None:
    """Campaigns and limits that it does not name are not shown any more."""
    metrics.SENDERS_ALIVE.set(decision.alive)
    _show(metrics.SENDERS_WANTED, {decision.reason: decision.wanted})
    _show(metrics.SENDER_CAPACITY, decision.capacity)
    late = {name: inf if seconds is None else seconds for name, seconds in decision.late_seconds.items()}
    _show(metrics.CAMPAIGN_DEADLINE_RISK, late)
    _show(metrics.SENDING_LIMITED, {one.by: 1 for one in decision.limited})


def hide() -> None:
    """Nothing can be said any more: who reads it sees that, rather than what held a while ago."""
    for gauge in (metrics.SENDERS_WANTED, metrics.CAMPAIGN_DEADLINE_RISK, metrics.SENDING_LIMITED):
        _show(gauge, {})


def _show(gauge: Gauge, values: Mapping[str, float]) -> None:
    metrics.replace_all(gauge, {(label,): value for label, value in values.items()})
