"""Serves the app until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from analytics.web.app import create_app
from analytics.web.connections import Bounded
from analytics.web.public.door import PATHS, Door
from analytics.web.settings import WebSettings
from analytics.web.sources import Reports
from analytics.web.webhooks.reception import PATH as WEBHOOKS
from analytics.web.webhooks.reception import Reception
from events.bus import Bus

GRACE_SECONDS: Final = 5
"""How long requests in progress may take once the server stops; live streams end at once."""


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: WebSettings) -> socket.socket:
    """Take the address. Raises `OSError` where it is taken or not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, reuse_port=False, backlog=512)


def address_of(listener: socket.socket, settings: WebSettings) -> str:
    """Where people find the dashboard."""
    if settings.public_url:
        return settings.public_url
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host in {"0.0.0.0", "::", "127.0.0.1", "::1"} else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


class Front:
    """What is inside, what recipients see, and where ESPs call, on one port. Each guards itself."""

    def __init__(self, inside: FastAPI | None, door: Door | None, reception: Reception | None) -> None:
        apps = [app for app in (inside, door, reception) if app]
        self._rest: ASGIApp = apps[0]
        self._door = door or self._rest
        self._reception = reception or self._rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._rest
        if scope["type"] == "http":
            path = scope["path"]
            app = self._reception if path.startswith(WEBHOOKS) else self._door if path.startswith(PATHS) else app
        await app(scope, receive, send)


async def run(
    bus: Bus,
    reports: Reports | None,
    settings: WebSettings,
    *,
    clock: Callable[[], float],
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Serve what `settings.serve` says on `listener` until `stop` is set, then end the live streams, finish what is being
    answered, and return. `reports` is needed for what is inside.

    Raises `ValueError` where links are to be served and no secret checks them, or callbacks that nothing checks.
    """
    inside = create_app(bus, reports, settings, clock=clock) if reports is not None else None
    door = Door(bus, settings, clock=clock) if serves_public(settings) else None
    reception = Reception(bus, settings.webhooks, clock=clock) if serves_webhooks(settings) else None
    assert inside or door or reception, "web.serve names something"
    config = uvicorn.Config(
        Front(inside, door, reception),
        http=Bounded,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        forwarded_allow_ips=list(settings.trusted_proxies),
        lifespan="on" if inside else "off",
    )
    async with contextlib.AsyncExitStack() as running:
        for public in (door, reception):
            if public is not None:
                await running.enter_async_context(public.running())
        await _serve(_Server(config), listener, stop, inside.state.hub.close if inside else lambda: None)


def serves_webhooks(settings: WebSettings) -> bool:
    """Where no endpoint is set, nothing is told of there being any."""
    return settings.serve != "inside" and bool(settings.webhooks)


def serves_public(settings: WebSettings) -> bool:
    """Where both are served and no secret is set, links cannot be checked, and only the inside is."""
    return settings.serve == "public" or (settings.serve == "all" and bool(settings.link_secret))


async def _serve(
    server: _Server, listener: socket.socket, stop: asyncio.Event, end_streams: Callable[[], None]
) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        end_streams()
        server.should_exit = True
        await serving
