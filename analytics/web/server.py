"""Serves the app until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from analytics.web.app import create_app
from analytics.web.settings import WebSettings
from analytics.web.sources import Reports
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


async def run(
    bus: Bus,
    reports: Reports,
    settings: WebSettings,
    *,
    clock: Callable[[], float],
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Serve on `listener` until `stop` is set, then end the live streams, finish what is being answered, and return."""
    app = create_app(bus, reports, settings, clock=clock)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        app.state.hub.close()
        server.should_exit = True
        await serving
