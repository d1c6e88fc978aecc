"""Lanes over the API: which of them a provider or a person holds back, and why."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from analytics.web import models
from analytics.web.api import UNAVAILABLE, TheBus, TheMoment, as_json
from analytics.web.openapi import answers
from events import lanes

reading = APIRouter(prefix="/api", tags=["lanes"])


@reading.get("/lanes", responses=answers(models.Lanes, UNAVAILABLE), response_class=Response)
async def held_back(bus: TheBus, now: TheMoment) -> Response:
    """Lanes that their mailbox provider or a person holds back: how fast they may go, why, and until when."""
    return as_json(models.Lanes(lanes=lanes.look_at_all(await lanes.read(bus), now)))
