"""The web process: dashboard and API, with the ingester where ClickHouse runs inside it."""

from __future__ import annotations

import contextlib
import socket
import time

from msgspec.structs import replace

from analytics.reports import Reports
from analytics.web import server
from analytics.web.settings import WebSettings
from analytics.web.webhooks.endpoints import WebhookUnusable, endpoints
from jetpost.components import ingester
from jetpost.components.clickhouse import store, watched
from jetpost.errors import Fault
from jetpost.process import Process
from jetpost.settings import Settings


async def run(process: Process) -> None:
    """Serve until told to stop."""
    settings = with_links(process.settings)
    if settings.serve == "public":
        await _serve(process, settings, None)
        return
    async with watched(process), store(process.settings.analytics) as answers:
        await _serve(process, settings, Reports(answers))


async def _serve(process: Process, settings: WebSettings, reports: Reports | None) -> None:
    with contextlib.closing(_listen(settings)) as listener:
        if server.serves_webhooks(settings):
            _require_usable(settings)
        process.announce(web=server.address_of(listener, replace(settings, public_url="")))
        await server.run(process.bus, reports, settings, clock=time.time, listener=listener, stop=process.stop)


def _require_usable(settings: WebSettings) -> None:
    """Raises `Fault` for endpoints of ESPs that nothing checks."""
    try:
        endpoints(settings.webhooks)
    except WebhookUnusable as error:
        raise Fault(str(error)) from error


def with_links(settings: Settings) -> WebSettings:
    """The web app's settings with what it shares with producers. Raises `Fault` where links are to be served that it cannot
    check."""
    web, producer = settings.web, settings.producer
    secret = web.link_secret or producer.link_secret
    if not secret and web.serve == "public":
        raise Fault(
            "web.link_secret must be set: it checks the links in mails, and is the producer.link_secret that they were"
            " signed with. Set JETPOST_WEB_LINK_SECRET"
        )
    return replace(web, link_secret=secret, links_url=web.links_url or producer.public_url)


async def run_with_ingester(process: Process) -> None:
    """Serve and ingest until told to stop."""
    await ingester.beside(process, lambda: run(process))


def _listen(settings: WebSettings) -> socket.socket:
    try:
        return server.listen(settings)
    except OSError as error:
        raise Fault(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set web.port to another, or to 0"
        ) from error
