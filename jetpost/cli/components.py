"""`jetpost producer|sender|ingester|web run`, and `jetpost setup`: each component as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Final

import typer

from analytics import closing, ingester
from analytics.clickhouse.client import Store
from analytics.reports import Reports
from analytics.settings import AnalyticsSettings
from analytics.web import server as web_server
from analytics.web.settings import WebSettings
from events.nats_bus import NatsBus
from jetpost import process
from jetpost.cli.state import Fault, effective, out, run
from jetpost.settings import Settings
from producer import worker as producer_worker
from sender import worker as sender_worker
from sender.drivers import pools

_HELP: Final = {
    "producer": "Render the mails of waiting batches and queue them.",
    "sender": "Deliver queued mails to the relays of its pools.",
    "ingester": "Write events to ClickHouse, and close campaigns that are done.",
    "web": "Serve the dashboard and the API.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for name, command in (("producer", _producer), ("sender", _sender), ("ingester", _ingester), ("web", _web)):
        group = typer.Typer(help=_HELP[name], no_args_is_help=True)
        group.callback()(_group)  # keeps `run` a subcommand although it is the only one
        group.command("run", help=f"{_HELP[name]} Runs until SIGTERM.")(command)
        app.add_typer(group, name=name, rich_help_panel="Components")
    app.command("setup", rich_help_panel="Components")(_setup)


def _group() -> None:
    """A component."""


def _producer() -> None:
    settings = effective().settings
    process.run("producer", settings, _run_producer)


def _sender() -> None:
    settings = effective().settings
    process.run("sender", settings, _run_sender)


def _ingester() -> None:
    settings = effective().settings
    process.run("ingester", settings, _run_ingester)


def _web(
    with_ingester: Annotated[
        bool,
        typer.Option("--with-ingester", help="Run the ingester in this process, too, as embedded ClickHouse needs."),
    ] = False,
) -> None:
    settings = effective().settings
    process.run("web", settings, _run_web_and_ingester if with_ingester else _run_web)


def _setup() -> None:
    """Create or update streams on NATS and tables in ClickHouse. Harmless to repeat; run it at every upgrade."""
    run(_set_up(effective().settings))
    out.print("Streams and tables are as this release needs them.")


async def _set_up(settings: Settings) -> None:
    bus = await NatsBus.connect(settings.nats, name="jetpost setup")
    try:
        await bus.setup()
    finally:
        await bus.close()
    async with _store(settings.analytics) as store:
        await store.migrate()


async def _run_producer(p: process.Process) -> None:
    p.announce()
    await producer_worker.run(p.bus, p.settings.producer, clock=time.time, stop=p.stop)


async def _run_sender(p: process.Process) -> None:
    p.announce()
    await sender_worker.run(p.bus, p.settings.sender, pools.connect, clock=time.time, stop=p.stop)


async def _run_ingester(p: process.Process) -> None:
    settings = p.settings.analytics
    async with _store(settings) as store, _store(settings) as questions:
        await store.migrate()
        p.announce()
        await _together(
            p.stop,
            lambda: ingester.run(p.bus, store, settings, clock=time.time, stop=p.stop),
            lambda: closing.run(p.bus, Reports(questions), settings, clock=time.time, stop=p.stop),
        )


async def _run_web(p: process.Process) -> None:
    async with _store(p.settings.analytics) as store:
        await _serve(p, Reports(store))


async def _run_web_and_ingester(p: process.Process) -> None:
    settings = p.settings.analytics
    async with (
        _store(settings) as store,
        _store(settings) as closing_store,
        _store(settings) as web_store,
    ):
        await store.migrate()
        await _together(
            p.stop,
            lambda: ingester.run(p.bus, store, settings, clock=time.time, stop=p.stop),
            lambda: closing.run(p.bus, Reports(closing_store), settings, clock=time.time, stop=p.stop),
            lambda: _serve(p, Reports(web_store)),
        )


async def _serve(p: process.Process, reports: Reports) -> None:
    with contextlib.closing(_listen(p.settings.web)) as listener:
        p.announce(web=web_server.address_of(listener, p.settings.web))
        await web_server.run(p.bus, reports, p.settings.web, clock=time.time, listener=listener, stop=p.stop)


def _listen(settings: WebSettings) -> socket.socket:
    try:
        return web_server.listen(settings)
    except OSError as error:
        raise Fault(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); set web.port to another, or to 0"
        ) from error


@contextlib.asynccontextmanager
async def _store(settings: AnalyticsSettings) -> AsyncIterator[Store]:
    """A client of ClickHouse for one user."""
    store = Store(settings.clickhouse)
    try:
        yield store
    finally:
        await store.close()


async def _together(stop: asyncio.Event, *parts: Callable[[], Awaitable[None]]) -> None:
    """Run parts until all end; if one fails, the others are stopped and its error is raised."""

    async def one(part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        finally:
            stop.set()

    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(one(part))
