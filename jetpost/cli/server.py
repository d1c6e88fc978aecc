"""`jetpost up`: the whole system on this machine, for real use."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from events.secrets import without_password
from jetpost import locating, logs, stack
from jetpost.cli.state import configured, out, run
from jetpost.display import plain
from jetpost.settings import Effective
from jetpost.stopping import cancel_on_signals


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up", rich_help_panel="Start here")(_up)


def _up(
    producers: Annotated[int, typer.Option(min=1, help="Producer processes.")] = 1,
    senders: Annotated[int, typer.Option(min=1, help="Sender processes.")] = 1,
    sync: Annotated[
        str, typer.Option(help="How often JetStream syncs to disk: `always` survives a power failure, `2m` is faster.")
    ] = "2m",
) -> None:
    """Start NATS, ClickHouse, producers, senders and the dashboard on this machine; Ctrl-C stops them.

    Mails go to the relays of your settings (`sender.pools`). NATS or ClickHouse servers that your settings name are used
    in place of embedded ones. Data stays in `data_dir`, so that the next `jetpost up` goes on where this one stopped.
    """
    found = configured()
    logs.configure(found.settings.log, "up")
    with locating.reaching(found) if found.is_set("nats", "url") else contextlib.nullcontext():
        run(_stay_up(found, producers, senders, sync))


async def _stay_up(found: Effective, producers: int, senders: int, sync: str) -> None:
    plan = stack.Plan(
        producers=producers, senders=senders, embedded_nats=not found.is_set("nats", "url"), sync_interval=sync
    )
    settings = stack.embedded(found.settings, clickhouse_is_set=found.is_set("analytics", "clickhouse", "url"))
    cancel_on_signals(asyncio.current_task())
    with contextlib.suppress(asyncio.CancelledError):
        async with stack.Stack(plan, settings) as running:
            _say_where(running)
            try:
                await asyncio.Event().wait()
            finally:
                out.print("Stopping: senders finish what they have claimed …")


def _say_where(running: stack.Stack) -> None:
    dashboard = running.settings.web.public_url or running.web_url
    out.print(
        f"[bold]Jetpost is up.[/]  Dashboard: [link]{dashboard}[/link]  NATS: {without_password(running.nats_url)}"
    )
    for name, relay in running.settings.sender.pools.items():
        out.print(f"  pool [bold]{name}[/] hands mails to {plain(relay.host)}:{relay.port}")
    out.print(f"  data and logs: {plain(str(running.settings.data_dir))}")
    out.print("Send a campaign from another terminal: [bold]jetpost send campaign.toml[/]   Stop with Ctrl-C.")
