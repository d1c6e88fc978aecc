"""From what the reports count to what people look at: shares, estimates, and steps that make a readable chart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, get_args

import msgspec

from analytics.reports import CampaignSummary, FirstAttempts, RatePoint
from analytics.web.models import CampaignInfo, LaneDepth, Progress
from events.providers import PROVIDERS
from events.schemas import Campaign, CampaignStatus

CHART_POINTS: Final = 120
"""At most this many steps in a chart, so that a message of the live stream stays small however long a campaign runs."""

SPARKLINE_POINTS: Final = 40

STEPS_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)

SETTLING_SECONDS: Final = 2.0
"""What happened this recently may not be counted yet; a chart that showed it would always seem to fall off at its end."""


def step_for(duration_seconds: float, points: int = CHART_POINTS) -> int:
    """The finest step that cuts the duration into at most `points`."""
    return next((step for step in STEPS_SECONDS if duration_seconds / step <= points), STEPS_SECONDS[-1])


def complete(points: Sequence[RatePoint], step_seconds: int, now: float, ended_at: float | None) -> list[RatePoint]:
    """Steps that have been counted to their end, up to the campaign's end."""
    last = now - SETTLING_SECONDS - step_seconds if ended_at is None else ended_at
    return [point for point in points if point.at <= last]


def began_at(info: CampaignInfo, now: float) -> float:
    """When sending began: a scheduled campaign's start, another one's launch."""
    begun = info.created_at if info.started_at is None else info.started_at
    return now if begun is None else begun


def outcomes(point: RatePoint) -> int:
    return point.accepted + point.deferred + point.bounced + point.failed + point.in_doubt


def info_of(campaign: Campaign) -> CampaignInfo:
    return CampaignInfo(
        id=campaign.id,
        name=campaign.name,
        status=campaign.status,
        pool=campaign.pool,
        pools=pools_of(campaign),
        routes=campaign.routes,
        policy=campaign.policy,
        subject=campaign.subject,
        from_header=campaign.from_header,
        created_at=campaign.created_at,
        finished_at=campaign.finished_at,
        deadline=campaign.deadline,
        planned=campaign.planned,
        batches=campaign.batches,
        duplicates=campaign.duplicates,
        rejected=campaign.rejected,
        tracking=campaign.tracking,
        priority=campaign.priority,
        weight=campaign.weight,
        scheduled=campaign.is_scheduled and campaign.finished_at is None,
        starts_at=campaign.starts_at,
        started_at=campaign.started_at,
        pause_reason=campaign.pause_reason,
        pause_note=campaign.pause_note,
    )


def pools_of(campaign: Campaign) -> list[str]:
    """All that its mails may go through, the preferred ones first."""
    routes = [campaign.pools_for(provider) for provider in PROVIDERS]
    return list(dict.fromkeys(pool for choice in zip_longest(*routes) for pool in choice if pool is not None))


def info_from_facts(summary: CampaignSummary) -> CampaignInfo:
    """What the facts alone tell of a campaign that the bus no longer knows, or cannot be asked about."""
    status: CampaignStatus = next((known for known in get_args(CampaignStatus) if known == summary.status), "running")
    return CampaignInfo(
        id=summary.campaign,
        name=summary.name,
        status=status,
        pool=summary.pool,
        pools=[summary.pool],
        created_at=summary.started_at,
        finished_at=summary.finished_at,
        duplicates=summary.duplicates,
        rejected=summary.rejected,
    )


def progress_of(summary: CampaignSummary, info: CampaignInfo) -> Progress:
    ledger = summary.ledger
    planned = max(ledger.planned, info.planned or 0)
    return Progress(
        ledger=ledger,
        balanced=ledger.balanced,
        consistent=ledger.consistent,
        share_settled=ledger.settled / planned if planned else 0.0,
        rate=summary.rate if info.finished_at is None else 0.0,
        eta_seconds=eta_seconds(ledger.queued, ledger.retrying, summary.rate, info),
    )


def held_up(progress: Progress, lanes: Sequence[LaneDepth]) -> Progress:
    """Where mails wait in lanes that are stopped or paused, the rate of the others does not tell when all is done."""
    held = [lane for lane in lanes if lane.held and (lane.waiting or lane.in_flight)]
    if not held:
        return progress
    if any(lane.held == "stopped" for lane in held):
        return msgspec.structs.replace(progress, eta_seconds=None, held="stopped")
    until = max((lane.held_until for lane in held if lane.held_until is not None), default=None)
    return msgspec.structs.replace(progress, eta_seconds=None, held="paused", held_until=until)


def eta_seconds(queued: int, retrying: int, rate: float, info: CampaignInfo) -> float | None:
    """Seconds until nothing remains, if the rate stays; None where that says nothing. Retries alone go when their time comes."""
    moving = info.status == "running" and info.finished_at is None and rate > 0
    return (queued + retrying) / rate if moving and queued > 0 else None


def mails_per_second(attempts: FirstAttempts, started_at: float | None) -> float:
    """First attempts per second from the campaign's start to the last of them; 0 where nothing was tried."""
    start = attempts.first_at if started_at is None else started_at
    if start is None or attempts.last_at is None or attempts.count == 0:
        return 0.0
    return attempts.count / max(attempts.last_at - start, 1e-3)
