"""Composes the documents of the API and the live stream from the bus (state, queues) and the reports (counts).

Either side may be down: what the other one knows is still shown, and `Health` says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from analytics.engagement import Engagement
from analytics.errors import AnalyticsError
from analytics.reports import NEWEST_CAMPAIGNS, CampaignSummary, EventFilter, RatePoint
from analytics.scaling import stored
from analytics.scaling.decision import Decision
from analytics.web import depths, figures, health
from analytics.web.answers import Answers
from analytics.web.depths import Holds
from analytics.web.models import (
    CampaignCard,
    CampaignDetail,
    CampaignInfo,
    CampaignReport,
    Figures,
    Health,
    LaneDepth,
    LatencySeries,
    Live,
    Overview,
    RateSeries,
)
from analytics.web.sources import Reports
from events import campaigns
from events.bus import Bus
from events.errors import BusError, RetryLater
from events.ledger import Ledger
from events.schemas import Campaign

NEWEST_EVENTS: Final = 12
FAILURE_ROWS: Final = 20


class _Known(msgspec.Struct, frozen=True):
    """What both sides say about campaigns at one moment."""

    infos: dict[str, CampaignInfo]
    summaries: dict[str, CampaignSummary]
    health: Health


class Composer:
    """Remembers the last figures of every campaign, to show their age rather than nothing when ClickHouse is away.

    ClickHouse is asked again when something was inserted (`answers`), however many look, and however often.
    """

    def __init__(self, bus: Bus, reports: Reports, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._reports = reports
        self._clock = clock
        self._answers = Answers(clock)
        self._summaries: dict[str, tuple[float, CampaignSummary]] = {}
        """With the moment at which each was asked for."""
        self._sparklines: dict[str, tuple[float | None, list[int]]] = {}
        """With the end of the campaign as it was known then."""

    async def overview(self) -> Overview:
        known = await self._known()
        held_by = await depths.holds(self._bus, self._clock())
        cards = [await self._card(info, known, held_by) for info in list(known.infos.values())[:NEWEST_CAMPAIGNS]]
        found = health.with_stopped(known.health, held_by.stopped)
        return Overview(
            at=self._clock(),
            health=found,
            campaigns=cards,
            lanes=list(held_by.slow),
            scaling=await self._scaling(),
        )

    async def detail(self, campaign_id: str) -> CampaignDetail:
        """Raises `CampaignNotFound`."""
        known = await self._known(campaign_id)
        info = _info(known, campaign_id)
        held_by, lanes = await self._lanes(info)
        counted = await self._figures_if_possible(info, known, lanes)
        return CampaignDetail(
            at=self._clock(),
            health=health.with_stopped(self._health_of(info, known, counted, lanes), held_by.stopped),
            campaign=info,
            figures=counted,
            lanes=lanes,
        )

    async def _scaling(self) -> Decision | None:
        """None where the bus does not tell."""
        try:
            return await stored.newest(self._bus, self._clock())
        except BusError:
            return None

    async def _lanes(self, info: CampaignInfo) -> tuple[Holds, list[LaneDepth]]:
        """What lies in the campaign's lanes, and what keeps it there; nothing of one that has ended."""
        if info.finished_at is not None:
            return Holds(), []
        held_by = await depths.holds(self._bus, self._clock(), info.id)
        return held_by, await depths.of_campaign(self._bus, info, held_by)

    def _health_of(self, info: CampaignInfo, known: _Known, counted: Figures | None, lanes: list[LaneDepth]) -> Health:
        if counted is None:
            return msgspec.structs.replace(known.health, figures_at=None)
        return health.of_campaign(known.health, info, counted.progress, lanes, self._clock())

    async def report(self, campaign_id: str) -> CampaignReport:
        """Raises `CampaignNotFound`, and `ClickHouseUnavailable`: a report is complete or none."""
        known = await self._known(campaign_id, tolerant=False)
        info = _info(known, campaign_id)
        held_by, lanes = await self._lanes(info)
        counted = await self._figures(info, known.summaries.get(campaign_id) or _unstarted(info), lanes)
        return CampaignReport(
            at=self._clock(),
            health=health.with_stopped(self._health_of(info, known, counted, lanes), held_by.stopped),
            campaign=info,
            figures=counted,
            lanes=lanes,
            rate=await self.rate(info),
            latency=await self.latency(info),
            providers=await self._answers.get(("providers", campaign_id), lambda: self._reports.providers(campaign_id)),
            failures=await self._answers.get(
                ("failures", campaign_id), lambda: self._reports.failures(campaign_id, FAILURE_ROWS)
            ),
            engagement=await self.engagement(campaign_id),
        )

    async def live(self, campaign_id: str) -> Live:
        """Raises `CampaignNotFound`. Without ClickHouse its lists are empty and its series null."""
        try:
            report = await self.report(campaign_id)
            newest = EventFilter(campaign=campaign_id)
            events = await self._answers.get(
                ("events", campaign_id), lambda: self._reports.events(newest, NEWEST_EVENTS)
            )
        except AnalyticsError:
            return _without_analytics(await self.detail(campaign_id))
        return Live(
            at=report.at,
            health=report.health,
            campaign=report.campaign,
            figures=report.figures,
            lanes=report.lanes,
            rate=report.rate,
            latency=report.latency,
            providers=report.providers,
            failures=report.failures,
            events=events,
            engagement=report.engagement,
        )

    async def engagement(self, campaign_id: str) -> Engagement:
        """Raises `ClickHouseUnavailable`."""
        return await self._answers.get(("engagement", campaign_id), lambda: self._reports.engagement(campaign_id))

    async def info(self, campaign_id: str) -> CampaignInfo:
        """Raises `CampaignNotFound`."""
        return _info(await self._known(campaign_id), campaign_id)

    async def rate(self, info: CampaignInfo, step_seconds: int | None = None) -> RateSeries:
        now = self._clock()
        since = figures.began_at(info, now)
        step = step_seconds or figures.step_for((info.finished_at or now) - since)
        points = await self._rate(info.id, since, step)
        return RateSeries(step_seconds=step, points=figures.complete(points, step, now, info.finished_at))

    async def latency(self, info: CampaignInfo) -> LatencySeries:
        now = self._clock()
        duration = (info.finished_at or now) - figures.began_at(info, now)
        step = max(10, figures.step_for(duration))
        points = await self._answers.get(
            ("latencies", info.id, step), lambda: self._reports.latency_over_time(info.id, step)
        )
        return LatencySeries(step_seconds=step, points=points)

    async def _rate(self, campaign_id: str, since: float, step: int) -> list[RatePoint]:
        return await self._answers.get(
            ("rate", campaign_id, since, step), lambda: self._reports.rate(campaign_id, since, step)
        )

    async def _known(self, campaign_id: str = "", *, tolerant: bool = True) -> _Known:
        """About one campaign, or about the newest. Where ClickHouse is away, about all that it ever told of."""
        found, ingested = await health.measure(self._bus)
        self._answers.as_of(ingested)
        stored = await self._stored_campaigns()
        newest = 1 if campaign_id else NEWEST_CAMPAIGNS
        try:
            told = await self._answers.get(
                ("overview", campaign_id), lambda: self._reports.overview(newest, campaign_id)
            )
            now = self._clock()
            summaries = {summary.campaign: (now, summary) for summary in told}
            self._summaries |= summaries
        except AnalyticsError:
            if not tolerant:
                raise
            found, summaries = health.without_clickhouse(found), self._summaries
        found = msgspec.structs.replace(found, figures_at=min((at for at, _ in summaries.values()), default=None))
        known = {name: summary for name, (_, summary) in summaries.items()}
        return _Known(_infos(stored, known), known, found)

    async def _stored_campaigns(self) -> list[Campaign]:
        try:
            return await campaigns.all_of(self._bus)
        except RetryLater:
            return []

    async def _card(self, info: CampaignInfo, known: _Known, held_by: Holds) -> CampaignCard:
        summary = known.summaries.get(info.id)
        progress = figures.progress_of(summary, info) if summary else None
        if progress is not None:
            lanes = await depths.of_campaign(self._bus, info, held_by, only_held=True)
            progress = figures.held_up(progress, lanes)
        return CampaignCard(campaign=info, progress=progress, sparkline=await self._sparkline(info, known))

    async def _sparkline(self, info: CampaignInfo, known: _Known) -> list[int]:
        """Asked of ClickHouse while the campaign runs; what has ended does not change any more."""
        finished_at, sparkline = self._sparklines.get(info.id, (None, []))
        if info.finished_at is not None and finished_at == info.finished_at:
            return sparkline
        if known.health.analytics != "unavailable" and info.id in known.summaries:
            now = self._clock()
            since = figures.began_at(info, now)
            step = figures.step_for((info.finished_at or now) - since, figures.SPARKLINE_POINTS)
            points = await self._rate(info.id, since, step)
            settled = figures.complete(points, step, now, info.finished_at)
            sparkline = [figures.outcomes(point) for point in settled]
            self._sparklines[info.id] = info.finished_at, sparkline
        return sparkline

    async def _figures_if_possible(self, info: CampaignInfo, known: _Known, lanes: list[LaneDepth]) -> Figures | None:
        summary = known.summaries.get(info.id)
        if known.health.analytics == "unavailable" or summary is None:
            return None
        try:
            return await self._figures(info, summary, lanes)
        except AnalyticsError:
            return None

    async def _figures(self, info: CampaignInfo, summary: CampaignSummary, lanes: list[LaneDepth]) -> Figures:
        attempts = await self._answers.get(("attempts", info.id), lambda: self._reports.first_attempts(info.id))
        return Figures(
            progress=figures.held_up(figures.progress_of(summary, info), lanes),
            batches_planned=summary.batches_planned,
            batches_queued=summary.batches_queued,
            mails_per_second=figures.mails_per_second(attempts, info.started_at or summary.started_at),
            latency=await self._answers.get(("latency", info.id), lambda: self._reports.latency(info.id)),
            sizes=await self._answers.get(("sizes", info.id), lambda: self._reports.sizes(info.id)),
            first_attempts=attempts,
        )


def _infos(stored: list[Campaign], summaries: Mapping[str, CampaignSummary]) -> dict[str, CampaignInfo]:
    """Every campaign that either side knows, the newest first; the bus's word on one goes before that of the facts."""
    infos = {summary.campaign: figures.info_from_facts(summary) for summary in summaries.values()}
    infos |= {campaign.id: figures.info_of(campaign) for campaign in stored}
    return dict(sorted(infos.items(), key=lambda item: (item[1].created_at or 0, item[0]), reverse=True))


def _info(known: _Known, campaign_id: str) -> CampaignInfo:
    if campaign_id not in known.infos:
        raise campaigns.CampaignNotFound(
            f"There is no campaign {campaign_id!r}. GET /api/campaigns lists those there are."
        )
    return known.infos[campaign_id]


def _unstarted(info: CampaignInfo) -> CampaignSummary:
    """The summary of a campaign whose first fact has not been counted yet."""
    return CampaignSummary(
        campaign=info.id,
        name=info.name,
        pool=info.pool,
        status=info.status,
        started_at=info.created_at,
        finished_at=info.finished_at,
        duplicates=info.duplicates,
        rejected=info.rejected,
        batches_planned=0,
        batches_queued=0,
        rate=0.0,
        ledger=Ledger(),
    )


def _without_analytics(detail: CampaignDetail) -> Live:
    return Live(
        at=detail.at,
        health=detail.health,
        campaign=detail.campaign,
        figures=detail.figures,
        lanes=detail.lanes,
        rate=None,
        latency=None,
        providers=[],
        failures=[],
        events=[],
    )
