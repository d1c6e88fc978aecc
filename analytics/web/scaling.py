"""How many senders are wanted, over the API."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from analytics.scaling import stored
from analytics.web import models
from analytics.web.api import UNAVAILABLE, TheBus, TheMoment, as_json
from analytics.web.openapi import answers

reading = APIRouter(prefix="/api", tags=["senders"])


@reading.get("/scaling", responses=answers(models.Scaling, UNAVAILABLE), response_class=Response)
async def wanted(bus: TheBus, now: TheMoment) -> Response:
    """How many senders are wanted so that every campaign is done in time, and why; null while no ingester works that out."""
    return as_json(models.Scaling(decision=await stored.newest(bus, now)))
