"""The web app, put together: what answers which path, and what runs beside it. Reads first.

browser ── EventSource ──▶ stream ◀── hub ◀── snapshots ◀── bus (states, queues)
   └────── fetch ────────▶ api ─────────────────┘     └──── reports (counts)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib import metadata

import msgspec
from fastapi import Depends, FastAPI

from analytics.web import api, breakers, lanes, openapi, pages, probes, problems, recounting, scaling
from analytics.web.hub import Hub, Topic
from analytics.web.security import Guard, access
from analytics.web.settings import WebSettings
from analytics.web.snapshots import Composer
from analytics.web.sources import Reports
from events.bus import Bus


def create_app(bus: Bus, reports: Reports, settings: WebSettings, *, clock: Callable[[], float]) -> FastAPI:
    """The app over a bus and the reports, which the caller opens and closes. Its lifespan must run: it owns the hub.

    `reports` is used by this app alone (one client of ClickHouse each). The hub is at `app.state.hub`: close it before
    the server waits for its connections to end.
    """
    composer = Composer(bus, reports, clock)
    hub = Hub(lambda topic: _compose(composer, topic))
    app = FastAPI(
        title="Jetpost",
        version=metadata.version("jetpost"),
        lifespan=lambda _: _running(hub),
        docs_url=None,
        redoc_url=None,
    )
    app.state.bus, app.state.reports, app.state.composer, app.state.hub = bus, reports, composer, hub
    app.state.clock = clock
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(probes.Stopwatch)
    problems.install(app)
    openapi.install(app)
    allowed = [Depends(access(settings))]
    app.include_router(pages.routes(settings))
    app.include_router(probes.routes(bus, reports))
    app.include_router(api.reading, dependencies=allowed)
    app.include_router(recounting.recounting, dependencies=allowed)
    app.include_router(api.watching, dependencies=allowed)
    app.include_router(api.commanding, dependencies=allowed)
    app.include_router(breakers.reading, dependencies=allowed)
    app.include_router(breakers.commanding, dependencies=allowed)
    app.include_router(lanes.reading, dependencies=allowed)
    app.include_router(scaling.reading, dependencies=allowed)
    return app


async def _compose(composer: Composer, topic: Topic) -> bytes:
    return msgspec.json.encode(await composer.live(topic) if topic else await composer.overview())


@asynccontextmanager
async def _running(hub: Hub) -> AsyncIterator[None]:
    task = asyncio.create_task(hub.run(), name="web hub")
    try:
        yield
    finally:
        hub.close()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
