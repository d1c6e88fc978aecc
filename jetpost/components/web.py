"""The web process: dashboard and API, with the ingester where ClickHouse runs inside it."""

from __future__ import annotations

import contextlib
import socket
import time

from msgspec.structs import replace

from analytics.reports import Reports
from analytics.web import server
from analytics.web.settings import WebSettings
from jetpost.components import ingester
from jetpost.components.clickhouse import store
from jetpost.errors import Fault
from jetpost.process import Process


async def run(process: Process) -> None:
    """Serve until told to stop."""
    settings = process.settings.web
    async with store(process.settings.analytics) as answers:
        with contextlib.closing(_listen(settings)) as listener:
            process.announce(web=server.address_of(listener, replace(settings, public_url="")))
            await server.run(
                process.bus, Reports(answers), settings, clock=time.time, listener=listener, stop=process.stop
            )


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
