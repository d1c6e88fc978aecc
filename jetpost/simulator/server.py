"""Runs a simulator: listens for SMTP, for SMTP over TLS where asked to, and for control."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from jetpost.simulator import stats
from jetpost.simulator.connection import Connection
from jetpost.simulator.control import Control
from jetpost.simulator.counts import Counts
from jetpost.simulator.settings import SimulatorSettings, Tls
from jetpost.simulator.stats import Ports
from jetpost.simulator.world import World

_BACKLOG = 1024


async def run(settings: SimulatorSettings, stop: asyncio.Event, on_ready: Callable[[Ports], None]) -> None:
    """Serves until `stop` is set. `on_ready` is called once, when all ports listen.

    Raises `OSError` where a port is taken, a certificate unreadable or the state folder not writable.
    """
    counts = Counts(settings.state_dir)
    world = World(settings, counts, time.monotonic)
    connections: set[Connection] = set()
    control = Control(lambda: stats.counters(counts, len(connections)), world, stop)
    tls = _context(settings.tls) if settings.tls else None
    try:
        async with AsyncExitStack() as servers:
            smtp = await _listen(servers, world, connections, tls, settings.port, implicit_tls=False)
            smtps = None
            if settings.smtps_port is not None:
                smtps = await _listen(servers, world, connections, tls, settings.smtps_port, implicit_tls=True)
            listener = await asyncio.start_server(control.serve, settings.host, settings.control_port)
            servers.callback(listener.close)
            on_ready(Ports(smtp=smtp, smtps=smtps, control=_port(listener)))
            await stop.wait()
    finally:
        for connection in list(connections):
            connection.close()
        counts.close()


async def _listen(
    servers: AsyncExitStack,
    world: World,
    connections: set[Connection],
    tls: ssl.SSLContext | None,
    port: int,
    *,
    implicit_tls: bool,
) -> int:
    if implicit_tls and tls is None:
        raise ValueError("SMTP over TLS needs a certificate and a key")
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(world, connections, tls),
        world.settings.host,
        port,
        ssl=tls if implicit_tls else None,
        backlog=_BACKLOG,
    )
    servers.callback(server.close)
    return _port(server)


def _port(server: asyncio.Server) -> int:
    return int(server.sockets[0].getsockname()[1])


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    return context
