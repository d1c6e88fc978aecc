"""How ingester and closing loop wait for NATS and ClickHouse: they go away and come back, and nothing is lost meanwhile."""

from __future__ import annotations

import asyncio

from analytics.errors import ClickHouseUnavailable
from analytics.settings import AnalyticsSettings
from events import patience
from events.errors import RetryLater


class Patience(patience.Patience):
    def __init__(self, step: str, settings: AnalyticsSettings, stop: asyncio.Event) -> None:
        super().__init__(
            step,
            settings.retry_base_seconds,
            longest_seconds=settings.retry_max_seconds,
            waits_for=(RetryLater, ClickHouseUnavailable),
            stop=stop,
        )
