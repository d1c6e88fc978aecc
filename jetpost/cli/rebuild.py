"""`jetpost rebuild`: ClickHouse is filled again from EVENTS."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

import typer
from rich.live import Live

from analytics import progress, rebuild
from analytics.rebuild import Rebuild
from events import streams
from events.bus import Bus
from jetpost.cli.choosing import be_sure
from jetpost.cli.state import Fault, bus, err, out, run

LOOK_SECONDS: Final = 0.3


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rebuild", rich_help_panel="Components")(_rebuild)


def _rebuild(
    drop_older: Annotated[
        bool, typer.Option("--drop-older", help="Also where ClickHouse has events that EVENTS no longer has.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Empty ClickHouse's tables, and fill them again from the EVENTS stream.

    Campaigns go on meanwhile; the dashboard shows less until everything is counted again, about a minute for 1.5 million events.
    The ingester does it, so it must run; a rebuild that was asked for goes on whatever happens to this command.
    """
    be_sure("Empty ClickHouse and fill it again from EVENTS?", yes)
    run(_see_it_done(drop_older))


async def _see_it_done(drop_older: bool) -> None:
    async with bus() as connected:
        asked = await rebuild.ask(connected, drop_older=drop_older, now=time.time())
        with Live("", console=err, auto_refresh=False, transient=True) as live:
            while (now := await rebuild.look(connected) or asked).under_way:
                live.update(f"[dim]{await _doing(connected, now)} …[/]", refresh=True)
                await asyncio.sleep(LOOK_SECONDS)
        if now.state == "refused":
            raise Fault(now.reason)
        out.print(f"ClickHouse is filled again from EVENTS, up to event {now.last:,}.")


async def _doing(connected: Bus, request: Rebuild) -> str:
    if request.state == "asked":
        return "waiting for the ingester (does it run, and does ClickHouse answer?)"
    book = progress.Book(await connected.bucket(streams.INGEST))
    return f"{(await book.read()).ingested:,} of {request.last:,} events"
