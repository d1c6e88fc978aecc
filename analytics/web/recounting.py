"""What `jetpost reconcile` asks: where every single mail of a campaign is, as ClickHouse has it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from analytics.reports import NEWEST, Counted
from analytics.web import models
from analytics.web.api import NOT_FOUND, UNAVAILABLE, CampaignId, TheComposer, TheReports, as_json
from analytics.web.openapi import answers

recounting = APIRouter(prefix="/api", tags=["reconciliation"])

Until = Annotated[int, Query(ge=0, le=2**63, description="The place in EVENTS as of which is asked; default: now")]


@recounting.get(
    "/campaigns/{id}/mails", responses=answers(models.Standings, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def mails(
    composer: TheComposer,
    reports: TheReports,
    campaign_id: CampaignId,
    after: Annotated[str, Query(description="The last mail id of the page before")] = "",
    until: Until = NEWEST,
    limit: Annotated[int, Query(ge=1, le=200_000)] = 10_000,
) -> Response:
    """Where each mail is, by the outcome that stands. Ends with an empty page."""
    info = await composer.info(campaign_id)
    found = await reports.standings(info.id, after=after, until=until, limit=limit)
    return as_json(models.Standings(mails=found))


@recounting.get("/campaigns/{id}/counted", responses=answers(Counted, NOT_FOUND, UNAVAILABLE), response_class=Response)
async def counted(
    composer: TheComposer, reports: TheReports, campaign_id: CampaignId, until: Until = NEWEST
) -> Response:
    """What was planned as of an event, and the ledger from the rollups."""
    info = await composer.info(campaign_id)
    return as_json(await reports.counted(info.id, until))
