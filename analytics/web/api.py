"""The JSON API: what the dashboard shows, for programs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from analytics.engagement import Engagement
from analytics.reports import EventFilter
from analytics.web import figures, models
from analytics.web.hub import Hub
from analytics.web.openapi import answers, events_of
from analytics.web.security import COMMAND_HEADER, require_command
from analytics.web.snapshots import Composer
from analytics.web.sources import Reports
from analytics.web.stream import EventStream
from events import campaigns, ids
from events.bus import Bus

NOT_FOUND: Final = HTTPStatus.NOT_FOUND
CONFLICT: Final = HTTPStatus.CONFLICT
FORBIDDEN: Final = HTTPStatus.FORBIDDEN
UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE

CampaignId = Annotated[str, Path(alias="id", pattern=rf"^{ids.CAMPAIGN_ID.pattern}$", description="The campaign's id")]
EventType = Literal[
    "accepted", "deferred", "bounced", "failed", "expired", "suppressed", "in_doubt", "requeued", "doubt_resolved"
]

Sequence = Annotated[int, Field(ge=0, lt=2**63, description="A place in EVENTS")]
Moment = Annotated[float, Field(ge=0, le=10_000_000_000, description="Unix seconds, to the year 2286")]
"""As ClickHouse has them; it refuses a question with anything else."""


class EventQuery(BaseModel):
    """The query parameters of `/events`; what is left out matches everything."""

    model_config = ConfigDict(extra="forbid")

    type: list[EventType] = Field(default=[], description="Repeat for several")
    provider: str = ""
    failure_class: str = ""
    mail_id: str = ""
    recipient: str = ""
    since: Moment = 0
    until: Moment | None = None
    before_sequence: Sequence | None = None
    after_sequence: Sequence = 0
    limit: int = Field(default=100, ge=1, le=1_000)

    def filter(self, campaign: str) -> EventFilter:
        fields = self.model_dump(exclude={"type", "limit"})
        return EventFilter(campaign=campaign, types=tuple(self.type), **fields)


def _composer(request: Request) -> Composer:
    composer: Composer = request.app.state.composer
    return composer


def _reports(request: Request) -> Reports:
    reports: Reports = request.app.state.reports
    return reports


def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


def _bus(request: Request) -> Bus:
    bus: Bus = request.app.state.bus
    return bus


def _now(request: Request) -> float:
    now: float = request.app.state.clock()
    return now


TheComposer = Annotated[Composer, Depends(_composer)]
TheReports = Annotated[Reports, Depends(_reports)]
TheHub = Annotated[Hub, Depends(_hub)]
TheBus = Annotated[Bus, Depends(_bus)]
TheMoment = Annotated[float, Depends(_now)]
"""Unix seconds."""


reading = APIRouter(prefix="/api", tags=["campaigns"])
"""What can be asked."""
watching = APIRouter(prefix="/api", tags=["live"])
"""What can be followed."""
commanding = APIRouter(prefix="/api", tags=["commands"], dependencies=[Depends(require_command)])
"""What can be told."""


@reading.get("/campaigns", responses=answers(models.Overview), response_class=Response)
async def list_campaigns(composer: TheComposer) -> Response:
    """The newest campaigns with their ledgers. Answers without ClickHouse too; `health` then says so."""
    return as_json(await composer.overview())


@reading.get("/campaigns/{id}", responses=answers(models.CampaignDetail, NOT_FOUND), response_class=Response)
async def show_campaign(composer: TheComposer, campaign_id: CampaignId) -> Response:
    """Summary, ledger, latency, sizes, first attempts and queue depths. Answers without ClickHouse too."""
    return as_json(await composer.detail(campaign_id))


@reading.get(
    "/campaigns/{id}/report",
    responses=answers(models.CampaignReport, NOT_FOUND, UNAVAILABLE),
    response_class=Response,
)
async def report(composer: TheComposer, campaign_id: CampaignId) -> Response:
    """Everything about a campaign in one document."""
    return as_json(await composer.report(campaign_id))


@reading.get(
    "/campaigns/{id}/rate", responses=answers(models.RateSeries, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def rate(
    composer: TheComposer,
    campaign_id: CampaignId,
    step_seconds: Annotated[int | None, Query(ge=1, le=86_400, description="Default: one that fits a chart")] = None,
) -> Response:
    """Outcomes over the campaign's life."""
    return as_json(await composer.rate(await composer.info(campaign_id), step_seconds))


@reading.get(
    "/campaigns/{id}/latency",
    responses=answers(models.LatencySeries, NOT_FOUND, UNAVAILABLE),
    response_class=Response,
)
async def latency(composer: TheComposer, campaign_id: CampaignId) -> Response:
    """Median and 99th percentile from queued to accepted, over the campaign's life."""
    return as_json(await composer.latency(await composer.info(campaign_id)))


@reading.get(
    "/campaigns/{id}/providers",
    responses=answers(models.Providers, NOT_FOUND, UNAVAILABLE),
    response_class=Response,
)
async def providers(composer: TheComposer, reports: TheReports, campaign_id: CampaignId) -> Response:
    """Outcomes and latency by mailbox provider."""
    info = await composer.info(campaign_id)
    return as_json(models.Providers(providers=await reports.providers(info.id)))


@reading.get(
    "/campaigns/{id}/failures", responses=answers(models.Failures, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def failures(
    composer: TheComposer,
    reports: TheReports,
    campaign_id: CampaignId,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """Attempts that did not end in acceptance, by class and reply."""
    info = await composer.info(campaign_id)
    return as_json(models.Failures(failures=await reports.failures(info.id, limit)))


@reading.get(
    "/campaigns/{id}/engagement", responses=answers(Engagement, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def engagement(composer: TheComposer, campaign_id: CampaignId) -> Response:
    """What readers did: opens, clicks by link, unsubscriptions, complaints; people and machines told apart."""
    info = await composer.info(campaign_id)
    return as_json(await composer.engagement(info.id))


@reading.get(
    "/campaigns/{id}/doubts", responses=answers(models.Doubts, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def doubts(
    composer: TheComposer,
    reports: TheReports,
    campaign_id: CampaignId,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Response:
    """Mails that are in doubt now: a worker or a connection died before the outcome was known."""
    info = await composer.info(campaign_id)
    return as_json(models.Doubts(doubts=await reports.doubts(info.id, limit)))


@reading.get(
    "/campaigns/{id}/events", responses=answers(models.EventPage, NOT_FOUND, UNAVAILABLE), response_class=Response
)
async def events(
    composer: TheComposer, reports: TheReports, campaign_id: CampaignId, wanted: Annotated[EventQuery, Query()]
) -> Response:
    """Events of single mails, the newest first; page with `before_sequence`, follow with `after_sequence`."""
    info = await composer.info(campaign_id)
    found = await reports.events(wanted.filter(info.id), wanted.limit)
    more = found[-1].sequence if len(found) == wanted.limit else None
    return as_json(models.EventPage(events=found, before_sequence=more))


@watching.get(
    "/stream",
    responses=events_of("Snapshots, each of them complete.", models.Overview, models.Live, refusals=[NOT_FOUND]),
    response_class=Response,
)
async def stream(
    composer: TheComposer,
    hub: TheHub,
    campaign: Annotated[
        str, Query(pattern=rf"^(?:{ids.CAMPAIGN_ID.pattern})?$", description="Empty: the overview")
    ] = "",
) -> Response:
    """Server-sent events: a complete snapshot about once a second (`Overview` without `campaign`, `Live` with one)."""
    if campaign:
        await composer.info(campaign)
    return EventStream(hub, campaign)


_COMMAND: Final[dict[str, Any]] = {
    "responses": answers(models.Changed, NOT_FOUND, FORBIDDEN, CONFLICT, UNAVAILABLE),
    "response_class": Response,
    "openapi_extra": {
        "parameters": [
            {"name": COMMAND_HEADER, "in": "header", "schema": {"const": "1"}, "description": "Or a bearer token"}
        ]
    },
}


@commanding.post("/campaigns/{id}/pause", **_COMMAND)
async def pause(bus: TheBus, campaign_id: CampaignId) -> Response:
    """Stop sending. What senders hold is finished, everything else waits; nothing is lost."""
    return as_json(models.Changed(campaign=figures.info_of(await campaigns.pause_campaign(bus, campaign_id))))


@commanding.post("/campaigns/{id}/resume", **_COMMAND)
async def resume(bus: TheBus, campaign_id: CampaignId, now: TheMoment) -> Response:
    """Go on after a pause. A campaign whose start passed meanwhile starts now."""
    return as_json(models.Changed(campaign=figures.info_of(await campaigns.resume_campaign(bus, campaign_id, now))))


@commanding.post("/campaigns/{id}/cancel", **_COMMAND)
async def cancel(bus: TheBus, campaign_id: CampaignId) -> Response:
    """End the campaign for good: mails not sent yet are taken out of the queue and counted as cancelled."""
    cancelled = await campaigns.cancel_campaign(bus, campaign_id)
    return as_json(models.Changed(campaign=figures.info_of(cancelled.campaign), removed=cancelled.removed))


def as_json(document: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json", headers={"Cache-Control": "no-store"})
