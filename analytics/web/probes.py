"""Whether the web app lives, whether it can answer, and its metrics."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import msgspec
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics.web.sources import Reports
from events import answering, streams
from events.bus import Bus
from events.metrics import HTTP_REQUEST_SECONDS


def routes(bus: Bus, reports: Reports) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def ready() -> Response:
        """200 where the bus and ClickHouse answer; 503 names what does not."""
        answers = await asyncio.gather(
            answering.answer(lambda: bus.stream_state(streams.EVENTS.name)),
            answering.answer(lambda: reports.overview(1, "")),
        )
        checks = dict(zip(("bus", "clickhouse"), answers, strict=True))
        status = HTTPStatus.OK if set(answers) == {answering.OK} else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(msgspec.json.encode(checks), status, media_type="application/json")

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


class Stopwatch:
    """Times every request by its route; a live stream is timed to its first byte, as its length says nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                HTTP_REQUEST_SECONDS.labels(route, message["status"]).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, send_timed)
