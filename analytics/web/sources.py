"""What the web app asks of the reports. `analytics.reports.Reports` answers from ClickHouse."""

from __future__ import annotations

from typing import Protocol

from analytics.engagement import Engagement
from analytics.reports import (
    CampaignSummary,
    Counted,
    EventFilter,
    EventRow,
    FailureRow,
    FirstAttempts,
    Latency,
    LatencyPoint,
    ProviderRow,
    RatePoint,
    Sizes,
)


class Reports(Protocol):
    """Every method may raise `analytics.errors.ClickHouseUnavailable`."""

    async def overview(self, newest: int, also: str) -> list[CampaignSummary]: ...

    async def rate(self, campaign: str | None, since: float, step_seconds: int) -> list[RatePoint]: ...

    async def latency(self, campaign: str) -> Latency: ...

    async def latency_over_time(self, campaign: str, step_seconds: int) -> list[LatencyPoint]: ...

    async def providers(self, campaign: str) -> list[ProviderRow]: ...

    async def failures(self, campaign: str, limit: int) -> list[FailureRow]: ...

    async def doubts(self, campaign: str, limit: int) -> list[EventRow]: ...

    async def standings(self, campaign: str, *, after: str, until: int, limit: int) -> list[tuple[str, int, str]]: ...

    async def counted(self, campaign: str, until: int) -> Counted: ...

    async def sizes(self, campaign: str) -> Sizes: ...

    async def first_attempts(self, campaign: str) -> FirstAttempts: ...

    async def engagement(self, campaign: str) -> Engagement: ...

    async def events(self, wanted: EventFilter, limit: int) -> list[EventRow]: ...
