"""The circuit breaker over the API: what is stopped, and letting it go on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from analytics.web import models
from analytics.web.api import CONFLICT, FORBIDDEN, NOT_FOUND, UNAVAILABLE, CampaignId, TheBus, as_json
from analytics.web.openapi import answers
from analytics.web.security import COMMAND_HEADER, require_command
from events import breaker
from events.breaker import Stopped

reading = APIRouter(prefix="/api", tags=["campaigns"])
commanding = APIRouter(prefix="/api", tags=["commands"], dependencies=[Depends(require_command)])


@reading.get("/breakers", responses=answers(models.Breakers, UNAVAILABLE), response_class=Response)
async def stopped(bus: TheBus, campaign: Annotated[str, Query(description="Empty: every campaign")] = "") -> Response:
    """Lanes that the circuit breaker stopped: since when, why, and how many mails wait."""
    found = [one for one in await breaker.report(bus) if campaign in {"", one.campaign}]
    return as_json(models.Breakers(stopped=found))


_HEADER = {"name": COMMAND_HEADER, "in": "header", "schema": {"const": "1"}, "description": "Or a bearer token"}


@commanding.post(
    "/campaigns/{id}/breaker/resume",
    responses=answers(models.Breakers, NOT_FOUND, FORBIDDEN, CONFLICT, UNAVAILABLE),
    response_class=Response,
    openapi_extra={"parameters": [_HEADER]},
)
async def resume(
    bus: TheBus,
    request: Request,
    campaign_id: CampaignId,
    provider: Annotated[
        str, Query(description="Only this mailbox provider's lane; empty: everything that is stopped")
    ] = "",
) -> Response:
    """Let what was stopped go on; answers what that was. What was counted so far is forgotten."""
    now: float = request.app.state.clock()
    held = {(one.pool, one.provider): one.held for one in await breaker.report(bus) if one.campaign == campaign_id}
    resumed = await breaker.resume(bus, campaign_id, provider, now, "api")
    found = []
    for lane, opening in resumed.items():
        pool, _, name = lane.partition(".")
        count = held.get((pool, name), 0)
        found.append(Stopped(campaign_id, pool, name, opening.at, opening.cause, opening.reason, count))
    return as_json(models.Breakers(stopped=found))
